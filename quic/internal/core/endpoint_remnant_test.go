package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// Remnants are forgotten in the order in which they expire, even if the differences exceed a 32-bit
// integer.
func TestRemnantsExpireInOrder(t *testing.T) {
	r := newRig(t, rigOptions{})
	// Differences of 2 and of 3 seconds have opposite signs when cut to 32 bits.
	after := []time.Duration{5 * time.Second, 2 * time.Second, 7 * time.Second, 4 * time.Second, 1 * time.Second, 9 * time.Second}
	for i, d := range after {
		ref := ConnRef(1000 + i)
		r.endpoint.Add(r.now, ref, nil)
		r.endpoint.HandleConnEvent(r.now, ref, EndpointEvent{Kind: AddConnID, ConnID: r.connID()})
		r.endpoint.HandleConnEvent(r.now, ref, EndpointEvent{Kind: ConnClosed, Remnant: Remnant{Expires: r.now.Add(d)}})
	}
	began := r.now
	for elapsed := time.Second; elapsed < 10*time.Second; elapsed += time.Second {
		r.now = began.Add(elapsed)
		r.endpoint.HandleTimeout(r.now)
		require.NoError(t, r.endpoint.CheckInvariants())
		left := 0
		for _, d := range after {
			if d > elapsed {
				left++
			}
		}
		require.Equal(t, left, r.endpoint.closed.len(), "after %v", elapsed)
	}
	require.True(t, r.endpoint.NextTimeout().IsZero())
}

// Connections that end at about the same time share a timeout, after the one at which each would expire.
func TestRemnantsShareTimeouts(t *testing.T) {
	r := newRig(t, rigOptions{})
	const n, spacing = 100, time.Millisecond
	var last monotime.Time
	for i := range ConnRef(n) {
		r.endpoint.Add(r.now, 1000+i, nil)
		r.endpoint.HandleConnEvent(r.now, 1000+i, EndpointEvent{Kind: AddConnID, ConnID: r.connID()})
		last = r.now.Add(90 * time.Millisecond)
		r.endpoint.HandleConnEvent(r.now, 1000+i, EndpointEvent{Kind: ConnClosed, Remnant: Remnant{Expires: last}})
		r.now = r.now.Add(spacing)
	}
	timeouts := 0
	for next := r.endpoint.NextTimeout(); !next.IsZero(); next = r.endpoint.NextTimeout() {
		r.now = next
		r.endpoint.HandleTimeout(r.now)
		timeouts++
	}
	require.LessOrEqual(t, timeouts, int(n*spacing/remnantRound)+1)
	require.False(t, r.now.Before(last))
}

// addRemnants makes the endpoint keep a remnant of a refused client and of a closed connection.
func (r *rig) addRemnants(ref ConnRef) {
	in := &Incoming{Path: Path{Remote: clientAddr}, DstID: r.connID(), LocalID: r.connID()}
	r.endpoint.keepRefused(in, nil)
	r.endpoint.Add(r.now, ref, nil)
	r.endpoint.HandleConnEvent(r.now, ref, EndpointEvent{Kind: AddConnID, ConnID: r.connID()})
	r.endpoint.HandleConnEvent(r.now, ref, EndpointEvent{Kind: ConnClosed, Remnant: Remnant{Expires: r.now.Add(time.Minute)}})
}

// The number of remnants is bounded. A further one replaces the one that expires first.
func TestRemnantsAreBounded(t *testing.T) {
	r := newRig(t, rigOptions{})
	for i := range maxRemnants + 100 {
		r.addRemnants(ConnRef(1000 + i))
		r.now++
	}
	require.NoError(t, r.endpoint.CheckInvariants())
	require.Equal(t, maxRemnants, r.endpoint.closed.len())
	require.Equal(t, maxRemnants, r.endpoint.refused.len())
	r.endpoint.HandleTimeout(r.now.Add(time.Hour))
	require.NoError(t, r.endpoint.CheckInvariants(), "only connections and remnants have routes")
	require.Zero(t, r.endpoint.NextTimeout(), "no remnant is left")
}

// A packet to a connection ID that the peer has retired was reordered. It is dropped, because a stateless
// reset would end the connection.
func TestRetiredConnIDIsNotReset(t *testing.T) {
	r := connected(t, rigOptions{})
	old := r.server.ids.local[len(r.server.ids.local)-1]
	require.NotEqual(t, old.id, r.server.ids.local[0].id)
	late := func() Routed {
		d := append([]byte{0x40}, old.id.Bytes()...)
		return r.receiveFrom(clientAddr, append(d, make([]byte, 100)...))
	}
	require.Equal(t, RouteConn, late().Kind)
	r.say(server, recovery.SpaceApp, wire.RetireConnectionID{Seq: old.seq})
	r.events(r.server, server)
	got := late()
	require.Equal(t, RouteDrop, got.Kind)
	require.Equal(t, DropRetiredConnID, got.Drop)

	// The number of retired connection IDs that are remembered is bounded.
	var retired []wire.ConnID
	for range 3 * maxLocalIDs {
		last := r.server.ids.local[len(r.server.ids.local)-1]
		retired = append(retired, last.id)
		r.say(server, recovery.SpaceApp, wire.RetireConnectionID{Seq: last.seq})
		r.events(r.server, server)
		require.NoError(t, r.endpoint.CheckInvariants())
	}
	remembered := 0
	for _, old.id = range retired {
		if late().Drop == DropRetiredConnID {
			remembered++
		}
	}
	require.LessOrEqual(t, remembered, maxLocalIDs)
	require.Equal(t, DropRetiredConnID, late().Drop, "the last one is among them")
	r.server.Close(r.now, true, 0, "")
	r.heard(r.server, r.client)
	r.events(r.server, server)
	require.NoError(t, r.endpoint.CheckInvariants())
	old = r.server.ids.local[len(r.server.ids.local)-1]
	resets := r.endpoint.Drops()[DropStatelessReset]
	late()
	require.Equal(t, resets, r.endpoint.Drops()[DropStatelessReset], "the remnant has the connection IDs")
	r.now = r.now.Add(time.Hour)
	r.endpoint.HandleTimeout(r.now)
	require.NoError(t, r.endpoint.CheckInvariants())
	late()
	require.Equal(t, resets+1, r.endpoint.Drops()[DropStatelessReset], "the connection is forgotten")
}

// The Endpoint and the connection forget the connection ID that a client chose some seconds after the
// handshake.
func TestClientsConnIDIsForgotten(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.pump()
	require.True(t, r.server.tls.confirmed)
	first := r.firstFlight(r.client.ids.originalDst, nil, wire.Ping{}.Append(nil))
	require.Equal(t, RouteConn, r.receiveFrom(clientAddr, first).Kind)
	require.False(t, r.server.ids.accepts(r.server, r.client.ids.originalDst.Bytes()))
	r.now = r.now.Add(defaultHelloTimeout + time.Second)
	r.endpoint.HandleTimeout(r.now)
	require.NoError(t, r.endpoint.CheckInvariants())
	require.NotEqual(t, RouteConn, r.receiveFrom(clientAddr, first).Kind, "it could be another client's now")
	short := append([]byte{0x40}, r.server.ids.local[0].id.Bytes()...)
	require.Equal(t, RouteConn, r.receiveFrom(clientAddr, append(short, make([]byte, 100)...)).Kind, "the connection stays open")
}
