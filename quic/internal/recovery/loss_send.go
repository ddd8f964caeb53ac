package recovery

import (
	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// The limits on what is remembered about packets that a peer does not acknowledge.
const (
	// There may be maxInFlight packets in flight, whatever their size, and more while they have
	// bytesPerPacket bytes on average. What is remembered of them then takes less memory than a third of
	// what they carry, which counts as memory for bytes that are written and not acknowledged.
	maxInFlight    = 1 << 14
	bytesPerPacket = 1 << 10
	// maxUntimed bounds, in each space, the packets that are not in flight. Their acknowledgement only
	// shows which of our own acknowledgements have arrived.
	maxUntimed = 256
)

// PacketSent records a packet that is sent now and takes ownership of it. Its number must be the one that
// NextNumber returned.
func (l *Loss) PacketSent(now monotime.Time, s Space, p *SentPacket) {
	sp := l.spaces[s]
	if sp.discarded {
		l.pool.put(p)
		return
	}
	if p.Num != sp.next {
		panic("BUG: packet sent out of order")
	}
	sp.next++
	next := sp.next
	if sp.next = sp.skip.maybeSkip(next); sp.next != next {
		sp.ceSent = false
	}
	if l.pto.firstSent.IsZero() {
		l.pto.firstSent = now
	}
	if p.ECN != datagram.NotECT { // the peer counts also those that are not remembered
		sp.ecn.sent++
		sp.ceSent = sp.ceSent || p.ECN == datagram.CE
		l.active.ecn.packetSent()
	}
	if !p.InFlight && sp.untimed >= maxUntimed {
		l.pool.put(p)
		return
	}
	if p.path == nil {
		p.path = l.active
	}
	sp.sent.push(p)
	// This includes probes: "A sender MUST however count these packets as being additionally in flight, since these
	// packets add network load without establishing packet loss."
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.5-1
	l.enterFlight(sp, p)
	if p.AckEliciting {
		sp.lastEliciting = now
	}
	if p.MTUProbe {
		l.active.mtu.probe = p.Num
	}
	if p.InFlight {
		l.pto.restart = now
		p.path.sent(now, p)
	}
}

// A SendLimit is a limit on what may be sent.
type SendLimit uint8

const (
	SendAll     SendLimit = iota
	SendAckOnly           // only packets that do not count as in flight
	SendNothing           // the anti-amplification limit is reached
)

// SendLimit returns the limit on what may be sent now in one datagram.
//
// "An endpoint MUST NOT send a packet if it would cause bytes_in_flight (see Appendix B.2) to be
// larger than the congestion window, unless the packet is sent on a PTO timer expiration (see Section
// 6.2) or when entering recovery (see Section 7.3.2)."
// https://www.rfc-editor.org/rfc/rfc9002#section-7-7
func (l *Loss) SendLimit(now monotime.Time) SendLimit {
	switch {
	case l.active.AmplificationCredit() < minCredit:
		return SendNothing
	case l.pto.probes > 0:
		return SendAll
	case !l.windowOpen() || l.active.pacer.blocked(now):
		// "[P]ackets containing only ACK frames SHOULD therefore not be paced."
		// https://www.rfc-editor.org/rfc/rfc9002#section-7.7-4
		return SendAckOnly
	}
	return SendAll
}

// windowOpen reports whether the congestion window has room for a datagram.
func (l *Loss) windowOpen() bool {
	if l.packetsInFlight >= max(maxInFlight, l.active.bytesInFlight/bytesPerPacket) {
		return false
	}
	return l.active.windowOpen()
}

// DatagramSize returns the maximum size of the next datagram. Probes for a timeout have the size that every
// path carries, because larger datagrams may be what was lost.
func (l *Loss) DatagramSize() int {
	if l.pto.probes > 0 {
		return l.active.mtu.base
	}
	return l.active.datagramSize
}

// SendQuantum returns the maximum size of the next train in bytes. It is at least the size of one datagram,
// because SendLimit decides about each datagram of the train.
func (l *Loss) SendQuantum(now monotime.Time) int {
	pa := l.active
	least := l.DatagramSize()
	if l.pto.probes > 0 {
		return max(least, l.pto.probes*least)
	}
	n := maxQuantum
	if pa.out.MaxTrain > 0 {
		n = min(n, pa.out.MaxTrain)
	}
	if pa.pacer.rate > 0 {
		pa.pacer.refill(now)
		n = min(n, pa.pacer.quantum(), pa.pacer.tokens)
	}
	return max(least, min(n, pa.out.Window-pa.bytesInFlight))
}

// AppLimited records that the sender may send but has nothing to send. Until what is in flight has been
// acknowledged, the delivery rate does not show what the path can carry.
func (l *Loss) AppLimited() { l.active.delivery.limited(l.active.bytesInFlight) }

// PacedUntil returns when the pacer allows the next packet, or zero if the pacer does not delay it.
func (l *Loss) PacedUntil(now monotime.Time) monotime.Time {
	if l.active.AmplificationCredit() < minCredit || l.pto.probes > 0 || !l.windowOpen() || !l.active.pacer.blocked(now) {
		return 0
	}
	return l.active.pacer.until(now)
}
