package core

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// receiveFrom passes one datagram from an address to the Endpoint.
func (r *rig) receiveFrom(from netip.AddrPort, d []byte) Routed {
	r.t.Helper()
	train := Train{Path: Path{Remote: from}, Data: bytes.Clone(d), SegmentSize: len(d)}
	got := r.endpoint.Receive(r.now, &train, r.validation, make([]byte, MaxUnknownSize))
	require.Empty(r.t, train.Data)
	require.NoError(r.t, r.endpoint.CheckInvariants())
	return got
}

func testID(s string) wire.ConnID {
	id, _ := wire.MakeConnID([]byte(s))
	return id
}

// partOfHello is the beginning of a ClientHello of 1000 bytes.
var partOfHello = wire.Crypto{Data: []byte{1, 0, 3, 0xe4, 3, 3}}.Append(nil)

// With segmentation offload, a train contains datagrams of one path for any connections. Each datagram reaches its
// connection, in order. Datagrams without a connection do not affect the others.
func TestTrainOfSeveralConnections(t *testing.T) {
	r := newRig(t, rigOptions{})
	for ref, id := range map[ConnRef]string{101: "conn-one", 102: "conn-two"} {
		r.endpoint.Add(r.now, ref, nil)
		r.endpoint.HandleConnEvent(r.now, ref, EndpointEvent{Kind: AddConnID, ConnID: testID(id)})
		r.endpoint.HandleConnEvent(r.now, ref, EndpointEvent{Kind: AddConnID, ConnID: testID(id[5:] + "-more")})
	}
	r.endpoint.HandleConnEvent(r.now, 102, EndpointEvent{Kind: AddConnID, ConnID: testID("conn-old")})
	r.endpoint.HandleConnEvent(r.now, 102, EndpointEvent{Kind: RetireConnID, ConnID: testID("conn-old")})
	const size = 30
	var train Train
	for i, id := range []string{
		"conn-one", "conn-one", "one-more", "conn-two", "two-more", "conn-two", "nonesuch", "nonesuch",
		"conn-old", "conn-one", "conn-two",
	} {
		d := append(append([]byte{0x40}, id...), bytes.Repeat([]byte{byte(i)}, size-1-len(id))...)
		train.Data = append(train.Data, d...)
	}
	train.Data = append(train.Data, "\x40conn-two short"...)
	train.SegmentSize, train.Path = size, Path{Remote: clientAddr}
	type run struct {
		kind  RouteKind
		ref   ConnRef
		count int
	}
	var got []run
	var routed []byte
	all := bytes.Clone(train.Data)
	for len(train.Data) > 0 {
		before := train.Data
		res := r.endpoint.Receive(r.now, &train, r.validation, make([]byte, MaxUnknownSize))
		taken := before[:len(before)-len(train.Data)]
		if res.Kind == RouteConn {
			require.Equal(t, taken, res.Train.Data)
			require.Equal(t, size, res.Train.SegmentSize)
		}
		routed = append(routed, taken...)
		got = append(got, run{res.Kind, res.Conn, (len(taken) + size - 1) / size})
	}
	require.Equal(t, all, routed)
	require.Equal(t, []run{
		{RouteConn, 101, 3}, {RouteConn, 102, 3}, {RouteReply, 0, 1}, {RouteReply, 0, 1}, {RouteDrop, 0, 1},
		{RouteConn, 101, 1}, {RouteConn, 102, 2},
	}, got)
}

