package recovery

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// pacer spreads packets over the round trip (RFC 9002, 7.7): a token bucket that fills at the rate
// that the congestion controller chooses. When it has run out, it releases again what accrues in a
// millisecond, or one datagram if that takes longer: a timer for it never has to be finer than a
// millisecond, and trains of datagrams survive at the rates at which they matter. A train has at most
// clamp(1 ms * rate, 10 datagrams, 64 KiB). The bucket holds what accrues in two milliseconds: a timer that
// comes late costs nothing.
//
// Without a rate nothing is paced: before the first sample of the round-trip time, that is the initial
// window.
type pacer struct {
	mds    int // size of a datagram
	tokens int // bytes; may be negative, after packets that do not ask
	rate   int // bytes a millisecond; 0: not paced
	last   monotime.Time
	dry    bool // the bucket ran out, and does not have enough for a train yet
}

const (
	burstPackets = 10       // the least largest train, in datagrams: the initial window
	maxQuantum   = 64 << 10 // largest: one segmentation offload
	maxRate      = 1 << 29  // bytes a millisecond: more than there is, twice which fits in 32 bits
)

func (p *pacer) init(now monotime.Time, mds int) {
	*p = pacer{mds: mds, tokens: burstPackets * mds, last: now}
}

// setRate changes the rate to so many bytes a second. 0 changes nothing.
func (p *pacer) setRate(now monotime.Time, perSecond int64) {
	if perSecond == 0 {
		return
	}
	p.refill(now) // at the old rate
	p.rate = int(min(max(1, perSecond/1000), maxRate))
}

// quantum is the size of the largest train.
func (p *pacer) quantum() int { return min(max(p.rate, burstPackets*p.mds), maxQuantum) }

// enough is how many bytes have to accrue before the next train leaves a bucket that has run out. Less would
// make trains of one packet at rates that fill longer ones in a millisecond.
func (p *pacer) enough() int { return min(max(p.rate, p.mds), p.quantum()) }

func (p *pacer) capacity() int { return max(2*p.rate, burstPackets*p.mds) }

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
	// Below the time for room bytes the product fits. What rounding leaves stays for next time.
	n := int(int64(d) * int64(p.rate) / int64(time.Millisecond))
	p.tokens += n
	p.last = p.last.Add(time.Duration(int64(n) * int64(time.Millisecond) / int64(p.rate)))
}

// after is how long n bytes take to accrue, rounded up.
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

// until is when the bucket will have enough, at least a millisecond from now.
func (p *pacer) until(now monotime.Time) monotime.Time {
	return now.Add(max(p.after(p.enough()-p.tokens), granularity))
}
