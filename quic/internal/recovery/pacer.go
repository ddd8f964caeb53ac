package recovery

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// A pacer spreads packets over the round trip (RFC 9002, section 7.7). It is a token bucket that fills at
// the rate that the congestion controller chooses. When the bucket has run out, it waits until it has the
// tokens of a millisecond, or for one datagram if that takes longer. Timers thus need not be finer than a
// millisecond, and trains stay long at rates at which their length matters. A train has at most clamp(1 ms
// * rate, initial window, 64 KiB). The bucket holds the tokens of two milliseconds, so a late timer costs
// nothing.
//
// Before the first round-trip time sample there is no rate, and the initial window is not paced.
type pacer struct {
	mds    int // size of a datagram
	tokens int // bytes; negative after packets that are not subject to pacing
	rate   int // bytes per millisecond; 0 means not paced
	last   monotime.Time
	dry    bool // the bucket ran out and does not have enough for a train yet
}

const (
	maxQuantum = 64 << 10 // maximum train: one segmentation offload
	maxRate    = 1 << 29  // bytes per millisecond; above any real rate, and twice it fits in 32 bits
)

func (p *pacer) init(now monotime.Time, mds int) {
	*p = pacer{mds: mds, tokens: initialWindow(mds), last: now}
}

// setRate changes the rate, which is in bytes per second. 0 leaves it unchanged.
func (p *pacer) setRate(now monotime.Time, perSecond int64) {
	if perSecond == 0 {
		return
	}
	p.refill(now) // at the old rate
	p.rate = int(min(max(1, perSecond/1000), maxRate))
}

// quantum returns the maximum size of a train.
//
// "Senders SHOULD limit bursts to the initial congestion window [...]. A sender with knowledge that the network
// path to the receiver can absorb larger bursts MAY use a higher limit."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.7-2
func (p *pacer) quantum() int { return min(max(p.rate, initialWindow(p.mds)), maxQuantum) }

// enough returns how many bytes have to accrue before an empty bucket allows the next train. A smaller
// value would make trains of one packet at rates that fill longer ones in a millisecond.
func (p *pacer) enough() int { return min(max(p.rate, p.mds), p.quantum()) }

func (p *pacer) capacity() int { return max(2*p.rate, initialWindow(p.mds)) }

func (p *pacer) refill(now monotime.Time) {
	d := now.Sub(p.last)
	if d <= 0 || p.rate == 0 {
		return
	}
	if room := p.capacity() - p.tokens; room <= 0 || d >= p.after(room) {
		p.tokens = p.capacity()
		p.last = now
		return
	}
	// If less time passed than filling the bucket takes, the product does not overflow. The time that is not
	// enough for another byte is carried over.
	n := int(int64(d) * int64(p.rate) / int64(time.Millisecond))
	p.tokens += n
	p.last = p.last.Add(p.after(n))
}

// after returns how long n bytes take to accrue, rounded up.
func (p *pacer) after(n int) time.Duration {
	return time.Duration((int64(n)*int64(time.Millisecond) + int64(p.rate) - 1) / int64(p.rate))
}

func (p *pacer) sent(now monotime.Time, n int) {
	p.refill(now)
	p.tokens = max(p.tokens-n, -p.capacity())
}

// blocked reports whether the next packet has to wait.
func (p *pacer) blocked(now monotime.Time) bool {
	if p.rate == 0 {
		return false
	}
	p.refill(now)
	least := p.mds
	if p.dry {
		least = p.enough()
	}
	p.dry = p.tokens < least
	return p.dry
}

// until returns when the bucket will have enough, at least a millisecond from now.
func (p *pacer) until(now monotime.Time) monotime.Time {
	return now.Add(max(p.after(p.enough()-p.tokens), granularity))
}
