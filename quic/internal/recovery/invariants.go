package recovery

import (
	"fmt"

	"github.com/pqquic/pqquic/quic/internal/wire"
)

// CheckInvariants verifies what holds between any two calls. It is for tests and simulation.
func (l *Loss) CheckInvariants() error {
	bytes, packets, outstanding := 0, 0, 0
	for s := range l.spaces {
		sp := &l.spaces[s]
		b, n, err := sp.check()
		if err != nil {
			return fmt.Errorf("%v: %w", Space(s), err)
		}
		bytes, packets = bytes+b, packets+n
		if l.timesProbes(Space(s)) {
			outstanding += sp.eliciting
		}
	}
	credit := l.AmplificationCredit()
	switch {
	case bytes != l.bytesInFlight || packets != l.packetsInFlight:
		return fmt.Errorf("%d bytes, %d packets in flight, counted %d, %d",
			l.bytesInFlight, l.packetsInFlight, bytes, packets)
	case outstanding > 0 && credit >= l.probeCost() && l.NextTimeout().IsZero():
		return fmt.Errorf("%d packets outstanding and no timer", outstanding)
	case credit < 0:
		return fmt.Errorf("%d bytes sent for %d received", l.amp.sent, l.amp.received)
	case l.cc.cwnd < l.cc.minWindow() || l.cc.cwnd > max(maxWindow, l.cc.minWindow()):
		return fmt.Errorf("congestion window of %d", l.cc.cwnd)
	case l.reo.packets < minPacketThreshold || l.reo.packets > maxPacketThreshold ||
		l.reo.eighths < minTimeEighths || l.reo.eighths > maxTimeEighths:
		return fmt.Errorf("reordering thresholds %+v", l.reo)
	}
	return nil
}

// check verifies the counts of a space and returns what is in flight.
func (sp *lossSpace) check() (bytes, packets int, err error) {
	eliciting, untimed := 0, 0
	last := wire.NoPacket
	for i := sp.sent.head; i < sp.sent.tail; i++ {
		e := sp.sent.at(i)
		if e.num <= last || e.num >= sp.next {
			return 0, 0, fmt.Errorf("packet %d behind %d, next %d", e.num, last, sp.next)
		}
		last = e.num
		if e.p == nil {
			continue
		}
		if e.p.lost != (i < sp.live) {
			return 0, 0, fmt.Errorf("packet %d lost: %v, on the wrong side of the cursor", e.num, e.p.lost)
		}
		if e.p.lost {
			continue
		}
		if e.p.AckEliciting {
			eliciting++
		}
		if e.p.InFlight {
			bytes, packets = bytes+e.p.Size, packets+1
		} else {
			untimed++
		}
	}
	if eliciting != sp.eliciting || untimed != sp.untimed {
		return 0, 0, fmt.Errorf("%d ack-eliciting and %d untimed packets, counted %d and %d",
			sp.eliciting, sp.untimed, eliciting, untimed)
	}
	if sp.discarded && sp.sent.len() > 0 {
		return 0, 0, fmt.Errorf("discarded with %d packets", sp.sent.len())
	}
	return bytes, packets, nil
}
