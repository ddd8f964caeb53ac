package recovery

import "fmt"

// CheckInvariants verifies what must hold between any two calls; the simulator asks after each.
func (l *Loss) CheckInvariants() error {
	sum := 0
	for s := SpaceInitial; s < NumSpaces; s++ {
		sp := &l.spaces[s]
		eliciting := 0
		for i := range sp.list.n {
			p := sp.list.at(i)
			if p.done || p.lost {
				continue
			}
			if p.InFlight {
				sum += p.Size
			}
			if p.AckEliciting {
				eliciting++
			}
		}
		if eliciting != sp.eliciting {
			return fmt.Errorf("%v: %d ack-eliciting packets counted, %d there", s, sp.eliciting, eliciting)
		}
		armed := !l.NextTimeout().IsZero() || l.probes > 0
		waits := s == SpaceApp && !l.confirmed || l.AmplificationCredit() < minProbeCredit
		if eliciting > 0 && !armed && !waits {
			return fmt.Errorf("%v: %d packets outstanding and no timer armed", s, eliciting)
		}
	}
	if sum != l.bytesInFlight {
		return fmt.Errorf("%d bytes in flight counted, %d there", l.bytesInFlight, sum)
	}
	if !l.validated && l.sent > 3*l.received {
		return fmt.Errorf("%d bytes sent for %d received before validation", l.sent, l.received)
	}
	if l.cc.cwnd < l.cc.minimum() {
		return fmt.Errorf("congestion window %d below its minimum", l.cc.cwnd)
	}
	return nil
}
