package main

import (
	"testing"

	"github.com/pqquic/pqquic/tlsprovider"
)

// BenchmarkPair runs only handshake pairs, for a profiler.
func BenchmarkPair(b *testing.B) {
	ps, err := providers()
	if err != nil {
		b.Fatal(err)
	}
	c, err := newCreds()
	if err != nil {
		b.Fatal(err)
	}
	defer c.remove()
	for _, p := range ps {
		b.Run(p.Name(), func(b *testing.B) {
			ce, se, err := endpoints(p, c, tlsprovider.X25519MLKEM768)
			if err != nil {
				b.Fatal(err)
			}
			defer ce.Close()
			defer se.Close()
			b.ReportAllocs()
			for b.Loop() {
				if err := pair(ce, se); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
