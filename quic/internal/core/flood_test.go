package core

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// floodHeap is the maximum by which the heap may grow for a connection.
const floodHeap = 256 << 10

// heapBytes returns the size of the live heap.
func heapBytes() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// flood sends n frames from the client to the server in packets of about packet bytes. The client
// acknowledges nothing, so the server's answers stay outstanding and its window closes. It returns how many
// frames the server accepted before it closed, if it did.
func (r *rig) flood(n, packet int, frame func(i int) wire.Frame) (taken int) {
	r.t.Helper()
	r.server.loss.Path().ValidateAddress()
	for taken < n && r.server.Err() == nil {
		var b []byte
		for len(b) < packet && taken < n {
			b = frame(taken).Append(b)
			taken++
		}
		for len(b) < 4 {
			b = append(b, 0)
		}
		d := r.packet(server, recovery.SpaceApp, b, nil)
		r.server.HandleTrain(r.now, Train{Path: r.server.path, Data: d, SegmentSize: len(d)})
		r.now = r.now.Add(100 * time.Microsecond)
		r.server.HandleTimeout(r.now)
		for tx, ok := r.server.PollTransmit(r.now, r.buf); ok; tx, ok = r.server.PollTransmit(r.now, r.buf) {
			r.server.HandleSendResult(r.now, tx, nil)
		}
		r.events(r.server, server)
	}
	return taken
}

// TestFloods sends a hundred thousand frames of each kind and acknowledges none of the answers. The memory
// that they take is bounded.
func TestFloods(t *testing.T) {
	for _, tt := range []struct {
		name  string
		frame func(r *rig) func(i int) wire.Frame
		// closed is the error with which the server must close. 0 means that it must stay open.
		closed wire.ErrorCode
	}{
		{"PING", func(*rig) func(int) wire.Frame { return func(int) wire.Frame { return wire.Ping{} } }, 0},
		{"PATH_CHALLENGE", func(*rig) func(int) wire.Frame {
			return func(i int) wire.Frame { return wire.PathChallenge{Data: [8]byte{byte(i), byte(i >> 8)}} }
		}, 0},
		{"PATH_RESPONSE", func(*rig) func(int) wire.Frame { return func(int) wire.Frame { return wire.PathResponse{} } }, 0},
		{"NEW_CONNECTION_ID", func(r *rig) func(int) wire.Frame {
			return func(i int) wire.Frame {
				seq := uint64(100 + i)
				return wire.NewConnectionID{Seq: seq, RetirePriorTo: seq, ConnID: r.connID()}
			}
		}, wire.ConnectionIDLimitError},
		{"RETIRE_CONNECTION_ID", func(r *rig) func(int) wire.Frame {
			return func(int) wire.Frame { return wire.RetireConnectionID{Seq: r.server.ids.announced} }
		}, 0},
		{"empty CRYPTO frames", func(*rig) func(int) wire.Frame { return func(int) wire.Frame { return wire.Crypto{} } }, 0},
		{"CRYPTO with gaps", func(*rig) func(int) wire.Frame {
			return func(i int) wire.Frame { return wire.Crypto{Offset: uint64(2*i + 1), Data: []byte{4}} }
		}, wire.CryptoBufferExceeded},
		{"MAX_DATA", func(*rig) func(int) wire.Frame {
			return func(i int) wire.Frame { return wire.MaxData{Max: uint64(i) << 20} }
		}, 0},
		{"MAX_STREAMS", func(*rig) func(int) wire.Frame {
			return func(i int) wire.Frame { return wire.MaxStreams{Max: uint64(i) << 20} }
		}, 0},
		{"DATA_BLOCKED", func(*rig) func(int) wire.Frame {
			return func(i int) wire.Frame { return wire.DataBlocked{Limit: uint64(i)} }
		}, 0},
		{"STREAMS_BLOCKED", func(*rig) func(int) wire.Frame {
			return func(i int) wire.Frame { return wire.StreamsBlocked{Limit: uint64(i)} }
		}, 0},
		{"empty STREAM frames", func(*rig) func(int) wire.Frame {
			return func(i int) wire.Frame { return wire.Stream{ID: uint64(i%10) * 4} }
		}, 0},
		{"STREAM with gaps", func(*rig) func(int) wire.Frame {
			return func(i int) wire.Frame {
				return wire.Stream{ID: uint64(i%10) * 4, Offset: uint64(i/10*2+1) % 8000, Data: []byte{1}}
			}
		}, wire.ProtocolViolation},
		{"streams that are reset", func(r *rig) func(int) wire.Frame {
			return func(i int) wire.Frame {
				id := uint64(i/2) * 4
				for s, ok := r.server.AcceptStream(false); ok; s, ok = r.server.AcceptStream(false) {
					_ = r.server.ResetStream(r.now, s, 1)
					_ = r.server.StopSending(r.now, s, 1)
				}
				if i%2 == 0 {
					return wire.StopSending{ID: id, Code: 1}
				}
				return wire.ResetStream{ID: id, Code: 1}
			}
		}, wire.StreamLimitError},
		{"STOP_SENDING", func(*rig) func(int) wire.Frame {
			return func(i int) wire.Frame { return wire.StopSending{ID: uint64(i%10) * 4, Code: uint64(i)} }
		}, 0},
		{"NEW_TOKEN", func(*rig) func(int) wire.Frame {
			return func(i int) wire.Frame { return wire.NewToken{Token: []byte{1}} }
		}, wire.ProtocolViolation},
	} {
		t.Run(tt.name, func(t *testing.T) { testFlood(t, tt.frame, tt.closed) })
	}
}

// testFlood floods a server with frames and requires that its memory stays bounded. closed is the error with
// which the server must close, or 0 if it must stay open.
func testFlood(t *testing.T, frame func(*rig) func(i int) wire.Frame, closed wire.ErrorCode) {
	const n = 100_000
	r := connected(t, rigOptions{})
	f := frame(r)
	before := heapBytes()
	taken := r.flood(n, 1100, f)
	grown := heapBytes() - before
	runtime.KeepAlive(r)
	t.Logf("the heap grew by %d bytes", grown)
	require.Less(t, grown, int64(floodHeap), "after %d frames", taken)
	require.NoError(t, r.server.CheckInvariants())
	if closed != 0 {
		require.NotNil(t, r.server.Err(), "open after %d frames", taken)
		require.Equal(t, closed, wire.ErrorCode(r.server.Err().Code), "%v", r.server.Err())
		return
	}
	require.NoError(t, errOf(r.server), "after %d frames", taken)
	require.Equal(t, n, taken)
}

// A hundred thousand packets arrive with gaps. Memory stays bounded, whether or not they elicit
// acknowledgements, which the client never acknowledges in turn.
func TestFloodsOfPackets(t *testing.T) {
	for _, frame := range []wire.Frame{wire.Ping{}, wire.Padding{N: 1}, wire.Stream{ID: 0}} {
		t.Run(frame.String(), func(t *testing.T) {
			r := connected(t, rigOptions{})
			before := heapBytes()
			require.Equal(t, 100_000, r.flood(100_000, 1, func(i int) wire.Frame {
				if i%3 == 0 {
					r.pn[recovery.SpaceApp] += 2 // gaps, for as many ranges as there can be
				}
				return frame
			}))
			grown := heapBytes() - before
			runtime.KeepAlive(r)
			t.Logf("the heap grew by %d bytes", grown)
			require.NoError(t, errOf(r.server))
			require.NoError(t, r.server.CheckInvariants())
			require.Less(t, grown, int64(floodHeap))
		})
	}
}
