package core

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// countingProvider counts the operations that an Endpoint requests.
type countingProvider struct {
	tlsprovider.Provider
	derivations, opens int
}

func (p *countingProvider) OpenInitial(version uint32, dcid, pkt []byte, at int) (tlsprovider.InitialPacket, bool) {
	p.derivations++
	p.opens++
	return p.Provider.OpenInitial(version, dcid, pkt, at)
}

func (p *countingProvider) InitialKeys(version uint32, dcid []byte, side tlsprovider.Side) (tlsprovider.Keys, error) {
	p.derivations += 2 // one for each direction
	k, err := p.Provider.InitialKeys(version, dcid, side)
	k.Opener = &countingOpener{k.Opener, p}
	return k, err
}

type countingOpener struct {
	tlsprovider.Opener
	p *countingProvider
}

func (o *countingOpener) Open(slab []byte, train []tlsprovider.OpenDesc, largest int64) int {
	o.p.opens += len(train)
	return o.Opener.Open(slab, train, largest)
}

// A stranger makes the Initial packets of a client without a connection.
type stranger struct {
	dst, src wire.ConnID
	version  wire.Version
	keys     tlsprovider.Keys
	pn       wire.PacketNumber
}

func newStranger(t testing.TB, p tlsprovider.Provider, dst string) *stranger {
	s := &stranger{dst: testID(dst), src: testID("stranger"), version: wire.Version1}
	var err error
	s.keys, err = p.InitialKeys(uint32(wire.Version1), s.dst.Bytes(), client)
	require.NoError(t, err)
	t.Cleanup(s.keys.Close)
	return s
}

// packet appends an Initial packet. It is padded to size bytes, unless size is 0.
func (s *stranger) packet(b, frames []byte, size int) []byte {
	begin := len(b)
	b = wire.AppendLongHeader(b, wire.PacketInitial, s.version, s.dst, s.src, nil, s.pn, 4)
	headerLen := len(b) - begin
	b = append(b, frames...)
	for len(b)-begin < size-tlsprovider.TagLen {
		b = append(b, 0)
	}
	payload := len(b) - begin - headerLen
	b = append(b, zeroTag[:]...)
	wire.PatchLength(b[begin:], headerLen, payload+tlsprovider.TagLen)
	d := tlsprovider.SealDesc{HeaderLen: uint32(headerLen), PayloadLen: uint32(payload), PacketNumber: uint64(s.pn)}
	s.pn++
	if err := s.keys.Sealer.Seal(b[begin:], []tlsprovider.SealDesc{d}); err != nil {
		panic(err)
	}
	return b
}

// hello appends a datagram with the first 1000 bytes of a ClientHello.
func (s *stranger) hello() []byte {
	data := make([]byte, 1000)
	copy(data, []byte{1, 0, 6, 0})
	return s.packet(nil, wire.Crypto{Data: data}.Append(nil), MinInitialSize)
}

// coalesced returns a datagram of as many packets as fit. The packets from the broken-th on do not open.
func (s *stranger) coalesced(broken int) (d []byte) {
	for i := 0; ; i++ {
		frames := wire.Crypto{Offset: uint64(i), Data: []byte{1}}.Append([]byte{1, 1})
		p := s.packet(nil, frames, 0)
		if len(d)+2*len(p) > MinInitialSize {
			p = s.packet(nil, frames, MinInitialSize-len(d))
		}
		if i >= broken {
			p[len(p)-1] ^= 1
		}
		if d = append(d, p...); len(d) == MinInitialSize {
			return d
		}
	}
}

// bytewise returns a datagram of as many one-byte CRYPTO frames as fit, with gaps between them, from an
// offset on.
func (s *stranger) bytewise(from int) []byte {
	frames := wire.Crypto{Data: []byte{1}}.Append(nil)
	for n := 0; len(frames) < MinInitialSize-60; n++ {
		frames = wire.Crypto{Offset: uint64(from + 2*n), Data: []byte{1}}.Append(frames)
	}
	return s.packet(nil, frames, MinInitialSize)
}

