package http3

import (
	"bytes"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/qpack"
	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// The tests of this file name the limits of docs/limits.md, section HTTP/3. Slow headers and bodies are in lifecycle_test.go.

// A header section that is larger than MaxHeaderBytes is answered with 431 and not kept, whether the frame is too long or what it
// decodes to.
//
// "A server that receives a larger header section than it is willing to handle can send an HTTP 431 (Request Header Fields Too
// Large) status code"
// https://www.rfc-editor.org/rfc/rfc9114#section-4.2.2-1
func TestLimitHeaderSize(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		s := serve(t, p, http.HandlerFunc(echo), func(s *Server) { s.MaxHeaderBytes = 1000 })
		c := dialRaw(t, s)
		require.Equal(t, "431", c.open(frame.AppendHeader(nil, frame.Headers, 1<<40)).response().status, "a frame that is too long")
		require.Equal(t, "431", c.roundTrip(get("/", "x", strings.Repeat("~", 900))...).status)
		many := get("/")
		for range 30 {
			many = append(many, "a", "")
		}
		require.Equal(t, "431", c.roundTrip(many...).status, "many small fields")
		require.Equal(t, "200", c.roundTrip(get("/")...).status)
		// Trailers have the same limit.
		c.open(join(c.headers(post("/")...), c.headers("x", strings.Repeat("~", 1000)))).end().wantReset(frame.ExcessiveLoad)
	})
}

// A section of one byte for each field, which refers to an entry of the dynamic table with 4 KB, is refused when what it stands for
// exceeds the limit, and does not take up that memory.
func TestLimitQPACKBomb(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		s := serve(t, p, http.HandlerFunc(echo), nil)
		c := dialRaw(t, s)
		// Capacity 4096, and one entry that fills it, with a name of 1 byte.
		value := bytes.Repeat([]byte("v"), 4096-32-1)
		insert := []byte{0x3f, 0xe1, 0x1f, 0x41, 'x', 0x7f}
		insert = append(insert, varint7(len(value)-127)...)
		c.uni(frame.StreamQPACKEncoder, append(insert, value...))
		// Required Insert Count 1, base 1, and 30,000 references, which stand for 120 MB.
		section := append([]byte{2, 0}, bytes.Repeat([]byte{0x80}, 30_000)...)
		require.Equal(t, "431", c.open(frameBytes(frame.Headers, section)).end().response().status)
		require.Equal(t, "200", c.roundTrip(get("/")...).status)
	})
}

// varint7 is the rest of an integer of QPACK after a prefix of ones.
func varint7(n int) (b []byte) {
	for ; n >= 128; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// More streams than MaxBlockedStreams may not wait for the dynamic table, and those that wait are bounded by ReadHeaderTimeout.
//
// "If a decoder encounters more blocked streams than it promised to support, it MUST treat this as a connection error of type
// QPACK_DECOMPRESSION_FAILED."
// https://www.rfc-editor.org/rfc/rfc9204#section-2.1.2-4
func TestLimitBlockedStreams(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(echo), func(s *Server) { s.MaxBlockedStreams = 2 })
	c := dialRaw(t, s)
	blocked := frameBytes(frame.Headers, append([]byte{2, 0}, c.enc.AppendSection(nil, 0, pairs(get("/late")...))[2:]...))
	one, two := c.open(blocked).end(), c.open(blocked).end()
	require.Equal(t, "200", c.roundTrip(get("/")...).status, "others are not blocked")
	// The entry arrives.
	enc := c.uni(frame.StreamQPACKEncoder, []byte{0x3f, 0xe1, 0x1f, 0x41, 'x', 0x01, 'y'})
	require.Equal(t, "GET /late ", one.response().body)
	require.Equal(t, "GET /late ", two.response().body)
	require.NotNil(t, enc)
	beyond := frameBytes(frame.Headers, append([]byte{3, 0}, c.enc.AppendSection(nil, 0, pairs(get("/late")...))[2:]...))
	for range 3 {
		c.sendAll(beyond) // the last one ends the connection
	}
	c.wantClose(qpack.DecompressionFailed)
}

// floods are sequences that may be repeated without end, and which the server ends with H3_EXCESSIVE_LOAD.
var floods = map[string]func(c *rawClient) []byte{
	"reserved frames on a request stream": func(c *rawClient) []byte { return frameBytes(0x21, nil) },
	"empty DATA frames":                   func(c *rawClient) []byte { return data("") },
}