// A datagram that cannot begin a connection is dropped without an answer, and nothing of it is kept.
//
// "Servers MUST drop smaller packets that specify unsupported versions."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.2.2-1
// "Servers MUST drop incoming packets under all other circumstances."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.2.2-7
// "An endpoint MUST NOT send a Version Negotiation packet in response to receiving a Version Negotiation packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-6.1-1
// "Endpoints MUST discard packets that are too small to be valid QUIC packets."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3-14
// "This Destination Connection ID MUST be at least 8 bytes in length."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.2-3
// "A server MUST discard an Initial packet that is carried in a UDP datagram with a payload that is smaller than the
// smallest allowed maximum datagram size of 1200 bytes."
// https://www.rfc-editor.org/rfc/rfc9000#section-14.1-4
func TestUnknownDatagramsAreDropped(t *testing.T) {
	r := newRig(t, rigOptions{})
	first := r.firstFlight(testID("12345678"), nil, partOfHello)
	broken := bytes.Clone(first)
	broken[len(broken)-1] ^= 1
	short := r.firstFlight(testID("1234567"), nil, partOfHello)
	handshake := wire.AppendLongHeader(nil, wire.PacketHandshake, wire.Version1, testID("12345678"), wire.ConnID{}, nil, 0, 4)
	at := len(handshake)
	handshake = append(handshake, make([]byte, 1200)...)
	wire.PatchLength(handshake, at, 1200)
	small := wire.AppendLongHeader(nil, wire.PacketInitial, wire.Version1, testID("12345678"), wire.ConnID{}, nil, 0, 4)
	at = len(small)
	small = append(small, make([]byte, MinInitialSize-1-at)...)
	wire.PatchLength(small, at, MinInitialSize-1-at)
	for _, tt := range []struct {
		name string
		d    []byte
		want DropReason
	}{
		{"an Initial packet that is cut", first[:MinInitialSize-1], DropMalformed},
		{"an Initial packet in less than 1200 bytes", small, DropTooSmall},
		{"a destination connection ID of seven bytes", short, DropShortConnID},
		{"an Initial packet that does not authenticate", broken, DropUndecryptable},
		{"a Handshake packet", handshake, DropUnknownConnID},
		{"Version Negotiation", append([]byte{0xc0, 0, 0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 1}, make([]byte, 1200)...), DropNotAccepting},
		{"a small packet of another version", append([]byte{0xc0, 9, 9, 9, 9, 0, 0}, make([]byte, 1192)...), DropUnknownVersion},
		{"21 bytes of no connection", append([]byte{0x40}, make([]byte, 20)...), DropUnknownConnID},
		{"an Initial packet with a frame that it may not contain", r.firstFlight(testID("12345678"), nil, wire.MaxData{Max: 1}.Append(nil)), DropBadHello},
		{"another handshake message", r.firstFlight(testID("12345678"), nil, wire.Crypto{Data: []byte{2, 0, 0, 0}}.Append(nil)), DropBadHello},
	} {
		got := r.receiveFrom(clientAddr, tt.d)
		require.Equal(t, RouteDrop, got.Kind, tt.name)
		require.Equal(t, tt.want, got.Drop, tt.name)
		require.Zero(t, r.endpoint.hellos.len(), tt.name)
	}
}

// A stateless reset is smaller than the packet that it answers and ends in the token. The rate of resets is
// limited.
//
// "An endpoint MUST NOT send a Stateless Reset that is three times or more larger than the packet it receives to
// avoid being used for amplification."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3-13
// "Endpoints MUST send Stateless Resets formatted as a packet with a short header."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3-15
// "An endpoint MUST ensure that every Stateless Reset that it sends is smaller than the packet that triggered it,
// unless it maintains state sufficient to prevent looping."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3.3-2
func TestStatelessResetsAreSent(t *testing.T) {
	r := newRig(t, rigOptions{})
	for _, n := range []int{22, 30, 43, 44, 1200} {
		d := append([]byte{0x40}, bytes.Repeat([]byte{9}, n-1)...)
		got := r.receiveFrom(clientAddr, d)
		require.Equal(t, RouteReply, got.Kind)
		b := got.Reply.Data
		require.Less(t, len(b), n)
		require.GreaterOrEqual(t, len(b), minReset)
		require.Equal(t, byte(0x40), b[0]&0xc0)
		token := r.endpoint.cfg.ResetKey.Token(d[1 : 1+ConnIDLen])
		require.Equal(t, token[:], b[len(b)-16:])
	}
	replies := 0
	for range 3 * resetBurst {
		if r.receiveFrom(clientAddr, append([]byte{0x40}, make([]byte, 99)...)).Kind == RouteReply {
			replies++
		}
	}
	require.LessOrEqual(t, replies, resetBurst)
}

