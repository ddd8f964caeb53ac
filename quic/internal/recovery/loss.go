package recovery

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// Config configures a Loss.
type Config struct {
	Server          bool
	MaxDatagramSize int           // UDP payload in bytes, at least 1200
	InitialRTT      time.Duration // 0 means DefaultInitialRTT
	// NewController returns the congestion controller for a path. nil means CUBIC.
	NewController func() Controller
	// ECN enables the marking of packets with ECT(0), on each path as long as that works.
	ECN bool
	// Rand fills b with random bytes. If it is nil, no packet number is skipped.
	Rand func(b []byte)
	// Handshake is memory for what a Loss needs until the Initial and Handshake spaces are discarded and the
	// connection rests. If it is nil, Init allocates it.
	Handshake *HandshakeState
}

// HandshakeState is the part of a Loss that only the handshake needs. The caller makes it a part of its own
// state for the handshake, so that both are one allocation.
type HandshakeState struct {
	spaces  [SpaceApp]lossSpace
	batches batches
}

// Loss is the loss detection of one connection: its packet number spaces with the packets sent, its probe
// timeout, and its paths. Call Init first.
//
// Its inputs are PacketSent, HandleAck, HandleTimeout and the progress of the handshake. Its outputs are
// the fates of packets, SendLimit, the pending probes and NextTimeout. No timer is stored: NextTimeout is
// computed from the state, so it cannot be stale. The state of a network path is in a [Path].
//
// CheckInvariants verifies these invariants: the bytes in flight on a path are the sum of its packets in
// flight; while an ack-eliciting packet is outstanding and the peer can answer, a timer is armed; the state
// is bounded; and a server never sends more than three times what it received on a path whose peer address
// is not validated.
type Loss struct {
	initialRTT time.Duration
	// spaces refers to app and, until they are discarded, to the spaces of Config.Handshake.
	spaces [NumSpaces]*lossSpace
	app    lossSpace
	pool   sentPool
	pto    ptoState
	paths  []*Path // paths in use or with outstanding packets
	active *Path   // the path to send on
	mixed  bool    // there was more than one path

	packetsInFlight  int
	maxAckDelay      time.Duration // the peer's
	ackDelayExponent uint8         // the peer's
	lossID           uint32        // ID of the latest LossBatch
	counters         Counters
}

// Counters count the events of a connection.
type Counters struct {
	Lost                 uint64 // packets declared lost
	LostBytes            uint64 // their size
	SpuriousLosses       uint64 // packets declared lost and acknowledged later
	ProbeTimeouts        uint64
	CongestionEvents     uint64 // recovery periods begun
	UndoneReductions     uint64 // reductions of the window that were undone
	PersistentCongestion uint64
}

// lossSpace is one packet number space.
type lossSpace struct {
	sent         sentRing
	live         int // position in sent: every packet before it is acknowledged or lost
	next         wire.PacketNumber
	skip         skipState
	largestAcked wire.PacketNumber

	eliciting     int           // ack-eliciting packets in flight
	lastEliciting monotime.Time // when the last of them was sent
	untimed       int           // packets that are remembered but not in flight: acknowledgements
	lossTime      monotime.Time // when the next packet exceeds the time threshold
	breaks        uint64        // acknowledgements that ended runs of lost packets
	ecn           ecnState
	ceSent        bool // a packet was marked with ECN-CE since the last packet number that was skipped
	discarded     bool
}

// Init initializes l for a connection that begins now.
func (l *Loss) Init(now monotime.Time, cfg Config) {
	h := cfg.Handshake
	if h == nil {
		h = new(HandshakeState)
	}
	*l = Loss{initialRTT: cfg.InitialRTT, maxAckDelay: MaxAckDelay, ackDelayExponent: AckDelayExponent}
	l.spaces = [NumSpaces]*lossSpace{&h.spaces[SpaceInitial], &h.spaces[SpaceHandshake], &l.app}
	l.active = newPath(now, &cfg)
	l.active.batches = &h.batches
	l.paths = []*Path{l.active}
	l.pto.peerValidated = cfg.Server
	for s := range l.spaces {
		l.spaces[s].largestAcked = wire.NoPacket
		l.spaces[s].skip.init(Space(s), cfg.Rand)
	}
}

// NewSent returns an empty packet. The caller fills it in and passes it to PacketSent.
func (l *Loss) NewSent() *SentPacket { return l.pool.take() }

// NextNumber returns the number of the next packet in a space. It returns the same number until PacketSent
// is called.
func (l *Loss) NextNumber(s Space) wire.PacketNumber { return l.spaces[s].next }

// SetNextNumber skips to pn: smaller numbers were used by another sender. An acknowledgement of these
// numbers is accepted and has no effect.
func (l *Loss) SetNextNumber(s Space, pn wire.PacketNumber) {
	if sp := l.spaces[s]; pn > sp.next && !sp.discarded {
		sp.next = pn
		sp.skip.schedule(pn)
	}
}

// LargestAcked returns the largest packet number that the peer has acknowledged, or wire.NoPacket.
func (l *Loss) LargestAcked(s Space) wire.PacketNumber { return l.spaces[s].largestAcked }

// OldestUnacked returns the smallest packet number that is neither acknowledged nor lost, or wire.NoPacket.
func (l *Loss) OldestUnacked(s Space) wire.PacketNumber {
	sp := l.spaces[s]
	for i := sp.live; i < sp.sent.tail; i++ {
		if e := sp.sent.at(i); e.p != nil && !e.p.lost {
			return e.num
		}
	}
	return wire.NoPacket
}