func TestLimitFloods(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(echo), nil)
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			c := dialRaw(t, s)
			req := c.open(c.headers(post("/")...))
			_, _ = req.Write(bytes.Repeat(flood(c), maxJunk+1)) // fails if the connection has ended
			c.wantClose(frame.ExcessiveLoad)
		})
	}
	t.Run("reserved frames on the control stream", func(t *testing.T) {
		c := dialBare(t, s)
		c.uni(frame.StreamControl, append(settingsFrame(), bytes.Repeat(frameBytes(0x21, nil), maxJunk+1)...))
		c.wantClose(frame.ExcessiveLoad)
	})
	t.Run("PRIORITY_UPDATE frames", func(t *testing.T) {
		c := dialBare(t, s)
		c.uni(frame.StreamControl, append(settingsFrame(), bytes.Repeat(frameBytes(frame.PriorityUpdateRequest, []byte{0}), maxJunk+1)...))
		c.wantClose(frame.ExcessiveLoad)
	})
	t.Run("unknown streams", func(t *testing.T) {
		c := dialRaw(t, s)
		for range maxJunk + 1 {
			st, err := c.OpenUniStream(c.Context())
			if err == nil {
				_, err = st.Write([]byte{0x21})
			}
			if err == nil {
				err = st.Close()
			}
			if err != nil {
				break // the connection has ended
			}
		}
		c.wantClose(frame.ExcessiveLoad)
	})
	t.Run("not a flood", func(t *testing.T) {
		c := dialRaw(t, s)
		for range 5 {
			m := c.open(join(c.headers(get("/")...), bytes.Repeat(frameBytes(0x21, nil), maxJunk-1))).end().response()
			require.Equal(t, "200", m.status)
		}
	})
}

// A SETTINGS frame with more settings than 64, or longer than so many can be, is not parsed any further.
func TestLimitSettings(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(echo), nil)
	settings := func(n uint64) (kv []uint64) {
		for i := range n {
			kv = append(kv, 0x22+0x1f*i, i) // not reserved ones, which are ignored
		}
		return kv
	}
	c := dialBare(t, s)
	c.uni(frame.StreamControl, settingsFrame(settings(64)...))
	l, err := s.onlyConn().awaitSettings(t.Context())
	require.NoError(t, err)
	require.Len(t, l.Other, 64)
	require.Equal(t, "200", c.roundTrip(get("/")...).status)
	for name, b := range map[string][]byte{
		"many": settingsFrame(settings(65)...),
		"long": frame.AppendHeader(nil, frame.Settings, frame.MaxSettingsFrame+1),
	} {
		t.Run(name, func(t *testing.T) {
			c := dialBare(t, s)
			c.uni(frame.StreamControl, b)
			c.wantClose(frame.ExcessiveLoad)
		})
	}
}

// A frame on the control stream is refused by its length, before it has arrived.
func TestLimitControlFrames(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(echo), nil)
	for name, tc := range map[string]struct{ typ, length, code uint64 }{
		"PRIORITY_UPDATE": {frame.PriorityUpdateRequest, 513, frame.ExcessiveLoad},
		"GOAWAY":          {frame.GoAway, 9, frame.FrameError},
		"MAX_PUSH_ID":     {frame.MaxPushID, 9, frame.FrameError},
	} {
		t.Run(name, func(t *testing.T) {
			c := dialBare(t, s)
			c.uni(frame.StreamControl, frame.AppendHeader(settingsFrame(), tc.typ, tc.length))
			c.wantClose(tc.code)
		})
	}
	c := dialBare(t, s)
	c.uni(frame.StreamControl, join(settingsFrame(), frameBytes(0x21, make([]byte, 1<<20)), frame.AppendInt(nil, frame.MaxPushID, 1)))
	require.Equal(t, "200", c.roundTrip(get("/")...).status, "what is ignored is not kept")
}

// What a client does not read of the control stream is kept up to a limit.
func TestLimitUnreadControlStream(t *testing.T) {
	const buffer, window, size = 16 << 10, 1000, 100
	s := serve(t, nil, http.HandlerFunc(echo), func(s *Server) { s.QUIC = &quic.Config{StreamSendBuffer: buffer} })
	c := dialWith(t, s, func(c *quic.Config) { c.StreamWindow, c.MaxStreamWindow = window, window })
	require.Equal(t, "200", c.roundTrip(get("/")...).status)
	sc, sent, err := s.onlyConn(), 0, error(nil)
	for ; err == nil && sent < 1<<20; sent += size {
		err = sc.sendFrame(frameBytes(0x21, make([]byte, size-2-1)))
	}
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, ErrCodeExcessiveLoad, e.Code)
	require.Greater(t, sent, maxQueued)
	require.Less(t, sent, maxQueued+2*buffer, "with what the send buffer holds and the client's window has let through")
}

