package recovery

import (
	"slices"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// AddPath returns a new path, with the initial values of everything that is measured. The connection does not use
// it before Use.
//
// "On confirming a peer's ownership of its new address, an endpoint MUST immediately reset the congestion controller
// and round-trip time estimator for the new path to initial values [...] unless the only change in the peer's address
// is its port number."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.4-2
func (l *Loss) AddPath(now monotime.Time, newController func() Controller) *Path {
	pa := newPath(now, &Config{MaxDatagramSize: l.active.mtu.base, NewController: newController,
		ECN: l.active.ecn.phase != ecnOff})
	pa.background = true
	l.paths, l.mixed = append(l.paths, pa), true
	return pa
}

// Use makes pa the path to send on. amp is what may be sent there. Use returns what may be sent on the path that was
// in use. Both are the same Path if only the peer's port has changed.
//
// Packets that were sent on the other path are lost when they are older than the time threshold of the slower path
// and a later packet, on whichever path, has been acknowledged.
func (l *Loss) Use(now monotime.Time, pa *Path, amp Amplification) (was Amplification) {
	was = l.active.amp
	l.active.background = true
	l.active = pa
	pa.background, pa.amp = false, amp
	pa.wake()
	l.resetPTO(now)
	return was
}

// RemovePath forgets a path that is not in use. Its packets that are not acknowledged are lost.
func (l *Loss) RemovePath(now monotime.Time, pa *Path, fate FateFunc) {
	for s, sp := range l.spaces {
		if sp.discarded {
			continue
		}
		for i := sp.sent.head; i < sp.sent.tail; i++ {
			e := sp.sent.at(i)
			if e.p == nil || e.p.path != pa {
				continue
			}
			if !e.p.lost {
				l.leaveFlight(sp, e.p)
				if e.p.InFlight {
					l.counters.Lost++
				}
				fate(Space(s), e.p, Lost)
			}
			l.pool.put(e.p)
			e.p = nil
			sp.sent.link(i, i+1)
		}
		l.prune(now, sp)
	}
	l.active.ecn.marked += pa.ecn.marked
	l.paths = slices.DeleteFunc(l.paths, func(o *Path) bool { return o == pa })
}

// NumPaths returns the number of paths.
func (l *Loss) NumPaths() int { return len(l.paths) }

// MTULimit returns the largest size of datagrams that EnableMTUSearch allows.
func (p *Path) MTULimit() int { return p.mtu.limit }

// HasRoom reports whether the congestion window has room for n bytes.
func (p *Path) HasRoom(n int) bool { return p.bytesInFlight+n <= p.out.Window }

// ProbePeriod returns the probe timeout of a path, without back-off. If pa is nil, it is that of a path whose
// round-trip time has not been measured.
func (l *Loss) ProbePeriod(pa *Path) time.Duration {
	var rtt RTT
	if rtt.init(0); pa != nil {
		rtt = pa.rtt
	}
	return rtt.pto() + l.maxAckDelay
}
