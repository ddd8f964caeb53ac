package core

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// idsOf returns a generator of connection IDs of a length. The first byte of each is mark. It may repeat IDs only when it
// has used all of that length.
func idsOf(length int, mark byte) func() (wire.ConnID, error) {
	n := uint64(0)
	return func() (wire.ConnID, error) {
		n++
		b := make([]byte, 2*wire.MaxConnIDLen)
		b[0] = mark
		binary.LittleEndian.PutUint64(b[1:], n)
		if length == 1 {
			b[0] = mark + byte(n)
		}
		id, _ := wire.MakeConnID(b[:length])
		return id, nil
	}
}

// withIDs are the options of a rig whose sides have connection IDs of these lengths.
func withIDs(client, server int) rigOptions {
	fromServer := idsOf(server, 0x80)
	return rigOptions{
		client:   func(c *Config) { c.NewConnID = idsOf(client, 0x10) },
		server:   func(c *Config) { c.NewConnID = fromServer },
		endpoint: func(c *EndpointConfig) { c.NewConnID, c.ConnIDLen = fromServer, server },
	}
}

// Each side uses the lengths of both, in packets with long and with short headers, with Retry and without. No Initial
// packet of the client has an ID of less than 8 bytes.
//
// "This Destination Connection ID MUST be at least 8 bytes in length."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.2-3
// "An endpoint that uses this design MUST either use the same connection ID length for all connections or encode the length
// of the connection ID such that it can be recovered without state."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3.2-4
func TestConnIDLengths(t *testing.T) {
	for _, clientLen := range []int{0, 1, 4, 8, 20} {
		for _, serverLen := range []int{1, 4, 8, 20} {
			for _, v := range []Validation{ValidateUnderLoad, ValidateAlways} {
				t.Run(fmt.Sprintf("client %d server %d policy %d", clientLen, serverLen, v), func(t *testing.T) {
					o := withIDs(clientLen, serverLen)
					o.validation = v
					r := newRig(t, o)
					handshake := true
					r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
						if h, n := wire.ParseLongHeader(d); n > 0 {
							src := []int{clientLen, serverLen}
							if from == tlsprovider.Server {
								src[0], src[1] = src[1], src[0]
							}
							require.Equal(t, src[0], h.SrcID.Len())
							if h.Type == wire.PacketInitial && h.DstID.Len() != src[1] {
								require.Equal(t, tlsprovider.Client, from)
								require.GreaterOrEqual(t, h.DstID.Len(), minClientDstID)
							}
						}
						return handshake
					}
					r.pump()
					require.NoError(t, errOf(r.client))
					require.NotNil(t, r.server)
					require.True(t, r.client.tls.confirmed && r.server.tls.confirmed)
					require.Equal(t, v == ValidateAlways, r.client.Retried())
					r.transfer(t, r.client, r.server)
					r.transfer(t, r.server, r.client)
					require.Equal(t, serverLen, r.client.ids.dst().Len())
					require.Equal(t, clientLen, r.server.ids.dst().Len())
					issued := 2 // the one in use and a spare one
					if clientLen == 0 {
						issued = 1
					}
					require.Len(t, r.client.ids.local, issued)
					require.Len(t, r.server.ids.local, 2)
					require.Zero(t, r.client.Stats().Drops[DropUnknownConnID]+r.server.Stats().Drops[DropUnknownConnID])
				})
			}
		}
	}
}

// transfer sends a stream from one side to the other.
func (r *rig) transfer(t *testing.T, from, to *Conn) {
	t.Helper()
	id, err := from.OpenStream(r.now, true)
	require.NoError(t, err)
	_, err = from.Write(r.now, id, make([]byte, 3_000))
	require.NoError(t, err)
	r.pump()
	accepted, ok := to.AcceptStream(true)
	require.True(t, ok)
	got, err := to.Read(r.now, accepted, make([]byte, 6_000))
	require.NoError(t, err)
	require.Equal(t, 3_000, got)
}

