package streams

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// The streams for the tests of rules, from the server's point of view. Client and server have opened one of
// each type. The peer may open 10.
const (
	peerBidi ID = 0
	ourBidi  ID = 1
	peerUni  ID = 2
	ourUni   ID = 3
)

// newServer returns a server with the streams above. The application has accepted the peer's.
func newServer(t testing.TB) *peer {
	_, s := newPair(t, testConfig(), testConfig())
	for _, uni := range []bool{false, true} {
		_, err := s.Open(uni)
		require.NoError(t, err)
	}
	require.NoError(t, s.input(wire.Stream{ID: uint64(peerBidi)}))
	require.NoError(t, s.input(wire.Stream{ID: uint64(peerUni)}))
	for _, uni := range []bool{false, true} {
		_, ok := s.Accept(uni)
		require.True(t, ok)
	}
	return s
}

func TestIDs(t *testing.T) {
	for _, tt := range []struct {
		id   ID
		side tlsprovider.Side
		uni  bool
		num  int64
	}{
		{0, tlsprovider.Client, false, 0},
		{1, tlsprovider.Server, false, 0},
		{2, tlsprovider.Client, true, 0},
		{3, tlsprovider.Server, true, 0},
		{4, tlsprovider.Client, false, 1},
		{1<<62 - 1, tlsprovider.Server, true, 1<<60 - 1},
	} {
		require.Equal(t, tt.id, MakeID(tt.side, tt.uni, tt.num))
		require.Equal(t, tt.side, tt.id.Initiator())
		require.Equal(t, tt.uni, tt.id.Uni())
		require.Equal(t, tt.num, tt.id.Num())
	}
}

// TestFrameRules checks the error for each frame on each type of stream.
func TestFrameRules(t *testing.T) {
	const ok = wire.NoError
	state, limit := wire.StreamStateError, wire.StreamLimitError
	for _, tt := range []struct {
		name  string
		frame func(id uint64) wire.Frame
		// want contains the errors for peerBidi, ourBidi, peerUni and ourUni.
		want [4]wire.ErrorCode
		// opens reports whether the frame may be the first of a stream of the peer.
		opensUni bool
	}{
		{"STREAM", func(id uint64) wire.Frame { return wire.Stream{ID: id, Data: []byte("x")} },
			[4]wire.ErrorCode{ok, ok, ok, state}, true},
		{"RESET_STREAM", func(id uint64) wire.Frame { return wire.ResetStream{ID: id} },
			[4]wire.ErrorCode{ok, ok, ok, state}, true},
		{"STREAM_DATA_BLOCKED", func(id uint64) wire.Frame { return wire.StreamDataBlocked{ID: id} },
			[4]wire.ErrorCode{ok, ok, ok, state}, true},
		{"STOP_SENDING", func(id uint64) wire.Frame { return wire.StopSending{ID: id} },
			[4]wire.ErrorCode{ok, ok, state, ok}, false},
		{"MAX_STREAM_DATA", func(id uint64) wire.Frame { return wire.MaxStreamData{ID: id, Max: 1 << 30} },
			[4]wire.ErrorCode{ok, ok, state, ok}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i, want := range tt.want {
				s := newServer(t)
				requireCode(t, want, s.input(tt.frame(uint64(i))))
				require.NoError(t, s.CheckInvariants())
			}
			// "[...] receives a [...] frame for a locally initiated stream that has not
			// yet been created".
			// https://www.rfc-editor.org/rfc/rfc9000#section-19.8-3
			requireCode(t, state, newServer(t).input(tt.frame(uint64(ourBidi)+4)))
			requireCode(t, state, newServer(t).input(tt.frame(uint64(ourUni)+4)))

			// "[...] with a stream ID exceeding the limit it has sent".
			// https://www.rfc-editor.org/rfc/rfc9000#section-4.6-3
			s := newServer(t)
			requireCode(t, ok, s.input(tt.frame(uint64(peerBidi)+9*4)))
			requireCode(t, limit, s.input(tt.frame(uint64(peerBidi)+10*4)))
			if tt.opensUni {
				requireCode(t, ok, s.input(tt.frame(uint64(peerUni)+9*4)))
				requireCode(t, limit, s.input(tt.frame(uint64(peerUni)+10*4)))
			}
		})
	}
}

