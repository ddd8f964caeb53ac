package recovery

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// A RateSample is a sample of a path's delivery rate (draft-ietf-ccwg-bbr, section 4.1). It covers the time
// from the sending of the sampled packet to its acknowledgement or loss.
type RateSample struct {
	// Delivered is the number of bytes acknowledged during Interval. An Interval of 0 gives no rate.
	// PriorDelivered is the path's total when the packet was sent: a round trip ends with the
	// acknowledgement of a packet whose PriorDelivered is at least the total at the start of the round
	// trip.
	Delivered, PriorDelivered uint64
	Interval                  time.Duration
	// AppLimited reports whether the application, and not the path, may have limited the rate.
	AppLimited bool
	// InFlight is the number of bytes in flight just after the packet was sent. Lost is the number of bytes
	// declared lost since then.
	InFlight int
	Lost     uint64
}

// rateState is a snapshot of a path's delivery state that is stored with each packet.
type rateState struct {
	delivered   uint64
	deliveredAt monotime.Time
	firstSent   monotime.Time
	inFlight    uint32
	lost        uint32 // the low bits of the total
	appLimited  bool
}

// delivery tracks what a path delivers.
type delivery struct {
	delivered   uint64        // bytes acknowledged
	deliveredAt monotime.Time // when the latest of them were acknowledged
	firstSent   monotime.Time // when the packet that began the current flight was sent
	lost        uint64        // bytes declared lost
	appLimited  uint64        // samples are app-limited up to this delivered count; 0 means that none is
}

// sent returns the snapshot for a packet. inFlight includes the packet.
func (d *delivery) sent(now monotime.Time, size, inFlight int) rateState {
	if inFlight == size {
		// Nothing was in flight, so the time since the last packet is not part of a sample.
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

// limited records that the application has nothing more to send.
func (d *delivery) limited(inFlight int) { d.appLimited = max(d.delivered+uint64(inFlight), 1) }

// sample completes a sample at the acknowledgement of its packet, which was sent at the given time.
func (d *delivery) sample(p *rateState, sent monotime.Time, minRTT time.Duration) RateSample {
	if d.delivered > d.appLimited {
		d.appLimited = 0
	}
	s := d.since(p)
	d.firstSent = sent
	// The longer interval gives the lower of the two rates, because acknowledgements may arrive compressed.
	// An interval below the minimum round-trip time is not a valid measurement.
	if s.Interval = max(sent.Sub(p.firstSent), d.deliveredAt.Sub(p.deliveredAt)); s.Interval < minRTT {
		s.Interval = 0
	}
	return s
}

// since returns what has happened since a packet was sent.
func (d *delivery) since(p *rateState) RateSample {
	return RateSample{
		Delivered: d.delivered - p.delivered, PriorDelivered: p.delivered, AppLimited: p.appLimited,
		InFlight: int(p.inFlight), Lost: uint64(uint32(d.lost) - p.lost),
	}
}
