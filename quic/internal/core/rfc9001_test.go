package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
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
