package inspect

import (
	"fmt"
	"math/rand/v2"
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

// makeClientHello is a ClientHello of n bytes, filled up by the padding extension.
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

// span is a CRYPTO frame; an empty one stands for a PING.
type span struct{ from, to int }

// flight is how a stack cuts a hello into datagrams.
type flight struct {
	name      string
	hello     int      // bytes
	datagram  int      // bytes
	numbers   []uint64 // of the packets
	spans     [][]span // by packet
	outside   bool     // the padding stands after the packet
	shortSCID bool     // the client's connection ID is empty
}

// chop cuts what spans cover into pieces of at most n bytes, shuffled.
func chop(seed uint64, n int, spans ...span) (out []span) {
	random := rand.New(rand.NewPCG(seed, 7))
	for _, s := range spans {
		for s.from < s.to {
			k := min(1+random.IntN(n), s.to-s.from)
			out = append(out, span{s.from, s.from + k}, span{})
			s.from += k
		}
	}
	random.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func bytewise(from, to int) (out []span) {
	for i := from; i < to; i++ {
		out = append(out, span{i, i + 1})
	}
	return out
}

// Shapes of first flights as they were seen on the wire.
var flights = []flight{
	{name: "quic-go 0.65", hello: 1504, datagram: 1280, numbers: []uint64{0, 1},
		spans: [][]span{{{0, 64}, {69, 1235}}, {{64, 69}, {1235, 1504}}}},
	{name: "OpenSSL 3.5", hello: 1481, datagram: 1200, numbers: []uint64{0, 1},
		spans: [][]span{{{0, 1120}}, {{1120, 1481}}}},
	{name: "ngtcp2 1.24", hello: 1508, datagram: 1200, numbers: []uint64{0, 1},
		spans: [][]span{chop(1, 180, span{700, 1508}, span{0, 20}), chop(2, 120, span{20, 700})}},
	{name: "Chromium 156", hello: 1976, datagram: 1250, numbers: []uint64{1, 2, 4, 6}, shortSCID: true,
		spans: [][]span{append(bytewise(0, 10), span{}, span{1066, 1976}, span{10, 76}, span{}), append([]span{{76, 1066}, {}}, bytewise(60, 76)...),
			bytewise(0, 200), {{}, {}, {}}}},
	{name: "Firefox 159", hello: 1891, datagram: 1252, numbers: []uint64{10, 11}, outside: true, shortSCID: true,
		spans: [][]span{{{1036, 1891}, {0, 90}}, {{90, 1036}}}},
	{name: "quinn", hello: 289, datagram: 1200, numbers: []uint64{0}, spans: [][]span{{{0, 289}}}},
	{name: "x/net 0.62", hello: 1500, datagram: 1200, numbers: []uint64{0, 1}, outside: true,
		spans: [][]span{{{0, 1140}}, {{1140, 1500}}}},
}

// sealer makes Initial packets.
type sealer struct {
	version    uint32
	dcid       []byte // from which the keys follow
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

// datagram is an Initial packet with the CRYPTO frames that spans name, filled up to the size.
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

// play shows datagrams to an Inspector: of the client, then of the server.
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

// The hellos are found however they are split and shuffled, in versions 1 and 2.
func TestFlights(t *testing.T) {
	pq := offer{0x11ec, 1216}
	for _, f := range flights {
		for _, version := range []uint32{quicV1, quicV2} {
			for _, backwards := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/%v", f.name, quicVersionName(version), backwards), func(t *testing.T) {
					offers := []offer{pq, {0x1d, 32}}
					if f.hello < 1000 {
						offers = offers[1:]
					}
					hello := makeClientHello(t, f.hello, false, offers...)
					s := &sealer{version: version, dcid: testDCID, dst: testDCID, src: []byte("client"), side: tlsprovider.Client, size: f.datagram, padOutside: f.outside}
					if f.shortSCID {
						s.src = nil
					}
					var client [][]byte
					for i, pn := range f.numbers {
						client = append(client, s.datagram(t, pn, hello, f.spans[i]))
					}
					if backwards {
						slices.Reverse(client)
					}
					answer := makeServerHello(offer{offers[0].group, map[uint16]int{0x11ec: 1120, 0x1d: 32}[offers[0].group]}, false)
					back := &sealer{version: version, dcid: testDCID, dst: s.src, src: []byte("server"), side: tlsprovider.Server, size: 1200}
					cut := len(answer) / 2
					server := [][]byte{back.datagram(t, 1, answer, []span{{cut, len(answer)}}), back.datagram(t, 0, answer, []span{{10, cut}, {0, 10}})}
					c := play(t, client, server)
					require.Equal(t, quicVersionName(version), c.Version)
					require.Equal(t, f.hello, c.Hello.Bytes)
					require.Equal(t, name, c.ServerName)
					require.Equal(t, []string{"h3"}, c.ALPN)
					require.Equal(t, len(f.numbers), c.ClientInitials.Datagrams)
					for _, n := range c.ClientInitials.Bytes {
						require.Equal(t, f.datagram, n)
					}
					require.Equal(t, []int{1200, 1200}, c.ServerInitials.Bytes)
					require.Equal(t, "TLS_AES_256_GCM_SHA384", c.Suite.Name)
					require.Equal(t, "GREASE", c.Hello.Suites[0].Name)
					if len(offers) == 1 {
						require.Equal(t, CauseClient, c.Verdict.Cause)
						return
					}
					require.Equal(t, PostQuantum, c.Verdict.Result)
					require.Equal(t, []half{{"ML-KEM-768", 1184}, {"X25519", 32}}, c.Hello.Shares[0].Halves)
					require.Equal(t, []half{{"ML-KEM-768", 1088}, {"X25519", 32}}, c.ServerHello.Share.Halves)
				})
			}
		}
	}
}

