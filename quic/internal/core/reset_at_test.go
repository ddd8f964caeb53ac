package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

func acceptResetAt(c *Config) { c.Streams.ResetStreamAt = true }

// A peer that breaks a rule of RESET_STREAM_AT: package streams tests each of them.
func TestPeerBreaksARuleOfResetAt(t *testing.T) {
	for _, tt := range []struct {
		name   string
		frames []wire.Frame
		raw    []byte
		want   wire.ErrorCode
	}{
		// "If the Reliable Size is larger than the Final Size, the receiver MUST close the connection with a
		// connection error of type FRAME_ENCODING_ERROR." (draft-ietf-quic-reliable-stream-reset, RESET_STREAM_AT
		// Frame)
		{"a reliable size above the final size", nil, []byte{0x24, 2, 0, 7, 8}, wire.FrameEncodingError},
		// "If an endpoint receives a RESET_STREAM_AT frame that violates either flow control limit, it MUST close the
		// connection with an error of type FLOW_CONTROL_ERROR." (draft-ietf-quic-reliable-stream-reset,
		// RESET_STREAM_AT Frame)
		{"beyond the window", []wire.Frame{wire.ResetStreamAt{ID: 2, FinalSize: 64<<10 + 1}}, nil, wire.FlowControlError},
		// "If the receiver detects a change in those fields, it MUST close the connection with a connection error of
		// type STREAM_STATE_ERROR or FINAL_SIZE_ERROR, respectively." (draft-ietf-quic-reliable-stream-reset, Multiple
		// RESET_STREAM_AT / RESET_STREAM frames)
		{"another code", []wire.Frame{wire.ResetStreamAt{ID: 2, FinalSize: 9, ReliableSize: 5},
			wire.ResetStreamAt{ID: 2, Code: 1, FinalSize: 9, ReliableSize: 4}}, nil, wire.StreamStateError},
		{"another final size", []wire.Frame{wire.ResetStreamAt{ID: 2, FinalSize: 9, ReliableSize: 5},
			wire.ResetStreamAt{ID: 2, FinalSize: 8, ReliableSize: 4}}, nil, wire.FinalSizeError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := connected(t, rigOptions{server: acceptResetAt})
			b := tt.raw
			for _, f := range tt.frames {
				b = f.Append(b)
			}
			r.requireClosed(server, tt.want, r.sayBytes(server, recovery.SpaceApp, b))
		})
	}
	// "RESET_STREAM_AT frames are ack-eliciting, and MUST only be sent in the application data packet number space."
	// (draft-ietf-quic-reliable-stream-reset, RESET_STREAM_AT Frame)
	for _, s := range []recovery.Space{recovery.SpaceInitial, recovery.SpaceHandshake} {
		r := midHandshake(t, s)
		r.requireClosed(client, wire.ProtocolViolation, r.say(client, s, wire.ResetStreamAt{ID: 3}))
	}
}

// The peer's parameter, and not our own setting, permits RESET_STREAM_AT.
func TestResetAtNeedsThePeersParameter(t *testing.T) {
	r := connected(t, rigOptions{client: acceptResetAt})
	require.False(t, r.client.PeerAcceptsResetAt())
	require.True(t, r.server.PeerAcceptsResetAt())
	id, err := r.client.OpenStream(r.now, true)
	require.NoError(t, err)
	_, err = r.client.Write(r.now, id, []byte("1234"))
	require.NoError(t, err)
	require.ErrorIs(t, r.client.ResetStreamAt(r.now, id, 1, 4), streams.ErrResetAtUnsupported)

	id, err = r.server.OpenStream(r.now, true)
	require.NoError(t, err)
	_, err = r.server.Write(r.now, id, []byte("1234"))
	require.NoError(t, err)
	require.NoError(t, r.server.ResetStreamAt(r.now, id, 1, 3))
	r.pump()
	b := make([]byte, 10)
	n, err := r.client.Read(r.now, id, b)
	require.NoError(t, err)
	require.Equal(t, "123", string(b[:n]))
	_, err = r.client.Read(r.now, id, b)
	require.Equal(t, &streams.ResetError{Code: 1}, err)
}
