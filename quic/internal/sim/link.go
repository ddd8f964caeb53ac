package sim

import (
	"bytes"
	"math/rand/v2"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// Link is one direction of a path. The zero value is perfect and takes no time.
type Link struct {
	Delay     time.Duration
	Loss      float64 // probability
	Duplicate float64 // probability
	Corrupt   float64 // probability that a byte changes
	Reorder   float64 // probability that a datagram takes ReorderBy longer
	ReorderBy time.Duration
	Rate      int64 // bytes a second; 0: no limit
	Queue     int   // bytes that wait at Rate; 0: no limit
	MTU       int   // larger UDP payloads vanish; 0: no limit
	// Drop, if set, decides about the n-th datagram, counted from 0, before chance does.
	Drop func(n int) bool
	// Mangle, if set, returns what arrives of the n-th datagram: any number of copies. A copy that
	// differs from b counts as corrupted.
	Mangle func(n int, b []byte) [][]byte
}

// direction is a Link at work.
type direction struct {
	Link
	n    int           // datagrams so far
	free monotime.Time // when the last one has left the queue
}

// arrival is a datagram that will arrive.
type arrival struct {
	at   monotime.Time
	data []byte
	sent []byte // equal to data unless the datagram was corrupted
}

// send returns when, how often and in what shape a datagram arrives.
func (d *direction) send(now monotime.Time, b []byte, rng *rand.Rand) []arrival {
	n := d.n
	d.n++
	if d.Drop != nil && d.Drop(n) || d.MTU > 0 && len(b) > d.MTU || rng.Float64() < d.Loss {
		return nil
	}
	at := now
	if d.Rate > 0 {
		if d.free.Before(now) {
			d.free = now
		}
		if d.Queue > 0 && int64(d.free.Sub(now))*d.Rate/int64(time.Second) > int64(d.Queue) {
			return nil
		}
		d.free = d.free.Add(time.Duration(int64(len(b)) * int64(time.Second) / d.Rate))
		at = d.free
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
		out = append(out, arrival{t, data, sent})
	}
	return out
}
