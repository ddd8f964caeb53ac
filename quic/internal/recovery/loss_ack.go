package recovery

import (
	"errors"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// ErrAckUnsent is returned for an acknowledgement of a packet that was never sent.
var ErrAckUnsent = errors.New("acknowledged a packet that was not sent")

// FateFunc takes back what a packet carried. It must not call into the Loss.
type FateFunc func(Space, *SentPacket, Fate)

// HandleAck processes an ACK frame. Every number in it must have been sent.
func (l *Loss) HandleAck(now monotime.Time, s Space, f *wire.Ack, fate FateFunc) error {
	sp := &l.spaces[s]
	if f.Largest >= sp.next {
		return ErrAckUnsent
	}
	var got ackGain
	inFlight := l.bytesInFlight
	for r := range f.Ranges {
		if sp.skip.covers(r) {
			return ErrAckUnsent
		}
		// Whatever a range claims, the work is bounded by what is outstanding.
		lo := max(r.Start, sp.list.base)
		hi := min(r.End, sp.list.base+wire.PacketNumber(sp.list.n))
		for pn := hi - 1; pn >= lo; pn-- {
			if p := sp.list.get(pn); !p.done {
				l.acked(now, s, p, inFlight, &got, fate)
			}
		}
	}
	if f.Largest > sp.largestAcked {
		sp.largestAcked = f.Largest
	}
	if !got.any {
		sp.list.trim()
		return nil
	}
	if got.largest == f.Largest && got.eliciting {
		l.sample(now, now.Sub(got.largestSent), l.scaledDelay(s, f.Delay))
	}
	if s == SpaceHandshake {
		l.peerValidated = true
	}
	l.detectLost(now, s, fate)
	sp.list.trim()
	l.pace.setRate(l.cc.cwnd, l.cc.slowStart(), l.rtt.smoothed)
	// "The PTO backoff factor is reset when an acknowledgment is received, except [...] A client
	// that is not yet certain that the server has finished validating the client's address"
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1-9
	if l.peerValidated {
		l.ptoCount = 0
	}
	l.probes = 0
	l.lastArmed = now
	return nil
}

// ackGain is what an ACK frame newly acknowledged.
type ackGain struct {
	any, eliciting bool
	largest        wire.PacketNumber
	largestSent    monotime.Time
}

func (l *Loss) acked(now monotime.Time, s Space, p *SentPacket, inFlight int, got *ackGain, fate FateFunc) {
	if p.lost {
		l.refute(now, s, p)
		p.done = true
		// What it carried was sent again, and is acknowledged now all the same.
		fate(s, p, Acked)
		return
	}
	if !got.any {
		got.largest, got.largestSent = p.Num, p.Time
	}
	got.any = true
	got.eliciting = got.eliciting || p.AckEliciting
	l.unflight(s, p)
	if p.InFlight {
		l.cc.acked(p.Time, p.Size, inFlight)
	}
	p.done = true
	fate(s, p, Acked)
}

// unflight takes a packet out of the counts.
func (l *Loss) unflight(s Space, p *SentPacket) {
	if p.InFlight {
		l.bytesInFlight -= p.Size
	}
	if p.AckEliciting {
		l.spaces[s].eliciting--
	}
}

func (l *Loss) scaledDelay(s Space, raw uint64) time.Duration {
	// "[...] SHOULD ignore the peer's max_ack_delay until the handshake is confirmed; [...] MUST
	// use the lesser of the acknowledgment delay and the peer's max_ack_delay after the
	// handshake is confirmed".
	// https://www.rfc-editor.org/rfc/rfc9002#section-5.3-7.3.1
	if s == SpaceInitial {
		return 0
	}
	d := time.Duration(min(raw, 1<<30)<<l.ackDelayExponent) * time.Microsecond
	if l.confirmed {
		d = min(d, l.maxAckDelay)
	}
	return d
}

func (l *Loss) sample(now monotime.Time, latest, delay time.Duration) {
	if l.firstSample.IsZero() {
		l.firstSample = now
	}
	l.rtt.update(latest, delay)
}

// detectLost declares packets lost that were sent long enough, or far enough, before one that was
// acknowledged (RFC 9002, 6.1).
func (l *Loss) detectLost(now monotime.Time, s Space, fate FateFunc) {
	sp := &l.spaces[s]
	sp.lossTime = 0
	delay := l.reo.delay(&l.rtt)
	var run persistentRun
	lost := false
	for i := range sp.list.n {
		p := sp.list.at(i)
		if p.Num > sp.largestAcked {
			break
		}
		switch {
		case p.skip:
			continue
		case p.done:
			run = persistentRun{}
			continue
		case p.lost:
			if now.Sub(p.Time) > l.reo.remember(&l.rtt) {
				p.done = true
			}
		case sp.largestAcked-p.Num >= l.reo.packets || !now.Before(p.Time.Add(delay)):
			l.declareLost(now, s, p, fate)
			lost = true
		default:
			sp.lossTime = monotime.Min(sp.lossTime, p.Time.Add(delay))
			run = persistentRun{}
			continue
		}
		if p.AckEliciting && run.add(p.Time, l) && lost {
			l.cc.persistent()
		}
	}
	if lost {
		l.pace.setRate(l.cc.cwnd, l.cc.slowStart(), l.rtt.smoothed)
	}
}

func (l *Loss) declareLost(now monotime.Time, s Space, p *SentPacket, fate FateFunc) {
	l.unflight(s, p)
	if p.InFlight {
		l.cc.lost(now, p.Time)
	}
	p.lost = true
	fate(s, p, Lost)
}

// persistentRun is a run of lost packets without an acknowledged one among them.
type persistentRun struct {
	start monotime.Time
}

// add reports whether the run is long enough for persistent congestion (RFC 9002, 7.6.1).
func (r *persistentRun) add(t monotime.Time, l *Loss) bool {
	// "[...] a prior RTT sample existed when these two packets were sent."
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.6.2-2.3.1
	if l.firstSample.IsZero() || t.Before(l.firstSample) {
		return false
	}
	if r.start.IsZero() {
		r.start = t
		return false
	}
	return t.Sub(r.start) > 3*l.PTO()
}
