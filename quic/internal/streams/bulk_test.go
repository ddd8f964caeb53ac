package streams

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// A conveyor transfers bytes from one side to the other in packets that arrive in order and are
// acknowledged some packets later.
type conveyor struct {
	a, b *peer
	ids  []ID
	in   []byte
	out  []byte
	ring [32]packet // from a, in flight
	back packet     // from b
	n    int
}

func newConveyor(t testing.TB, streams int) *conveyor {
	cfg := testConfig()
	cfg.RecvWindow, cfg.ConnWindow = 1<<20, 2<<20
	c := &conveyor{in: make([]byte, 16<<10), out: make([]byte, 16<<10)}
	c.a, c.b = newPair(t, cfg, cfg)
	for range streams {
		id, err := c.a.Open(true)
		require.NoError(t, err)
		c.ids = append(c.ids, id)
	}
	return c
}

// packet transfers one packet and everything that results from it. It returns the number of bytes read.
func (c *conveyor) packet(t testing.TB) (n int) {
	for _, id := range c.ids {
		if _, err := c.a.Write(id, c.in); err != nil && err != ErrBlocked {
			t.Fatal(err)
		}
	}
	c.move(t, c.a, c.b)
	for _, id := range c.ids {
		got, err := c.b.Read(1, testRTT, id, c.out)
		if err != nil && err != ErrBlocked && err != ErrClosed {
			t.Fatal(err)
		}
		n += got
	}
	c.move(t, c.b, c.a)
	for _, p := range []*peer{c.a, c.b} {
		for {
			if _, ok := p.PollEvent(); !ok {
				break
			}
		}
	}
	return n
}

func (c *conveyor) move(t testing.TB, from, to *peer) {
	slot := &c.ring[c.n%len(c.ring)]
	if len(slot.rec) > 0 && from == c.a {
		acked(c.a, slot)
	}
	if !from.HasPending() {
		return
	}
	if from == c.b { // the few packets of b are acknowledged at once
		slot = &c.back
	}
	slot.payload, slot.rec = from.Append(slot.payload[:0], 1200, wire.PacketNumber(c.n), slot.rec[:0], false)
	slot.pn = wire.PacketNumber(c.n)
	c.n++
	for b := slot.payload; len(b) > 0; {
		n, err := to.HandleFrame(1, testRTT, uint64(b[0]), b)
		if err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
	if from == c.b {
		acked(from, slot)
	}
}

// acked is like peer.fate without assertions, which allocate.
func acked(p *peer, pkt *packet) {
	for rec := pkt.rec; len(rec) > 0; {
		rec = rec[p.ConsumeRecord(rec, pkt.pn, recovery.Acked):]
	}
	pkt.rec = pkt.rec[:0]
}

// BenchmarkBulk measures one packet of 1200 bytes from Write to Read, with its acknowledgement.
func BenchmarkBulk(b *testing.B) {
	for _, bench := range []struct {
		name    string
		streams int
	}{{"1", 1}, {"10", 10}} {
		b.Run(bench.name, func(b *testing.B) {
			c := newConveyor(b, bench.streams)
			b.ReportAllocs()
			n, packets := 0, 0
			for b.Loop() {
				n += c.packet(b)
				packets++
			}
			b.SetBytes(int64(n / packets))
		})
	}
}
