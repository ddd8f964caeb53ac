package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// A span is a piece of the ClientHello. to is -1 for the end of the ClientHello, and -2 for a PING frame.
type span struct{ from, to int }

var ping = span{0, -2}

// A shape describes how an existing client splits its first flight. The offsets were observed. Spans beyond
// the end of a shorter ClientHello are omitted.
type shape struct {
	name           string
	dstLen, srcLen int
	size           int   // of the UDP payload
	outside        bool  // the padding follows the packet instead of being inside it
	numbers        []int // packet numbers
	datagrams      [][]span
}

// oneByte splits [from, to) into pieces of one byte. It begins at the end and takes every other byte first,
// which leaves as many gaps as possible. A PING follows every tenth piece.
func oneByte(from, to int) (out []span) {
	for _, odd := range []int{0, 1} {
		for i := to - 1 - odd; i >= from; i -= 2 {
			out = append(out, span{i, i + 1})
			if i%10 < 2 {
				out = append(out, ping)
			}
		}
	}
	return out
}

// shuffled splits [from, to) into n pieces in a different order.
func shuffled(from, to, n int) (out []span) {
	for i := range n {
		k := i * 7 % n // 7 and n have no common factor
		out = append(out, span{from + (to-from)*k/n, from + (to-from)*(k+1)/n})
	}
	return append(out, ping)
}

var shapes = []shape{
	{"quic-go", 8, 0, 1280, false, []int{0, 1}, [][]span{{{0, 64}, {69, 1235}}, {{64, 69}, {1235, -1}}}},
	{"quic-go, connection ID of 20 bytes", 20, 4, 1300, false, []int{0, 1}, [][]span{{{0, 64}, {69, 1235}}, {{64, 69}, {1235, -1}}}},
	{"OpenSSL", 8, 8, 1200, false, []int{0, 1, 2}, [][]span{{{0, 1140}}, {{1140, -1}}, {ping}}},
	{"OpenSSL, second half late", 8, 8, 1200, false, []int{0, 1, 2}, [][]span{{{0, 1140}}, {ping}, {{1140, -1}}}},
	{"ngtcp2", 18, 17, 1200, false, []int{0, 1}, [][]span{shuffled(0, 1000, 11), append(shuffled(1000, 1300, 11), span{1300, -1})}},
	{"Chromium", 8, 0, 1250, false, []int{1, 2, 4, 6}, [][]span{
		append(append([]span{{0, 20}, ping, ping}, oneByte(20, 76)...), span{1066, -1}, ping), {ping, {76, 1066}, ping}, {ping}, {ping}}},
	{"Firefox", 13, 3, 1252, true, []int{10, 11}, [][]span{{{1036, -1}, {0, 90}}, {{90, 1036}}}},
	{"x/net", 8, 8, 1200, true, []int{0, 1}, [][]span{{{0, 1130}}, {{1130, -1}}}},
	{"first datagram arrives last", 8, 8, 1200, false, []int{0, 1}, [][]span{{{1130, -1}}, {{0, 1130}}}},
	{"one byte per frame", 8, 0, 1200, false, []int{7, 9, 300, 70_000, 70_001, 70_002, 70_003, 70_004},
		[][]span{oneByte(0, 160), oneByte(160, 320), oneByte(320, 480), oneByte(480, 640), oneByte(640, 800), {{1300, -1}}, {{1000, 1300}}, {{800, 1000}}}},
}

// TestClientHelloShapes sends the first flights of existing clients to our Endpoint: zero-length source
// IDs, destination IDs of 8 to 20 bytes, arbitrary packet numbers with gaps, more than sixteen gaps in
// CRYPTO data, frames of one byte, PINGs, the first half last, and bytes behind the last packet.
func TestClientHelloShapes(t *testing.T) {
	providers := realProviders(t)
	providers["fake"] = fake.New(fake.Options{})
	for name, p := range providers {
		for _, s := range shapes {
			t.Run(name+" "+s.name, func(t *testing.T) { testShape(t, p, &s) })
		}
	}
}

func testShape(t *testing.T, p tlsprovider.Provider, s *shape) {
	o := options(1, p, postQuantum...)
	pair, err := NewPair(o)
	require.NoError(t, err)
	u := newPuppet(t, pair, p, o.ClientTLS, s.dstLen, s.srcLen)
	hello := u.out[recovery.SpaceInitial]
	require.Greater(t, len(hello), 1300, "not post-quantum")
	for i, spans := range s.datagrams {
		u.pn[recovery.SpaceInitial] = wire.PacketNumber(s.numbers[i])
		u.send(u.shaped(s, spans, hello))
	}
	require.NotNil(t, pair.ServerConn(), "not admitted: %v", dropCounts(pair))
	u.read()
	for i := range s.datagrams {
		require.True(t, u.acked.Contains(wire.PacketNumber(s.numbers[i])), "packet %d is not acknowledged", s.numbers[i])
	}
	u.finish()
	require.NoError(t, pair.RunFor(time.Second))
	u.read()
	require.True(t, u.done, "no HANDSHAKE_DONE")
	require.Equal(t, tlsprovider.X25519MLKEM768, pair.ServerConn().State().Group)
	require.Nil(t, pair.ServerConn().Err())
}