// A packet behind the first of a datagram does not count if its version or its destination connection ID is another.
func TestInitialsOfOneDatagramAgree(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*stranger)
		want   RouteKind
	}{
		"same":                 {func(*stranger) {}, RouteAdmit},
		"other version":        {func(s *stranger) { s.version++ }, RouteDrop},
		"other source ID":      {func(s *stranger) { s.src = testID("another") }, RouteDrop},
		"other destination ID": {func(s *stranger) { s.dst = testID("another1") }, RouteDrop},
		"empty connection IDs": {func(s *stranger) { s.dst = wire.ConnID{} }, RouteDrop},
	} {
		t.Run(name, func(t *testing.T) {
			p := native.New()
			e := NewEndpoint(&EndpointConfig{Provider: p, Accept: true, NewConnID: countedIDs(), ConnIDLen: ConnIDLen,
				Versions: []wire.Version{wire.Version1}, MaxHandshakes: 100})
			defer e.Close()
			s := newStranger(t, p, "12345678")
			d := s.packet(nil, wire.Crypto{Data: []byte{1, 0, 0, 4}}.Append(nil), 0)
			tt.change(s)
			d = s.packet(d, wire.Crypto{Offset: 4, Data: make([]byte, 4)}.Append(nil), MinInitialSize-len(d))
			r := e.Receive(monotime.Time(time.Second), &Train{Path: Path{Remote: clientAddr}, Data: d, SegmentSize: len(d)}, ValidateUnderLoad,
				make([]byte, MaxUnknownSize))
			require.Equal(t, tt.want, r.Kind)
			if r.Kind == RouteAdmit {
				r.Incoming.closeKeys()
			}
		})
	}
}

// The cost of one datagram of an unknown client is bounded: keys are derived once, a few packets are
// opened, and each attempt takes a token.
func TestWorkOfOneInitialDatagram(t *testing.T) {
	for _, known := range []bool{false, true} {
		for name, tt := range map[string]struct {
			d                  func(*stranger) []byte
			derivations, opens int
		}{
			"half a ClientHello":                  {(*stranger).hello, 1, 1},
			"one packet, and many that are junk":  {func(s *stranger) []byte { return s.coalesced(1) }, 3, 3},
			"packets that all open":               {func(s *stranger) []byte { return s.coalesced(100) }, 3, 3},
			"packets that are all junk":           {func(s *stranger) []byte { return s.coalesced(0) }, 3, 3},
			"CRYPTO frames of a byte, with holes": {func(s *stranger) []byte { return s.bytewise(10) }, 1, 1},
		} {
			var p *countingProvider
			r := newRig(t, rigOptions{endpoint: func(c *EndpointConfig) {
				p = &countingProvider{Provider: c.Provider}
				c.Provider = p
			}})
			s := newStranger(t, p.Provider, "12345678")
			if known {
				r.receiveFrom(clientAddr, s.hello())
				require.Equal(t, 1, r.endpoint.hellos.len())
				tt.derivations = 2 // once for the client, whatever arrives
			}
			d := tt.d(s)
			require.Len(t, d, MinInitialSize)
			*p = countingProvider{Provider: p.Provider}
			tokens := r.endpoint.attempts.level
			r.receiveFrom(clientAddr, d)
			require.LessOrEqual(t, p.derivations, tt.derivations, "%s, known %t", name, known)
			require.LessOrEqual(t, p.opens, tt.opens, "%s, known %t", name, known)
			if known {
				require.GreaterOrEqual(t, tokens-r.endpoint.attempts.level, float64(p.opens), "%s: each attempt costs a token", name)
				r.receiveFrom(clientAddr, tt.d(s))
				require.LessOrEqual(t, p.derivations, tt.derivations, "%s: derived once", name)
			}
			for _, k := range r.endpoint.hellos.byKey.m {
				require.LessOrEqual(t, k.have.NumRanges(), maxHelloGaps, name)
				k.in.closeKeys()
			}
		}
	}
}

// An Endpoint accepts at most maxHelloGaps gaps in a ClientHello.
func TestHelloGapsAreBounded(t *testing.T) {
	r := newRig(t, rigOptions{})
	s := newStranger(t, r.serverConfig.Provider, "12345678")
	r.receiveFrom(clientAddr, s.hello())
	for n := 0; r.endpoint.hellos.len() > 0; n++ {
		require.Less(t, n, 4)
		got := r.receiveFrom(clientAddr, s.bytewise(2000+600*n))
		if r.endpoint.hellos.len() == 0 {
			require.Equal(t, DropBadHello, got.Drop)
		}
	}
}

