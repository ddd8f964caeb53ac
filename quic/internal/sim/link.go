package sim

import (
	"bytes"
	"math/rand/v2"
	"time"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// A Link is one direction of a path. The zero value delivers everything without delay.
type Link struct {
	Delay     time.Duration
	Jitter    time.Duration // maximum of a random additional delay of each datagram
	Loss      float64       // probability
	Burst     float64       // mean number of datagrams that Loss takes in a row; 0 means that each is lost independently
	Duplicate float64       // probability
	Corrupt   float64       // probability that a byte changes
	Reorder   float64       // probability that a datagram takes ReorderBy longer
	ReorderBy time.Duration
	Rate      int64 // bytes per second; 0 means no limit
	Queue     int   // bytes that may wait at Rate; 0 means no limit
	// AQM, if positive, is a target for the time in the queue. Datagrams that would wait longer are marked with ECN-CE
	// or, if their sender does not use ECN, lost. The probability grows linearly to 1 at twice the target.
	AQM     time.Duration
	MTU     int  // larger UDP payloads are lost; 0 means no limit
	DropECT bool // datagrams with a codepoint of ECN are lost
	// ECN, if set, returns the codepoint that the n-th datagram leaves the path with.
	ECN func(n int, sent datagram.ECN) datagram.ECN
	// Outage, if set, reports whether the path loses everything at a time.
	Outage func(now monotime.Time) bool
	// Drop, if set, reports whether the n-th datagram, counted from 0, is lost. It is called before Loss
	// applies.
	Drop func(n int) bool
	// Mangle, if set, returns what the n-th datagram is delivered as: any number of copies. A copy that
	// differs from b counts as corrupted.
	Mangle func(n int, b []byte) [][]byte
}

// A direction is the state of a Link.
type direction struct {
	Link
	n     int           // datagrams so far
	free  monotime.Time // when the last datagram has left the queue
	burst bool          // the last datagram was lost by Loss, and Burst applies
	// Marked counts the datagrams that AQM has marked, and Full those that found the queue full.
	Marked, Full int
}

// arrival is a datagram that will arrive.
type arrival struct {
	at   monotime.Time
	ecn  datagram.ECN
	data []byte
	sent []byte // equal to data unless the datagram was corrupted
}

// loses reports whether Loss takes a datagram.
func (d *direction) loses(rng *rand.Rand) bool {
	p := d.Loss
	if d.Burst > 1 { // a Markov chain with the mean loss Loss
		if p = p / (1 - p) / d.Burst; d.burst {
			p = 1 - 1/d.Burst
		}
	}
	lost := rng.Float64() < p
	d.burst = lost
	return lost
}

// enqueue returns when a datagram of the given size leaves the queue, and with which codepoint. It returns false if the
// datagram is lost there.
func (d *direction) enqueue(now monotime.Time, size int, ecn datagram.ECN, rng *rand.Rand) (monotime.Time, datagram.ECN, bool) {
	if d.free.Before(now) {
		d.free = now
	}
	wait := d.free.Sub(now)
	if d.Queue > 0 && int64(wait)*d.Rate/int64(time.Second) > int64(d.Queue) {
		d.Full++
		return 0, ecn, false
	}
	if d.AQM > 0 && wait > d.AQM && rng.Float64() < float64(wait-d.AQM)/float64(d.AQM) {
		if ecn == datagram.NotECT {
			return 0, ecn, false
		}
		d.Marked++
		ecn = datagram.CE
	}
	d.free = d.free.Add(time.Duration(int64(size) * int64(time.Second) / d.Rate))
	return d.free, ecn, true
}

// send returns the arrivals of a datagram that is sent now.
func (d *direction) send(now monotime.Time, b []byte, ecn datagram.ECN, rng *rand.Rand) []arrival {
	n := d.n
	d.n++
	if d.DropECT && ecn != datagram.NotECT || d.Outage != nil && d.Outage(now) || d.Drop != nil && d.Drop(n) || d.MTU > 0 && len(b) > d.MTU || d.loses(rng) {
		return nil
	}
	at := now
	if d.Rate > 0 {
		var ok bool
		if at, ecn, ok = d.enqueue(now, len(b), ecn, rng); !ok {
			return nil
		}
	}
	if d.ECN != nil {
		ecn = d.ECN(n, ecn)
	}
	if d.Jitter > 0 {
		at = at.Add(time.Duration(rng.Int64N(int64(d.Jitter))))
	}
	at = at.Add(d.Delay)
	copies := [][]byte{b}
	if d.Mangle != nil {
		copies = d.Mangle(n, b)
	}
	if rng.Float64() < d.Duplicate {
		copies = append(copies, b)
	}
	var out []arrival
	for _, c := range copies {
		t := at
		if rng.Float64() < d.Reorder {
			t = t.Add(d.ReorderBy)
		}
		data := append([]byte(nil), c...)
		if rng.Float64() < d.Corrupt {
			data[rng.IntN(len(data))] ^= byte(1 + rng.IntN(255))
		}
		sent := data
		if !bytes.Equal(data, b) {
			sent = bytes.Clone(b)
		}
		out = append(out, arrival{t, ecn, data, sent})
	}
	return out
}
