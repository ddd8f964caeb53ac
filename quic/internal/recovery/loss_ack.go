package recovery

import (
	"errors"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// Errors of HandleAck: the peer acknowledges what it cannot have received.
var (
	ErrAckUnsent  = errors.New("acknowledgement of a packet that was not sent")
	ErrAckSkipped = errors.New("acknowledgement of a packet number that was left out")
)

// ackGain is what one ACK frame newly acknowledges.
type ackGain struct {
	largest     wire.PacketNumber // NoPacket: nothing
	largestSent monotime.Time
	eliciting   bool
	bytes       int // of packets that count for the window's growth
	ect         uint64
}

// HandleAck processes an ACK frame: fate is called for each packet that it acknowledges, and for
// those that turn out to be lost. The work is bounded by the ranges and by what is outstanding. An
// error leaves everything as it was.
func (l *Loss) HandleAck(now monotime.Time, s Space, f *wire.Ack, fate FateFunc) error {
	sp := &l.spaces[s]
	if f.Largest >= sp.next {
		return ErrAckUnsent
	}
	for r := range f.Ranges {
		if sp.skip.covers(r) {
			return ErrAckSkipped
		}
	}
	if sp.discarded {
		return nil
	}
	epoch := l.cc.epoch
	gain := ackGain{largest: wire.NoPacket}
	sp.largestAcked = max(sp.largestAcked, f.Largest)
	for r := range f.Ranges {
		l.ackRange(now, s, r, &gain, fate)
		if sp.sent.len() == 0 || r.Start <= sp.sent.at(sp.sent.head).num {
			break
		}
	}
	if gain.largest == wire.NoPacket {
		return nil
	}
	sp.lastAckedSent = max(sp.lastAckedSent, gain.largestSent)
	l.sampleRTT(now, s, f, &gain)
	l.checkECN(now, sp, f, &gain)
	l.detectLost(now, s, fate)
	if l.cc.epoch == epoch { // else all of them were sent before recovery
		l.cc.acked(now, gain.largestSent, gain.bytes, l.bytesInFlight)
	}
	l.pacer.setRate(now, &l.cc, &l.rtt)
	l.ptoAcked(now, s)
	l.prune(now, sp)
	l.checkIdle()
	return nil
}

// ackRange acknowledges the outstanding packets of one range.
func (l *Loss) ackRange(now monotime.Time, s Space, r wire.PNRange, gain *ackGain, fate FateFunc) {
	sp := &l.spaces[s]
	if sp.sent.len() == 0 {
		return
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
		l.ackPacket(now, s, e.p, gain, fate)
		l.pool.put(e.p)
		e.p = nil
		i++
	}
	if i > first {
		sp.sent.at(first).run = i - first
	}
}

// ackPacket handles the first acknowledgement of a packet.
func (l *Loss) ackPacket(now monotime.Time, s Space, p *SentPacket, gain *ackGain, fate FateFunc) {
	sp := &l.spaces[s]
	if p.Num > gain.largest {
		gain.largest, gain.largestSent = p.Num, p.Time
	}
	gain.eliciting = gain.eliciting || p.AckEliciting
	if p.ECT {
		gain.ect++
	}
	if p.lost {
		l.refute(now, sp, p)
	} else {
		l.leaveFlight(sp, p)
		if p.InFlight && !l.cc.inRecovery(p.Time) {
			gain.bytes += p.Size
		}
	}
	fate(s, p, Acked)
}

// sampleRTT takes a sample of the round-trip time from an ACK frame.
//
// "An endpoint generates an RTT sample on receiving an ACK frame that meets the following two
// conditions: [...] the largest acknowledged packet number is newly acknowledged, and [...] at least
// one of the newly acknowledged packets was ack-eliciting."
// https://www.rfc-editor.org/rfc/rfc9002#section-5.1-1
func (l *Loss) sampleRTT(now monotime.Time, s Space, f *wire.Ack, gain *ackGain) {
	if gain.largest != f.Largest || !gain.eliciting {
		return
	}
	if l.firstSample.IsZero() {
		l.firstSample = now
	}
	l.rtt.update(now.Sub(gain.largestSent), l.ackDelay(s, f.Delay))
}

// ackDelay decodes the ACK Delay field. Initial and Handshake packets are acknowledged at once, and
// their frames come before the exponent is authentic.
func (l *Loss) ackDelay(s Space, field uint64) time.Duration {
	if s != SpaceApp {
		// "[An endpoint] MAY ignore the acknowledgment delay for Initial packets, since these
		// acknowledgments are not delayed by the peer".
		// https://www.rfc-editor.org/rfc/rfc9002#section-5.3-7.1.1
		return 0
	}
	// A minute of delay is as good as any more, and cannot overflow.
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

// detectLost declares the packets of a space lost that were sent before an acknowledged one, far
// enough or long enough.
//
// "A packet is declared lost if it meets all of the following conditions: [...] The packet is
// unacknowledged, in flight, and was sent prior to an acknowledged packet. [...] The packet was sent
// kPacketThreshold packets before an acknowledged packet (Section 6.1.1), or it was sent long enough
// in the past (Section 6.1.2)."
// https://www.rfc-editor.org/rfc/rfc9002#section-6.1-2
func (l *Loss) detectLost(now monotime.Time, s Space, fate FateFunc) {
	sp := &l.spaces[s]
	sp.lossTime = 0
	threshold, delay := l.reo.packets, l.reo.delay(&l.rtt)
	before, persistent := l.cc.epoch, false
	for ; sp.live < sp.sent.tail; sp.live++ {
		e := sp.sent.at(sp.live)
		if e.num > sp.largestAcked {
			break
		}
		if e.p == nil { // acknowledged
			sp.lostRun = lostRun{}
			continue
		}
		// Numbers and times ascend: what stands behind the first packet to be spared is too.
		if late := e.p.Time.Add(delay); sp.largestAcked-e.num < threshold && now.Before(late) {
			sp.lossTime = late
			break
		}
		persistent = l.declareLost(now, s, e.p, fate) || persistent
	}
	if l.cc.epoch != before {
		l.counters.CongestionEvents++
		l.reo.congestion()
	}
	if persistent {
		l.counters.PersistentCongestion++
		l.cc.persistent()
		// "Endpoints SHOULD set the min_rtt to the newest RTT sample after persistent
		// congestion is established."
		// https://www.rfc-editor.org/rfc/rfc9002#section-5.2-5
		l.rtt.min = l.rtt.latest
	}
	l.pacer.setRate(now, &l.cc, &l.rtt)
}

// declareLost takes a packet for lost, and reports whether that shows persistent congestion. The
// packet stays in the ring, in case it is not lost.
func (l *Loss) declareLost(now monotime.Time, s Space, p *SentPacket, fate FateFunc) (persistent bool) {
	sp := &l.spaces[s]
	l.leaveFlight(sp, p)
	p.lost, p.lostTime = true, now
	if p.InFlight {
		l.counters.Lost++
		p.epoch = l.cc.lost(now, p.Time)
	}
	persistent = p.AckEliciting && l.extendLostRun(s, p.Time)
	fate(s, p, Lost)
	return persistent
}

// prune forgets, from the front, entries without a packet and lost packets that had their time.
func (l *Loss) prune(now monotime.Time, sp *lossSpace) {
	keep := l.reo.remember(&l.rtt)
	for sp.sent.len() > 0 {
		p := sp.sent.at(sp.sent.head).p
		if p != nil {
			if !p.lost || now.Sub(p.lostTime) < keep {
				break
			}
			l.pool.put(p)
		}
		sp.sent.pop()
	}
	sp.live = max(sp.live, sp.sent.head)
}