// A datagram may not be larger than max_udp_payload_size announces. The socket can receive larger ones, since
// it reads whole trains. The limit is lower for a datagram with a long header that belongs to no connection,
// because the limits on the work and the memory for it rest on its size.
func TestLargeDatagramsAreDropped(t *testing.T) {
	r := newRig(t, rigOptions{})
	s := newStranger(t, r.serverConfig.Provider, "12345678")
	hello := wire.Crypto{Data: []byte{1, 0, 6, 0}}.Append(nil)
	for _, size := range []int{MaxUnknownSize + 1, MaxDatagramSize, MaxDatagramSize + 1, 16000} {
		got := r.receiveFrom(clientAddr, s.packet(nil, hello, size))
		require.Equal(t, DropMalformed, got.Drop, "%d bytes", size)
		require.Zero(t, r.endpoint.hellos.len())
	}
	got := r.receiveFrom(clientAddr, s.packet(nil, hello, MaxUnknownSize))
	require.Equal(t, DropIncompleteHello, got.Drop)

	r = connected(t, rigOptions{})
	pings := func(size int) []byte {
		overhead := len(r.packet(tlsprovider.Server, recovery.SpaceApp, make([]byte, 100), nil)) - 100
		return r.packet(tlsprovider.Server, recovery.SpaceApp, bytes.Repeat([]byte{byte(wire.FramePing)}, size-overhead), nil)
	}
	d := pings(MaxDatagramSize + 1)
	require.Len(t, d, MaxDatagramSize+1)
	require.Equal(t, DropMalformed, r.receiveFrom(clientAddr, d).Drop)
	d = pings(MaxDatagramSize)
	require.Equal(t, RouteConn, r.receiveFrom(clientAddr, d).Kind)
	before := r.server.Stats().PacketsReceived
	r.server.HandleTrain(r.now, Train{Path: r.server.path, Data: d, SegmentSize: len(d)})
	require.Equal(t, before+1, r.server.Stats().PacketsReceived)
}

// A peer with a connection that this Endpoint does not know, because it has restarted, receives a stateless
// reset for a datagram of any size that we allow.
func TestStatelessResetOfLargeDatagrams(t *testing.T) {
	r := newRig(t, rigOptions{})
	for _, size := range []int{100, MaxUnknownSize, MaxUnknownSize + 1, MaxDatagramSize} {
		d := make([]byte, size)
		d[0] = 0x40
		require.Equal(t, RouteReply, r.receiveFrom(clientAddr, d).Kind, "%d bytes", size)
	}
}

// A client that is ignored costs no key derivation, and one that is refused costs one. All keys are freed.
func TestKeysOfClients(t *testing.T) {
	var p *countingProvider
	r := newRig(t, rigOptions{endpoint: func(c *EndpointConfig) {
		p = &countingProvider{Provider: c.Provider}
		c.Provider = p
	}})
	live := r.serverConfig.Provider.(*fake.Provider).Live
	complete := wire.Crypto{Data: []byte{1, 0, 0, 2, 3, 3}}.Append(nil)
	before, _ := live()
	for _, tt := range []struct {
		name        string
		decide      func(*Incoming)
		derivations int
	}{
		{"ignored", func(in *Incoming) { r.endpoint.Ignore(r.now, in) }, 0},
		{"refused", func(in *Incoming) {
			tx, ok := r.endpoint.Refuse(r.now, in, uint64(wire.ConnectionRefused), "", make([]byte, MaxUnknownSize))
			require.True(t, ok)
			require.Equal(t, clientAddr, tx.Path.Remote)
		}, 2},
		{"postponed and then refused", func(in *Incoming) {
			require.True(t, r.endpoint.Postpone(r.now, in))
			require.NoError(t, r.endpoint.CheckInvariants())
			r.now = r.now.Add(defaultHelloTimeout)
			r.endpoint.HandleTimeout(r.now)
			_, ok := r.endpoint.PollTransmit()
			require.True(t, ok)
		}, 2},
		{"postponed, when the Endpoint closes", func(in *Incoming) {
			require.True(t, r.endpoint.Postpone(r.now, in))
			r.now = r.now.Add(helloAckDelay)
			r.endpoint.HandleTimeout(r.now)
			handles, _ := live()
			require.Greater(t, handles, before, "the client was acknowledged")
			r.endpoint.Close()
		}, 2},
	} {
		s := newStranger(t, p.Provider, "client"+tt.name[:2]+tt.name[len(tt.name)-2:])
		got := r.receiveFrom(clientAddr, s.packet(nil, complete, MinInitialSize))
		s.keys.Close()
		require.Equal(t, RouteAdmit, got.Kind, tt.name)
		p.derivations = 0
		tt.decide(got.Incoming)
		require.Equal(t, tt.derivations, p.derivations, tt.name)
		require.NoError(t, r.endpoint.CheckInvariants(), tt.name)
		handles, _ := live()
		require.Equal(t, before, handles, tt.name)
	}
}