func requireCode(t testing.TB, want wire.ErrorCode, err error) {
	t.Helper()
	if want == wire.NoError {
		require.NoError(t, err)
		return
	}
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, want, e.Code, "%v", err)
	require.NotEmpty(t, e.Error())
}

// "Before a stream is created, all streams of the same type with lower-numbered stream IDs MUST be
// created."
// https://www.rfc-editor.org/rfc/rfc9000#section-3.2-6
func TestOpenImplicitly(t *testing.T) {
	_, s := newPair(t, testConfig(), testConfig())
	require.NoError(t, s.input(wire.Stream{ID: 8, Data: []byte("x")}))
	require.NoError(t, s.input(wire.MaxStreamData{ID: 4, Max: 1}))
	require.Equal(t, []string{"opened 0", "opened 4", "opened 8", "readable 8"}, s.events())
	for _, want := range []ID{0, 4, 8} {
		id, ok := s.Accept(false)
		require.True(t, ok)
		require.Equal(t, want, id)
	}
	_, ok := s.Accept(false)
	require.False(t, ok)
}

// TestFinalSize checks every way in which a peer can contradict itself about the end of a stream.
func TestFinalSize(t *testing.T) {
	data := make([]byte, 100)
	stream := func(off uint64, n int, fin bool) wire.Frame {
		return wire.Stream{ID: uint64(peerUni), Offset: off, Data: data[:n], Fin: fin}
	}
	reset := func(size uint64) wire.Frame { return wire.ResetStream{ID: uint64(peerUni), FinalSize: size} }
	for _, tt := range []struct {
		name   string
		frames []wire.Frame
		bad    bool
	}{
		{"same FIN twice", []wire.Frame{stream(0, 10, true), stream(0, 10, true)}, false},
		{"FIN without data", []wire.Frame{stream(0, 10, false), stream(10, 0, true)}, false},
		{"FIN first", []wire.Frame{stream(10, 0, true), stream(0, 10, false)}, false},
		{"reset at the end", []wire.Frame{stream(0, 10, false), reset(10)}, false},
		{"reset beyond the data received", []wire.Frame{stream(0, 10, false), reset(50)}, false},
		{"reset after FIN", []wire.Frame{stream(0, 10, true), reset(10)}, false},
		{"FIN after reset", []wire.Frame{reset(10), stream(0, 10, true)}, false},
		{"data after reset", []wire.Frame{reset(10), stream(3, 7, false)}, false},

		{"FIN moved up", []wire.Frame{stream(0, 10, true), stream(0, 11, true)}, true},
		{"FIN moved down", []wire.Frame{stream(0, 10, true), stream(0, 9, true)}, true},
		{"FIN below data", []wire.Frame{stream(0, 10, false), stream(0, 9, true)}, true},
		{"data beyond FIN", []wire.Frame{stream(0, 10, true), stream(10, 1, false)}, true},
		{"empty frame beyond FIN", []wire.Frame{stream(0, 10, true), stream(11, 0, false)}, true},
		{"reset below data", []wire.Frame{stream(0, 10, false), reset(9)}, true},
		{"reset beyond FIN", []wire.Frame{stream(0, 10, true), reset(11)}, true},
		{"reset below FIN", []wire.Frame{stream(5, 5, true), reset(9)}, true},
		{"reset moved", []wire.Frame{reset(10), reset(11)}, true},
		{"data beyond reset", []wire.Frame{reset(10), stream(10, 1, false)}, true},
		{"FIN contradicts reset", []wire.Frame{reset(10), stream(0, 9, true)}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t)
			for _, f := range tt.frames[:len(tt.frames)-1] {
				require.NoError(t, s.input(f))
			}
			want := wire.NoError
			if tt.bad {
				want = wire.FinalSizeError
			}
			requireCode(t, want, s.input(tt.frames[len(tt.frames)-1]))
			require.NoError(t, s.CheckInvariants())
		})
	}
}