// SetMaxAckDelay sets the peer's max_ack_delay.
func (l *Loss) SetMaxAckDelay(d time.Duration) { l.maxAckDelay = d }

// SetAckDelayExponent sets the peer's ack_delay_exponent.
func (l *Loss) SetAckDelayExponent(e uint8) { l.ackDelayExponent = e }

// Path returns the path to send on.
func (l *Loss) Path() *Path { return l.active }

// PacketsInFlight returns the number of packets in flight on all paths.
func (l *Loss) PacketsInFlight() int { return l.packetsInFlight }

// Counters returns a copy of the counters.
func (l *Loss) Counters() Counters { return l.counters }

// DiscardSpace forgets the packets of a space whose keys are discarded. It does not report their fate.
//
// "The sender MUST discard all recovery state associated with those packets and MUST remove them
// from the count of bytes in flight."
// https://www.rfc-editor.org/rfc/rfc9002#section-6.4-1
func (l *Loss) DiscardSpace(now monotime.Time, s Space) {
	if l.spaces[s].discarded {
		return
	}
	l.forget(s)
	l.spaces[s] = &discardedSpace
	if s == SpaceHandshake {
		l.active.ecn.resume()
	}
	// "When Initial or Handshake keys are discarded, the PTO and loss detection timers MUST be
	// reset, because discarding keys indicates forward progress".
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.2-3
	l.resetPTO(now)
}

// discardedSpace stands for the spaces that connections have discarded. It is never written.
var discardedSpace = lossSpace{discarded: true, largestAcked: wire.NoPacket}

// Forget forgets what was sent in a space, because the peer has discarded it. The fate of the packets is not reported.
// Packet numbers continue.
func (l *Loss) Forget(now monotime.Time, s Space) {
	l.forget(s)
	l.resetPTO(now)
}

// ResetForRetry forgets what a client has sent, because the server asks it to start again. Packet numbers
// continue. The fate of the packets is not reported.
//
// "Clients that receive a Retry packet reset congestion control and loss recovery state, including
// resetting any pending timers."
// https://www.rfc-editor.org/rfc/rfc9002#section-6.3-2
func (l *Loss) ResetForRetry(now monotime.Time) {
	// "The client MAY compute an RTT estimate to the server as the time period from when the
	// first Initial packet was sent to when a Retry or a Version Negotiation packet is received."
	// With more than one Initial packet out it is not known which was answered.
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.3-3
	initial := l.initialRTT
	if first := l.pto.firstSent; !first.IsZero() && l.counters.ProbeTimeouts == 0 {
		initial = max(now.Sub(first), minRetryRTT)
	}
	for s, sp := range l.spaces {
		if !sp.discarded {
			l.forget(Space(s))
		}
	}
	l.active.reset(now, initial)
	l.resetPTO(now)
}

// minRetryRTT is the minimum timeout after a Retry packet. Sending a Retry takes a server almost no time,
// so a timeout based on its round trip could be too short for a handshake message.
const minRetryRTT = 50 * time.Millisecond

// Close forgets everything and frees the memory. The getters remain usable.
func (l *Loss) Close() {
	for s, sp := range l.spaces {
		if !sp.discarded {
			l.forget(Space(s))
			l.spaces[s] = &discardedSpace
		}
	}
	l.pto.probes, l.pto.peerValidated = 0, true
	l.pool = sentPool{}
}

// forget removes the packets of a space.
func (l *Loss) forget(s Space) {
	sp := l.spaces[s]
	for i := sp.sent.head; i < sp.sent.tail; i++ {
		if p := sp.sent.at(i).p; p != nil {
			if !p.lost {
				l.leaveFlight(sp, p)
			}
			l.pool.put(p)
		}
	}
	sp.sent.release()
	sp.live = sp.sent.head
	sp.lossTime = 0
	sp.breaks++
}

// enterFlight and leaveFlight update the counts of packets that are neither acknowledged nor lost.
func (l *Loss) enterFlight(sp *lossSpace, p *SentPacket) {
	if p.InFlight {
		p.path.bytesInFlight += p.Size
		l.packetsInFlight++
	} else {
		sp.untimed++
	}
	if p.AckEliciting {
		sp.eliciting++
	}
}

func (l *Loss) leaveFlight(sp *lossSpace, p *SentPacket) {
	if p.InFlight {
		p.path.bytesInFlight -= p.Size
		l.packetsInFlight--
	} else {
		sp.untimed--
	}
	if p.AckEliciting {
		sp.eliciting--
	}
}

// Trim frees memory for packets that was not needed since the last call, so that a connection that once had many
// packets in flight, and is never idle for long enough to rest, does not keep memory for as many.
func (l *Loss) Trim() {
	l.pool.trim()
	for _, sp := range l.spaces {
		if !sp.discarded {
			sp.sent.trim()
		}
	}
}

// Rest frees the memory that a connection needs only while it exchanges packets, unless packets are
// outstanding, and reports whether it did. The next packet allocates it again.
func (l *Loss) Rest() bool {
	if l.packetsInFlight > 0 {
		return false
	}
	l.pool = sentPool{}
	for _, sp := range l.spaces {
		if sp.sent.len() == 0 && !sp.discarded {
			sp.sent.release()
		}
	}
	for _, pa := range l.paths {
		pa.batches = nil
	}
	return true
}
