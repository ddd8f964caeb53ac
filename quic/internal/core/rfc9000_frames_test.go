package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// TestStreamFramesOfAPeer checks the requirements on frames about streams that a peer can provoke (RFC 9000, sections 4
// and 19). The server's windows are 64 KiB for a stream and 128 KiB for the connection, and the client may open 10
// streams of each type. The server has opened one stream that only it sends on.
func TestStreamFramesOfAPeer(t *testing.T) {
	const window = 64 << 10
	open := func(r *rig) {
		id, err := r.server.OpenStream(r.now, true)
		require.NoError(r.t, err)
		require.EqualValues(r.t, 3, id)
	}
	play(t, rigOptions{}, open, []exchange{
		// "Receiving a STOP_SENDING frame for a locally initiated stream that has not yet been created MUST be
		// treated as a connection error of type STREAM_STATE_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.5-2
		{"STOP_SENDING for a stream that the server has not opened", server, packed(wire.StopSending{ID: 1}), closes(wire.StreamStateError)},
		// "Receiving a MAX_STREAM_DATA frame for a locally initiated stream that has not yet been created MUST be
		// treated as a connection error of type STREAM_STATE_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.10-2
		{"MAX_STREAM_DATA for a stream that the server has not opened", server, packed(wire.MaxStreamData{ID: 1, Max: 9}), closes(wire.StreamStateError)},
		// "An endpoint that receives a MAX_STREAM_DATA frame for a receive-only stream MUST terminate the connection
		// with error STREAM_STATE_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.10-2
		{"MAX_STREAM_DATA for a stream that the server receives on", server, packed(wire.MaxStreamData{ID: 2, Max: 9}), closes(wire.StreamStateError)},
		// "An endpoint that receives a STREAM_DATA_BLOCKED frame for a send-only stream MUST terminate the connection
		// with error STREAM_STATE_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.13-2
		{"STREAM_DATA_BLOCKED for a stream that the server sends on", server, packed(wire.StreamDataBlocked{ID: 3}), closes(wire.StreamStateError)},
		// "An endpoint that receives a RESET_STREAM frame for a send-only stream MUST terminate the connection with error
		// STREAM_STATE_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.4-3
		{"RESET_STREAM for a stream that the server sends on", server, packed(wire.ResetStream{ID: 3}), closes(wire.StreamStateError)},
		// "An endpoint MUST terminate a connection with an error of type STREAM_LIMIT_ERROR if a peer opens more
		// streams than was permitted."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.11-7
		{"the eleventh stream", server, packed(wire.Stream{ID: 4 * 10}), closes(wire.StreamLimitError)},
		{"the tenth stream", server, packed(wire.Stream{ID: 4 * 9}), answers()},
		// "An endpoint MUST terminate a connection with an error of type FLOW_CONTROL_ERROR if it receives more data
		// than the largest maximum stream data that it has sent for the affected stream."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.10-8
		{"a byte beyond the stream's window", server, packed(wire.Stream{ID: 0, Offset: window, Data: []byte{1}}), closes(wire.FlowControlError)},
		{"the last byte of the stream's window", server, packed(wire.Stream{ID: 0, Offset: window - 1, Data: []byte{1}}), answers()},
		// "An endpoint MUST terminate a connection with an error of type FLOW_CONTROL_ERROR if it receives more data
		// than the maximum data value that it has sent."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.9-6
		{"a byte beyond the connection's window", server, packed(wire.Stream{ID: 0, Offset: window - 1, Data: []byte{1}},
			wire.Stream{ID: 4, Offset: window - 1, Data: []byte{1}}, wire.Stream{ID: 8, Data: []byte{1}}), closes(wire.FlowControlError)},
		// "The sum of the final sizes on all streams -- including streams in terminal states -- MUST NOT exceed the
		// value advertised by a receiver."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.9-6
		{"a final size beyond the connection's window", server, packed(wire.Stream{ID: 0, Offset: window - 1, Data: []byte{1}},
			wire.Stream{ID: 4, Offset: window - 1, Data: []byte{1}}, wire.ResetStream{ID: 8, FinalSize: 1}), closes(wire.FlowControlError)},
		// "MAX_STREAMS frames that do not increase the stream limit MUST be ignored."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.11-6
		// "A receiver MUST accept packets containing an outdated frame, such as a MAX_DATA frame carrying a smaller
		// maximum data value than one found in an older packet."
		// https://www.rfc-editor.org/rfc/rfc9000#section-13.3-5
		{"MAX_STREAMS and MAX_DATA that allow less than before", server, packed(wire.MaxStreams{Max: 1}, wire.MaxData{Max: 1}), then(func(r *rig, _ []wire.Frame) {
			for range 10 {
				_, err := r.server.OpenStream(r.now, false)
				require.NoError(r.t, err)
			}
			_, err := r.server.Write(r.now, 1, make([]byte, 100))
			require.NoError(r.t, err)
			sent := framesOf[wire.Stream](r.heard(r.server, r.client))
			require.Len(r.t, sent, 1)
			require.Len(r.t, sent[0].Data, 100)
		})},
		// "An endpoint MUST generate a connection error if processing the contents of these packets prior to
		// discovering an error, or fully revert any changes made during that processing."
		// https://www.rfc-editor.org/rfc/rfc9000#section-5.2-6
		{"a malformed frame behind one that has an effect", server, append(packed(wire.MaxStreams{Max: 50}), 0x40, 0x52), closes(wire.FrameEncodingError)},
	})
}

