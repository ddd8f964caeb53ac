package inspect

import (
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/cryptobyte"

	"github.com/pqquic/pqquic/cmd/internal/capture"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// offer is a key share of a hello that is made for a test.
type offer struct {
	group uint16
	bytes int
}

func extension(b *cryptobyte.Builder, id uint16, body func(*cryptobyte.Builder)) {
	b.AddUint16(id)
	b.AddUint16LengthPrefixed(body)
}

func addShare(b *cryptobyte.Builder, o offer) {
	b.AddUint16(o.group)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(make([]byte, o.bytes)) })
}

// makeClientHello returns a ClientHello of n bytes, filled up by the padding extension.
func makeClientHello(t testing.TB, n int, psk bool, offers ...offer) []byte {
	t.Helper()
	build := func(pad int) []byte {
		var b cryptobyte.Builder
		b.AddUint8(typeClientHello)
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint16(0x0303)
			b.AddBytes(make([]byte, 32))
			b.AddUint8(0)
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint16(0x1a1a); b.AddUint16(0x1301); b.AddUint16(0x1302) })
			b.AddUint16(0x0100)
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { addClientExtensions(b, pad, psk, offers) })
		})
		return b.BytesOrPanic()
	}
	least := len(build(0))
	if n == 0 {
		n = least
	}
	require.GreaterOrEqual(t, n, least)
	return build(n - least)
}

func addClientExtensions(b *cryptobyte.Builder, pad int, psk bool, offers []offer) {
	extension(b, extServerName, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint8(0)
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(name)) })
		})
	})
	extension(b, extALPN, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte("h3")) })
		})
	})
	extension(b, extSupportedVersions, func(b *cryptobyte.Builder) {
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint16(tls13) })
	})
	extension(b, extSupportedGroups, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, o := range offers {
				b.AddUint16(o.group)
			}
		})
	})
	extension(b, extKeyShare, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, o := range offers {
				if o.bytes > 0 {
					addShare(b, o)
				}
			}
		})
	})
	extension(b, 21, func(b *cryptobyte.Builder) { b.AddBytes(make([]byte, pad)) })
	if psk {
		extension(b, extPreSharedKey, func(b *cryptobyte.Builder) { b.AddBytes(make([]byte, 50)) })
	}
}

// makeServerHello answers with o; no share if it has no group.
func makeServerHello(o offer, psk bool) []byte {
	var b cryptobyte.Builder
	b.AddUint8(typeServerHello)
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint16(0x0303)
		b.AddBytes(make([]byte, 32))
		b.AddUint8(0)
		b.AddUint16(0x1302)
		b.AddUint8(0)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			extension(b, extSupportedVersions, func(b *cryptobyte.Builder) { b.AddUint16(tls13) })
			if o.group != 0 {
				extension(b, extKeyShare, func(b *cryptobyte.Builder) { addShare(b, o) })
			}
			if psk {
				extension(b, extPreSharedKey, func(b *cryptobyte.Builder) { b.AddUint16(0) })
			}
		})
	})
	return b.BytesOrPanic()
}

// sealer makes Initial packets.
type sealer struct {
	version    uint32
	dcid       []byte // determines the keys
	dst, src   []byte
	side       tlsprovider.Side
	size       int
	padOutside bool
}

func appendVarint(b []byte, v int) []byte {
	if v < 64 {
		return append(b, byte(v))
	}
	return append(b, 0x40|byte(v>>8), byte(v))
}

// datagram returns an Initial packet with CRYPTO frames for spans, padded to the size.
func (s *sealer) datagram(t testing.TB, pn uint64, hello []byte, spans []span) []byte {
	t.Helper()
	var frames []byte
	for _, f := range spans {
		if f == (span{}) {
			frames = append(frames, framePing)
			continue
		}
		frames = appendVarint(append(frames, frameCrypto), f.from)
		frames = append(appendVarint(frames, f.to-f.from), hello[f.from:f.to]...)
	}
	first := byte(0xc0)
	if s.version == quicV2 {
		first = 0xd0
	}
	head := []byte{first, byte(s.version >> 24), byte(s.version >> 16), byte(s.version >> 8), byte(s.version), byte(len(s.dst))}
	head = append(append(head, s.dst...), byte(len(s.src)))
	head = append(append(head, s.src...), 0)
	room := s.size - len(head) - 2 - 1 - tlsprovider.TagLen
	require.LessOrEqual(t, len(frames), room)
	if !s.padOutside {
		frames = append(frames, make([]byte, room-len(frames))...)
	}
	n := 1 + len(frames) + tlsprovider.TagLen
	head = append(head, 0x40|byte(n>>8), byte(n), byte(pn))
	keys, err := native.New().InitialKeys(s.version, s.dcid, s.side)
	require.NoError(t, err)
	defer keys.Close()
	slab := append(append(slices.Clone(head), frames...), make([]byte, tlsprovider.TagLen)...)
	require.NoError(t, keys.Sealer.Seal(slab, []tlsprovider.SealDesc{{HeaderLen: uint32(len(head)), PayloadLen: uint32(len(frames)), PacketNumber: pn}}))
	return append(slab, make([]byte, s.size-len(slab))...)
}

var (
	testDCID  = []byte{1, 2, 3, 4, 5, 6, 7, 8}
	clientEnd = mustAddr("192.0.2.1:50000")
	serverEnd = mustAddr("192.0.2.2:443")
)

// play passes datagrams to an Inspector: the client's, then the server's.
func play(t *testing.T, client, server [][]byte) *Connection {
	t.Helper()
	r := &recording{}
	for i, b := range append(slices.Clone(client), server...) {
		src, dst := clientEnd, serverEnd
		if i >= len(client) {
			src, dst = dst, src
		}
		data, err := capture.UDPPacket(src, dst, b)
		require.NoError(t, err)
		r.Frame(capture.Frame{Time: time.Unix(1000, int64(i)), Link: layers.LinkTypeRaw, Data: data})
	}
	return one(t, r)
}