// The total size of incomplete ClientHellos is bounded, and they are forgotten after some time.
func TestIncompleteHellosAreBounded(t *testing.T) {
	r := newRig(t, rigOptions{endpoint: func(c *EndpointConfig) { c.HelloBytes, c.TokenKey = 20*MinInitialSize, nil }})
	for i := range 100 {
		d := r.firstFlight(testID("12345678"), nil, partOfHello)
		got := r.receiveFrom(netip.AddrPortFrom(clientAddr.Addr(), uint16(1000+i)), d)
		require.NotEqual(t, RouteAdmit, got.Kind)
	}
	require.Positive(t, r.endpoint.hellos.len())
	require.LessOrEqual(t, r.endpoint.hellos.bytes, 20*MinInitialSize)
	r.now = r.now.Add(4*defaultHelloTimeout + 1)
	r.endpoint.HandleTimeout(r.now)
	require.Zero(t, r.endpoint.hellos.len())
	require.Zero(t, r.endpoint.hellos.bytes)
	require.LessOrEqual(t, r.endpoint.refused.len(), 20, "clients that received an acknowledgement")
	r.now = r.now.Add(8 * defaultHelloTimeout)
	r.endpoint.HandleTimeout(r.now)
	require.True(t, r.endpoint.NextTimeout().IsZero())
}

// An incomplete ClientHello is kept longer while there is room for all of them.
func TestIncompleteHellosExpire(t *testing.T) {
	for _, crowded := range []bool{false, true} {
		r := newRig(t, rigOptions{endpoint: func(c *EndpointConfig) { c.MaxHandshakes = 8 }})
		send := func(port int) {
			d := r.firstFlight(testID("12345678"), nil, partOfHello)
			r.receiveFrom(netip.AddrPortFrom(clientAddr.Addr(), uint16(port)), d)
		}
		first, most := 4*defaultHelloTimeout, 10*defaultHelloTimeout
		if crowded {
			for port := range 5 {
				send(1 + port)
			}
			first, most = defaultHelloTimeout, 4*defaultHelloTimeout
		}
		const port = 1000
		send(port)
		began := r.now
		k := r.endpoint.hellos.byKey.m[initialKey{testID("12345678"), netip.AddrPortFrom(clientAddr.Addr(), port)}]
		require.Equal(t, began.Add(first), k.expires)
		for r.now.Before(began.Add(most)) {
			r.now = r.now.Add(time.Second)
			send(port)
			require.LessOrEqual(t, k.expires, began.Add(most))
		}
		require.Equal(t, began.Add(most), k.expires)
		require.Equal(t, MinInitialSize, k.bytes, "a repetition takes no room")
		r.endpoint.HandleTimeout(r.now)
		require.NoError(t, r.endpoint.CheckInvariants())
		require.NotSame(t, k, r.endpoint.hellos.byKey.m[k.key])
	}
}