// TestSendingIsLimited checks that a server sends no more than its client allows, and that each direction of a stream
// ends by itself.
//
// "An endpoint MUST NOT send data on any stream without ensuring that it is within the flow control limits set by its
// peer."
// https://www.rfc-editor.org/rfc/rfc9000#section-2.2-6
// "The data sent on a stream MUST NOT exceed the largest maximum stream data value advertised by the receiver."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.10-8
// "Both endpoints MUST maintain flow control state for the stream in the unterminated direction until that direction
// enters a terminal state."
// https://www.rfc-editor.org/rfc/rfc9000#section-4.4-3
func TestSendingIsLimited(t *testing.T) {
	const window = 4096
	r := connected(t, rigOptions{client: func(c *Config) { c.Streams.RecvWindow = window }})
	sent := func(answer []wire.Frame) (end uint64) {
		for _, f := range framesOf[wire.Stream](answer) {
			require.Zero(t, f.ID)
			end = max(end, f.Offset+uint64(len(f.Data)))
		}
		return end
	}
	r.say(server, recovery.SpaceApp, wire.ResetStream{ID: 0, Code: 1}) // the other direction goes on
	_, err := r.server.Write(r.now, 0, make([]byte, 3*window))
	require.NoError(t, err)
	require.EqualValues(t, window, sent(r.heard(r.server, r.client)))
	require.EqualValues(t, window+100, sent(r.say(server, recovery.SpaceApp, wire.MaxStreamData{ID: 0, Max: window + 100})))
	require.Zero(t, sent(r.say(server, recovery.SpaceApp, wire.MaxStreamData{ID: 0, Max: window})))
	require.NoError(t, errOf(r.server))
}

// TestResetIsRepeatedUnchanged loses a RESET_STREAM frame.
//
// "The content of a RESET_STREAM frame MUST NOT change when it is sent again."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.3-3.4
// "A sender MUST NOT send any of these frames from a terminal state ('Data Recvd' or 'Reset Recvd')."
// https://www.rfc-editor.org/rfc/rfc9000#section-3.3-2
// "A sender MUST NOT send a STREAM or STREAM_DATA_BLOCKED frame for a stream in the 'Reset Sent' state or any
// terminal state -- that is, after sending a RESET_STREAM frame."
// https://www.rfc-editor.org/rfc/rfc9000#section-3.3-2
func TestResetIsRepeatedUnchanged(t *testing.T) {
	r := connected(t, rigOptions{})
	id, err := r.server.OpenStream(r.now, true)
	require.NoError(t, err)
	_, err = r.server.Write(r.now, id, []byte("data"))
	require.NoError(t, err)
	r.heard(r.server, r.client)
	require.NoError(t, r.server.ResetStream(r.now, id, 7))
	want := []wire.ResetStream{{ID: uint64(id), Code: 7, FinalSize: 4}}
	require.Equal(t, want, framesOf[wire.ResetStream](r.heard(r.server, r.client)))
	answer := r.say(server, recovery.SpaceApp, wire.StopSending{ID: uint64(id), Code: 9}) // asks for what has happened
	require.Empty(t, framesOf[wire.ResetStream](answer))
	repeated := framesOf[wire.ResetStream](r.expire(server))
	require.NotEmpty(t, repeated)
	for _, f := range repeated {
		require.Equal(t, want[0], f)
	}

	// Once the peer has acknowledged the frame, nothing asks for another one.
	r.sayBytes(server, recovery.SpaceApp, ackFrame(r.server.loss.NextNumber(recovery.SpaceApp)-1))
	answer = r.say(server, recovery.SpaceApp, wire.StopSending{ID: uint64(id), Code: 9}, wire.MaxStreamData{ID: uint64(id), Max: 1 << 20})
	require.Empty(t, framesOf[wire.ResetStream](answer))
	require.Empty(t, framesOf[wire.Stream](answer))
	require.NoError(t, errOf(r.server))
}

// TestHandshakeDoneIsRepeated loses the server's 1-RTT packets for a while.
//
// "The HANDSHAKE_DONE frame MUST be retransmitted until it is acknowledged."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.3-3.16
// "Servers MUST NOT send a HANDSHAKE_DONE frame before completing the handshake."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.20-4
// "The server MUST send a HANDSHAKE_DONE frame as soon as the handshake is complete."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.1.2-1
func TestHandshakeDoneIsRepeated(t *testing.T) {
	r := newRig(t, rigOptions{})
	lost, deaf := 0, true
	r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
		if from == client {
			return true
		}
		require.Equal(t, r.server.tls.complete, r.server.handshakeDone.IsSet())
		if deaf && d[0]&0x80 == 0 {
			lost++
			return false
		}
		return true
	}
	r.pump()
	require.True(t, r.server.tls.confirmed)
	require.False(t, r.client.tls.confirmed)
	require.Positive(t, lost)
	deaf = false
	r.wait(5 * time.Second)
	require.True(t, r.client.tls.confirmed)
	require.True(t, r.server.handshakeDone.IsReceived())
}