// A packet to an unknown ID is answered with a stateless reset if IDs are long enough not to come back. The tokens of short
// IDs are different in each connection, so the peer of an earlier one cannot end a later one.
//
// "This method for choosing the stateless reset token means that the combination of connection ID and static key MUST NOT be
// used for another connection."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3.2-5
// "A connection ID from a connection that is reset by revealing the stateless reset token MUST NOT be reused for new
// connections at nodes that share a static key."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3.2-5
func TestStatelessResetsOfShortIDs(t *testing.T) {
	for _, length := range []int{1, 4, 7, 8, 20} {
		var tokens [2][16]byte
		var ids [2]wire.ConnID
		for i := range tokens {
			o := withIDs(8, length)
			random := uint64(i) << 32
			client := o.client
			o.client = func(c *Config) {
				client(c)
				fill := c.Rand
				c.Rand = func(b []byte) {
					fill(b)
					b[0] ^= byte(random >> 32)
				}
			}
			r := connected(t, o)
			ids[i], tokens[i] = r.client.ids.remote[0].id, r.client.ids.remote[0].token
			require.True(t, r.client.ids.remote[0].hasToken)
			require.NotZero(t, tokens[i])

			// The server restarts.
			restarted := NewEndpoint(&r.endpoint.cfg)
			id := ids[i]
			d := append(id.AppendTo([]byte{0x40}), make([]byte, 60)...)
			got := restarted.Receive(r.now, &Train{Path: Path{Remote: clientAddr}, Data: d, SegmentSize: len(d)}, 0, make([]byte, MaxUnknownSize))
			if length < minResetID {
				require.Equal(t, RouteDrop, got.Kind)
				continue
			}
			require.Equal(t, RouteReply, got.Kind)
			require.Equal(t, tokens[i][:], got.Reply.Data[len(got.Reply.Data)-16:])
		}
		require.Equal(t, ids[0], ids[1], "the generators start alike")
		require.Equal(t, length >= minResetID, tokens[0] == tokens[1])
	}
}

// A client with empty IDs issues none, and its server must not retire any.
//
// "An endpoint that provides a zero-length connection ID MUST treat receipt of a RETIRE_CONNECTION_ID frame as a connection
// error of type PROTOCOL_VIOLATION."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.16-9
func TestPeerOfEmptyIDs(t *testing.T) {
	retire := packed(wire.RetireConnectionID{Seq: 0})
	play(t, withIDs(0, 8), nil, []exchange{
		{"RETIRE_CONNECTION_ID to a client without IDs", client, retire, closes(wire.ProtocolViolation)},
		{"RETIRE_CONNECTION_ID with another number", client, packed(wire.RetireConnectionID{Seq: 1}), closes(wire.ProtocolViolation)},
		{"NEW_CONNECTION_ID from a client without IDs", server,
			packed(wire.NewConnectionID{Seq: 1, ConnID: testID("12345678")}), closes(wire.ProtocolViolation)},
		{"the server issues IDs", client, packed(wire.NewConnectionID{Seq: 2, ConnID: testID("12345678"), ResetToken: [16]byte{1}}), answers()},
	})
}

// A client with empty IDs can move: its packets have an ID of the server, and the server's find it by their source.
func TestClientWithEmptyIDsMigrates(t *testing.T) {
	r := connected(t, withIDs(0, 8))
	first := r.client.ids.dst()
	id, err := r.client.AddPath(r.now, newLocal)
	require.NoError(t, err)
	r.pump()
	require.NoError(t, r.client.SwitchPath(r.now, id))
	r.pump()
	require.Equal(t, newLocal, r.client.Path().Local)
	require.Equal(t, newLocal, r.server.Path().Remote)
	require.NotEqual(t, first, r.client.ids.dst())
	r.transfer(t, r.server, r.client)
}

// emptyEndpoint returns an Endpoint with empty IDs, and what SetRemote has told.
func emptyEndpoint() (*Endpoint, map[netip.AddrPort]ConnRef) {
	routes := map[netip.AddrPort]ConnRef{}
	return NewEndpoint(&EndpointConfig{Provider: fake.New(fake.Options{}), Rand: func([]byte) {}, ResetKey: fakeResetKey{},
		SetRoute: func(wire.ConnID, ConnRef) { panic("a route to a connection ID") },
		SetRemote: func(remote netip.AddrPort, ref ConnRef) {
			if routes[remote] = ref; ref == 0 {
				delete(routes, remote)
			}
		}}), routes
}

type fakeResetKey struct{}

func (fakeResetKey) Token([]byte) [16]byte { panic("an empty ID has no token") }
func (fakeResetKey) Close()                {}

