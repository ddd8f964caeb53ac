package streams

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// resetAtPair returns a client and a server that accept RESET_STREAM_AT, and a stream of the client with n bytes.
func resetAtPair(t *testing.T, n int) (c, s *peer, id ID) {
	t.Helper()
	cfg := testConfig()
	cfg.ResetStreamAt = true
	c, s = newPair(t, cfg, cfg)
	id, err := c.Open(true)
	require.NoError(t, err)
	_, err = c.Write(id, fill(make([]byte, n), id, 0))
	require.NoError(t, err)
	return c, s, id
}

// readReset reads a stream until the reset and returns the number of bytes before it.
func readReset(t *testing.T, s *peer, id ID, code uint64) int {
	t.Helper()
	b := make([]byte, 1<<17)
	n, err := s.Read(1, testRTT, id, b)
	if err == nil {
		checkPattern(t, b[:n], id, 0)
		_, err = s.Read(1, testRTT, id, b)
	}
	var reset *ResetError
	require.ErrorAs(t, err, &reset)
	require.Equal(t, code, reset.Code)
	return n
}

func TestResetAt(t *testing.T) {
	for _, tt := range []struct {
		name     string
		size     int64
		before   int // packets sent before ResetAt
		wantMore int
		frame    string // of the packet that ends the stream
	}{
		{"nothing was sent", 100, 0, 1, "RESET_STREAM_AT id=2 code=9 final_size=100 reliable_size=100"},
		{"several packets to be sent", 3000, 0, 3, "RESET_STREAM_AT id=2 code=9 final_size=3000 reliable_size=3000"},
		{"more was sent", 100, 2, 0, "RESET_STREAM_AT id=2 code=9 final_size=2394 reliable_size=100"},
		{"all that was written", 5000, 2, 3, "RESET_STREAM_AT id=2 code=9 final_size=5000 reliable_size=5000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, s, id := resetAtPair(t, 5000)
			var pkts []*packet
			for range tt.before {
				pkts = append(pkts, c.send(1200, false))
			}
			require.NoError(t, c.ResetAt(id, 9, tt.size))
			require.NoError(t, c.CheckInvariants())
			_, err := c.Write(id, []byte("more"))
			require.ErrorIs(t, err, ErrClosed)
			require.ErrorIs(t, c.CloseWrite(id), ErrClosed)
			for range tt.wantMore {
				pkts = append(pkts, c.send(1200, false))
			}
			pkts = append(pkts, c.send(1200, false))
			require.Equal(t, []string{tt.frame}, pkts[len(pkts)-1].frames(t))
			require.Nil(t, c.send(1200, false))
			for i := range pkts { // the last one first
				require.NoError(t, s.receive(1, testRTT, pkts[len(pkts)-1-i]))
				require.NoError(t, s.CheckInvariants())
			}
			require.EqualValues(t, tt.size, readReset(t, s, id, 9))
			require.False(t, c.Flushed())
			for _, pkt := range pkts {
				c.fate(pkt, recovery.Acked)
			}
			require.True(t, c.Flushed())
			flow(t, 1, c, s)
			require.Zero(t, c.Stats().OpenStreams+s.Stats().OpenStreams)
			require.Equal(t, s.recv.received, s.recv.consumed)
		})
	}
}

// What lies beyond the reliable size is not sent again, and the rest is.
//
// "If STREAM frames containing data up to that byte offset are lost, the initiator MUST retransmit this data",
// "Data sent beyond that byte offset SHOULD NOT be retransmitted."
// (draft-ietf-quic-reliable-stream-reset, Resetting Streams)
// The same goes for the frame: "When lost, they MUST be retransmitted".
func TestResetAtLoss(t *testing.T) {
	c, s, id := resetAtPair(t, 5000)
	lost := []*packet{c.send(1200, false), c.send(1200, false), c.send(1200, false)}
	c.fate(lost[2], recovery.Lost)
	require.NoError(t, c.ResetAt(id, 9, 1500))
	reset := c.send(1200, false)
	require.Equal(t, []string{"RESET_STREAM_AT id=2 code=9 final_size=3590 reliable_size=1500"}, reset.frames(t))
	c.fate(reset, recovery.Lost)
	c.fate(lost[0], recovery.Lost)
	c.fate(lost[1], recovery.Lost)
	again := c.send(1200, false)
	require.Equal(t, "RESET_STREAM_AT id=2 code=9 final_size=3590 reliable_size=1500", again.frames(t)[0])
	pkts := []*packet{again, c.send(1200, false)}
	require.Nil(t, c.send(1200, false))
	for _, pkt := range pkts {
		require.NoError(t, s.receive(1, testRTT, pkt))
		c.fate(pkt, recovery.Acked)
	}
	require.Equal(t, 1500, readReset(t, s, id, 9))
	require.True(t, c.Flushed())
}

