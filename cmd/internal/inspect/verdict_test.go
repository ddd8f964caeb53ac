package inspect

import (
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/cryptobyte"

	"github.com/pqquic/pqquic/cmd/internal/capture"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// The groups of experiments before the standard have names, and their hybrid shares are divided into halves.
func TestHistoricGroups(t *testing.T) {
	for _, tt := range []struct {
		name           string
		group          uint16
		client, server int
		halves         []half
	}{
		{"X25519BIKEL1R3 (experiment)", 0x2f37, 1573, 1605, []half{{"X25519", 32}, {"BIKE-L1", 1541}}},
		{"SecP256r1BIKEL1R3 (experiment)", 0x2f38, 1606, 1638, []half{{"P-256", 65}, {"BIKE-L1", 1541}}},
		{"X25519Kyber512R3 (experiment)", 0x2f39, 832, 800, []half{{"X25519", 32}, {"Kyber512", 800}}},
		{"SecP256r1Kyber512R3 (experiment)", 0x2f3a, 865, 833, []half{{"P-256", 65}, {"Kyber512", 800}}},
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
	// The first draft added lengths.
	share, ok := readShare(ptr(cryptobyte.String(append([]byte{0x2f, 0x39, 3, 0x44, 0, 32}, make([]byte, 834)...))), false)
	require.True(t, ok)
	require.Equal(t, []half{{"X25519", 32}, {"Kyber512", 800}}, share.Halves)
	require.True(t, share.Prefixed)
	share, ok = readShare(ptr(cryptobyte.String(append([]byte{0x2f, 0x1f, 1, 159, 0, 65}, make([]byte, 413)...))), true)
	require.True(t, ok)
	require.Equal(t, []half{{"P-256", 65}, {"SIKEp434", 346}}, share.Halves)
	require.True(t, share.Prefixed)
	c := simple(t, makeClientHello(t, 0, false, offer{0x2f39, 836}), makeServerHello(offer{0x2f39, 800}, false))
	require.True(t, c.Hello.Shares[0].WrongSize, "there are no lengths")
	require.Empty(t, c.Hello.Shares[0].Halves)
	// SIKE is broken: it is not post-quantum.
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
	require.False(t, c.Resumed, "the server did not accept the ticket")
	c = simple(t, makeClientHello(t, 0, true, pq), makeServerHello(offer{}, true))
	require.True(t, c.Resumed)
	require.Equal(t, CauseNoExchange, c.Verdict.Cause)
}

// A verdict of unknown gives a reason.
func TestUnknown(t *testing.T) {
	hello := makeClientHello(t, 0, false, offer{0x11ec, 1216}, offer{0x1d, 32})
	c := simple(t, hello, makeServerHello(offer{0x7777, 99}, false))
	require.Equal(t, Verdict{Unknown, CauseUnknownGroup, "group 0x7777 is unknown"}, c.Verdict)
	c = simple(t, hello, nil)
	require.Equal(t, CauseNoAnswer, c.Verdict.Cause)
	require.Contains(t, c.Verdict.Reason, "X25519MLKEM768")
}

// A server's packet alone cannot be opened. It is counted and makes no connection.
func TestOrphans(t *testing.T) {
	back := &sealer{version: quicV1, dcid: testDCID, dst: []byte("client"), src: []byte("server"), side: tlsprovider.Server, size: 1200}
	data, err := capture.UDPPacket(serverEnd, clientEnd, back.datagram(t, 0, makeServerHello(offer{0x11ec, 1120}, false), []span{{0, 1000}}))
	require.NoError(t, err)
	in := New(Options{})
	in.Frame(capture.Frame{Time: time.Unix(1, 0), Link: layers.LinkTypeRaw, Data: data, Length: len(data)})
	require.Equal(t, Stats{Frames: 1, Datagrams: 1, Orphans: 1}, in.Finish())
}

// A server may answer a client's version 1 in version 2 (RFC 9368). Its Initial keys follow from the same
// connection ID.
func TestVersionChange(t *testing.T) {
	hello, answer := makeClientHello(t, 0, false, offer{0x11ec, 800}), makeServerHello(offer{0x11ec, 1120}, false)
	s := &sealer{version: quicV1, dcid: testDCID, dst: testDCID, src: []byte("client"), side: tlsprovider.Client, size: 1200}
	back := &sealer{version: quicV2, dcid: testDCID, dst: s.src, src: []byte("server"), side: tlsprovider.Server, size: 1300}
	c := play(t, [][]byte{s.datagram(t, 0, hello, []span{{0, len(hello)}})}, [][]byte{back.datagram(t, 0, answer, []span{{0, len(answer)}})})
	require.Equal(t, PostQuantum, c.Verdict.Result)
	require.Equal(t, "QUIC v2", c.Version)
	require.True(t, c.Hello.Shares[0].WrongSize)
}

// A client with an empty connection ID that reuses its port makes another connection.
func TestPortAgain(t *testing.T) {
	hello, answer := makeClientHello(t, 0, false, offer{0x1d, 32}), makeServerHello(offer{0x1d, 32}, false)
	in := New(Options{})
	var got []*Connection
	in.opt.Report = func(c *Connection) { got = append(got, c) }
	for i := range 3 {
		id := []byte{byte(i), 2, 3, 4, 5, 6, 7, 8}
		s := &sealer{version: quicV1, dcid: id, dst: id, side: tlsprovider.Client, size: 1200}
		back := &sealer{version: quicV1, dcid: id, src: []byte("server"), side: tlsprovider.Server, size: 1200}
		for j, b := range [][]byte{s.datagram(t, 0, hello, []span{{0, len(hello)}}), back.datagram(t, 0, answer, []span{{0, len(answer)}})} {
			d := datagram{time: time.Unix(int64(i), 0), src: clientEnd, dst: serverEnd, payload: b}
			if j == 1 {
				d.src, d.dst = d.dst, d.src
			}
			require.True(t, in.udp(&d))
		}
	}
	in.Finish()
	require.Len(t, got, 3)
	for _, c := range got {
		require.Equal(t, CauseClient, c.Verdict.Cause)
	}
}

// A server may answer each datagram of a ClientHello with a Retry packet. The client may use any of them.
func TestSeveralRetries(t *testing.T) {
	p := native.New()
	retry := func(src string) []byte {
		b := append([]byte{0xf0, 0, 0, 0, 1, 6}, "client"...)
		b = append(append(b, byte(len(src))), src...)
		b = append(b, "token"...)
		tag, err := p.RetryTag(quicV1, testDCID, b)
		require.NoError(t, err)
		return append(b, tag[:]...)
	}
	hello, answer := makeClientHello(t, 0, false, offer{0x11ec, 1216}), makeServerHello(offer{0x11ec, 1120}, false)
	for _, follows := range []string{"first", "second"} {
		for _, forged := range []bool{false, true} {
			s := &sealer{version: quicV1, dcid: testDCID, dst: testDCID, src: []byte("client"), side: tlsprovider.Client, size: 1200}
			again := &sealer{version: quicV1, dcid: []byte(follows), dst: []byte(follows), src: s.src, side: tlsprovider.Client, size: 1200}
			back := &sealer{version: quicV1, dcid: again.dcid, dst: s.src, src: []byte("server"), side: tlsprovider.Server, size: 1300}
			r := &recording{}
			show := func(src, dst netip.AddrPort, b []byte) {
				data, err := capture.UDPPacket(src, dst, b)
				require.NoError(t, err)
				r.Frame(capture.Frame{Time: time.Unix(1, 0), Link: layers.LinkTypeRaw, Data: data})
			}
			half := [][]span{{{0, 1000}}, {{1000, len(hello)}}}
			show(clientEnd, serverEnd, s.datagram(t, 0, hello, half[0]))
			show(clientEnd, serverEnd, s.datagram(t, 1, hello, half[1]))
			for _, id := range []string{"first", "second"} {
				b := retry(id)
				if forged {
					b[len(b)-1] ^= 1
				}
				show(serverEnd, clientEnd, b)
			}
			show(clientEnd, serverEnd, again.datagram(t, 2, hello, half[0]))
			show(clientEnd, serverEnd, again.datagram(t, 3, hello, half[1]))
			show(serverEnd, clientEnd, back.datagram(t, 0, answer, []span{{0, len(answer)}}))
			cs, _ := look(t, r, Options{})
			require.Len(t, cs, 1)
			require.Equal(t, !forged, cs[0].Retry)
			require.Equal(t, !forged, cs[0].Verdict.Result == PostQuantum, cs[0].Verdict.Reason)
		}
	}
}
