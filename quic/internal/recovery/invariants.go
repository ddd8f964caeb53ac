package recovery

import (
	"fmt"

	"github.com/pqquic/pqquic/quic/internal/wire"
)

// CheckInvariants returns an error if the state is inconsistent. It is for tests and simulation.
func (l *Loss) CheckInvariants() error {
	packets, outstanding := 0, 0
	total := 0 // bytes in flight on all paths
	for _, p := range l.paths {
		p.counted = 0
	}
	for s, sp := range l.spaces {
		b, n, err := sp.check(!l.mixed && len(l.paths) == 1)
		if err != nil {
			return fmt.Errorf("%v: %w", Space(s), err)
		}
		packets, total = packets+n, total+b
		if l.timesProbes(Space(s)) {
			outstanding += sp.eliciting
		}
	}
	for _, p := range l.paths {
		if err := p.check(); err != nil {
			return err
		}
		total -= p.bytesInFlight
	}
	credit := l.active.AmplificationCredit()
	switch {
	case total != 0:
		return fmt.Errorf("%d bytes are in flight on paths that were removed", total)
	case packets != l.packetsInFlight:
		return fmt.Errorf("%d packets are in flight, but %d were counted", l.packetsInFlight, packets)
	case outstanding > 0 && credit >= l.probeCost() && l.NextTimeout().IsZero():
		return fmt.Errorf("%d packets are outstanding but no timer is armed", outstanding)
	}
	return nil
}

// check verifies a path after its packets in flight have been counted.
func (p *Path) check() error {
	least := 2 * p.datagramSize
	switch {
	case p.counted != p.bytesInFlight:
		return fmt.Errorf("%d bytes are in flight, but %d were counted", p.bytesInFlight, p.counted)
	case !p.background && p.AmplificationCredit() < 0:
		return fmt.Errorf("%d bytes were sent for %d received", p.amp.sent, p.amp.received)
	case p.out.Window < least || p.out.Window > max(maxWindow, least):
		return fmt.Errorf("the congestion window is %d", p.out.Window)
	case p.datagramSize != p.mtu.size:
		return fmt.Errorf("the datagram size is %d, but the path carries %d", p.datagramSize, p.mtu.size)
	case p.reo.packets < minPacketThreshold || p.reo.packets > maxPacketThreshold ||
		p.reo.eighths < minTimeEighths || p.reo.eighths > maxTimeEighths:
		return fmt.Errorf("the reordering thresholds are %+v", p.reo)
	}
	return p.mtu.check()
}

// check verifies that sizes stay between the base and the limit, and that a probe belongs to a search.
func (m *mtuSearch) check() error {
	most := max(m.base, m.limit)
	switch {
	case m.size < m.base || m.size > most:
		return fmt.Errorf("the datagram size is %d, outside of %d to %d", m.size, m.base, most)
	case m.want != 0 && (m.want <= m.size || m.want > m.high || m.high > most):
		return fmt.Errorf("a probe has %d bytes, outside of %d to %d to %d", m.want, m.size+1, m.high, most)
	case m.want == 0 && m.probe != wire.NoPacket, m.tries >= maxMTUProbes, m.suspects >= blackHoleSuspects:
		return fmt.Errorf("the search is %+v", *m)
	}
	return nil
}

// check verifies the counts of a space, counts what is in flight on each path, and returns the sum. If
// there was only one path, no packet that may still arrive precedes a lost one.
func (sp *lossSpace) check(onePath bool) (bytes, packets int, err error) {
	eliciting, untimed := 0, 0
	last := wire.NoPacket
	for i := sp.sent.head; i < sp.sent.tail; i++ {
		e := sp.sent.at(i)
		if e.num <= last || e.num >= sp.next {
			return 0, 0, fmt.Errorf("packet %d follows %d, and the next number is %d", e.num, last, sp.next)
		}
		last = e.num
		if e.p == nil {
			continue
		}
		if !e.p.lost && i < sp.live || e.p.lost && i >= sp.live && onePath {
			return 0, 0, fmt.Errorf("packet %d (lost: %v) is on the wrong side of the cursor", e.num, e.p.lost)
		}
		if e.p.lost {
			continue
		}
		if e.p.AckEliciting {
			eliciting++
		}
		if e.p.InFlight {
			bytes, packets = bytes+e.p.Size, packets+1
			e.p.path.counted += e.p.Size
		} else {
			untimed++
		}
	}
	if eliciting != sp.eliciting || untimed != sp.untimed {
		return 0, 0, fmt.Errorf("there are %d ack-eliciting and %d untimed packets, but %d and %d were counted",
			sp.eliciting, sp.untimed, eliciting, untimed)
	}
	if sp.discarded && (sp.sent.tail > 0 || sp.next > 0 || sp.breaks > 0 || sp.lossTime > 0) {
		return 0, 0, fmt.Errorf("a discarded space was changed: %d packets, next number %d", sp.sent.tail, sp.next)
	}
	return bytes, packets, nil
}
