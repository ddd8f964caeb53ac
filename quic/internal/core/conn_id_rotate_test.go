package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

const testLifetime = 10 * time.Second

func withLifetime(c *Config) { c.ConnIDLifetime, c.IdleTimeout = testLifetime, time.Hour }

// After the lifetime of the server's connection IDs, the first packet of the client makes it replace all of them. It asks
// for the retirement of each once, accepts the old ones until then, and does not replace the new ones before.
//
// "The endpoint SHOULD continue to accept the previously issued connection IDs until they are retired by the peer."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.2-4
// "Endpoints SHOULD NOT issue updates of the Retire Prior To field before receiving RETIRE_CONNECTION_ID frames that retire
// all connection IDs indicated by the previous Retire Prior To value."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.2-7
// "An endpoint MUST NOT provide more connection IDs than the peer's limit."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1-4
func TestConnIDLifetime(t *testing.T) {
	r := connected(t, rigOptions{server: withLifetime})
	ping := func() []wire.Frame { return r.say(server, recovery.SpaceApp, wire.Ping{}) }
	require.Empty(t, framesOf[wire.NewConnectionID](ping()), "before the lifetime has passed")

	r.now = r.now.Add(testLifetime)
	issued := framesOf[wire.NewConnectionID](ping())
	require.Len(t, issued, 2)
	for i, f := range issued {
		require.EqualValues(t, 2+i, f.Seq)
		require.EqualValues(t, 2, f.RetirePriorTo)
	}
	r.now = r.now.Add(2 * testLifetime)
	r.sayBytes(server, recovery.SpaceApp, ackFrame(r.server.loss.NextNumber(recovery.SpaceApp)-1))
	require.Empty(t, framesOf[wire.NewConnectionID](ping()), "the old IDs are not retired")
	require.NoError(t, errOf(r.server))

	// The client uses a new ID and retires the old ones.
	toNew := func(h []byte) { copy(h[1:], issued[0].ConnID.Bytes()) }
	frames := packed(wire.RetireConnectionID{Seq: 0})
	require.Empty(t, framesOf[wire.NewConnectionID](r.give(server, r.packet(server, recovery.SpaceApp, frames, toNew))), "one is left")
	frames = packed(wire.RetireConnectionID{Seq: 1})
	issued = framesOf[wire.NewConnectionID](r.give(server, r.packet(server, recovery.SpaceApp, frames, toNew)))
	require.Len(t, issued, 2, "the lifetime of the new ones has passed as well")
	require.EqualValues(t, 4, issued[0].Seq)
	require.EqualValues(t, 4, issued[0].RetirePriorTo)
	require.NoError(t, r.server.CheckInvariants())
}

// The IDs of the handshake are replaced once, when it is confirmed, on both sides.
func TestHandshakeIDsAreReplaced(t *testing.T) {
	rotate := func(c *Config) { c.RotateHandshakeIDs, c.IdleTimeout = true, 100*time.Hour }
	r := connected(t, rigOptions{client: rotate, server: rotate})
	r.transfer(t, r.client, r.server)
	r.transfer(t, r.server, r.client)
	for _, c := range []*Conn{r.client, r.server} {
		require.Positive(t, c.ids.remote[0].seq, "the peer's first ID is still used")
		require.Positive(t, c.ids.local[0].seq, "our first ID is not retired")
	}
	was := [2]wire.ConnID{r.client.ids.dst(), r.server.ids.dst()}
	r.wait(50 * time.Hour)
	r.transfer(t, r.client, r.server)
	r.transfer(t, r.server, r.client)
	require.Equal(t, was, [2]wire.ConnID{r.client.ids.dst(), r.server.ids.dst()}, "they have no lifetime")
}

// NEW_CONNECTION_ID frames that are lost are sent again, with a Retire Prior To that is not larger than their sequence
// number.
func TestRotationIsRepeated(t *testing.T) {
	r := connected(t, rigOptions{server: withLifetime})
	r.now = r.now.Add(testLifetime)
	first := framesOf[wire.NewConnectionID](r.say(server, recovery.SpaceApp, wire.Ping{}))
	require.Len(t, first, 2)
	var again []wire.NewConnectionID
	for range 4 {
		again = append(again, framesOf[wire.NewConnectionID](r.expire(server))...)
	}
	require.Subset(t, again, first)
	require.Subset(t, first, again)

	// Our client replaces the old ones by them.
	for _, f := range first {
		r.client.handleNewConnID(f)
	}
	require.EqualValues(t, 2, r.client.ids.remote[0].seq)
	require.Len(t, r.client.ids.remote, 2)
	require.Len(t, r.client.ids.retiring, 2)
}

// An ID that the peer may not have received yet is issued and retired by the same packet.
//
// "The value in the Retire Prior To field MUST be less than or equal to the value in the Sequence Number field."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.15-9
func TestRotationOfUnsentID(t *testing.T) {
	r := connected(t, rigOptions{server: withLifetime})
	r.server.ids.issueSpares(r.server, 2)
	r.now = r.now.Add(testLifetime)
	issued := framesOf[wire.NewConnectionID](r.say(server, recovery.SpaceApp, wire.Ping{}))
	require.Len(t, issued, 3)
	for i, f := range issued {
		require.EqualValues(t, 2+i, f.Seq)
		require.Equal(t, min(f.Seq, 3), f.RetirePriorTo)
	}
	r.pump()
	require.NoError(t, errOf(r.client))
}

