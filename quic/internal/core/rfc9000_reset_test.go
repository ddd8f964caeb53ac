package core

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// TestStatelessResetWithLongHeader ends datagrams that begin with a long header in the reset token of the server.
//
// "However, endpoints MUST treat any packet ending in a valid stateless reset token as a Stateless Reset, as other
// QUIC versions might allow the use of a long header."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3-15
// "However, the comparison MUST be performed when the first packet in an incoming datagram either cannot be
// associated with a connection or cannot be decrypted."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3.1-2
func TestStatelessResetWithLongHeader(t *testing.T) {
	long := func(first byte, version byte, dst wire.ConnID) []byte {
		b := dst.AppendTo([]byte{first, 0, 0, 0, version, byte(dst.Len())})
		return append(append(b, 0), bytes.Repeat([]byte{7}, 40)...)
	}
	for _, tt := range []struct {
		name  string
		start func(r *rig) []byte
		want  bool
	}{
		{"of another version", func(r *rig) []byte { return long(0x80, 99, r.client.ids.src()) }, true},
		{"a Handshake packet after the keys are gone", func(r *rig) []byte { return long(0xe0, 1, r.client.ids.src()) }, true},
		{"for another connection ID", func(r *rig) []byte { return long(0xc0, 99, testID("elsewhere")) }, true},
		{"too short for anything else", func(*rig) []byte { return []byte{0xc0, 0, 0, 0, 99} }, true},
		{"behind a packet that opens", func(r *rig) []byte { return r.packet(client, recovery.SpaceInitial, make([]byte, 40), nil) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := connected(t, rigOptions{})
			token := r.serverConfig.ResetToken(r.server.ids.local[0].id)
			if !tt.want {
				r = midHandshake(t, recovery.SpaceInitial)
				r.client.ids.remote[0].token, r.client.ids.remote[0].hasToken = token, true
			}
			d := append(tt.start(r), token[:]...)
			wrong := bytes.Clone(d)
			wrong[len(wrong)-1] ^= 1
			if tt.want { // the packet that opens would be a duplicate
				r.client.HandleTrain(r.now, Train{Path: r.client.path, Data: wrong, SegmentSize: len(wrong)})
				require.NoError(t, errOf(r.client), "another token")
			}
			r.client.HandleTrain(r.now, Train{Path: r.client.path, Data: bytes.Clone(d), SegmentSize: len(d)})
			if tt.want {
				require.ErrorIs(t, errOf(r.client), ErrStatelessReset)
			} else {
				require.NoError(t, errOf(r.client))
			}
		})
	}
}

// TestEndpointFindsResetWithLongHeader passes a reset to the Endpoint. The reset has a connection ID of no connection.
//
// "However, the comparison MUST be performed when the first packet in an incoming datagram either cannot be
// associated with a connection or cannot be decrypted."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3.1-2
func TestEndpointFindsResetWithLongHeader(t *testing.T) {
	r := newRig(t, rigOptions{})
	token := [16]byte{1, 2, 3}
	r.endpoint.Add(r.now, 7, nil)
	r.endpoint.HandleConnEvent(r.now, 7, EndpointEvent{Kind: AddResetToken, Token: token, Path: Path{Remote: clientAddr}})
	for _, first := range []byte{0x40, 0xc0} {
		d := append(append([]byte{first}, make([]byte, 30)...), token[:]...)
		got := r.receiveFrom(clientAddr, d)
		require.Equal(t, RouteReset, got.Kind)
		require.Equal(t, ConnRef(7), got.Conn)
		require.NotEqual(t, RouteReset, r.receiveFrom(otherAddr, d).Kind)
	}
}