// With empty IDs, the Endpoint finds connections by the peer's address, whatever the header. One connection has each address.
//
// "An endpoint MUST NOT use the same IP address and port for multiple concurrent connections with zero-length connection
// IDs, unless it is certain that those protocol features are not in use."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.1-8
func TestEndpointWithEmptyIDs(t *testing.T) {
	e, routes := emptyEndpoint()
	now := monotime.Time(time.Second)
	at := func(remote netip.AddrPort) EndpointEvent {
		return EndpointEvent{Kind: AddConnID, Path: Path{Remote: remote}}
	}
	receive := func(remote netip.AddrPort, first byte) Routed {
		d := make([]byte, 100)
		d[0] = first
		r := e.Receive(now, &Train{Path: Path{Remote: remote}, Data: d, SegmentSize: len(d)}, 0, make([]byte, MaxUnknownSize))
		require.NoError(t, e.CheckInvariants())
		return r
	}
	for ref := ConnRef(1); ref <= 3; ref++ {
		e.Add(now, ref, nil)
	}
	require.True(t, e.HandleConnEvent(now, 1, at(serverAddr)))
	require.True(t, e.HandleConnEvent(now, 2, at(otherAddr)))
	require.False(t, e.HandleConnEvent(now, 3, at(serverAddr)), "it is taken")
	for _, first := range []byte{0x40, 0xc0} { // version 0: Version Negotiation
		require.EqualValues(t, 1, receive(serverAddr, first).Conn)
		require.EqualValues(t, 2, receive(otherAddr, first).Conn)
		require.Equal(t, RouteDrop, receive(clientAddr, first).Kind)
	}
	require.Equal(t, map[netip.AddrPort]ConnRef{serverAddr: 1, otherAddr: 2}, routes)

	// A path to a preferred address has the same connection, unless another has it.
	require.True(t, e.HandleConnEvent(now, 1, at(preferredAddr)))
	require.False(t, e.HandleConnEvent(now, 2, at(preferredAddr)))
	require.EqualValues(t, 1, receive(preferredAddr, 0x40).Conn)
	e.HandleConnEvent(now, 1, EndpointEvent{Kind: RetireConnID, Path: Path{Remote: serverAddr}})
	require.Equal(t, RouteDrop, receive(serverAddr, 0x40).Kind)
	require.EqualValues(t, 1, receive(preferredAddr, 0x40).Conn)
	require.True(t, e.HandleConnEvent(now, 3, at(serverAddr)), "it is free again")

	// A remnant answers, and gives way to a new connection.
	for _, further := range []netip.AddrPort{serverAddr, otherPort} {
		e.HandleConnEvent(now, 1, at(further))
	}
	e.HandleConnEvent(now, 1, EndpointEvent{Kind: ConnClosed, Remnant: Remnant{Close: []byte("closed"), Expires: now.Add(time.Second)}})
	require.Equal(t, map[netip.AddrPort]ConnRef{serverAddr: 3, otherAddr: 2}, routes)
	require.Equal(t, "closed", string(receive(preferredAddr, 0x40).Reply.Data))
	require.Equal(t, RouteDrop, receive(otherPort, 0x40).Kind)
	e.Add(now, 4, nil)
	require.True(t, e.HandleConnEvent(now, 4, at(preferredAddr)))
	require.EqualValues(t, 4, e.RemoteOwner(preferredAddr))
	now = now.Add(time.Minute)
	e.HandleTimeout(now)
	require.EqualValues(t, 4, receive(preferredAddr, 0x40).Conn)
	for ref := ConnRef(2); ref <= 4; ref++ {
		e.HandleConnEvent(now, ref, EndpointEvent{Kind: ConnClosed})
	}
	require.NoError(t, e.CheckInvariants())
	require.Empty(t, routes)
	require.Empty(t, e.remotes)
	require.Zero(t, e.initials.len())
}

// A client with empty IDs that probes a preferred address routes it, and no longer when it gives the path up.
func TestEmptyIDsAtPreferredAddress(t *testing.T) {
	o := withIDs(0, 8)
	server := o.server
	o.server = func(c *Config) { server(c); withPreferred(c) }
	r := newRig(t, o)
	r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
		return from == tlsprovider.Server || d[0]&0x80 != 0 || r.client.mig == nil || len(d) != MinInitialSize
	}
	var evs []EndpointEvent
	pump := func() {
		for range 20 {
			r.step(r.server, tlsprovider.Server)
			evs = append(evs, r.client.PollEndpointEvents()...)
			r.step(r.client, tlsprovider.Client)
		}
	}
	r.step(r.client, tlsprovider.Client)
	pump()
	want := EndpointEvent{Kind: AddConnID, Path: Path{Remote: preferredAddr}}
	require.Contains(t, evs, want)
	for range 100 {
		if !r.client.migrating() {
			break
		}
		r.now = r.client.NextTimeout()
		r.client.HandleTimeout(r.now)
		evs = append(evs, r.client.PollEndpointEvents()...)
		r.step(r.client, tlsprovider.Client)
	}
	want.Kind = RetireConnID
	require.Contains(t, evs, want)
	require.NoError(t, errOf(r.client))
	require.Equal(t, serverAddr, r.client.Path().Remote)

	// If another connection has the address, the path is given up like one that does not work.
	want.Kind = AddConnID
	r.client.HandleIDConflict(r.now, want)
	require.NoError(t, errOf(r.client))
}

