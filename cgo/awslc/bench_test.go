package awslc

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHotCallsDoNotAllocate(t *testing.T) {
	requireLinked(t)
	junk := make([]byte, 1200)
	junk[0] = 0xc0
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, ok := OpenInitial(1, rfcDCID, junk, 18); ok {
			panic("junk opened")
		}
		junk[0] = 0xc0
	}))

	s, o := keyPair(t, 0x1301, 32)
	pns := pnRange(0, 32)
	slab, seal, open := buildTrain(pns, 0, make([]byte, 1200))
	plain := append([]byte(nil), slab...)
	pn, largest := uint64(0), int64(-1)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		copy(slab, plain)
		for i := range seal {
			putPacket(slab[seal[i].Offset:], pn, 0, nil)
			seal[i].PacketNumber = pn
			pn++
		}
		if s.Seal(slab, seal) != nil || o.Open(slab, open, largest) != len(open) || open[31].Status != OpenOK {
			panic("train lost")
		}
		largest = int64(pn) - 1
	}))
}

func BenchmarkSeal(b *testing.B) {
	requireLinked(b)
	for _, suite := range suites {
		for _, size := range []int{64, 1200, 8900} {
			for _, n := range []uint64{1, 32} {
				b.Run(fmt.Sprintf("%s/size=%d/train=%d", suite.name, size, n), func(b *testing.B) {
					s, _ := keyPair(b, suite.id, suite.secretLen)
					slab, seal, _ := buildTrain(pnRange(0, n), 0, make([]byte, size))
					b.SetBytes(int64(size) * int64(n))
					b.ReportAllocs()
					pn := uint64(0)
					for b.Loop() {
						for i := range seal {
							slab[seal[i].Offset] = 0x43
							seal[i].PacketNumber = pn
							pn++
						}
						if err := s.Seal(slab, seal); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	requireLinked(b)
	for _, suite := range suites {
		for _, size := range []int{64, 1200, 8900} {
			for _, n := range []uint64{1, 32} {
				b.Run(fmt.Sprintf("%s/size=%d/train=%d", suite.name, size, n), func(b *testing.B) {
					s, o := keyPair(b, suite.id, suite.secretLen)
					sealed, seal, open := buildTrain(pnRange(0, n), 0, make([]byte, size))
					if err := s.Seal(sealed, seal); err != nil {
						b.Fatal(err)
					}
					slab := make([]byte, len(sealed))
					b.SetBytes(int64(size) * int64(n))
					b.ReportAllocs()
					for b.Loop() {
						copy(slab, sealed) // Open works in place; the copy takes a few percent of the time
						if o.Open(slab, open, -1) != len(open) || open[0].Status != OpenOK {
							b.Fatal("train lost")
						}
					}
				})
			}
		}
	}
}

func BenchmarkOpenInitialJunk(b *testing.B) {
	requireLinked(b)
	junk := make([]byte, 1200)
	b.ReportAllocs()
	for b.Loop() {
		junk[0] = 0xc0
		OpenInitial(1, rfcDCID, junk, 18)
	}
}
