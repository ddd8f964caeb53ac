package core

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// TestNoInitialAfterHandshakePacket sends Initial packets to a client that has sent a Handshake packet.
//
// "Endpoints MUST NOT send Initial packets after this point."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.9.1-2
// "Thus, a client MUST discard Initial keys when it first sends a Handshake packet and a server MUST discard Initial
// keys when it first successfully processes a Handshake packet."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.9.1-2
func TestNoInitialAfterHandshakePacket(t *testing.T) {
	r := midHandshake(t, recovery.SpaceHandshake)
	sent := map[recovery.Space]int{}
	r.onPacket = func(s recovery.Space, _ uint64, _ []wire.Frame) { sent[s]++ }
	r.say(client, recovery.SpaceHandshake, wire.Ping{})
	r.now = r.now.Add(2 * maxAckHoldFlight)
	r.heard(r.client, r.server)
	require.Positive(t, sent[recovery.SpaceHandshake])
	clear(sent)
	for range 3 {
		r.say(client, recovery.SpaceInitial, wire.Ping{})
		r.expire(client)
	}
	require.Zero(t, sent[recovery.SpaceInitial])
	require.EqualValues(t, 3, r.client.drops[DropKeysDiscarded])
}

// TestExtensionFramesAreAcknowledged sends frames of extensions, which are acknowledged like others.
//
// "Extension frames MUST be congestion controlled and MUST cause an ACK frame to be sent."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.21-4
func TestExtensionFramesAreAcknowledged(t *testing.T) {
	acked := then(func(r *rig, answer []wire.Frame) { require.Len(r.t, framesOf[wire.Ack](answer), 1) })
	later := then(func(r *rig, _ []wire.Frame) {
		require.Len(r.t, framesOf[wire.Ack](append(r.expire(server), r.expire(server)...)), 1)
	})
	o := withDatagrams()
	datagrams := o.server
	o.server = func(c *Config) { datagrams(c); c.AckFrequency = true }
	play(t, o, nil, []exchange{
		{"DATAGRAM", server, packed(wire.Datagram{Data: []byte("data")}), acked},
		{"ACK_FREQUENCY", server, packed(wire.AckFrequency{Threshold: 1, MaxDelay: 25_000}), later},
		{"IMMEDIATE_ACK", server, append(packed(wire.ImmediateAck{}), 0, 0, 0), acked},
	})
}

// TestDatagramsWaitForTheWindow fills the congestion window before a datagram is sent.
//
// "The sender MUST either delay sending the frame until the controller allows it or drop the frame without sending it
// (at which point it MAY notify the application)."
// https://www.rfc-editor.org/rfc/rfc9221#section-5.4-1
// "Extension frames MUST be congestion controlled and MUST cause an ACK frame to be sent."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.21-4
func TestDatagramsWaitForTheWindow(t *testing.T) {
	r := connected(t, withDatagrams())
	r.serverWrites(60_000)
	r.heard(r.server, r.client)
	require.NoError(t, r.server.SendDatagram(r.now, []byte("data")))
	require.Empty(t, framesOf[wire.Datagram](r.heard(r.server, r.client)))
	last := r.server.loss.NextNumber(recovery.SpaceApp) - 1
	answer := r.sayBytes(server, recovery.SpaceApp, wire.AppendAck(nil, []wire.PNRange{{Start: last - 3, End: last + 1}}, 0, nil, 100))
	require.Len(t, framesOf[wire.Datagram](answer), 1)
}

// TestHandshakeKeysAreDiscarded sends the Handshake packets of a handshake again after it is confirmed.
//
// "An endpoint MUST discard its Handshake keys when the TLS handshake is confirmed (Section 4.1.2)."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.9.2-1
func TestHandshakeKeysAreDiscarded(t *testing.T) {
	r := newRig(t, rigOptions{})
	sent := map[tlsprovider.Side][]byte{} // one Handshake packet of each side
	r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
		for b := d; len(b) > 0; {
			h, n := wire.ParseLongHeader(b)
			if n < 0 {
				break
			}
			if h.Type == wire.PacketHandshake {
				sent[from] = bytes.Clone(b[:h.Len])
			}
			b = b[h.Len:]
		}
		return true
	}
	r.pump()
	for _, side := range []tlsprovider.Side{client, server} {
		c, _ := r.side(side)
		require.True(t, c.tls.confirmed)
		d := sent[side.Peer()]
		require.NotEmpty(t, d)
		dropped := c.Stats().Drops[DropKeysDiscarded]
		c.HandleTrain(r.now, Train{Path: c.path, Data: d, SegmentSize: len(d)})
		require.Equal(t, dropped+1, c.Stats().Drops[DropKeysDiscarded], "not a duplicate, which has to be opened")
		require.Nil(t, c.spaces[recovery.SpaceHandshake].seal)
	}
}