// The reliable size can be reduced, but not increased, and the code remains.
//
// "When sending multiple RESET_STREAM_AT or RESET_STREAM frames for the same stream, the initiator MUST NOT increase the
// Reliable Size." (draft-ietf-quic-reliable-stream-reset, Multiple RESET_STREAM_AT / RESET_STREAM frames)
func TestResetAtAgain(t *testing.T) {
	c, s, id := resetAtPair(t, 1000)
	data := c.send(1200, false)
	require.NoError(t, c.ResetAt(id, 9, 800))
	first := c.send(1200, false)
	require.NoError(t, c.ResetAt(id, 9, 900))
	require.Nil(t, c.send(1200, false), "not increased")
	require.NoError(t, c.ResetAt(id, 10, 300))
	second := c.send(1200, false)
	require.Equal(t, []string{"RESET_STREAM_AT id=2 code=9 final_size=1000 reliable_size=300"}, second.frames(t))
	c.fate(first, recovery.Acked)
	c.fate(data, recovery.Acked)
	require.False(t, c.Flushed(), "the frame with the smallest size is not acknowledged")

	// "Reordering of packets might lead to a RESET_STREAM_AT frame with a higher Reliable Size being received after a
	// RESET_STREAM_AT frame with a lower Reliable Size. The receiver MUST ignore any RESET_STREAM_AT frame that increases
	// the Reliable Size." (draft-ietf-quic-reliable-stream-reset, Multiple RESET_STREAM_AT / RESET_STREAM frames)
	for _, pkt := range []*packet{second, first, data} {
		require.NoError(t, s.receive(1, testRTT, pkt))
	}
	require.Equal(t, 300, readReset(t, s, id, 9))
	c.fate(second, recovery.Acked)
	require.True(t, c.Flushed())
}

// Reset reduces the reliable size to 0, and STOP_SENDING is answered with RESET_STREAM, both with the first code.
func TestResetAfterResetAt(t *testing.T) {
	for _, stop := range []bool{false, true} {
		c, s, id := resetAtPair(t, 3000)
		data := c.send(1200, false)
		require.NoError(t, s.receive(1, testRTT, data))
		require.NoError(t, c.ResetAt(id, 9, 2000))
		var pkts []*packet
		for pkt := c.send(1200, false); pkt != nil; pkt = c.send(1200, false) {
			pkts = append(pkts, pkt)
		}
		if stop {
			require.NoError(t, s.StopSending(id, 77))
			require.NoError(t, c.receive(1, testRTT, s.send(1200, false)))
		} else {
			require.NoError(t, c.Reset(id, 10))
		}
		reset := c.send(1200, false)
		require.Equal(t, []string{"RESET_STREAM id=2 code=9 final_size=2000"}, reset.frames(t))
		for _, pkt := range pkts {
			c.fate(pkt, recovery.Acked)
		}
		require.False(t, c.Flushed(), "an acknowledged RESET_STREAM_AT does not count for RESET_STREAM")
		require.NoError(t, s.receive(1, testRTT, reset))
		for _, pkt := range pkts {
			require.NoError(t, s.receive(1, testRTT, pkt))
		}
		if !stop {
			require.Zero(t, readReset(t, s, id, 9))
		}
		c.fate(reset, recovery.Acked)
		require.True(t, c.Flushed())
		require.NoError(t, c.CheckInvariants())
		require.NoError(t, s.CheckInvariants())
		require.Equal(t, s.recv.received, s.recv.consumed)
	}
}

