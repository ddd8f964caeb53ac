package recovery

import (
	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// detectLost declares packets of a space lost if they were sent sufficiently long before, or sufficiently
// many packets before, an acknowledged packet of their path.
//
// "A packet is declared lost if it meets all of the following conditions: [...] The packet is
// unacknowledged, in flight, and was sent prior to an acknowledged packet. [...] The packet was sent
// kPacketThreshold packets before an acknowledged packet (Section 6.1.1), or it was sent long enough
// in the past (Section 6.1.2)."
// https://www.rfc-editor.org/rfc/rfc9002#section-6.1-2
func (l *Loss) detectLost(now monotime.Time, s Space, fate FateFunc) {
	sp := l.spaces[s]
	sp.lossTime = 0
	for _, pa := range l.paths {
		pa.wake()
		pa.losses = LossBatch{Now: now, ID: l.lossID + 1}
		pa.delay = pa.reo.delay(&pa.rtt)
		if pa.background {
			pa.delay = max(pa.delay, l.active.reo.delay(&l.active.rtt))
		}
	}
	spared := false
	for i := sp.live; i < sp.sent.tail; i++ {
		e := sp.sent.at(i)
		if e.num > sp.largestAcked {
			break
		}
		switch {
		case e.p == nil: // acknowledged
			sp.breaks++
		case e.p.lost: // behind a packet of another path that is not lost yet
		case sp.spares(now, s, e.p):
			// On a single path, numbers and times ascend, so the packets behind it are not lost either.
			if len(l.paths) == 1 {
				l.endLosses(now)
				return
			}
			spared = true
		default:
			l.declareLost(now, s, e.p, fate)
		}
		if !spared {
			sp.live = i + 1
		}
	}
	l.endLosses(now)
}

// spares reports whether a packet is not lost yet, and records when it will be.
func (sp *lossSpace) spares(now monotime.Time, s Space, p *SentPacket) bool {
	pa := p.path
	ahead := pa.spaces[s].largestAcked - p.Num
	if ahead < 0 && !pa.background {
		return true // no packet sent later on its path was acknowledged
	}
	// A packet of a path that is no longer in use has been overtaken by one of another path.
	late := p.Time.Add(pa.delay)
	if ahead >= pa.reo.packets || !now.Before(late) {
		return false
	}
	sp.lossTime = monotime.Min(sp.lossTime, late)
	return true
}

// declareLost declares a packet lost. The packet stays in the ring in case it is acknowledged later.
func (l *Loss) declareLost(now monotime.Time, s Space, p *SentPacket, fate FateFunc) {
	pa := p.path
	l.leaveFlight(l.spaces[s], p)
	p.lost, p.lostTime, p.lossID = true, now, pa.losses.ID
	if s == SpaceApp {
		pa.mtu.lost(now, p)
	}
	if p.PathProbe || p.MTUProbe {
		// "A sender can make exceptions for probe packets so that their loss detection is independent and
		// does not unduly cause the congestion controller to reduce its sending rate."
		// https://www.rfc-editor.org/rfc/rfc9000#section-9.4-5
		// "Loss of a QUIC packet that is carried in a PMTU probe is therefore not a reliable indication of
		// congestion and SHOULD NOT trigger a congestion control reaction".
		// https://www.rfc-editor.org/rfc/rfc9000#section-14.4-2
		fate(s, p, Lost)
		return
	}
	if p.InFlight {
		l.counters.Lost++
		l.counters.LostBytes += uint64(p.Size)
		b := &pa.losses
		if b.Packets == 0 || p.Num != b.last+1 {
			b.Ranges++
		}
		b.last = p.Num
		b.Packets++
		b.Bytes += p.Size
		if !pa.inRecovery(p.Time) {
			b.NewPackets++
		}
		b.LatestSent, b.newest = p.Time, p.rate
		pa.delivery.lost += uint64(p.Size)
	}
	if p.AckEliciting && l.extendLostRun(s, pa, p.Time) {
		pa.losses.Persistent = true
	}
	fate(s, p, Lost)
}

// endLosses passes each path's losses to its congestion controller.
func (l *Loss) endLosses(now monotime.Time) {
	for _, pa := range l.paths {
		b := &pa.losses
		if b.Packets > 0 {
			l.endPathLosses(pa, b)
			pa.mtu.endLosses(now)
		}
		pa.setRate(now)
	}
}

// "Upon detecting losses, a sender MUST take appropriate congestion control action."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.3-7
func (l *Loss) endPathLosses(pa *Path, b *LossBatch) {
	l.lossID = b.ID
	b.InFlight = pa.bytesInFlight
	b.Sample = pa.delivery.since(&b.newest)
	pa.ack.LostBytes += b.Bytes
	if pa.cc.Lost(b) {
		l.counters.CongestionEvents++
		pa.reo.congestion()
		pa.oneMore, pa.ack.Reduced = true, true
	}
	if b.Persistent {
		l.counters.PersistentCongestion++
		// "Endpoints SHOULD set the min_rtt to the newest RTT sample after persistent
		// congestion is established."
		// https://www.rfc-editor.org/rfc/rfc9002#section-5.2-5
		pa.rtt.Min = pa.rtt.Latest
	}
}

// prune removes entries without a packet and expired lost packets from the front of the ring.
func (l *Loss) prune(now monotime.Time, sp *lossSpace) {
	for sp.sent.len() > 0 {
		p := sp.sent.at(sp.sent.head).p
		if p != nil {
			if !p.lost || now.Sub(p.lostTime) < p.path.reo.remember(&p.path.rtt, l.maxAckDelay) {
				break
			}
			l.pool.put(p)
		}
		sp.sent.pop()
	}
	sp.live = max(sp.live, sp.sent.head)
}
