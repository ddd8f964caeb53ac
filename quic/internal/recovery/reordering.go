package recovery

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// reordering adapts the two loss thresholds to the network. A path that delays some packets by a
// round trip would otherwise have each of them declared lost, and the window with them.
//
// "Implementations MAY adaptively increase the reordering threshold [...] to be more resilient to
// reordering".
// https://www.rfc-editor.org/rfc/rfc9002#section-6.1.1-2
type reordering struct {
	packets wire.PacketNumber
	extra   time.Duration // added to the time threshold
}

const (
	minPacketThreshold = 3
	maxPacketThreshold = 4096
)

func (r *reordering) init() { r.packets = minPacketThreshold }

// delay is the time threshold: 9/8 of the round-trip time, and what the path has taught us.
func (r *reordering) delay(rtt *rttState) time.Duration {
	base := max(rtt.smoothed, rtt.latest)
	return max(base+max(base/8, min(r.extra, base)), granularity)
}

// remember is how long a lost packet is kept in case it was not.
func (r *reordering) remember(rtt *rttState) time.Duration {
	return 3 * max(rtt.pto(), granularity)
}

// refute handles the acknowledgement of a packet that was declared lost.
func (l *Loss) refute(now monotime.Time, s Space, p *SentPacket) {
	l.spuriousLosses++
	if p.InFlight {
		l.cc.spurious(p.Time)
	}
	r := &l.reo
	if gap := l.spaces[s].largestAcked - p.Num + 1; gap > r.packets {
		r.packets = min(gap, maxPacketThreshold)
	}
	if late := now.Sub(p.Time) - l.rtt.smoothed + granularity; late > r.extra {
		r.extra = min(late, 2*l.rtt.smoothed)
	}
}

// SpuriousLosses counts packets that were declared lost and acknowledged later.
func (l *Loss) SpuriousLosses() uint64 { return l.spuriousLosses }