// shaped returns a datagram with pieces of the ClientHello.
func (u *puppet) shaped(s *shape, spans []span, hello []byte) []byte {
	u.t.Helper()
	var payload []byte
	for _, c := range spans {
		switch {
		case c == ping:
			payload = wire.Ping{}.Append(payload)
			continue
		case c.to < 0:
			c.to = len(hello)
		}
		payload = wire.Crypto{Offset: uint64(c.from), Data: hello[c.from:c.to]}.Append(payload)
	}
	overhead := 1 + 4 + 1 + u.dst.Len() + 1 + u.src.Len() + 1 + 2 + 4 + tlsprovider.TagLen
	room := s.size - overhead - len(payload)
	require.GreaterOrEqual(u.t, room, 0, "the shape does not fit its datagram")
	if s.outside {
		d := u.packet(recovery.SpaceInitial, payload)
		return append(d, make([]byte, s.size-len(d))...)
	}
	return u.packet(recovery.SpaceInitial, append(payload, make([]byte, room)...))
}

func dropCounts(p *Pair) map[string]uint64 {
	out := make(map[string]uint64)
	for r, n := range p.Server.Endpoint.Drops() {
		if n > 0 {
			out[core.DropReason(r).String()] = n
		}
	}
	return out
}

// Bytes behind the last packet count towards the anti-amplification limit, which a long chain exhausts.
// They are not answered, in particular not with a stateless reset.
//
// "For the purposes of avoiding amplification prior to address validation, servers MUST count all of the payload
// bytes received in datagrams that are uniquely attributed to a single connection."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1-4
func TestTrailingBytesCountTowardsLimit(t *testing.T) {
	p := fake.New(fake.Options{ChainLen: 20_000})
	o := options(1, p, postQuantum...)
	pair, err := NewPair(o)
	require.NoError(t, err)
	u := newPuppet(t, pair, p, o.ClientTLS, 8, 8)
	hello := u.out[recovery.SpaceInitial]
	for _, half := range [][]byte{wire.Crypto{Data: hello[:700]}.Append(nil), wire.Crypto{Offset: 700, Data: hello[700:]}.Append(nil)} {
		d := u.packet(recovery.SpaceInitial, half)
		for len(d) < 1400 {
			d = append(d, 0x40|byte(len(d))) // looks like a short header
		}
		u.send(d)
	}
	require.NoError(t, pair.RunFor(10*time.Second))
	u.read()
	require.Zero(t, dropCounts(pair)["stateless reset"])
	require.LessOrEqual(t, pair.Server.BytesOut, 3*2*1400)
	require.Greater(t, pair.Server.BytesOut, 3*2*1400-1200)
}

// The packets that wait for keys are bounded, and the handshake completes despite the flood.
func TestFloodBeforeKeys(t *testing.T) {
	p := fake.New(fake.Options{})
	o := options(1, p, postQuantum...)
	pair, err := NewPair(o)
	require.NoError(t, err)
	u := newPuppet(t, pair, p, o.ClientTLS, 8, 8)
	hello := u.out[recovery.SpaceInitial]
	full := shape{size: 1200}
	u.send(u.shaped(&full, []span{{0, 700}}, hello))
	u.send(u.shaped(&full, []span{{700, -1}}, hello))
	u.read()
	for range 200 {
		u.send(append(u.dst.AppendTo([]byte{0x40}), make([]byte, 500)...))
	}
	u.finish()
	require.NoError(t, pair.RunFor(time.Second))
	u.read()
	require.True(t, u.done, "no HANDSHAKE_DONE")
}

// The second half of a split ServerHello is lost repeatedly. Every probe must contain Initial packets and
// never only Handshake packets, which a client without the ServerHello cannot read.
func TestSplitServerHelloResent(t *testing.T) {
	for _, groups := range [][]tlsprovider.Group{postQuantum, classical} {
		p := fake.New(fake.Options{})
		o := options(1, p, groups...)
		pair, err := NewPair(o)
		require.NoError(t, err)
		u := newPuppet(t, pair, p, o.ClientTLS, 8, 8)
		hello := u.out[recovery.SpaceInitial]
		full := shape{size: 1200}
		u.send(u.shaped(&full, []span{{0, len(hello) / 2}}, hello))
		u.send(u.shaped(&full, []span{{len(hello) / 2, -1}}, hello))
		u.read()
		flight := u.in[recovery.SpaceInitial]
		require.NotEmpty(t, u.out[recovery.SpaceHandshake])
		if groups[0] == postQuantum[0] {
			require.Greater(t, len(flight), 1150, "the flight fits in one datagram")
		}
		probes := 0
		for range 6 {
			// A client that lacks half of the ServerHello sends its ClientHello again, which gives the
			// server more credit.
			u.in[0], u.have[0] = nil, recovery.RangeSet[int64]{}
			u.fed[0] = len(flight) // TLS has consumed it
			require.NoError(t, pair.RunFor(4*time.Second))
			if len(u.received) == 0 {
				u.send(u.shaped(&full, []span{{0, len(hello) / 2}}, hello))
				require.NoError(t, pair.RunFor(4*time.Second))
			}
			if len(u.received) == 0 {
				continue
			}
			probes++
			u.read()
			require.Equal(t, flight, u.in[0], "a probe without the ServerHello")
		}
		require.Greater(t, probes, 2)
	}
}
