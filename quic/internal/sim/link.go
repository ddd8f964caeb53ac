package sim

import (
	"bytes"
	"math/rand/v2"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// A Link is one direction of a path. The zero value delivers everything without delay.
type Link struct {
	Delay     time.Duration
	Loss      float64 // probability
	Duplicate float64 // probability
	Corrupt   float64 // probability that a byte changes
	Reorder   float64 // probability that a datagram takes ReorderBy longer
	ReorderBy time.Duration
	Rate      int64 // bytes per second; 0 means no limit
	Queue     int   // bytes that may wait at Rate; 0 means no limit
	MTU       int   // larger UDP payloads are lost; 0 means no limit
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
	n    int           // datagrams so far
	free monotime.Time // when the last datagram has left the queue
}

// arrival is a datagram that will arrive.
type arrival struct {
	at   monotime.Time
	data []byte
	sent []byte // equal to data unless the datagram was corrupted
}

// send returns the arrivals of a datagram that is sent now.
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