// TestFlowControlLimits checks the exact limits of the stream and of the connection for data, FIN and
// reset.
//
// "An endpoint MUST terminate a connection with an error of type FLOW_CONTROL_ERROR if it receives more data than the
// maximum data value that it has sent."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.9-6
// "An endpoint MUST terminate a connection with an error of type FLOW_CONTROL_ERROR if it receives more data than the
// largest maximum stream data that it has sent for the affected stream."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.10-8
// "The sum of the final sizes on all streams -- including streams in terminal states -- MUST NOT exceed the value
// advertised by a receiver."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.9-6
// "A receiver MUST close the connection with an error of type FLOW_CONTROL_ERROR if the sender violates the
// advertised connection or stream data limits; see Section 11 for details on error handling."
// https://www.rfc-editor.org/rfc/rfc9000#section-4.1-8
func TestFlowControlLimits(t *testing.T) {
	cfg := testConfig()
	window, conn := uint64(cfg.RecvWindow), uint64(cfg.ConnWindow)
	for _, tt := range []struct {
		name   string
		before uint64 // received on another stream, up to its limit
		frame  wire.Frame
		bad    bool
	}{
		{"to the stream's limit", 0, wire.Stream{ID: 2, Offset: window - 1, Data: []byte("x")}, false},
		{"above the stream's limit", 0, wire.Stream{ID: 2, Offset: window, Data: []byte("x")}, true},
		{"empty frame at the limit", 0, wire.Stream{ID: 2, Offset: window, Fin: true}, false},
		{"empty frame above the limit", 0, wire.Stream{ID: 2, Offset: window + 1}, true},
		{"reset to the stream's limit", 0, wire.ResetStream{ID: 2, FinalSize: window}, false},
		{"reset above the stream's limit", 0, wire.ResetStream{ID: 2, FinalSize: window + 1}, true},
		{"largest offset", 0, wire.Stream{ID: 2, Offset: 1<<62 - 2, Data: []byte("x")}, true},
		{"largest reset", 0, wire.ResetStream{ID: 2, FinalSize: 1<<62 - 1}, true},
		{"to the connection's limit", conn - 10, wire.Stream{ID: 2, Offset: 9, Data: []byte("x")}, false},
		{"above the connection's limit", conn - 10, wire.Stream{ID: 2, Offset: 10, Data: []byte("x")}, true},
		{"reset above the connection's limit", conn - 10, wire.ResetStream{ID: 2, FinalSize: 11}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, s := newPair(t, testConfig(), testConfig())
			for id, left := uint64(0), tt.before; left > 0; id += 4 {
				n := min(left, window)
				require.NoError(t, s.input(wire.Stream{ID: id, Offset: n - 1, Data: []byte("x")}))
				left -= n
			}
			want := wire.NoError
			if tt.bad {
				want = wire.FlowControlError
			}
			requireCode(t, want, s.input(tt.frame))
			require.NoError(t, s.CheckInvariants())
		})
	}
}

// Data is delivered once and in order, however it was split.
//
// "Endpoints MUST be able to deliver stream data to an application as an ordered byte stream."
// https://www.rfc-editor.org/rfc/rfc9000#section-2.2-2
func TestReassembly(t *testing.T) {
	want := fill(make([]byte, 40000), peerUni, 0)
	for _, tt := range []struct {
		name   string
		ranges [][2]int
	}{
		{"in order", [][2]int{{0, 1000}, {1000, 40000}}},
		{"reversed", [][2]int{{20000, 40000}, {10, 20000}, {0, 10}}},
		{"duplicates", [][2]int{{0, 100}, {0, 100}, {100, 40000}, {0, 40000}, {5, 10}}},
		{"overlaps", [][2]int{{0, 100}, {50, 150}, {200, 300}, {140, 39000}, {100, 40000}}},
		{"bridge", [][2]int{{100, 200}, {300, 400}, {500, 600}, {0, 40000}}},
		{"within chunks", [][2]int{{1023, 1025}, {3071, 3073}, {15359, 15361}, {31743, 31745}, {0, 40000}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t)
			for _, r := range tt.ranges {
				f := wire.Stream{ID: uint64(peerUni), Offset: uint64(r[0]), Data: want[r[0]:r[1]], Fin: r[1] == len(want)}
				require.NoError(t, s.input(f))
				require.NoError(t, s.CheckInvariants())
			}
			require.Equal(t, want, readAll(t, s, peerUni, 777))
			require.NoError(t, s.CheckInvariants())
		})
	}
}

