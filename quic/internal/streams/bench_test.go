package streams

import (
	"testing"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// BenchmarkShortStream measures one stream that carries a request of 100 bytes, from Open to the
// acknowledgement of its end.
func BenchmarkShortStream(b *testing.B) {
	shortStream := shortStreams(b)
	b.ReportAllocs()
	for b.Loop() {
		shortStream()
	}
}

// shortStreams returns a function that carries a message of 100 bytes on a stream of its own, which both sides then free.
func shortStreams(t testing.TB) func() {
	c, s := newPair(t, testConfig(), testConfig())
	in, out := make([]byte, 100), make([]byte, 200)
	pkt := &packet{}
	move := func(from, to *peer) {
		for from.HasPending() {
			pkt.payload, pkt.rec = from.Append(pkt.payload[:0], 1200, from.nextPN, pkt.rec[:0], false)
			pkt.pn = from.nextPN
			from.nextPN++
			for p := pkt.payload; len(p) > 0; {
				n, err := to.HandleFrame(1, testRTT, uint64(p[0]), p)
				if err != nil {
					t.Fatal(err)
				}
				p = p[n:]
			}
			for rec := pkt.rec; len(rec) > 0; {
				rec = rec[from.ConsumeRecord(rec, pkt.pn, recovery.Acked):]
			}
		}
		for _, p := range []*peer{from, to} {
			for {
				if _, ok := p.PollEvent(); !ok {
					break
				}
			}
		}
	}
	return func() {
		id, err := c.Open(true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(id, in); err != nil {
			t.Fatal(err)
		}
		if err := c.CloseWrite(id); err != nil {
			t.Fatal(err)
		}
		move(c, s)
		for err = nil; err == nil; {
			_, err = s.Read(1, testRTT, id, out)
		}
		move(s, c)
		if len(c.all)+len(s.all) > 0 {
			t.Fatal("a stream was not freed")
		}
	}
}

// BenchmarkIdleStreams reports the memory in the send buffers of streams with 10 unacknowledged bytes each.
func BenchmarkIdleStreams(b *testing.B) {
	wide := wide
	wide.MaxStreamsUni = 1 << 30
	var mem, streams int64
	for b.Loop() {
		c, ids := newClient(b, wide, 100)
		for _, id := range ids {
			c.write(id, 10)
		}
		mem, streams = 0, int64(len(ids))
		for _, st := range c.all {
			mem += st.send.buf.size()
		}
		c.Close()
	}
	b.ReportMetric(float64(mem)/float64(streams), "B/stream")
}

// holesServer returns a server with a window of 32 MiB on a stream. Every other packet of 1,000 bytes has
// arrived from offset first on.
func holesServer(b *testing.B, first int64, data []byte) *peer {
	cfg := testConfig()
	cfg.RecvWindow, cfg.ConnWindow = 32<<20, 32<<20
	s := &peer{t: b}
	s.Init(cfg, tlsprovider.Server)
	for i := range int64(holes) {
		s.frame(b, wire.Stream{Offset: uint64(first + 2000*i + 1000), Data: data})
	}
	return s
}

const holes = 8192

func (p *peer) frame(b *testing.B, f wire.Stream) {
	if err := p.handleStream(f); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkHoles measures the time for one frame on a stream with 8,192 gaps.
func BenchmarkHoles(b *testing.B) {
	data := make([]byte, 1000)
	b.Run("filled", func(b *testing.B) { // in order, as after slow start
		for b.Loop() {
			b.StopTimer()
			s := holesServer(b, 0, data)
			b.StartTimer()
			for i := range int64(holes) {
				s.frame(b, wire.Stream{Offset: uint64(2000 * i), Data: data})
			}
			b.StopTimer()
			s.Close()
			b.StartTimer()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*holes), "ns/frame")
	})
	b.Run("isolated", func(b *testing.B) { // single bytes below all of them
		for b.Loop() {
			b.StopTimer()
			s := holesServer(b, 1<<20, data)
			b.StartTimer()
			for i := range int64(holes / 2) {
				s.frame(b, wire.Stream{Offset: uint64(1<<19 - 2*i), Data: data[:1]})
			}
			b.StopTimer()
			s.Close()
			b.StartTimer()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*holes/2), "ns/frame")
	})
}
