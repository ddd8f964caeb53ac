package core

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// updatePuppet updates the keys with which the test sends as the client.
func (r *rig) updatePuppet() {
	r.t.Helper()
	require.NoError(r.t, r.client.spaces[recovery.SpaceApp].seal.Update())
	r.client.keys.sealPhase++
}

// A peer may update its keys as often as it likes if it waits for our acknowledgement each time. Otherwise
// it violates the protocol.
func TestPeerUpdatesKeysTwice(t *testing.T) {
	r := connected(t, rigOptions{})
	for range 4 {
		r.updatePuppet()
		r.say(server, recovery.SpaceApp, wire.Ping{})
		r.say(server, recovery.SpaceApp, wire.Ping{}) // the second one is acknowledged at once
		require.NoError(t, errOf(r.server))
	}
	require.Equal(t, uint64(4), r.server.keys.openPhase)
	r.updatePuppet()
	first := r.packet(server, recovery.SpaceApp, []byte{1, 0, 0, 0}, nil)
	r.updatePuppet()
	second := r.packet(server, recovery.SpaceApp, []byte{1, 0, 0, 0}, nil)
	r.server.HandleTrain(r.now, Train{Path: r.server.path, Data: first, SegmentSize: len(first)})
	require.NoError(t, errOf(r.server))
	r.requireClosed(server, wire.KeyUpdateError, r.give(server, second))
}

// A packet of the old key phase cannot acknowledge a packet of the new one, because a peer that received
// the latter has updated its keys.
func TestAcknowledgementUnderOldKeys(t *testing.T) {
	ack := func(pn wire.PacketNumber) []byte {
		return wire.AppendAck(nil, []wire.PNRange{{Start: pn, End: pn + 1}}, 0, nil, 100)
	}
	r := connected(t, rigOptions{})
	require.NotEmpty(t, r.say(server, recovery.SpaceApp, wire.Ping{}), "a gap in the packet numbers is acknowledged at once")
	r.sayBytes(server, recovery.SpaceApp, ack(r.server.loss.NextNumber(recovery.SpaceApp)-1))
	require.True(t, r.server.UpdateKeys())
	old := r.server.loss.NextNumber(recovery.SpaceApp) - 1
	r.server.OpenStream(r.now, true)
	for range 2 {
		r.say(server, recovery.SpaceApp, wire.Ping{})
	}
	sealed := r.server.loss.NextNumber(recovery.SpaceApp) - 1
	require.Greater(t, sealed, old)
	r.sayBytes(server, recovery.SpaceApp, ack(old))
	require.NoError(t, errOf(r.server), "packets of the old phase may be acknowledged in either phase")
	r.requireClosed(server, wire.KeyUpdateError, r.sayBytes(server, recovery.SpaceApp, ack(sealed)))
}

// Handshake data that TLS has not read when it changes keys closes the connection, at any level.
//
// "When TLS provides keys for a higher encryption level, if there is data from a previous encryption level that TLS has
// not consumed, this MUST be treated as a connection error of type PROTOCOL_VIOLATION."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.1.3-10.3
func TestLeftoverCrypto(t *testing.T) {
	for _, offset := range []uint64{5000, 9000} {
		r := newRig(t, rigOptions{provider: fake.Options{Classical: true}})
		r.step(r.client, client)
		require.NotNil(t, r.server)
		d := r.packet(server, recovery.SpaceInitial, pad(wire.Crypto{Offset: offset, Data: []byte{1, 2, 3}}.Append(nil)), nil)
		r.server.HandleTrain(r.now, Train{Path: r.server.path, Data: d, SegmentSize: len(d)})
		require.NoError(t, errOf(r.server))
		r.step(r.server, server)
		require.Error(t, errOf(r.server))
		require.Equal(t, wire.ProtocolViolation, wire.ErrorCode(r.server.Err().Code))
	}
	t.Run("before the handshake is complete", func(t *testing.T) {
		r := newRig(t, rigOptions{provider: fake.Options{Classical: true}})
		r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
			if from == client && r.server != nil && r.server.spaces[recovery.SpaceHandshake].open != nil {
				r.server.spaces[recovery.SpaceHandshake].in.receive(wire.Crypto{Offset: 5000, Data: []byte{1}})
			}
			return true
		}
		for range 20 {
			r.step(r.client, client)
			if r.server != nil && r.server.Err() == nil {
				r.step(r.server, server)
			}
		}
		require.Error(t, errOf(r.server))
		require.Equal(t, wire.ProtocolViolation, wire.ErrorCode(r.server.Err().Code))
		require.False(t, r.server.tls.complete)
	})
}

