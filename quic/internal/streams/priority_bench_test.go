package streams

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/pqquic/pqquic/quic/internal/recovery"
)

// BenchmarkPriorities measures what priorities cost a stream, if many have data to send: a write of 100 bytes that makes the
// stream wait for its turn, a change of its priority while it waits, and its turn. The streams become ready in random
// order.
func BenchmarkPriorities(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		for name, urgency := range map[string]func(i int) uint8{
			"one urgency": func(int) uint8 { return 3 },
			"8 urgencies": func(i int) uint8 { return uint8(i % 8) },
		} {
			b.Run(fmt.Sprintf("%d streams, %s", n, name), func(b *testing.B) {
				cfg := bigConfig()
				cfg.MaxUni = int64(n)
				a, _ := newPair(b, cfg, cfg)
				ids := make([]ID, n)
				for i := range ids {
					id, err := a.Open(true)
					if err != nil {
						b.Fatal(err)
					}
					ids[i] = id
				}
				order := rand.New(rand.NewPCG(1, 9218)).Perm(n)
				data := make([]byte, 100)
				var payload, rec []byte
				b.ReportAllocs()
				for b.Loop() {
					for _, i := range order {
						a.SetPriority(ids[i], urgency(i), i%2 == 0)
						if _, err := a.Write(ids[i], data); err != nil {
							b.Fatal(err)
						}
					}
					for _, i := range order {
						a.SetPriority(ids[i], urgency(i+1), i%2 == 1)
					}
					for a.HasPending() {
						payload, rec = a.Append(payload[:0], 1200, a.nextPN, rec[:0], false)
						for r := rec; len(r) > 0; {
							r = r[a.ConsumeRecord(r, a.nextPN, recovery.Acked):]
						}
						a.nextPN++
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/stream")
			})
		}
	}
}