// "[It] is possible to send a RESET_STREAM_AT frame after a STREAM frame carrying the FIN bit." A receiver that has
// everything may ignore it, and otherwise delivers the reliable bytes.
// (draft-ietf-quic-reliable-stream-reset, Sending RESET_STREAM_AT after FIN)
func TestResetAtAfterFin(t *testing.T) {
	for _, late := range []bool{false, true} {
		c, s, id := resetAtPair(t, 2000)
		require.NoError(t, c.CloseWrite(id))
		pkts := []*packet{c.send(1200, false), c.send(1200, false)}
		require.NoError(t, c.ResetAt(id, 9, 500))
		reset := c.send(1200, false)
		require.Equal(t, []string{"RESET_STREAM_AT id=2 code=9 final_size=2000 reliable_size=500"}, reset.frames(t))
		if late {
			pkts = append(pkts, reset)
		} else {
			pkts = append([]*packet{reset}, pkts...)
		}
		for _, pkt := range pkts {
			require.NoError(t, s.receive(1, testRTT, pkt))
			c.fate(pkt, recovery.Acked)
		}
		require.True(t, c.Flushed())
		if !late {
			require.Equal(t, 500, readReset(t, s, id, 9))
			continue
		}
		n, err := s.Read(1, testRTT, id, make([]byte, 3000))
		require.NoError(t, err)
		require.Equal(t, 2000, n)
		_, err = s.Read(1, testRTT, id, make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	}
}

// Flow control delays RESET_STREAM_AT until the final size is allowed.
//
// "An endpoint MUST NOT send a RESET_STREAM_AT frame that exceeds the largest maximum stream data value advertised by
// the receiver for the stream, or that violates the receiver's maximum data limit."
// (draft-ietf-quic-reliable-stream-reset, RESET_STREAM_AT Frame)
func TestResetAtWaitsForCredit(t *testing.T) {
	cfg, small := testConfig(), testConfig()
	small.RecvWindow, small.ResetStreamAt = 1000, true
	c, s := newPair(t, cfg, small)
	id, err := c.Open(true)
	require.NoError(t, err)
	_, err = c.Write(id, fill(make([]byte, 9000), id, 0))
	require.NoError(t, err)
	require.NoError(t, c.ResetAt(id, 9, 2500))
	flow(t, 1, c, s)
	read := 0
	for range 10 {
		n, err := s.Read(1, testRTT, id, make([]byte, 5000))
		read += n
		if err != nil && err != ErrBlocked {
			require.Equal(t, &ResetError{9}, err)
			break
		}
		flow(t, 1, c, s)
	}
	require.Equal(t, 2500, read)
	require.Zero(t, c.Stats().OpenStreams+s.Stats().OpenStreams)
}

func TestResetAtErrors(t *testing.T) {
	c, _ := newPair(t, testConfig(), testConfig())
	id, err := c.Open(true)
	require.NoError(t, err)
	_, err = c.Write(id, make([]byte, 10))
	require.NoError(t, err)
	require.ErrorIs(t, c.ResetAt(id, 9, 5), ErrResetAtUnsupported)
	require.NoError(t, c.CloseWrite(id), "nothing has happened")
	require.NoError(t, c.ResetAt(id, 9, 0), "a size of 0 needs no support")
	require.ErrorIs(t, c.ResetAt(id, 9, 0), ErrClosed)

	c, _, id = resetAtPair(t, 10)
	require.ErrorIs(t, c.ResetAt(id, 9, 11), ErrResetAtSize)
	require.ErrorIs(t, c.ResetAt(id+4, 9, 1), ErrClosed)
	require.NoError(t, c.Reset(id, 9))
	require.ErrorIs(t, c.ResetAt(id, 9, 5), ErrClosed)
}

// A peer that breaks a rule of RESET_STREAM_AT.
func TestPeerBreaksARuleOfResetAt(t *testing.T) {
	at := func(final, reliable uint64) wire.ResetStreamAt {
		return wire.ResetStreamAt{ID: 2, Code: 9, FinalSize: final, ReliableSize: reliable}
	}
	for _, tt := range []struct {
		name   string
		frames []wire.Frame
		want   wire.ErrorCode
	}{
		{"beyond the stream's limit", []wire.Frame{at(64<<10+1, 1)}, wire.FlowControlError},
		{"beyond the connection's limit", []wire.Frame{at(64<<10, 1), wire.ResetStreamAt{ID: 6, FinalSize: 64 << 10},
			wire.ResetStreamAt{ID: 10, FinalSize: 1}}, wire.FlowControlError},
		{"another final size", []wire.Frame{at(100, 10), at(101, 10)}, wire.FinalSizeError},
		{"a final size below the data", []wire.Frame{wire.Stream{ID: 2, Data: make([]byte, 50)}, at(49, 10)}, wire.FinalSizeError},
		{"data beyond the final size", []wire.Frame{at(49, 10), wire.Stream{ID: 2, Data: make([]byte, 50)}}, wire.FinalSizeError},
		{"FIN at another offset", []wire.Frame{at(49, 10), wire.Stream{ID: 2, Data: make([]byte, 10), Fin: true}}, wire.FinalSizeError},
		{"another code", []wire.Frame{at(100, 10), wire.ResetStreamAt{ID: 2, Code: 8, FinalSize: 100}}, wire.StreamStateError},
		{"another code in RESET_STREAM", []wire.Frame{at(100, 10), wire.ResetStream{ID: 2, Code: 8, FinalSize: 100}}, wire.StreamStateError},
		{"another code after RESET_STREAM", []wire.Frame{wire.ResetStream{ID: 2, Code: 8, FinalSize: 100}, at(100, 10)}, wire.StreamStateError},
		{"on a stream on which only we send", []wire.Frame{wire.ResetStreamAt{ID: 3}}, wire.StreamStateError},
		{"on a stream above the limit", []wire.Frame{wire.ResetStreamAt{ID: 42}}, wire.StreamLimitError},
		{"decreasing and increasing", []wire.Frame{at(100, 50), at(100, 10), at(100, 90), wire.Stream{ID: 2, Data: make([]byte, 100)}}, 0},
		{"the same code in RESET_STREAM", []wire.Frame{at(100, 10), wire.ResetStream{ID: 2, Code: 9, FinalSize: 100}, at(100, 10)}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, s, _ := resetAtPair(t, 1)
			_, err := s.Open(true)
			require.NoError(t, err)
			for i, f := range tt.frames {
				err := s.input(f)
				if i < len(tt.frames)-1 || tt.want == 0 {
					require.NoError(t, err)
					require.NoError(t, s.CheckInvariants())
					continue
				}
				var e *Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, tt.want, e.Code)
			}
		})
	}
	s := newServer(t)
	var e *Error
	require.ErrorAs(t, s.input(at(5, 5)), &e)
	require.Equal(t, wire.FrameEncodingError, e.Code, "not announced")
}