var errNoID = errors.New("no ID")

// A generator that fails costs connections that need an ID to begin, and other ones their spare IDs.
func TestGeneratorFails(t *testing.T) {
	fails := func() (wire.ConnID, error) { return wire.ConnID{}, errNoID }
	t.Run("client", func(t *testing.T) {
		r := newRig(t, rigOptions{})
		cfg := *r.client.cfg
		cfg.NewConnID = fails
		_, err := NewClientConn(r.now, &cfg, Path{Remote: serverAddr})
		require.ErrorIs(t, err, errNoID)
	})
	t.Run("server", func(t *testing.T) {
		r := newRig(t, rigOptions{endpoint: func(c *EndpointConfig) { c.NewConnID = fails }})
		r.pump()
		require.Nil(t, r.server)
		require.Positive(t, r.endpoint.Drops()[DropNoConnID])
		require.Zero(t, r.endpoint.hellos.len())
	})
	t.Run("Retry", func(t *testing.T) {
		r := newRig(t, rigOptions{validation: ValidateAlways, endpoint: func(c *EndpointConfig) { c.NewConnID = fails }})
		r.pump()
		require.Positive(t, r.endpoint.Drops()[DropNoConnID])
		require.Zero(t, r.routed[RouteReply])
	})
	t.Run("preferred address", func(t *testing.T) {
		r := newRig(t, rigOptions{})
		cfg := *r.serverConfig
		withPreferred(&cfg)
		cfg.NewConnID = fails
		_, err := NewServerConn(r.now, &cfg, &Incoming{LocalID: testID("12345678")})
		require.ErrorIs(t, err, errNoID)
	})
	t.Run("spare IDs", func(t *testing.T) {
		working := true
		r := newRig(t, rigOptions{server: func(c *Config) {
			next := c.NewConnID
			c.NewConnID = func() (wire.ConnID, error) {
				if !working {
					return fails()
				}
				return next()
			}
		}})
		working = false
		r.pump()
		require.True(t, r.server.tls.confirmed)
		require.Len(t, r.server.ids.local, 1)
		r.transfer(t, r.client, r.server)
		working = true
		r.server.ids.issue(r.server)
		r.pump()
		require.Len(t, r.client.ids.remote, 2)
	})
}

// An Endpoint does not give a client an ID that a connection has, and a generator that always returns the same one costs
// new connections, not the one that has it.
//
// "As a trivial example, this means the same connection ID MUST NOT be issued more than once on the same connection."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.1-4
func TestGeneratorRepeatsItself(t *testing.T) {
	same := func() (wire.ConnID, error) { return testID("the same"), nil }
	r := connected(t, rigOptions{
		server:   func(c *Config) { c.NewConnID = same },
		endpoint: func(c *EndpointConfig) { c.NewConnID = same },
	})
	require.Len(t, r.server.ids.local, 1, "there are no spare IDs")
	r.transfer(t, r.client, r.server)

	got := r.receiveFrom(otherAddr, r.firstFlight(testID("12345678"), nil, partOfHello))
	require.Equal(t, DropNoConnID, got.Drop)
	r.transfer(t, r.server, r.client)
}

