package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// handshakeDatagrams is the number of datagrams with long headers in each direction if nothing is lost.
const handshakeDatagrams = 5

// spoil returns a Link.Mangle function that changes one byte of the at-th datagram. If ahead is set, the
// original arrives right behind the changed copy, as from a faster forger on the path.
func spoil(at, offset int, mask byte, ahead bool) func(int, []byte) [][]byte {
	return func(n int, b []byte) [][]byte {
		if n != at || offset >= len(b) {
			return [][]byte{b}
		}
		bad := append([]byte(nil), b...)
		bad[offset] ^= mask
		if ahead {
			return [][]byte{bad, b}
		}
		return [][]byte{bad}
	}
}

func runSpoilt(t *testing.T, p tlsprovider.Provider, down bool, mangle func(int, []byte) [][]byte, what ...any) {
	t.Helper()
	o := options(1, p)
	o.Up, o.Down = Link{Delay: oneWay}, Link{Delay: oneWay}
	if down {
		o.Down.Mangle = mangle
	} else {
		o.Up.Mangle = mangle
	}
	o.Client.Send = []Transfer{{Size: 100}}
	o.Server = func() *App { return &App{Echo: true} }
	pair, err := NewPair(o)
	require.NoError(t, err)
	_, err = pair.RunTransfers(20 * time.Second)
	require.NoError(t, err, "down %t %v", down, what)
}

// TestEveryByteCorrupted changes every byte of every handshake datagram, one at a time. An unauthenticated
// datagram must neither end a connection nor stall it.
func TestEveryByteCorrupted(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 11
	}
	for i := range handshakeDatagrams * 2 {
		for offset := 0; offset < 1200; offset += step {
			mask := byte(1) << (offset & 7)
			if offset&8 != 0 {
				mask = 0xff
			}
			p := fake.New(fake.Options{})
			runSpoilt(t, p, i&1 == 1, spoil(i/2, offset, mask, offset&1 == 1), "datagram", i/2, "byte", offset, "mask", mask)
		}
	}
}

// TestEveryHeaderCorrupted sets each byte of the type and the version to every other value, including those
// that turn a packet into a Retry, Version Negotiation or short header packet. It also flips every bit of
// the lengths and the connection IDs.
func TestEveryHeaderCorrupted(t *testing.T) {
	const invariant, header = 1 + 4 + 1, 1 + 4 + 1 + 20 + 1 + 20
	for i := range handshakeDatagrams * 2 {
		for offset := range header {
			for mask := 1; mask < 256; mask++ {
				oneBit := mask&(mask-1) == 0
				if !oneBit && (offset >= invariant || testing.Short()) {
					continue
				}
				runSpoilt(t, fake.New(fake.Options{}), i&1 == 1, spoil(i/2, offset, byte(mask), (mask+offset)&1 == 1),
					"datagram", i/2, "byte", offset, "mask", mask)
			}
		}
	}
}

// TestTypeBitsCorruptedRealProviders runs the part of TestEveryHeaderCorrupted that depends on keys: it
// replaces each long header type with every other one in datagrams of real providers.
func TestTypeBitsCorruptedRealProviders(t *testing.T) {
	for name, p := range realProviders(t) {
		t.Run(name, func(t *testing.T) {
			for i := range handshakeDatagrams * 2 {
				for _, ahead := range []bool{false, true} {
					for mask := byte(0x10); mask != 0; mask += 0x10 {
						runSpoilt(t, p, i&1 == 1, spoil(i/2, 0, mask, ahead), "datagram", i/2, "mask", mask)
					}
				}
			}
		})
	}
}

// TestInitialTurnedIntoRetry runs the case that closed connections in another implementation, in which a
// forged Retry arrives before the ServerHello, and verifies that the case is set up correctly.
func TestInitialTurnedIntoRetry(t *testing.T) {
	turned := 0
	runSpoilt(t, fake.New(fake.Options{}), true, func(n int, b []byte) [][]byte {
		if b[0]&0x80 == 0 || wire.LongPacketType(b[0], wire.Version1) != wire.PacketInitial {
			return [][]byte{b}
		}
		bad := append([]byte(nil), b...)
		bad[0] |= 0x30
		_, size := wire.ParseRetry(bad)
		require.Positive(t, size)
		turned++
		return [][]byte{bad, b}
	})
	require.Greater(t, turned, 1)
}