// Beyond the limit of incomplete handshakes, clients must validate their address with Retry. Beyond twice
// that limit, new clients are dropped.
func TestRetryOverBudget(t *testing.T) {
	r := newRig(t, rigOptions{endpoint: func(c *EndpointConfig) { c.MaxHandshakes = 5 }})
	attempt := func(port int) Routed {
		return r.receiveFrom(netip.AddrPortFrom(clientAddr.Addr(), uint16(port)), r.firstFlight(testID("12345678"), nil, partOfHello))
	}
	for i := range 5 {
		require.NotEqual(t, DropOverload, attempt(1+i).Drop)
	}
	require.Equal(t, 5, r.endpoint.hellos.len())
	got := attempt(100)
	require.Equal(t, RouteReply, got.Kind)
	require.Equal(t, wire.PacketRetry, wire.LongPacketType(got.Reply.Data[0], wire.Version1))
	require.Equal(t, 5, r.endpoint.hellos.len(), "a Retry costs no state")
	for i := range 5 {
		in := &Incoming{DstID: testID("12345678"), Path: Path{Remote: netip.AddrPortFrom(serverAddr.Addr(), uint16(i))}}
		r.endpoint.Add(r.now, ConnRef(100+i), in)
	}
	require.Equal(t, DropOverload, attempt(101).Drop)
}

// A Retry token is valid for one address and one connection, and only for a short time.
//
// "This value MUST NOT be equal to the Destination Connection ID field of the packet sent by the client."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.1-2
// "For this design to work, the token MUST be covered by integrity protection against modification or falsification
// by clients."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.4-2
// "An address validation token MUST be difficult to guess."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.4-1
func TestRetryToken(t *testing.T) {
	r := newRig(t, rigOptions{validation: ValidateAlways})
	got := r.receiveFrom(clientAddr, r.firstFlight(testID("12345678"), nil, partOfHello))
	require.Equal(t, RouteReply, got.Kind)
	require.LessOrEqual(t, len(got.Reply.Data), 3*MinInitialSize)
	retry, n := wire.ParseRetry(got.Reply.Data)
	require.Positive(t, n)
	require.NotEqual(t, testID("12345678"), retry.SrcID)
	token := bytes.Clone(retry.Token)
	answer := func(from netip.AddrPort, dst wire.ConnID, token []byte) Routed {
		return r.receiveFrom(from, r.firstFlight(dst, token, partOfHello))
	}
	refused := func(got Routed, why string) {
		require.Equal(t, RouteReply, got.Kind, why)
		require.NotEqual(t, wire.PacketRetry, wire.LongPacketType(got.Reply.Data[0], wire.Version1), "%s: the client would ignore another Retry", why)
		require.Zero(t, r.endpoint.hellos.len(), why)
	}
	before := r.endpoint.drops[DropInvalidToken]
	for i := range token {
		bad := bytes.Clone(token)
		bad[i] ^= 1
		if i == 0 {
			continue // the first byte marks Retry tokens
		}
		refused(answer(clientAddr, retry.SrcID, bad), "tampered with")
		refused(answer(clientAddr, retry.SrcID, token[:i]), "cut")
	}
	refused(answer(netip.AddrPortFrom(clientAddr.Addr(), 9), retry.SrcID, token), "another port")
	refused(answer(serverAddr, retry.SrcID, token), "another address")
	refused(answer(clientAddr, testID("12345678"), token), "another connection")
	require.Greater(t, r.endpoint.drops[DropInvalidToken], before)
	r.now = r.now.Add(defaultRetryLifetime)
	require.NotEqual(t, RouteAdmit, answer(clientAddr, retry.SrcID, token).Kind)
	require.Equal(t, 1, r.endpoint.hellos.len(), "the token is valid until it expires")
	for _, h := range r.endpoint.hellos.byKey.m {
		require.True(t, h.in.Validated && h.in.Retried)
		require.Equal(t, testID("12345678"), h.in.OriginalDstID)
	}
	r.now = r.now.Add(4 * defaultHelloTimeout)
	r.endpoint.HandleTimeout(r.now)
	refused(answer(clientAddr, retry.SrcID, token), "expired")
	other := answer(clientAddr, retry.SrcID, []byte("another server's"))
	require.Equal(t, wire.PacketRetry, wire.LongPacketType(other.Reply.Data[0], wire.Version1), "an unknown token is ignored")
}