// Requests that the client cancels at once run no more handlers at a time than requests that it waits for, because the streams count
// until their handlers have ended. The streams of cancelled requests are rate limited by quic.Config.MaxAbortedStreams.
func TestLimitRapidReset(t *testing.T) {
	const limit, flood = 8, 100
	var running, most, total atomic.Int32
	release := make(chan struct{})
	s := serve(t, nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		n := running.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		total.Add(1)
		<-release
		running.Add(-1)
	}), func(s *Server) { s.QUIC = &quic.Config{MaxIncomingStreams: limit} })
	c := dialRaw(t, s)
	req := c.headers(get("/")...)
	opened := 0
	for range flood {
		st, err := c.TryOpenStream()
		if err != nil {
			require.ErrorIs(t, err, quic.ErrStreamLimit)
			break
		}
		opened++
		_, err = st.WriteEnd(req)
		require.NoError(t, err)
		require.NoError(t, c.Flush(t.Context())) // the server has seen the request before it is cancelled
		require.NoError(t, st.StopSending(frame.RequestCancelled))
	}
	require.LessOrEqual(t, most.Load(), int32(limit))
	require.Less(t, opened, flood, "the flood was not stopped")
	close(release)
	d := dialRaw(t, s) // others are served
	require.Equal(t, "200", d.roundTrip(get("/")...).status)
}

// A client that cancels more requests than quic.Config.MaxAbortedStreams gets the credit for new streams later.
func TestLimitCancelledRequests(t *testing.T) {
	const flood = 100
	withheld := func(limit int64) uint64 {
		s := serve(t, nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), func(s *Server) {
			s.QUIC = &quic.Config{MaxIncomingStreams: flood, MaxAbortedStreams: limit}
		})
		c := dialRaw(t, s)
		for range flood {
			st, err := c.TryOpenStream()
			require.NoError(t, err)
			require.NoError(t, st.Reset(frame.RequestCancelled))
			require.NoError(t, st.StopSending(frame.RequestCancelled))
		}
		for qc := s.onlyConn().qc; ; runtime.Gosched() {
			if st := qc.Stats().Streams; st.AbortedStreams == flood {
				return st.WithheldStreams
			}
		}
	}
	require.NotZero(t, withheld(1))
	require.Zero(t, withheld(flood))
}

// A request that was cancelled before its handler has begun has none.
func TestCancelledRequestIsNotHandled(t *testing.T) {
	var total atomic.Int32
	s := serve(t, nil, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cancelled" {
			total.Add(1)
		}
	}), nil)
	c := dialRaw(t, s)
	h := c.headers(get("/cancelled")...)
	for range 20 {
		st := c.open(h[:len(h)-1])
		require.NoError(t, st.StopSending(frame.RequestCancelled))
		require.NoError(t, c.Flush(t.Context()))
		require.Equal(t, "200", c.roundTrip(get("/")...).status)
		_, err := st.WriteEnd(h[len(h)-1:])
		if err == nil {
			require.NoError(t, c.Flush(t.Context()))
		}
		require.Equal(t, "200", c.roundTrip(get("/")...).status)
	}
	require.Zero(t, total.Load())
}

// PRIORITY_UPDATE frames for requests that never come are kept in a bounded number.
func TestLimitPriorityUpdates(t *testing.T) {
	conns := make(chan *serverConn, 1)
	s := serve(t, nil, http.HandlerFunc(echo), nil)
	c := dialBare(t, s)
	b := settingsFrame()
	for i := range uint64(500) {
		b = append(b, frameBytes(frame.PriorityUpdateRequest, append(varint.Append(nil, 4*i), "u=1"...))...)
	}
	c.uni(frame.StreamControl, b)
	require.Equal(t, "200", c.roundTrip(get("/")...).status)
	s.mu.Lock()
	for sc := range s.conns {
		conns <- sc
	}
	s.mu.Unlock()
	sc := <-conns
	for n := 0; n < maxWaitingPriorities-1; { // until the frames have arrived; one of them may have been for the request
		sc.reqs.mu.Lock()
		n = len(sc.reqs.waiting)
		sc.reqs.mu.Unlock()
		runtime.Gosched()
	}
	require.Equal(t, "200", c.roundTrip(get("/")...).status)
	sc.reqs.mu.Lock()
	defer sc.reqs.mu.Unlock()
	require.LessOrEqual(t, len(sc.reqs.waiting), maxWaitingPriorities)
}