// If two connections get the same ID at the same time, the Endpoint notices it before the peer knows the ID.
func TestIDConflicts(t *testing.T) {
	t.Run("a spare ID", func(t *testing.T) {
		r := connected(t, rigOptions{})
		s := &r.server.ids
		next := s.nextLocal
		s.issueSpares(r.server, 3)
		require.EqualValues(t, next+2, s.nextLocal)
		evs := r.server.PollEndpointEvents()
		require.Len(t, evs, 2)
		r.endpoint.Add(r.now, 99, nil)
		require.True(t, r.endpoint.HandleConnEvent(r.now, 99, EndpointEvent{Kind: AddConnID, ConnID: evs[0].ConnID}))
		require.False(t, r.endpoint.HandleConnEvent(r.now, r.ref, evs[0]))
		require.True(t, r.endpoint.HandleConnEvent(r.now, r.ref, evs[1]))
		r.server.HandleIDConflict(r.now, evs[0])
		require.Equal(t, next, s.nextLocal, "sequence numbers have no gap")
		r.pump()
		require.NoError(t, r.endpoint.CheckInvariants())
		require.NoError(t, errOf(r.server))
		r.transfer(t, r.client, r.server)
	})
	t.Run("the ID of a closed connection", func(t *testing.T) {
		r := newRig(t, rigOptions{})
		id := EndpointEvent{Kind: AddConnID, ConnID: testID("12345678")}
		r.endpoint.Add(r.now, 1, nil)
		require.True(t, r.endpoint.HandleConnEvent(r.now, 1, id))
		r.endpoint.HandleConnEvent(r.now, 1, EndpointEvent{Kind: ConnClosed, Remnant: Remnant{Expires: r.now.Add(time.Second)}})
		r.endpoint.Add(r.now, 2, nil)
		require.True(t, r.endpoint.HandleConnEvent(r.now, 2, id), "the remnant gives way")
		require.NoError(t, r.endpoint.CheckInvariants())
		r.now = r.now.Add(time.Minute)
		r.endpoint.HandleTimeout(r.now)
		require.NoError(t, r.endpoint.CheckInvariants())
		got := r.receiveFrom(clientAddr, []byte("\x4012345678"))
		require.EqualValues(t, 2, got.Conn)
	})
	t.Run("the first ID of a server", func(t *testing.T) {
		r := newRig(t, rigOptions{})
		r.onDatagram = func(tlsprovider.Side, []byte) bool {
			if r.server == nil {
				return true
			}
			r.server.HandleIDConflict(r.now, EndpointEvent{Kind: AddConnID, ConnID: r.server.ids.local[0].id})
			return true
		}
		r.pump()
		require.Equal(t, wire.InternalError, wire.ErrorCode(r.server.Err().Code))
		require.ErrorIs(t, errOf(r.server), ErrConnIDInUse)
		require.True(t, r.client.Err().Remote)
	})
	t.Run("the first ID of a client", func(t *testing.T) {
		for length, want := range map[int]error{0: ErrRemoteInUse, 8: ErrConnIDInUse} {
			r := newRig(t, withIDs(length, 8))
			r.client.HandleIDConflict(r.now, r.client.PollEndpointEvents()[0])
			require.ErrorIs(t, errOf(r.client), want)
			_, ok := r.client.PollTransmit(r.now, r.buf)
			require.False(t, ok, "nothing is sent")
		}
	})
}

// The last connection ID of a server cannot be retired while there is no other.
func TestLastIDIsNotRetired(t *testing.T) {
	r := connected(t, rigOptions{server: func(c *Config) {
		c.NewConnID = func() (wire.ConnID, error) { return wire.ConnID{}, errNoID }
	}})
	require.Len(t, r.server.ids.local, 1)
	r.server.handleRetireConnID(wire.RetireConnectionID{Seq: 0}, []byte("another1"))
	require.Equal(t, wire.InternalError, wire.ErrorCode(r.server.Err().Code))
	require.Len(t, r.server.ids.local, 1)
}

// Clients with one address whose ClientHellos are incomplete get different IDs, however short those are.
func TestShortIDsOfHalfHellos(t *testing.T) {
	ids := idsOf(1, 0)
	calls := 0
	r := newRig(t, rigOptions{endpoint: func(c *EndpointConfig) {
		c.ConnIDLen = 1
		c.NewConnID = func() (wire.ConnID, error) { // each ID twice
			if calls++; calls%2 == 1 {
				return ids()
			}
			return testID(string(rune(calls / 2))), nil
		}
	}})
	for i := range 50 {
		r.receiveFrom(clientAddr, r.firstFlight(testID(fmt.Sprintf("client%02d", i)), nil, partOfHello))
	}
	require.Equal(t, 50, r.endpoint.hellos.len())
	r.now = r.now.Add(time.Hour)
	r.endpoint.HandleTimeout(r.now)
	require.Zero(t, r.endpoint.hellos.len())
	require.NoError(t, r.endpoint.CheckInvariants())
}

// A client that has received the acknowledgement of the first half of its ClientHello sends the second to the server's ID,
// however short that is.
func TestShortIDOfHalfAHello(t *testing.T) {
	for _, length := range []int{1, 4, 8} {
		r := newRig(t, withIDs(8, length))
		toOurs := 0
		r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
			h, n := wire.ParseLongHeader(d)
			if n < 0 || from == tlsprovider.Server || h.Type != wire.PacketInitial {
				return true
			}
			if h.DstID.Len() == length && h.DstID != r.client.ids.originalDst {
				toOurs++
			}
			return r.endpoint.hellos.len() == 0 || toOurs > 0 // the second half is lost at first
		}
		r.pump()
		r.wait(2 * time.Second)
		require.Positive(t, toOurs)
		require.NoError(t, errOf(r.client))
		require.NotNil(t, r.server)
		require.True(t, r.client.tls.confirmed)
	}
}
