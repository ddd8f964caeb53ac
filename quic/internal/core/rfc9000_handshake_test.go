package core

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// TestPacketOfAnotherVersion sends an authentic packet to a client in a version that it has not selected.
//
// "If a client receives a packet that uses a different version than it initially selected, it MUST discard that packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.2.1-3
func TestPacketOfAnotherVersion(t *testing.T) {
	r := midHandshake(t, recovery.SpaceInitial)
	ping := append(wire.Ping{}.Append(nil), 0, 0, 0)
	asV2 := func(h []byte) {
		h[0] = h[0]&^0x30 | 0x10 // an Initial packet of version 2
		binary.BigEndian.PutUint32(h[1:], uint32(wire.Version2))
	}
	before := r.client.Stats()
	r.give(client, r.packet(client, recovery.SpaceInitial, ping, asV2))
	after := r.client.Stats()
	require.Equal(t, before.PacketsReceived, after.PacketsReceived)
	require.Equal(t, before.Drops[DropUnknownVersion]+1, after.Drops[DropUnknownVersion])
	require.NoError(t, errOf(r.client))
	r.give(client, r.packet(client, recovery.SpaceInitial, ping, nil))
	require.Equal(t, before.PacketsReceived+1, r.client.Stats().PacketsReceived)
}

// TestInitialPacketsOfServer reads the Initial packets of a server whose client does not answer.
//
// "Similarly, a server MUST expand the payload of all UDP datagrams carrying ack-eliciting Initial packets to at least
// the smallest allowed maximum datagram size of 1200 bytes."
// https://www.rfc-editor.org/rfc/rfc9000#section-14.1-2
// "Initial packets sent by the server MUST set the Token Length field to 0"
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.2-4.2.1
// "If packets from a lower encryption level contain CRYPTO frames, frames that retransmit that data MUST be sent at
// the same encryption level."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.9-2
func TestInitialPacketsOfServer(t *testing.T) {
	r := newRig(t, rigOptions{provider: fake.Options{Classical: true}, validation: ValidateAlways})
	r.onDatagram = func(from tlsprovider.Side, _ []byte) bool { return from == client }
	for range 4 { // the Retry, too
		r.step(r.client, client)
	}
	require.NotNil(t, r.server)
	for j := r.server.PollTLS(); j != nil; j = r.server.PollTLS() {
		j.Run()
		r.server.HandleTLSResult(r.now, j)
	}
	hello := bytes.Clone(r.server.spaces[recovery.SpaceInitial].crypto.buf)
	require.EqualValues(t, 2, hello[0], "a ServerHello")
	eliciting := 0
	for range 3 {
		for tx, ok := r.server.PollTransmit(r.now, r.buf); ok; tx, ok = r.server.PollTransmit(r.now, r.buf) {
			train := Train{Data: bytes.Clone(tx.Data), SegmentSize: tx.SegmentSize}
			for d := train.Next(); len(d) > 0; d = train.Next() {
				h, n := wire.ParseLongHeader(d)
				if n < 0 || h.Type != wire.PacketInitial {
					continue
				}
				require.Empty(t, h.Token)
				frames := r.read(r.client, d[:h.Len])
				for _, f := range framesOf[wire.Crypto](frames) {
					require.Equal(t, hello[f.Offset:][:len(f.Data)], f.Data, "what was sent in Initial packets before")
				}
				if len(framesOf[wire.Crypto](frames))+len(framesOf[wire.Ping](frames)) > 0 {
					eliciting++
					require.GreaterOrEqual(t, len(d), MinInitialSize)
				}
			}
		}
		r.now = max(r.now, r.server.NextTimeout())
		r.server.HandleTimeout(r.now)
	}
	require.GreaterOrEqual(t, eliciting, 2, "sent again")
}

// TestTokenOfServer sends an Initial packet with a token to a client.
//
// "Initial packets sent by the server MUST set the Token Length field to 0; clients that receive an Initial packet
// with a non-zero Token Length field MUST either discard the packet or generate a connection error of type
// PROTOCOL_VIOLATION."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.2-4.2.1
func TestTokenOfServer(t *testing.T) {
	r := midHandshake(t, recovery.SpaceInitial)
	for i, token := range []string{"token", ""} {
		pn := r.server.loss.NextNumber(recovery.SpaceInitial) + wire.PacketNumber(50+i)
		b := wire.AppendLongHeader(nil, wire.PacketInitial, wire.Version1, r.client.ids.src(), r.server.ids.src(), []byte(token), pn, 4)
		n := len(b)
		payload := append(wire.Ping{}.Append(nil), 0, 0, 0)
		b = append(append(b, payload...), zeroTag[:]...)
		wire.PatchLength(b, n, len(payload)+tlsprovider.TagLen)
		require.NoError(t, r.server.spaces[recovery.SpaceInitial].seal.Seal(b, []tlsprovider.SealDesc{
			{HeaderLen: uint32(n), PayloadLen: uint32(len(payload)), PacketNumber: uint64(pn)}}))
		before := r.client.Stats().PacketsReceived
		r.give(client, b)
		require.NoError(t, errOf(r.client))
		require.Equal(t, token == "", r.client.Stats().PacketsReceived == before+1, "token %q", token)
	}
}

// TestReservedBitsOfLongHeaders sets each of the reserved bits.
//
// "An endpoint MUST treat receipt of a packet that has a non-zero value for these bits after removing both packet and
// header protection as a connection error of type PROTOCOL_VIOLATION."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2-8.2.1
func TestReservedBitsOfLongHeaders(t *testing.T) {
	for _, s := range []recovery.Space{recovery.SpaceInitial, recovery.SpaceHandshake} {
		for _, bit := range []byte{0x04, 0x08} {
			r := midHandshake(t, s)
			ping := append(wire.Ping{}.Append(nil), 0, 0, 0)
			answer := r.give(client, r.packet(client, s, ping, func(h []byte) { h[0] |= bit }))
			r.requireClosed(client, wire.ProtocolViolation, answer)
		}
	}
}

// TestClientParametersAreThoseOfClients reads the transport parameters of a client that has a server's settings, too.
//
// "A client MUST NOT include any server-only transport parameter: original_destination_connection_id,
// preferred_address, retry_source_connection_id, or stateless_reset_token."
// https://www.rfc-editor.org/rfc/rfc9000#section-18.2-8
func TestClientParametersAreThoseOfClients(t *testing.T) {
	r := newRig(t, rigOptions{client: withPreferred})
	r.client.ids.retried, r.client.ids.retrySrc = true, testID("87654321")
	p, code := wire.ParseTransportParameters(r.client.localParams(), true) // with the rules for servers
	require.Zero(t, code)
	require.False(t, p.HasOriginalDstConnID || p.HasPreferredAddress || p.HasRetrySrcConnID || p.HasStatelessResetToken)
	require.True(t, p.HasInitialSrcConnID)
}