// A client accepts only one Retry packet, and only if it answers the client's first Initial packet.
//
// "A client MUST discard a Retry packet that contains a Source Connection ID field that is identical to the
// Destination Connection ID field of its Initial packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.1-2
// "The client MUST use the value from the Source Connection ID field of the Retry packet in the Destination
// Connection ID field of subsequent packets that it sends."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.1-2
// "Clients MUST discard Retry packets that have a Retry Integrity Tag that cannot be validated; see Section 5.8 of
// [QUIC-TLS]."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.2-2
// "A client MUST discard a Retry packet with a zero-length Retry Token field."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.2-2
// "A client MUST accept and process at most one Retry packet for each connection attempt."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.2-1
// "After the client has received and processed an Initial or Retry packet from the server, it MUST discard any
// subsequent Retry packets that it receives."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.2-1
func TestClientAndRetry(t *testing.T) {
	src := testID("87654321")
	retry := func(r *rig, edit func(*wire.ConnID, *wire.ConnID, *[]byte)) []byte {
		dst, from, token := r.client.ids.src(), src, []byte("token")
		if edit != nil {
			edit(&dst, &from, &token)
		}
		b := wire.AppendRetry(nil, wire.Version1, dst, from, token)
		tag, err := r.serverConfig.Provider.RetryTag(uint32(wire.Version1), r.client.ids.originalDst.Bytes(), b)
		require.NoError(t, err)
		return append(b, tag[:]...)
	}
	begin := func(t *testing.T) *rig {
		r := newRig(t, rigOptions{})
		r.onDatagram = nothingArrives
		r.pump()
		return r
	}
	for name, edit := range map[string]func(r *rig) []byte{
		"a wrong integrity tag": func(r *rig) []byte {
			b := retry(r, nil)
			b[len(b)-1] ^= 1
			return b
		},
		"no token":           func(r *rig) []byte { return retry(r, func(_, _ *wire.ConnID, token *[]byte) { *token = nil }) },
		"another connection": func(r *rig) []byte { return retry(r, func(dst, _ *wire.ConnID, _ *[]byte) { *dst = src }) },
		"the client's own connection ID": func(r *rig) []byte {
			return retry(r, func(_, from *wire.ConnID, _ *[]byte) { *from = r.client.ids.originalDst })
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := begin(t)
			r.deliver(server, edit(r))
			require.False(t, r.client.ids.retried)
			require.NoError(t, errOf(r.client))
		})
	}
	t.Run("once", func(t *testing.T) {
		r := begin(t)
		next := r.client.loss.NextNumber(recovery.SpaceInitial)
		require.Positive(t, next)
		hello, own := bytes.Clone(r.client.spaces[recovery.SpaceInitial].crypto.buf), r.client.ids.src()
		require.NotEmpty(t, hello)
		r.deliver(server, retry(r, nil))
		require.True(t, r.client.ids.retried)
		// "A client MUST use the same cryptographic handshake message it included in this packet."
		// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.3-2
		require.Equal(t, hello, r.client.spaces[recovery.SpaceInitial].crypto.buf)
		// "The client MUST NOT use the token provided in a Retry for future connections."
		// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.3-2
		require.Nil(t, r.client.TakeToken())
		require.Equal(t, src, r.client.ids.dst())
		require.Equal(t, next, r.client.loss.NextNumber(recovery.SpaceInitial), "packet numbers continue")
		require.Zero(t, r.client.loss.Path().BytesInFlight(), "packets sent before the Retry do not count")
		tx, ok := r.client.PollTransmit(r.now, r.buf)
		require.True(t, ok)
		h, n := wire.ParseLongHeader(tx.Data)
		require.Positive(t, n)
		// "In comparison, a token obtained in a Retry packet MUST be used immediately during the connection attempt and
		// cannot be used in subsequent connection attempts."
		// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.3-7
		require.Equal(t, "token", string(h.Token))
		// "The client MUST NOT change the Source Connection ID because the server could include the connection ID as
		// part of its token validation logic; see Section 8.1.4."
		// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.2-4
		require.Equal(t, own, h.SrcID)
		second := testID("abcdefgh")
		r.deliver(server, retry(r, func(_, from *wire.ConnID, token *[]byte) { *from, *token = second, []byte("2") }))
		require.Equal(t, src, r.client.ids.dst())
	})
	t.Run("not after an Initial", func(t *testing.T) {
		r := midHandshake(t, recovery.SpaceHandshake)
		r.deliver(server, retry(r, nil))
		require.False(t, r.client.ids.retried)
	})
}