// TestNoOneRTTBeforeTheHandshakeIsComplete sends 1-RTT packets to sides that have the keys for them.
//
// "Endpoints in either role MUST NOT decrypt 1-RTT packets from their peer prior to completing the handshake."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.7-1
// "A server MUST NOT process incoming 1-RTT protected packets before the TLS handshake is complete."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.7-4
// "Even if it has 1-RTT secrets, a client MUST NOT process incoming 1-RTT protected packets before the TLS handshake is
// complete."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.7-8
func TestNoOneRTTBeforeTheHandshakeIsComplete(t *testing.T) {
	for _, side := range []tlsprovider.Side{client, server} {
		r := connected(t, rigOptions{})
		c, _ := r.side(side)
		c.tls.complete = false // as before the Finished message of the peer
		before := c.Stats()
		r.say(side, recovery.SpaceApp, wire.MaxData{Max: 1 << 40})
		after := c.Stats()
		require.Equal(t, before.PacketsReceived, after.PacketsReceived)
		require.Equal(t, before.Drops, after.Drops, "kept for later")
		c.tls.complete = true
		c.replayEarly()
		require.Equal(t, before.PacketsReceived+1, c.Stats().PacketsReceived)
	}
}

// TestProbesElicitAcks has a server whose probes have nothing to repeat.
//
// "All probe packets sent on a PTO MUST be ack-eliciting."
// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.4-1
func TestProbesElicitAcks(t *testing.T) {
	r := connected(t, withDatagrams())
	require.NoError(t, r.server.SendDatagram(r.now, []byte("not repeated")))
	require.NotEmpty(t, framesOf[wire.Datagram](r.heard(r.server, r.client)))
	probes := 0
	r.onPacket = func(_ recovery.Space, _ uint64, frames []wire.Frame) {
		probes++
		require.Greater(t, len(frames), len(framesOf[wire.Ack](frames)), "%v", frames)
	}
	before := r.server.loss.Counters().ProbeTimeouts
	for range 3 {
		r.expire(server)
	}
	require.Equal(t, before+3, r.server.loss.Counters().ProbeTimeouts)
	require.GreaterOrEqual(t, probes, 3)
}

// TestKeysAreUpdatedBeforeTheLimit sends several times as many packets as one set of keys may seal.
//
// "An endpoint MUST initiate a key update (Section 6) prior to exceeding any limit set for the AEAD that is in use."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.3-9
// "Endpoints MUST initiate a key update before sending more protected packets than the confidentiality limit for the
// selected AEAD permits."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.6-4
func TestKeysAreUpdatedBeforeTheLimit(t *testing.T) {
	const limit = 200
	r := connected(t, rigOptions{provider: fake.Options{ConfidentialityLimit: limit}})
	r.upload(1_500_000)
	require.NoError(t, errOf(r.client))
	require.NoError(t, errOf(r.server))
	s := r.client.Stats()
	require.Greater(t, s.PacketsSent, uint64(4*limit))
	require.GreaterOrEqual(t, s.KeyUpdates, s.PacketsSent/limit)
}

// TestCreditIsSentUnasked has a peer that never says that it is blocked.
//
// "Therefore, a receiver MUST NOT wait for a STREAM_DATA_BLOCKED or DATA_BLOCKED frame before sending a MAX_STREAM_DATA
// or MAX_DATA frame; doing so could result in the sender being blocked for the rest of the connection."
// https://www.rfc-editor.org/rfc/rfc9000#section-4.2-5
func TestCreditIsSentUnasked(t *testing.T) {
	r := connected(t, rigOptions{server: func(c *Config) { // windows that do not grow
		c.Streams.MaxRecvWindow, c.Streams.MaxConnWindow = c.Streams.RecvWindow, c.Streams.ConnWindow
	}})
	var credit []wire.Frame
	for id := range uint64(3) {
		r.say(server, recovery.SpaceApp, wire.Stream{ID: 4 * id, Data: make([]byte, 40_000)})
		n, err := r.server.Read(r.now, streams.ID(4*id), make([]byte, 40_000))
		require.NoError(t, err)
		require.Equal(t, 40_000, n)
		credit = append(credit, r.heard(r.server, r.client)...)
	}
	require.Len(t, framesOf[wire.MaxStreamData](credit), 3)
	require.NotEmpty(t, framesOf[wire.MaxData](credit))
}

// TestNoTransportParameters has a provider complete a handshake in which the peer has sent no transport parameters.
//
// "[...] endpoints that receive ClientHello or EncryptedExtensions messages without the quic_transport_parameters extension
// MUST close the connection with an error of type 0x016d (equivalent to a fatal TLS missing_extension alert, see Section
// 4.8)."
// https://www.rfc-editor.org/rfc/rfc9001#section-8.2-5
func TestNoTransportParameters(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.client.handlePeerParams(nil)
	r.client.handleHandshakeComplete(tlsprovider.State{})
	require.NotNil(t, r.client.Err())
	require.EqualValues(t, 0x16d, r.client.Err().Code)
	require.False(t, r.client.tls.complete)
}