// simple is a handshake of two datagrams' hello and an answer.
func simple(t *testing.T, hello, answer []byte) *Connection {
	t.Helper()
	s := &sealer{version: quicV1, dcid: testDCID, dst: testDCID, src: []byte("client"), side: tlsprovider.Client, size: 1200}
	var client [][]byte
	for off, pn := 0, uint64(0); off < len(hello); off, pn = off+1000, pn+1 {
		client = append(client, s.datagram(t, pn, hello, []span{{off, min(off+1000, len(hello))}}))
	}
	back := &sealer{version: quicV1, dcid: testDCID, dst: s.src, src: []byte("server"), side: tlsprovider.Server, size: 1200}
	var server [][]byte
	for off, pn := 0, uint64(0); off < len(answer); off, pn = off+1000, pn+1 {
		server = append(server, back.datagram(t, pn, answer, []span{{off, min(off+1000, len(answer))}}))
	}
	return play(t, client, server)
}

// The experiments before the standard have names, and halves where their shares have any.
func TestHistoricGroups(t *testing.T) {
	for _, tt := range []struct {
		name           string
		group          uint16
		client, server int
		halves         []half
	}{
		{"X25519Kyber512 (experiment)", 0x2f39, 832, 800, []half{{"X25519", 32}, {"Kyber512", 800}}},
		{"SecP256r1Kyber512 (experiment)", 0x2f3a, 865, 833, []half{{"P-256", 65}, {"Kyber512", 800}}},
		{"SecP384r1Kyber768 (experiment)", 0x2f3c, 1281, 1185, []half{{"P-384", 97}, {"Kyber768", 1184}}},
		{"SecP521r1Kyber1024 (experiment)", 0x2f3d, 1701, 1701, []half{{"P-521", 133}, {"Kyber1024", 1568}}},
		{"X25519Kyber768Draft00 (experiment)", 0x6399, 1216, 1120, []half{{"X25519", 32}, {"Kyber768", 1184}}},
		{"SecP256r1Kyber768Draft00 (experiment)", 0x639a, 1249, 1153, []half{{"P-256", 65}, {"Kyber768", 1184}}},
		{"X25519Kyber512Draft00 (experiment)", 0xfe30, 832, 800, []half{{"X25519", 32}, {"Kyber512", 800}}},
		{"CECPQ2 (experiment)", 0x4138, 1170, 1170, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := simple(t, makeClientHello(t, 0, false, offer{tt.group, tt.client}), makeServerHello(offer{tt.group, tt.server}, false))
			require.Equal(t, PostQuantum, c.Verdict.Result)
			require.Equal(t, tt.name, c.Selected.Name)
			require.Equal(t, tt.halves, c.Hello.Shares[0].Halves)
			require.False(t, c.Hello.Shares[0].WrongSize)
		})
	}
	// The first draft put lengths between.
	share, ok := readShare(ptr(cryptobyte.String(append([]byte{0x2f, 0x39, 3, 0x44, 0, 32}, make([]byte, 834)...))), false)
	require.True(t, ok)
	require.Equal(t, []half{{"X25519", 32}, {"Kyber512", 800}}, share.Halves)
	c := simple(t, makeClientHello(t, 0, false, offer{0x2f39, 836}), makeServerHello(offer{0x2f39, 800}, false))
	require.True(t, c.Hello.Shares[0].WrongSize, "no lengths stand there")
	require.Empty(t, c.Hello.Shares[0].Halves)
	// Broken, and known to be: not post-quantum.
	c = simple(t, makeClientHello(t, 0, false, offer{0x2f27, 362}), makeServerHello(offer{0x2f27, 378}, false))
	require.Equal(t, Classical, c.Verdict.Result)
}