func pad(b []byte) []byte { return append(b, make([]byte, MinInitialSize)...) }

// "An endpoint MUST expand datagrams that contain a PATH_RESPONSE frame to at least the smallest
// allowed maximum datagram size of 1200 bytes."
func TestPathResponseIsExpanded(t *testing.T) {
	r := connected(t, rigOptions{})
	d := r.packet(server, recovery.SpaceApp, wire.PathChallenge{Data: [8]byte{7}}.Append(nil), nil)
	r.server.HandleTrain(r.now, Train{Path: r.server.path, Data: d, SegmentSize: len(d)})
	tx, ok := r.server.PollTransmit(r.now, r.buf)
	require.True(t, ok)
	require.GreaterOrEqual(t, len(tx.Data), MinInitialSize)
	require.Contains(t, r.read(r.client, bytes.Clone(tx.Data)), wire.Frame(wire.PathResponse{Data: [8]byte{7}}))
}

// The rate of Version Negotiation packets is limited.
func TestVersionNegotiationIsLimited(t *testing.T) {
	r := newRig(t, rigOptions{})
	d := append([]byte{0xc0, 0x57, 0x41, 0x49, 0x54, 0, 0}, make([]byte, 1200)...)
	replies := 0
	for range 2 * attemptBurst {
		train := Train{Path: Path{Remote: clientAddr}, Data: d, SegmentSize: len(d)}
		if r.endpoint.Receive(r.now, &train, r.validation, make([]byte, MaxUnknownSize)).Kind == RouteReply {
			replies++
		}
	}
	require.Equal(t, attemptBurst, replies)
}

// Packets that are reordered around a key update are opened with the keys of their own phase, in any order,
// and cause no further update.
//
// "An endpoint MUST retain old keys until it has successfully unprotected a packet sent using the new keys."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.1-8
// "For this reason, endpoints MUST be able to retain two sets of packet protection keys for receiving packets: the
// current and the next."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.3-5
func TestReorderingAroundAKeyUpdate(t *testing.T) {
	for _, order := range [][]int{{3, 0, 2, 1, 5, 4}, {5, 4, 3, 2, 1, 0}, {0, 3, 1, 4, 2, 5}, {4, 2, 5, 0, 3, 1}} {
		r := connected(t, rigOptions{})
		var packets [6][]byte
		for i := range packets {
			if i == 3 {
				r.updatePuppet()
			}
			packets[i] = r.packet(server, recovery.SpaceApp, []byte{1, 0, 0, 0}, nil)
		}
		before := r.server.Stats().PacketsReceived
		for _, i := range order {
			r.give(server, packets[i])
			require.NoError(t, errOf(r.server), "%v at %d", order, i)
		}
		require.Equal(t, before+6, r.server.Stats().PacketsReceived, "%v", order)
		require.Equal(t, uint64(1), r.server.keys.openPhase)
		require.Equal(t, uint64(1), r.server.keys.sealPhase)
	}
}

// A packet whose key phase bit was changed on the way does not open and causes no key update.
//
// "Similarly, a packet that appears to trigger a key update but cannot be unprotected successfully MUST be
// discarded."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.5-1
// "Once an endpoint successfully receives a packet with a given packet number, it MUST discard all packets in the
// same packet number space with higher packet numbers if they cannot be successfully unprotected with either the same
// key, or [...] a subsequent packet protection key"
// https://www.rfc-editor.org/rfc/rfc9001#section-5.5-1
func TestChangedPhaseBit(t *testing.T) {
	r := connected(t, rigOptions{})
	for i := range 50 {
		d := r.packet(server, recovery.SpaceApp, []byte{1, 0, 0, 0}, nil)
		d[0] ^= 0x04
		d[len(d)-1-i%16] ^= byte(i)
		r.give(server, d)
	}
	require.NoError(t, errOf(r.server))
	require.Zero(t, r.server.keys.openPhase)
	require.Zero(t, r.server.keys.sealPhase)
	require.Zero(t, r.server.Stats().KeyUpdates)
}

