package recovery

import (
	"math"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// Bounds of what is remembered about packets that a peer does not acknowledge.
const (
	// maxInFlight bounds the packets in flight, whatever their size: a window of 16 MiB in
	// packets of full size.
	maxInFlight = 1 << 14
	// maxUntimed bounds, in each space, the packets that are not in flight. All that their
	// acknowledgement tells is which of our own acknowledgements have arrived.
	maxUntimed = 256
)

// PacketSent takes over a packet that leaves now. Its number is NextNumber's.
func (l *Loss) PacketSent(now monotime.Time, s Space, p *SentPacket) {
	sp := &l.spaces[s]
	if p.Num != sp.next {
		panic("BUG: packet sent out of order")
	}
	sp.next++
	sp.next = sp.skip.maybeSkip(sp.next)
	if l.pto.firstSent.IsZero() {
		l.pto.firstSent = now
	}
	if sp.discarded || !p.InFlight && sp.untimed >= maxUntimed {
		l.pool.put(p)
		return
	}
	sp.sent.push(p)
	l.enterFlight(sp, p)
	if p.ECT {
		sp.ecn.sent++
	}
	if p.AckEliciting {
		sp.lastEliciting = now
	}
	if p.InFlight {
		l.pto.restart = now
		l.cc.sent(l.bytesInFlight)
		l.pacer.sent(now, p.Size)
	}
}

// SendLimit is what may be sent now.
type SendLimit uint8

const (
	SendAll     SendLimit = iota
	SendAckOnly           // only what does not count as in flight
	SendNothing           // the anti-amplification limit is reached
)

// SendLimit returns what may be sent now, in one datagram.
//
// "An endpoint MUST NOT send a packet if it would cause bytes_in_flight (see Appendix B.2) to be
// larger than the congestion window, unless the packet is sent on a PTO timer expiration (see Section
// 6.2) or when entering recovery (see Section 7.3.2)."
// https://www.rfc-editor.org/rfc/rfc9002#section-7-7
func (l *Loss) SendLimit(now monotime.Time) SendLimit {
	switch {
	case l.AmplificationCredit() < minCredit:
		return SendNothing
	case l.pto.probes > 0:
		return SendAll
	case !l.windowOpen() || l.pacer.blocked(now):
		// "[P]ackets containing only ACK frames SHOULD therefore not be paced."
		// https://www.rfc-editor.org/rfc/rfc9002#section-7.7-4
		return SendAckOnly
	}
	return SendAll
}

// windowOpen reports whether the congestion window has room for a datagram.
func (l *Loss) windowOpen() bool {
	if l.packetsInFlight >= maxInFlight {
		return false
	}
	return l.bytesInFlight+l.cfg.MaxDatagramSize <= l.cc.cwnd || l.cc.oneMore
}

// SendQuantum is how many bytes the next train may have; always at least one datagram's, as
// SendLimit decides about each datagram of it.
func (l *Loss) SendQuantum(now monotime.Time) int {
	least := l.cfg.MaxDatagramSize
	if l.pto.probes > 0 {
		return max(least, l.pto.probes*least)
	}
	n := maxQuantum
	if l.pacer.rate > 0 {
		l.pacer.refill(now)
		n = min(l.pacer.quantum(), l.pacer.tokens)
	}
	return max(least, min(n, l.cc.cwnd-l.bytesInFlight))
}

// PacedUntil is when the pacer lets the next packet go, zero if the pacer is not what holds it back.
func (l *Loss) PacedUntil(now monotime.Time) monotime.Time {
	if l.AmplificationCredit() < minCredit || l.pto.probes > 0 || !l.windowOpen() || !l.pacer.blocked(now) {
		return 0
	}
	return l.pacer.until(now)
}

// amplification is a server's account of a client whose address is not validated.
//
// "Prior to validating the client address, servers MUST NOT send more than three times as many bytes
// as the number of bytes they have received."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1-4
type amplification struct {
	validated      bool
	received, sent int // bytes of UDP payload
}

// minCredit is the least credit with which sending is worth a try: a header, a tag, a small frame.
const minCredit = 64

// DatagramReceived counts n bytes received from the peer's address: of every datagram that belongs
// to the connection, whatever is in it.
func (l *Loss) DatagramReceived(_ monotime.Time, n int) {
	if !l.amp.validated {
		l.amp.received += n
	}
}

// DatagramSent counts n bytes sent.
func (l *Loss) DatagramSent(n int) {
	if !l.amp.validated {
		l.amp.sent += n
	}
}

// ValidateAddress lifts a server's limit: the client's address is its own.
func (l *Loss) ValidateAddress() { l.amp.validated = true }

// AmplificationCredit is how many bytes may be sent to an address that is not validated, and
// math.MaxInt to one that is. A datagram must fit into what is left: a sender that only asks for
// some credit being left goes beyond the limit.
func (l *Loss) AmplificationCredit() int {
	if l.amp.validated {
		return math.MaxInt
	}
	return 3*l.amp.received - l.amp.sent
}