// A client accepts Version Negotiation only before it has received anything else, and only if the packet
// answers its own first packet and does not list its version.
//
// "A client that supports only this version of QUIC MUST abandon the current connection attempt if it receives a
// Version Negotiation packet, with the following two exceptions."
// https://www.rfc-editor.org/rfc/rfc9000#section-6.2-2
// "A client MUST discard any Version Negotiation packet if it has received and successfully processed any other
// packet, including an earlier Version Negotiation packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-6.2-2
// "A client MUST discard a Version Negotiation packet that lists the QUIC version selected by the client."
// https://www.rfc-editor.org/rfc/rfc9000#section-6.2-2
func TestClientAndVersionNegotiation(t *testing.T) {
	packet := func(r *rig, src wire.ConnID, versions ...wire.Version) []byte {
		dst := r.client.ids.src()
		return wire.AppendVersionNegotiation(nil, 0, dst.Bytes(), src.Bytes(), versions...)
	}
	begin := func(t *testing.T) *rig {
		r := newRig(t, rigOptions{})
		r.onDatagram = nothingArrives
		r.pump()
		return r
	}
	r := begin(t)
	r.deliver(server, packet(r, r.client.ids.originalDst, 0x0a0a0a0a, wire.Version1))
	require.NoError(t, errOf(r.client), "it lists our version")
	r.deliver(server, packet(r, testID("87654321"), 2))
	require.NoError(t, errOf(r.client), "the packet answers another client")
	r.deliver(server, packet(r, r.client.ids.originalDst, 2, 3))
	require.ErrorIs(t, r.client.Err(), ErrVersionNegotiation)
	require.Equal(t, []wire.Version{2, 3}, r.client.Err().Versions)
	_, ok := r.client.PollTransmit(r.now, r.buf)
	require.False(t, ok)

	late := midHandshake(t, recovery.SpaceHandshake)
	late.deliver(server, packet(late, late.client.ids.originalDst, 2))
	require.NoError(t, errOf(late.client), "too late")
}

// The idle timeout is at least three probe timeouts. It is restarted by the first packet sent after a
// packet was received, but not by the second.
//
// "To avoid excessively small idle timeout periods, endpoints MUST increase the idle timeout period to be at least
// three times the current Probe Timeout (PTO)."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.1-4
func TestIdleTimeoutDetails(t *testing.T) {
	r := connected(t, rigOptions{provider: fake.Options{}, client: func(c *Config) { c.IdleTimeout = time.Millisecond }})
	require.GreaterOrEqual(t, r.client.idle.expires.Sub(r.now.Add(-time.Second)), 3*r.client.loss.PTO())

	r = connected(t, rigOptions{})
	r.onDatagram = nothingArrives
	write := func() {
		id, err := r.client.OpenStream(r.now, false)
		require.NoError(t, err)
		_, err = r.client.Write(r.now, id, []byte("x"))
		require.NoError(t, err)
		r.step(r.client, client)
	}
	before := r.client.idle.expires
	r.now = r.now.Add(time.Second)
	write()
	first := r.client.idle.expires
	require.GreaterOrEqual(t, first.Sub(before), time.Second)
	r.now = r.now.Add(time.Second)
	write()
	require.Equal(t, first, r.client.idle.expires)
}