func ptr[T any](v T) *T { return &v }

func TestResumption(t *testing.T) {
	pq := offer{0x11ec, 1216}
	c := simple(t, makeClientHello(t, 0, true, pq), makeServerHello(offer{0x11ec, 1120}, true))
	require.True(t, c.Resumed)
	require.Equal(t, PostQuantum, c.Verdict.Result)
	c = simple(t, makeClientHello(t, 0, true, pq), makeServerHello(offer{0x11ec, 1120}, false))
	require.False(t, c.Resumed, "the server did not take the ticket")
	c = simple(t, makeClientHello(t, 0, true, pq), makeServerHello(offer{}, true))
	require.True(t, c.Resumed)
	require.Equal(t, CauseNoExchange, c.Verdict.Cause)
}

// What cannot be judged says why.
func TestUnknown(t *testing.T) {
	hello := makeClientHello(t, 0, false, offer{0x11ec, 1216}, offer{0x1d, 32})
	c := simple(t, hello, makeServerHello(offer{0x7777, 99}, false))
	require.Equal(t, Verdict{Unknown, CauseUnknownGroup, "group 0x7777 is not known here"}, c.Verdict)
	c = simple(t, hello, nil)
	require.Equal(t, CauseNoAnswer, c.Verdict.Cause)
	require.Contains(t, c.Verdict.Reason, "X25519MLKEM768")
}

// A server's packet alone cannot be opened: it is counted, and is no connection.
func TestOrphans(t *testing.T) {
	back := &sealer{version: quicV1, dcid: testDCID, dst: []byte("client"), src: []byte("server"), side: tlsprovider.Server, size: 1200}
	data, err := capture.UDPPacket(serverEnd, clientEnd, back.datagram(t, 0, makeServerHello(offer{0x11ec, 1120}, false), []span{{0, 1000}}))
	require.NoError(t, err)
	in := New(Options{})
	in.Frame(capture.Frame{Time: time.Unix(1, 0), Link: layers.LinkTypeRaw, Data: data, Length: len(data)})
	require.Equal(t, Stats{Frames: 1, Datagrams: 1, Orphans: 1}, in.Finish())
}
