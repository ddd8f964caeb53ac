package recovery

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// reordering holds the two thresholds of loss detection and adapts them to a path that reorders packets: a
// late acknowledgement shows by how much they were too small. In addition, the reduction of the window is
// undone (Controller.Spurious). With only one of the two measures, a path that delays one packet in ten by
// a round trip reaches only a fraction of its rate.
//
// "Implementations can detect spurious retransmissions and increase the packet or time reordering
// threshold to reduce future spurious retransmissions and loss events."
// https://www.rfc-editor.org/rfc/rfc9002#section-6.1-5
type reordering struct {
	packets wire.PacketNumber // kPacketThreshold
	eighths int64             // kTimeThreshold, in eighths of the round-trip time
	calm    int               // congestion events since the last spurious loss
}

const (
	minPacketThreshold = 3
	maxPacketThreshold = 1 << 12
	minTimeEighths     = 9
	maxTimeEighths     = 16 // beyond two round trips, a probe is sent first

	// maxRememberedDelay bounds the part of the time that the peer chooses with its max_ack_delay, which
	// may be 16 s, and so the number of lost packets that are remembered.
	maxRememberedDelay = time.Second

	// calmEvents is the number of congestion events without a spurious loss after which the thresholds are
	// reset, as in RACK (RFC 8985, section 6.2, step 4).
	calmEvents = 16
)

func (r *reordering) init() {
	*r = reordering{packets: minPacketThreshold, eighths: minTimeEighths}
}

// delay returns the time threshold.
//
// "The time threshold is: [...] max(kTimeThreshold * max(smoothed_rtt, latest_rtt), kGranularity)"
// https://www.rfc-editor.org/rfc/rfc9002#section-6.1.2-2
func (r *reordering) delay(rtt *RTT) time.Duration {
	return max(rtt.larger()*time.Duration(r.eighths)/8, granularity)
}

// remember returns how long a lost packet is remembered in case it is acknowledged: a round trip, a probe
// timeout and the peer's acknowledgement delay.
func (r *reordering) remember(rtt *RTT, maxAckDelay time.Duration) time.Duration {
	return rtt.larger() + rtt.pto() + min(maxAckDelay, maxRememberedDelay)
}

// late adapts the thresholds to a packet that was acknowledged after the given time, when the largest
// acknowledged packet was distance packets ahead.
func (r *reordering) late(distance wire.PacketNumber, took, rtt time.Duration) {
	r.packets = min(max(r.packets, distance+1), maxPacketThreshold)
	r.eighths = min(max(r.eighths, int64(took*8/rtt)+1), maxTimeEighths)
	r.calm = 0
}

// congestion counts a congestion event and resets the thresholds if there were enough of them.
func (r *reordering) congestion() {
	if r.calm++; r.calm >= calmEvents {
		r.init()
	}
}

// refute handles the acknowledgement of a packet that was declared lost.
func (l *Loss) refute(now monotime.Time, s Space, p *SentPacket) {
	l.spaces[s].breaks++
	if !p.InFlight || p.MTUProbe || p.PathProbe {
		return
	}
	l.counters.SpuriousLosses++
	pa := p.path
	pa.reo.late(pa.spaces[s].largestAcked-p.Num, now.Sub(p.Time), max(pa.rtt.larger(), time.Microsecond))
	pa.spurious = SpuriousLoss{ID: p.lossID, Sent: p.Time, Size: p.Size}
	if pa.cc.Spurious(&pa.spurious) {
		l.counters.UndoneReductions++
	}
	pa.readOutput()
}
