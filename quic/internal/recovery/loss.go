package recovery

import (
	"math"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// Config is what a Loss needs from outside.
type Config struct {
	Server          bool
	MaxDatagramSize int
	InitialRTT      time.Duration // 0: DefaultInitialRTT
	Rand            func([]byte)
}

// Loss is the loss recovery and congestion control of one connection. Call Init first.
//
// Invariants: bytesInFlight is the sum of the sizes of packets that are in flight; a timer is armed
// whenever an ack-eliciting packet is outstanding and something may be sent about it.
type Loss struct {
	cfg    Config
	spaces [NumSpaces]lossSpace
	rtt    rttState
	cc     reno
	pace   pacer
	reo    reordering

	bytesInFlight    int
	maxAckDelay      time.Duration // the peer's
	ackDelayExponent uint8         // the peer's

	ptoCount    int
	probes      int
	probeSpace  Space
	lastArmed   monotime.Time // base of a client's timer when nothing is in flight
	firstSample monotime.Time

	handshakeKeys bool // a client can send Handshake packets
	peerValidated bool // a client knows that the server has validated its address
	confirmed     bool

	validated      bool // a server knows the client's address
	received, sent int  // bytes, for the amplification limit

	spuriousLosses uint64
}

// lossSpace is one packet number space.
type lossSpace struct {
	list          sentList
	next          wire.PacketNumber
	skip          skipState
	largestAcked  wire.PacketNumber
	eliciting     int // ack-eliciting packets in flight
	lastEliciting monotime.Time
	lossTime      monotime.Time
	discarded     bool
}

// Init prepares l for a connection that begins now.
func (l *Loss) Init(now monotime.Time, cfg Config) {
	*l = Loss{cfg: cfg, ackDelayExponent: defaultAckDelayExponent, maxAckDelay: MaxAckDelay, lastArmed: now}
	l.rtt.init(cfg.InitialRTT)
	l.cc.init(cfg.MaxDatagramSize)
	l.pace.init(now, cfg.MaxDatagramSize)
	l.pace.setRate(l.cc.cwnd, true, l.rtt.smoothed)
	l.reo.init()
	for s := range l.spaces {
		l.spaces[s].largestAcked = wire.NoPacket
		l.spaces[s].skip.init(cfg.Rand)
	}
	// "Clients [...] the peer's address is validated": only servers are limited.
	l.validated = !cfg.Server
	l.peerValidated = cfg.Server
}

// NextNumber is the number of the next packet in a space.
func (l *Loss) NextNumber(s Space) wire.PacketNumber { return l.spaces[s].next }

// SetNextNumber says that smaller numbers have been used by somebody else.
func (l *Loss) SetNextNumber(s Space, pn wire.PacketNumber) { l.spaces[s].next = pn }

// LargestAcked is the largest number that the peer has acknowledged, or wire.NoPacket.
func (l *Loss) LargestAcked(s Space) wire.PacketNumber { return l.spaces[s].largestAcked }

// NewSent returns an empty packet to be filled in for PacketSent.
func (l *Loss) NewSent() *SentPacket { return sentPool.Get().(*SentPacket) }

// maxIdleSent bounds the packets that are remembered although nothing waits for them: a receiver's
// acknowledgements are not acknowledged themselves.
const maxIdleSent = 256

// PacketSent takes over a packet that is sent now, numbered NextNumber.
func (l *Loss) PacketSent(now monotime.Time, s Space, p *SentPacket) {
	sp := &l.spaces[s]
	sp.list.push(p)
	sp.next = p.Num + 1
	if p.InFlight {
		l.bytesInFlight += p.Size
		l.pace.sent(p.Size)
	}
	if p.AckEliciting {
		sp.eliciting++
		sp.lastEliciting = now
		if l.probes > 0 {
			l.lastArmed = now
		}
	}
	for sp.list.n > maxIdleSent && !sp.list.at(0).InFlight {
		sp.list.at(0).done = true
		sp.list.trim()
	}
	if sp.skip.due(sp.next) {
		hole := l.NewSent()
		hole.Num, hole.done, hole.skip = sp.next, true, true
		sp.list.push(hole)
		sp.skip.skipped(sp.next, l.cfg.Rand)
		sp.next++
	}
}

// DatagramReceived counts bytes for the amplification limit.
func (l *Loss) DatagramReceived(_ monotime.Time, n int) {
	if !l.validated {
		l.received += n
	}
}

// DatagramSent counts bytes for the amplification limit.
func (l *Loss) DatagramSent(n int) {
	if !l.validated {
		l.sent += n
	}
}

// ValidateAddress lifts the amplification limit.
func (l *Loss) ValidateAddress() { l.validated = true }

// AmplificationCredit is how many bytes may be sent before the peer's address is validated.
//
// "Prior to validating the client address, servers MUST NOT send more than three times as many bytes
// as the number of bytes they have received."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1-3
func (l *Loss) AmplificationCredit() int {
	if l.validated {
		return math.MaxInt
	}
	return 3*l.received - l.sent
}

// SendLimit says what may be sent now.
type SendLimit uint8

const (
	SendAll     SendLimit = iota
	SendAckOnly           // the congestion window or the pacer holds the rest back
	SendNothing           // the amplification limit is reached
)

// SendLimit returns what may be sent now. Probes are not held back.
func (l *Loss) SendLimit(now monotime.Time) SendLimit {
	switch {
	case l.AmplificationCredit() <= 0:
		return SendNothing
	case l.probes > 0:
		return SendAll
	case l.bytesInFlight+l.cfg.MaxDatagramSize > l.cc.cwnd || l.pace.blocked(now):
		return SendAckOnly
	}
	return SendAll
}

// SendQuantum is how many bytes one train may have.
func (l *Loss) SendQuantum(now monotime.Time) int {
	if l.probes > 0 {
		return 2 * l.cfg.MaxDatagramSize
	}
	return max(l.cfg.MaxDatagramSize, min(l.pace.quantum(now), l.cc.cwnd-l.bytesInFlight))
}

// PacedUntil is when the pacer lets the next packet go; zero if it is not what holds it back.
func (l *Loss) PacedUntil(now monotime.Time) monotime.Time {
	if l.probes > 0 || l.bytesInFlight+l.cfg.MaxDatagramSize > l.cc.cwnd || l.AmplificationCredit() <= 0 {
		return 0
	}
	return l.pace.until(now)
}

// SetMaxAckDelay takes the peer's max_ack_delay.
func (l *Loss) SetMaxAckDelay(d time.Duration) { l.maxAckDelay = d }

// SetAckDelayExponent takes the peer's ack_delay_exponent.
func (l *Loss) SetAckDelayExponent(e uint8) { l.ackDelayExponent = e }

// SetMaxDatagramSize changes the size of datagrams.
func (l *Loss) SetMaxDatagramSize(n int) {
	l.cfg.MaxDatagramSize, l.cc.mds, l.pace.mds = n, n, n
}

// MaxDatagramSize is the size of datagrams.
func (l *Loss) MaxDatagramSize() int { return l.cfg.MaxDatagramSize }

// Getters for statistics and for flow control.
func (l *Loss) SmoothedRTT() time.Duration { return l.rtt.smoothed }
func (l *Loss) LatestRTT() time.Duration   { return l.rtt.latest }
func (l *Loss) MinRTT() time.Duration      { return l.rtt.min }
func (l *Loss) CongestionWindow() int      { return l.cc.cwnd }
func (l *Loss) BytesInFlight() int         { return l.bytesInFlight }

// PTO is the probe timeout of the Application space, without back-off.
func (l *Loss) PTO() time.Duration { return l.rtt.pto() + l.maxAckDelay }