// We start a key update only after the handshake is confirmed, a packet of the current phase was
// acknowledged, and three probe timeouts have passed since the last update.
//
// "An endpoint MUST NOT initiate a key update prior to having confirmed the handshake (Section 4.1.2)."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.1-5
func TestWhenWeMayUpdate(t *testing.T) {
	r := midHandshake(t, recovery.SpaceHandshake)
	require.False(t, r.client.UpdateKeys(), "during the handshake")
	r = connected(t, rigOptions{})
	exchange := func() {
		id, err := r.client.OpenStream(r.now, false)
		require.NoError(t, err)
		_, err = r.client.Write(r.now, id, []byte("x"))
		require.NoError(t, err)
		r.pump()
		now := r.now
		for r.client.loss.Path().BytesInFlight() > 0 && r.now.Sub(now) < time.Second {
			r.wait(time.Millisecond)
		}
	}
	exchange()
	r.client.tls.confirmed = false
	require.False(t, r.client.UpdateKeys(), "before HANDSHAKE_DONE")
	r.client.tls.confirmed = true
	require.True(t, r.client.UpdateKeys())
	require.False(t, r.client.UpdateKeys(), "before the peer has answered")
	exchange()
	require.Equal(t, uint64(1), r.client.keys.openPhase)
	require.True(t, r.client.keys.acked)
	require.False(t, r.client.UpdateKeys(), "while the previous keys are kept")
	r.wait(3 * r.client.loss.PTO())
	require.True(t, r.client.UpdateKeys())
	exchange()
	require.Equal(t, uint64(2), r.server.keys.openPhase)
}

// After a key update by the peer, we also wait for the acknowledgement of a packet in the new phase.
func TestUpdateAfterPeersUpdate(t *testing.T) {
	r := connected(t, rigOptions{})
	r.updatePuppet()
	for range 2 {
		r.say(server, recovery.SpaceApp, wire.Ping{})
	}
	require.Equal(t, uint64(1), r.server.keys.sealPhase)
	r.now = r.now.Add(10 * time.Second)
	r.server.HandleTimeout(r.now)
	require.True(t, r.server.keys.dropPrevious.IsZero())
	require.False(t, r.server.UpdateKeys(), "no packet of this phase was acknowledged")
	r.heard(r.server, r.client)
	pn := r.server.loss.NextNumber(recovery.SpaceApp) - 1
	r.sayBytes(server, recovery.SpaceApp, wire.AppendAck(nil, []wire.PNRange{{Start: pn, End: pn + 1}}, 0, nil, 100))
	require.NoError(t, errOf(r.server))
	require.True(t, r.server.UpdateKeys())
}

// unchangeable is a Sealer whose keys cannot be updated.
type unchangeable struct{ tlsprovider.Sealer }

func (unchangeable) Update() error { return errTest }

// If our key update fails, nothing but CONNECTION_CLOSE is sent.
func TestKeyUpdateThatFails(t *testing.T) {
	r := connected(t, rigOptions{})
	cfg := *r.server.cfg
	cfg.KeyUpdateAfter = 1
	r.server.cfg = &cfg
	sp := r.server.spaces[recovery.SpaceApp]
	sp.seal = unchangeable{sp.seal}
	id, err := r.server.OpenStream(r.now, false)
	require.NoError(t, err)
	_, err = r.server.Write(r.now, id, []byte("data"))
	require.NoError(t, err)
	answer := r.heard(r.server, r.client)
	require.Len(t, answer, 1)
	r.requireClosed(server, wire.InternalError, answer)
	require.ErrorIs(t, r.server.Err(), errTest)
}