// Peek returns the rest of the reliable bytes with the error of the reset, and a Peek that waits for more is woken.
func TestPeekBeforeResetAt(t *testing.T) {
	c, s, id := resetAtPair(t, 1000)
	data := c.send(1200, false)
	require.NoError(t, c.ResetAt(id, 9, 1000))
	reset := c.send(1200, false)
	require.NoError(t, s.receive(1, testRTT, data))
	_, err := s.Peek(id, 1001)
	require.ErrorIs(t, err, ErrBlocked)
	s.events()
	require.NoError(t, s.receive(1, testRTT, reset))
	require.Equal(t, []string{"readable 2"}, s.events())
	b, err := s.Peek(id, 1001)
	require.Len(t, b, 1000)
	require.Equal(t, &ResetError{9}, err)
	b, err = s.Peek(id, 1000)
	require.Len(t, b, 1000)
	require.NoError(t, err)
	n, err := s.Discard(1, testRTT, id, 2000)
	require.NoError(t, err)
	require.EqualValues(t, 1000, n)
	_, err = s.Peek(id, 1)
	require.Equal(t, &ResetError{9}, err)
}

// A reader that has read more than the reliable size learns of the reset at once.
func TestResetAtBehindTheReader(t *testing.T) {
	c, s, id := resetAtPair(t, 3000)
	require.NoError(t, s.receive(1, testRTT, c.send(1200, false)))
	n, err := s.Read(1, testRTT, id, make([]byte, 700))
	require.NoError(t, err)
	require.Equal(t, 700, n)
	s.events()
	require.NoError(t, c.ResetAt(id, 9, 600))
	require.NoError(t, s.receive(1, testRTT, c.send(1200, false)))
	require.NoError(t, s.CheckInvariants())
	require.Equal(t, []string{"reset 2 with 9"}, s.events())
	require.Zero(t, readReset(t, s, id, 9))
	require.Equal(t, s.recv.received, s.recv.consumed)
}