// readAll reads a stream to its end in pieces of n bytes.
func readAll(t testing.TB, s *peer, id ID, n int) (all []byte) {
	p := make([]byte, n)
	for {
		n, err := s.Read(1, testRTT, id, p)
		all = append(all, p[:n]...)
		if err == io.EOF {
			require.Zero(t, n)
			return all
		}
		require.NoError(t, err)
	}
}

// A peer cannot make us keep more than a bounded number of pieces. Below that, anything is allowed.
func TestGaps(t *testing.T) {
	s := newServer(t)
	f := wire.Stream{ID: uint64(peerUni), Data: []byte("x")}
	for i := range uint64(maxGaps) {
		f.Offset = 2*i + 1
		require.NoError(t, s.input(f))
	}
	f.Offset = 3
	require.NoError(t, s.input(f), "a duplicate")
	require.NoError(t, s.CheckInvariants())
	f.Offset = 2*maxGaps + 1
	requireCode(t, wire.ProtocolViolation, s.input(f))

	s = newServer(t)
	for i := range uint64(maxGaps) {
		f.Offset = 2*i + 1
		require.NoError(t, s.input(f))
	}
	require.NoError(t, s.input(wire.Stream{ID: uint64(peerUni), Data: make([]byte, 2*maxGaps)}))
	require.Zero(t, s.find(peerUni).recv.later.NumRanges())
	n, err := s.Read(1, testRTT, peerUni, make([]byte, 4*maxGaps))
	require.NoError(t, err)
	require.Equal(t, 2*maxGaps, n)
}

// Every other packet of a whole window may be missing. Small pieces are still bounded.
func TestGapsOfAWindow(t *testing.T) {
	cfg := testConfig()
	cfg.RecvWindow, cfg.ConnWindow = 16<<20, 16<<20
	_, s := newPair(t, testConfig(), cfg)
	const packet, packets = 1100, 14_000
	f := wire.Stream{ID: uint64(peerUni), Data: make([]byte, packet)}
	for i := uint64(1); i < packets; i += 2 {
		f.Offset = i * packet
		require.NoError(t, s.input(f), "packet %d", i)
	}
	require.NoError(t, s.CheckInvariants())
	for i := uint64(0); i < packets; i += 2 {
		f.Offset = i * packet
		require.NoError(t, s.input(f), "packet %d", i)
	}
	require.EqualValues(t, packets*packet, s.find(peerUni).recv.next)
	require.NoError(t, s.CheckInvariants())

	f.Data = []byte("x")
	var err error
	n := 0
	for f.Offset = packet*packets + 1; err == nil && n < 2*maxGaps; f.Offset += 2 {
		err = s.input(f)
		n++
	}
	requireCode(t, wire.ProtocolViolation, err)
	require.Equal(t, maxGaps+1, n)
}

// The memory of a stream corresponds to its flow control window and not to the number of frames.
func TestMemory(t *testing.T) {
	s := newServer(t)
	r := &s.find(peerUni).recv
	require.NoError(t, s.input(wire.Stream{ID: uint64(peerUni), Data: make([]byte, 100)}))
	require.EqualValues(t, minChunk, r.buf.size(), "a short stream uses a small chunk")
	_, err := s.Read(1, testRTT, peerUni, make([]byte, 100))
	require.NoError(t, err)
	require.Zero(t, r.buf.size(), "a stream that was read to the end uses no memory")

	for off := uint64(200); off < uint64(s.cfg.RecvWindow); off += 997 {
		require.NoError(t, s.input(wire.Stream{ID: uint64(peerUni), Offset: off, Data: []byte("x")}))
		require.NoError(t, s.CheckInvariants())
	}
	require.LessOrEqual(t, r.buf.size(), s.cfg.RecvWindow+maxChunk)
	require.NoError(t, s.input(wire.ResetStream{ID: uint64(peerUni), FinalSize: uint64(r.win.received)}))
	require.Zero(t, r.buf.size(), "a stream that was reset uses no memory")
	require.NoError(t, s.CheckInvariants())
}