// The packets of a ClientHello are opened once, although first the Endpoint reads them and then the
// connection.
func TestHelloPacketsAreOpenedOnce(t *testing.T) {
	hello := make([]byte, 4+1000)
	copy(hello, []byte{1, 0, 1000 >> 8, 1000 & 0xff})
	piece := func(start, end int) []byte {
		return wire.Crypto{Offset: uint64(start), Data: hello[start:end]}.Append(nil)
	}
	for _, tt := range []struct {
		name      string
		datagrams [][][]byte // packets by datagram
		packets   uint64
	}{
		{"one datagram", [][][]byte{{piece(0, 1004)}}, 1},
		{"two datagrams", [][][]byte{{piece(0, 500)}, {piece(500, 1004)}}, 2},
		{"reordered", [][][]byte{{piece(500, 1004)}, {piece(0, 500)}}, 2},
		{"two packets in a datagram", [][][]byte{{piece(0, 500), piece(500, 1004)}}, 2},
		// The Endpoint opens three packets of a datagram, and the connection the fourth.
		{"four packets in a datagram", [][][]byte{{piece(0, 300), piece(300, 600), piece(600, 1004), {1}}}, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p *countingProvider
			r := newRig(t, rigOptions{
				endpoint: func(c *EndpointConfig) {
					p = &countingProvider{Provider: c.Provider}
					c.Provider = p
				},
				server: func(c *Config) { c.Provider = p },
			})
			s := newStranger(t, p.Provider, "a client")
			var got Routed
			for _, packets := range tt.datagrams {
				var d []byte
				for i, frames := range packets {
					size := 0
					if i == len(packets)-1 {
						size = MinInitialSize - len(d)
					}
					d = s.packet(d, frames, size)
				}
				got = r.receiveFrom(clientAddr, d)
			}
			require.Equal(t, RouteAdmit, got.Kind)
			var err error
			r.server, err = NewServerConn(r.now, r.serverConfig, got.Incoming)
			require.NoError(t, err)
			require.EqualValues(t, tt.packets, p.opens)
			require.Equal(t, tt.packets, r.server.Stats().PacketsReceived)
			require.EqualValues(t, len(tt.datagrams), r.server.Stats().DatagramsReceived)
			require.Equal(t, hello, r.server.spaces[recovery.SpaceInitial].in.take())
			require.Equal(t, wire.PacketNumber(tt.packets-1), r.server.spaces[recovery.SpaceInitial].acks.Largest())
		})
	}
}

// BenchmarkInitialDatagram reports the cost of the most expensive datagrams that an unknown client can
// send, as multiples of the cost of half a ClientHello with its acknowledgement. It takes the fastest
// round.
func BenchmarkInitialDatagram(b *testing.B) {
	p := native.New()
	normal := time.Duration(0)
	for _, tt := range []struct {
		name  string
		known bool
		d     func(*stranger) []byte
	}{
		{"half a ClientHello", false, (*stranger).hello},
		{"coalesced junk", false, func(s *stranger) []byte { return s.coalesced(0) }},
		{"one packet and junk", false, func(s *stranger) []byte { return s.coalesced(1) }},
		{"coalesced packets", false, func(s *stranger) []byte { return s.coalesced(100) }},
		{"bytewise", false, func(s *stranger) []byte { return s.bytewise(10) }},
		{"known, coalesced junk", true, func(s *stranger) []byte { return s.coalesced(0) }},
		{"known, coalesced packets", true, func(s *stranger) []byte { return s.coalesced(100) }},
		{"known, bytewise", true, func(s *stranger) []byte { return s.bytewise(2000) }},
	} {
		b.Run(tt.name, func(b *testing.B) {
			e := NewEndpoint(&EndpointConfig{Provider: p, Accept: true, NewConnID: countedIDs(), ConnIDLen: ConnIDLen,
				Versions: []wire.Version{wire.Version1}, MaxHandshakes: 100})
			s := newStranger(b, p, "12345678")
			first, worst := s.hello(), tt.d(s)
			d, reply := make([]byte, MinInitialSize), make([]byte, MaxUnknownSize)
			now := monotime.Time(time.Second)
			receive := func(datagram []byte) {
				copy(d, datagram)
				e.Receive(now, &Train{Path: Path{Remote: clientAddr}, Data: d, SegmentSize: len(d)}, ValidateUnderLoad, reply)
			}
			fastest := time.Duration(math.MaxInt64)
			for b.Loop() {
				now = now.Add(time.Second)
				if tt.known {
					receive(first)
				}
				begin := time.Now()
				receive(worst)
				now = now.Add(helloAckDelay)
				e.HandleTimeout(now)
				fastest = min(fastest, time.Since(begin))
				e.outbox = nil
				if k := e.hellos.byKey.m[initialKey{s.dst, clientAddr}]; k != nil {
					e.hellos.remove(k)
					k.in.closeKeys()
				}
			}
			if normal == 0 {
				normal = fastest
			}
			b.ReportMetric(float64(fastest), "ns/datagram")
			b.ReportMetric(float64(fastest)/float64(normal), "x-normal")
		})
	}
}

func countedIDs() func() (wire.ConnID, error) {
	n := uint64(0)
	return func() (wire.ConnID, error) {
		n++
		id, _ := wire.MakeConnID(binary.BigEndian.AppendUint64(nil, n))
		return id, nil
	}
}
