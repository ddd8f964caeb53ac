package inspect

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A span is a CRYPTO frame. An empty one is a PING frame.
type span struct{ from, to int }

// flight describes how a stack divides a hello into datagrams.
type flight struct {
	name      string
	hello     int      // bytes
	datagram  int      // bytes
	numbers   []uint64 // of the packets
	spans     [][]span // by packet
	outside   bool     // the padding follows the packet
	shortSCID bool     // the client's connection ID is empty
}

// chop cuts the bytes that spans cover into shuffled pieces of at most n bytes.
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

// Shapes of first flights as observed on the wire.
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

// The hellos are found however they are divided and shuffled, in versions 1 and 2.
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

// simple is a handshake with a ClientHello of two datagrams and an answer.
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
