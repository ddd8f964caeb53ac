package recovery

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// A RateSample is a sample of a path's delivery rate (draft-ietf-ccwg-bbr, 4.1): what was delivered
// between the time at which the sampled packet was sent and its acknowledgement or loss.
type RateSample struct {
	// Delivered is the number of bytes that were acknowledged in that time, over Interval. An
	// Interval of 0 gives no rate. PriorDelivered is the path's total when the packet was sent: a
	// round trip ends with the acknowledgement of a packet whose PriorDelivered is at least the
	// total at which the round began.
	Delivered, PriorDelivered uint64
	Interval                  time.Duration
	// AppLimited means that the application, not the path, may have limited the rate.
	AppLimited bool
	// InFlight is the number of bytes in flight just after the packet was sent, and Lost the
	// number of bytes that were declared lost since.
	InFlight int
	Lost     uint64
}

// rateState is a snapshot of a path's deliveries, which each packet takes along.
type rateState struct {
	delivered   uint64
	deliveredAt monotime.Time
	firstSent   monotime.Time
	inFlight    uint32
	lost        uint32 // the low bits of the total
	appLimited  bool
}

// delivery follows what a path delivers.
type delivery struct {
	delivered   uint64        // bytes acknowledged
	deliveredAt monotime.Time // when the latest of them were
	firstSent   monotime.Time // when the packet was sent that began the current flight
	lost        uint64        // bytes declared lost
	appLimited  uint64        // the delivered count up to which samples are app-limited; 0: none
}

// sent takes the snapshot for a packet; inFlight includes the packet.
func (d *delivery) sent(now monotime.Time, size, inFlight int) rateState {
	if inFlight == size {
		// Nothing was in flight: the time that has passed without packets says nothing.
		d.firstSent, d.deliveredAt = now, now
	}
	return rateState{
		delivered: d.delivered, deliveredAt: d.deliveredAt, firstSent: d.firstSent,
		inFlight: uint32(inFlight), lost: uint32(d.lost), appLimited: d.appLimited != 0,
	}
}

// acked counts an acknowledged packet.
func (d *delivery) acked(now monotime.Time, size int) {
	d.delivered += uint64(size)
	d.deliveredAt = now
}

// limited notes that the application has nothing more to send.
func (d *delivery) limited(inFlight int) { d.appLimited = max(d.delivered+uint64(inFlight), 1) }

// sample ends a sample at the acknowledgement of its packet, which was sent at the given time.
func (d *delivery) sample(p *rateState, sent monotime.Time, minRTT time.Duration) RateSample {
	if d.delivered > d.appLimited {
		d.appLimited = 0
	}
	s := d.since(p)
	d.firstSent = sent
	// The slower of the two rates counts: acknowledgements may arrive compressed. An interval below the
	// least round-trip time is no measurement.
	if s.Interval = max(sent.Sub(p.firstSent), d.deliveredAt.Sub(p.deliveredAt)); s.Interval < minRTT {
		s.Interval = 0
	}
	return s
}

// since tells what has happened since a packet was sent.
func (d *delivery) since(p *rateState) RateSample {
	return RateSample{
		Delivered: d.delivered - p.delivered, PriorDelivered: p.delivered, AppLimited: p.appLimited,
		InFlight: int(p.inFlight), Lost: uint64(uint32(d.lost) - p.lost),
	}
}
