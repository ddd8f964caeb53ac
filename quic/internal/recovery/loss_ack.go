package recovery

import (
	"errors"
	"time"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// The errors of HandleAck if the peer acknowledges packets that it cannot have received.
var (
	ErrAckUnsent  = errors.New("acknowledgement of a packet that was not sent")
	ErrAckSkipped = errors.New("acknowledgement of a packet number that was skipped")
)

// HandleAck processes an ACK frame. It calls fate for each packet that the frame acknowledges and for each
// packet that is then declared lost. The work is bounded by the number of ranges and of outstanding
// packets. If it returns an error, nothing has changed.
func (l *Loss) HandleAck(now monotime.Time, s Space, f *wire.Ack, fate FateFunc) error {
	sp := l.spaces[s]
	if sp.discarded {
		return nil
	}
	if f.Largest >= sp.next {
		return ErrAckUnsent
	}
	for r := range f.Ranges {
		if sp.skip.covers(r) {
			return ErrAckSkipped
		}
	}
	l.beginAck(now, s, f)
	acked := false
	for r := range f.Ranges {
		acked = l.ackRange(now, s, r, fate) || acked
		if sp.sent.len() == 0 || r.Start <= sp.sent.at(sp.sent.head).num {
			break
		}
	}
	if !acked {
		return nil
	}
	l.sampleRTT(now, s, f)
	l.checkECN(now, sp, f)
	l.detectLost(now, s, fate)
	for _, pa := range l.paths {
		l.endAck(now, pa)
	}
	l.ptoAcked(now, s)
	l.prune(now, sp)
	return nil
}

// beginAck prepares the paths' batches for an ACK frame.
func (l *Loss) beginAck(now monotime.Time, s Space, f *wire.Ack) {
	sp := l.spaces[s]
	sp.largestAcked = max(sp.largestAcked, f.Largest)
	if len(l.paths) == 1 {
		// The frame's largest packet may be forgotten. It is then assumed to have been sent on this path.
		l.active.spaces[s].largestAcked = sp.largestAcked
	}
	for _, pa := range l.paths {
		pa.wake()
		pa.ack = AckBatch{Now: now, largest: wire.NoPacket}
	}
}

// endAck passes a path's batch to its congestion controller.
func (l *Loss) endAck(now monotime.Time, pa *Path) {
	b := &pa.ack
	if b.largest != wire.NoPacket {
		b.InFlight, b.SmoothedRTT = pa.bytesInFlight, pa.rtt.Smoothed
		if b.sampled {
			b.Sample = pa.delivery.sample(&b.newest, b.newestSent, pa.rtt.Min)
		}
		if pa.cc.Acked(b) {
			l.counters.CongestionEvents++
			pa.oneMore = true
		}
		pa.mtu.start(now)
	}
	pa.setRate(now)
}

// ackRange acknowledges the outstanding packets of one range and reports whether there are any.
func (l *Loss) ackRange(now monotime.Time, s Space, r wire.PNRange, fate FateFunc) (acked bool) {
	sp := l.spaces[s]
	if sp.sent.len() == 0 {
		return false
	}
	first := sp.sent.search(r.Start)
	i := first
	for i < sp.sent.tail {
		e := sp.sent.at(i)
		if e.num >= r.End {
			break
		}
		if e.p == nil {
			i += max(1, e.run)
			continue
		}
		l.ackPacket(now, s, e.p, fate)
		l.pool.put(e.p)
		e.p = nil
		acked = true
		i++
	}
	sp.sent.link(first, i)
	return acked
}

// ackPacket handles the first acknowledgement of a packet.
func (l *Loss) ackPacket(now monotime.Time, s Space, p *SentPacket, fate FateFunc) {
	pa := p.path
	b, ps := &pa.ack, &pa.spaces[s]
	if p.Num > b.largest {
		b.largest, b.LatestSent = p.Num, p.Time
		ps.largestAcked = max(ps.largestAcked, p.Num)
		ps.lastAckedSent = max(ps.lastAckedSent, p.Time)
	}
	b.eliciting = b.eliciting || p.AckEliciting
	if p.ECN != datagram.NotECT {
		b.marked++
	}
	if p.ECN == datagram.CE {
		b.ce++
	}
	if p.InFlight {
		pa.delivery.acked(now, p.Size)
		if !b.sampled || p.Num > b.newestNum {
			b.sampled, b.newestNum, b.newestSent, b.newest = true, p.Num, p.Time, p.rate
		}
	}
	if s == SpaceApp {
		pa.mtu.acked(now, p)
	}
	if p.lost {
		l.refute(now, s, p)
	} else {
		l.leaveFlight(l.spaces[s], p)
		if p.InFlight {
			b.Bytes += p.Size
			if !pa.inRecovery(p.Time) {
				b.NewBytes += p.Size
			}
		}
	}
	fate(s, p, Acked)
}

// sampleRTT takes a round-trip time sample from an ACK frame for the path on which its largest packet was
// sent.
//
// "An endpoint generates an RTT sample on receiving an ACK frame that meets the following two
// conditions: [...] the largest acknowledged packet number is newly acknowledged, and [...] at least
// one of the newly acknowledged packets was ack-eliciting."
// https://www.rfc-editor.org/rfc/rfc9002#section-5.1-1
func (l *Loss) sampleRTT(now monotime.Time, s Space, f *wire.Ack) {
	for _, pa := range l.paths {
		b := &pa.ack
		if b.largest != f.Largest || !b.eliciting {
			continue
		}
		if pa.firstSample.IsZero() {
			pa.firstSample = now
		}
		b.RTT = now.Sub(b.LatestSent)
		pa.rtt.update(b.RTT, l.ackDelay(s, f.Delay))
	}
}

// ackDelay decodes the ACK Delay field. It is 0 for Initial and Handshake packets: they are acknowledged at
// once, and their ACK frames arrive before the exponent is authenticated.
func (l *Loss) ackDelay(s Space, field uint64) time.Duration {
	if s != SpaceApp {
		// "[An endpoint] MAY ignore the acknowledgment delay for Initial packets, since these
		// acknowledgments are not delayed by the peer".
		// https://www.rfc-editor.org/rfc/rfc9002#section-5.3-7.1.1
		return 0
	}
	// A minute is more than any delay that is used, and it cannot overflow.
	us := min(field, uint64(time.Minute/time.Microsecond)) << min(l.ackDelayExponent, 20)
	d := min(time.Duration(us)*time.Microsecond, time.Minute)
	if l.pto.confirmed {
		// "[An endpoint] MUST use the lesser of the acknowledgment delay and the peer's
		// max_ack_delay after the handshake is confirmed".
		// https://www.rfc-editor.org/rfc/rfc9002#section-5.3-7.3.1
		d = min(d, l.maxAckDelay)
	}
	return d
}