// Both sides replace their IDs while they exchange data. No two of them are the same, and the Endpoint routes all.
func TestRotationOfBothSides(t *testing.T) {
	for _, lengths := range [][2]int{{0, 4}, {4, 20}, {8, 8}, {20, 1}} {
		o := withIDs(lengths[0], lengths[1])
		client, server := o.client, o.server
		o.client = func(c *Config) { client(c); withLifetime(c) }
		o.server = func(c *Config) { server(c); withLifetime(c) }
		r := connected(t, o)
		seen := map[wire.ConnID]bool{}
		for range 10 {
			r.transfer(t, r.client, r.server)
			r.transfer(t, r.server, r.client)
			require.False(t, seen[r.client.ids.dst()], "it was used before")
			seen[r.client.ids.dst()] = true
			if lengths[0] > 0 {
				require.False(t, seen[r.server.ids.dst()], "it was used before")
				seen[r.server.ids.dst()] = true
			}
			r.wait(testLifetime)
		}
		require.NoError(t, errOf(r.client))
		require.NoError(t, errOf(r.server))
		require.Zero(t, r.client.Stats().Drops[DropUnknownConnID]+r.server.Stats().Drops[DropUnknownConnID])
	}
}

// Before the handshake is confirmed, our first ID is the source of packets with long headers, and stays.
func TestNoRotationDuringHandshake(t *testing.T) {
	r := connected(t, rigOptions{client: withLifetime})
	r.client.tls.confirmed = false
	r.now = r.now.Add(testLifetime)
	require.Empty(t, framesOf[wire.NewConnectionID](r.say(client, recovery.SpaceApp, wire.Ping{})))
	r.client.tls.confirmed = true
	require.NotEmpty(t, framesOf[wire.NewConnectionID](r.say(client, recovery.SpaceApp, wire.Ping{})))
}

// The rotation does not keep an idle connection alive, and needs no timer.
func TestRotationOfAnIdleConnection(t *testing.T) {
	r := connected(t, rigOptions{server: func(c *Config) { c.ConnIDLifetime = testLifetime }})
	sent := r.server.Stats().PacketsSent
	r.wait(31 * time.Second)
	require.ErrorIs(t, errOf(r.server), ErrIdleTimeout)
	require.Equal(t, sent, r.server.Stats().PacketsSent)
}

// A client that probes other paths while IDs are replaced gets enough of them.
func TestRotationWithSeveralPaths(t *testing.T) {
	r := connected(t, rigOptions{server: withLifetime})
	id, err := r.client.AddPath(r.now, newLocal)
	require.NoError(t, err)
	r.pump()
	require.True(t, r.client.migrating())
	r.now = r.now.Add(testLifetime)
	r.transfer(t, r.client, r.server)
	require.True(t, r.client.migrating())
	require.GreaterOrEqual(t, len(r.client.ids.remote), 3, "one for each path and a spare one")
	for _, p := range r.client.mig.paths {
		require.GreaterOrEqual(t, p.dst, uint64(3))
	}
	require.NoError(t, r.client.SwitchPath(r.now, id))
	r.pump()
	r.transfer(t, r.server, r.client)
	require.Equal(t, newLocal, r.server.Path().Remote)
}

// If there are no new IDs, the old ones stay in use, and the rotation is tried again.
func TestRotationWithoutIDs(t *testing.T) {
	for _, conflict := range []bool{false, true} {
		working, attempts := true, 0
		r := connected(t, rigOptions{server: func(c *Config) {
			withLifetime(c)
			next := c.NewConnID
			c.NewConnID = func() (wire.ConnID, error) {
				if attempts++; !working && !conflict {
					return wire.ConnID{}, errNoID
				}
				return next()
			}
		}})
		working = false
		id := r.client.ids.dst()
		r.now = r.now.Add(testLifetime)
		attempts = 0
		if conflict {
			r.server.HandleTrain(r.now, Train{Path: r.server.path, Data: r.packetOfClient(), SegmentSize: 100})
			for _, ev := range r.server.PollEndpointEvents() {
				if ev.Kind == AddConnID {
					r.server.HandleIDConflict(r.now, ev)
				}
			}
		}
		r.transfer(t, r.client, r.server)
		r.transfer(t, r.client, r.server)
		require.Equal(t, id, r.client.ids.dst())
		require.LessOrEqual(t, attempts, 2, "it is not tried with every packet")
		working = true
		r.now = r.now.Add(rotateRetry)
		r.transfer(t, r.client, r.server)
		require.NotEqual(t, id, r.client.ids.dst())
		require.NoError(t, r.endpoint.CheckInvariants())
	}
}

// packetOfClient returns a datagram of the client with a PING.
func (r *rig) packetOfClient() []byte {
	r.client.idle.ping = true
	tx, ok := r.client.PollTransmit(r.now, make([]byte, 64<<10))
	require.True(r.t, ok)
	require.Equal(r.t, tx.SegmentSize, len(tx.Data))
	return tx.Data
}

// A connection with a lifetime but empty IDs has nothing to replace.
//
// "An endpoint MUST NOT send this frame if it currently requires that its peer send packets with a zero-length Destination
// Connection ID."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.15-6
func TestNoRotationOfEmptyIDs(t *testing.T) {
	o := withIDs(0, 8)
	client := o.client
	o.client = func(c *Config) { client(c); withLifetime(c) }
	r := connected(t, o)
	packets := 0
	for range 3 {
		r.now = r.now.Add(2 * testLifetime)
		r.onPacket = func(_ recovery.Space, _ uint64, frames []wire.Frame) {
			require.Empty(t, framesOf[wire.NewConnectionID](frames))
			packets++
		}
		r.say(tlsprovider.Client, recovery.SpaceApp, wire.Ping{})
		require.NoError(t, errOf(r.client))
	}
	require.Positive(t, packets)
	require.Nil(t, r.client.ext.rotation)
}
