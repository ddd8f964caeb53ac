package http3

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/qpack"
	"github.com/pqquic/pqquic/quic"
)

// What a hostile client can try against a Server, beyond the limits of limits_test.go.

// onlyConn returns the server's only connection.
func (s *testServer) onlyConn() *serverConn {
	for {
		s.mu.Lock()
		for sc := range s.conns {
			s.mu.Unlock()
			return sc
		}
		s.mu.Unlock()
		runtime.Gosched()
	}
}

// awaitActive waits until n requests are in progress.
func (s *testServer) awaitActive(n int) {
	for s.activeRequests() != n {
		runtime.Gosched()
	}
}

// A frame that is ignored does not switch ReadHeaderTimeout off for the header section that does not follow it.
func TestLimitSlowHeadersAfterReservedFrame(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(echo), func(s *Server) { s.ReadHeaderTimeout = 50 * time.Millisecond })
	c := dialRaw(t, s)
	h := c.headers(get("/")...)
	c.open(frameBytes(0x21, nil)).wantReset(frame.RequestRejected)
	c.open(join(frameBytes(0x21, []byte("ignored")), h[:len(h)-1])).wantReset(frame.RequestRejected)
	c.wantInTime(join(frameBytes(0x21, nil), h))
}

// wantInTime requires that a request succeeds although the server has a short ReadHeaderTimeout, which may pass on a machine that is
// busy. It is sent until one is in time.
func (c *rawClient) wantInTime(request []byte) {
	c.Helper()
	for {
		s, err := c.OpenStream(c.Context())
		require.NoError(c, err)
		_, _ = s.WriteEnd(request) // fails if the server has rejected the request
		b, err := io.ReadAll(s)
		if err == nil {
			require.Equal(c, "200", (&rawStream{c, s}).parse(b).status)
			return
		}
		var se *quic.StreamError
		require.ErrorAs(c, err, &se)
		require.Equal(c, uint64(frame.RequestRejected), se.Code)
	}
}

// The length of a HEADERS frame takes no memory before its bytes arrive.
func TestLimitDeclaredHeaders(t *testing.T) {
	const streams = 200
	s := serve(t, nil, http.HandlerFunc(echo), func(s *Server) { s.ReadHeaderTimeout = 300 * time.Millisecond })
	c := dialRaw(t, s)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var open []*rawStream
	for range streams {
		open = append(open, c.open(frame.AppendHeader(nil, frame.Headers, http.DefaultMaxHeaderBytes)))
	}
	for _, st := range open {
		st.wantReset(frame.RequestRejected)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/streams, uint64(100<<10), "bytes for each stream")
	// A section that takes several steps is complete.
	c.wantInTime(c.headers(get("/", "x", strings.Repeat("~", 100_000))...))
}

// A connection that ends while a handler runs is not kept until IdleTimeout after the handler has returned.
func TestConnectionIsNotKeptByHandler(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	s := serve(t, nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(started); <-release }), nil)
	c := dialRaw(t, s)
	c.open(c.headers(get("/")...)).end()
	<-started
	sc := s.onlyConn()
	require.NoError(t, c.CloseWithError(frame.NoError, ""))
	for isOpen := true; isOpen; {
		s.mu.Lock()
		_, isOpen = s.conns[sc]
		s.mu.Unlock()
		runtime.Gosched()
	}
	close(release)
	s.awaitActive(0)
	for active := 1; active > 0; {
		sc.reqs.mu.Lock()
		active = sc.reqs.active
		sc.reqs.mu.Unlock()
		runtime.Gosched()
	}
	require.False(t, sc.reqs.idle.Stop(), "the timer of IdleTimeout runs after the end of the connection")
}

// A second Shutdown does not take back what the GOAWAY frames of the first one have said.
//
// "An endpoint MAY send multiple GOAWAY frames indicating different identifiers, but the identifier in each frame MUST NOT be
// greater than the identifier in any previous frame"
// https://www.rfc-editor.org/rfc/rfc9114#section-5.2-7
func TestShutdownTwice(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	s := serve(t, nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(started); <-release }), nil)
	c := dialRaw(t, s)
	control := c.control()
	req := c.open(c.headers(get("/")...)).end()
	<-started
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(ctx) }()
	wantGoAway(t, control, uint64(noLimit))
	wantGoAway(t, control, 4)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	go func() { done <- s.Shutdown(context.Background()) }()
	close(release)
	require.Equal(t, "200", req.response().status)
	require.NoError(t, <-done)
	b, _ := io.ReadAll(control) // ends with the connection
	for len(b) > 0 {
		h, n := frame.ParseHeader(b)
		require.Equal(t, uint64(frame.GoAway), h.Type)
		id, err := frame.ParseInt(b[n : n+int(h.Length)])
		require.NoError(t, err)
		require.LessOrEqual(t, id, uint64(4))
		b = b[n+int(h.Length):]
	}
	c.wantClose(frame.NoError)
}

// Unidirectional streams that are reset before their type has arrived, and frames about pushes, are counted as others without a
// meaning are.
func TestLimitFloodsWithoutType(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(echo), nil)
	t.Run("streams without a type", func(t *testing.T) {
		c := dialRaw(t, s)
		for range maxJunk + 1 {
			st, err := c.OpenUniStream(c.Context())
			if err == nil {
				err = st.Close()
			}
			if err != nil {
				break // the connection has ended
			}
		}
		c.wantClose(frame.ExcessiveLoad)
	})
	for name, typ := range map[string]uint64{"MAX_PUSH_ID": frame.MaxPushID, "GOAWAY": frame.GoAway} {
		t.Run(name, func(t *testing.T) {
			c := dialBare(t, s)
			c.uni(frame.StreamControl, append(settingsFrame(), bytes.Repeat(frameBytes(typ, []byte{1}), maxJunk+1)...))
			c.wantClose(frame.ExcessiveLoad)
		})
	}
}

// A trailer section that refers to entries of the dynamic table that never come does not keep a handler beyond ReadHeaderTimeout.
func TestLimitBlockedTrailers(t *testing.T) {
	errs := make(chan error, 1)
	s := serve(t, nil, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		errs <- err
	}), func(s *Server) { s.ReadHeaderTimeout = 200 * time.Millisecond })
	c := dialRaw(t, s)
	blocked := frameBytes(frame.Headers, append([]byte{2, 0}, c.enc.AppendSection(nil, 0, pairs("x", "y"))[2:]...))
	c.open(join(c.headers(post("/")...), data("x"), blocked)).end()
	require.True(t, isTimeout(<-errs))
	require.Equal(t, "200", c.roundTrip(get("/")...).status)
	require.NoError(t, <-errs)
}

// A path with a character that would end the target in a request line of HTTP/1.1 is malformed: behind a proxy, what follows it
// could be taken for something else.
//
// ""path-absolute" production and optionally a ? character (ASCII 0x3f) followed by the "query" production"
// https://www.rfc-editor.org/rfc/rfc9114#section-4.3.1-2.8.1
func TestPathWithSpace(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(echo), nil)
	c := dialRaw(t, s)
	for _, path := range []string{"/a b", "/?a HTTP/1.1", "/ ", "/?x\ty", "/a#fragment"} {
		c.sendAll(c.headers(get(path)...)).wantReset(frame.MessageError)
	}
	require.Equal(t, "200", c.roundTrip(get("/a%20b?c=%20")...).status)
}

// The names in the field Trailer count against MaxHeaderBytes as fields do, because each takes an entry of Request.Trailer.
func TestLimitAnnouncedTrailers(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(echo), func(s *Server) { s.MaxHeaderBytes = 4000 })
	c := dialRaw(t, s)
	var names strings.Builder
	for i := range 300 {
		fmt.Fprintf(&names, "t%d,", i)
	}
	require.Equal(t, "431", c.roundTrip(get("/", "trailer", names.String())...).status)
	require.Equal(t, "200", c.roundTrip(get("/", "trailer", "one, two")...).status)
}

// "[T]his MUST be treated as a stream error of type QPACK_DECOMPRESSION_FAILED if on a request stream or a connection error of the
// appropriate type if on the encoder or decoder stream."
// https://www.rfc-editor.org/rfc/rfc9204#section-7.4-3
func TestIntegerOfSectionTooLarge(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(echo), nil)
	c := dialRaw(t, s)
	tooLarge := append([]byte{0, 0, 0xff}, bytes.Repeat([]byte{0xff}, 12)...)
	c.open(frameBytes(frame.Headers, tooLarge)).wantReset(qpack.DecompressionFailed)
	trailers := c.open(join(c.headers(post("/")...), frameBytes(frame.Headers, tooLarge))).end()
	trailers.wantReset(qpack.DecompressionFailed)
	require.Equal(t, "200", c.roundTrip(get("/")...).status, "the connection has not ended")
	c.uni(frame.StreamQPACKEncoder, tooLarge[2:])
	c.wantClose(qpack.EncoderStreamError)
}

// Insertions for which a field section waits are acknowledged with the section.
//
// "By delaying an Insert Count Increment instruction, the decoder might be able to coalesce multiple Insert Count Increment
// instructions or replace them entirely with Section Acknowledgments"
// https://www.rfc-editor.org/rfc/rfc9204#section-2.2.2.3-1
func TestSectionAcknowledgmentReplacesIncrement(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(echo), nil)
	c := dialRaw(t, s)
	c.control()
	blocked := frameBytes(frame.Headers, append([]byte{2, 0}, c.enc.AppendSection(nil, 0, pairs(get("/late")...))[2:]...))
	req := c.open(blocked).end()
	sc := s.onlyConn()
	for isBlocked := false; !isBlocked; { // until the server waits
		sc.dec.mu.Lock()
		isBlocked = sc.dec.inserted != nil
		sc.dec.mu.Unlock()
		runtime.Gosched()
	}
	c.uni(frame.StreamQPACKEncoder, []byte{0x3f, 0xe1, 0x1f, 0x41, 'x', 0x01, 'y'})
	require.Equal(t, "GET /late ", req.response().body)
	dec, err := c.AcceptUniStream(c.Context())
	require.NoError(t, err)
	b := make([]byte, 2)
	_, err = io.ReadFull(dec, b)
	require.NoError(t, err)
	require.Equal(t, []byte{frame.StreamQPACKDecoder, 0x80}, b, "Section Acknowledgment of stream 0")
}

// "An implementation that has received this parameter SHOULD NOT send an HTTP message header that exceeds the indicated size, as the
// peer will likely refuse to process it."
// https://www.rfc-editor.org/rfc/rfc9114#section-4.2.2-2
func TestPeerMaxFieldSectionSize(t *testing.T) {
	errs := make(chan error, 1)
	s := serve(t, nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		large := strings.Repeat("~", 1000)
		switch r.URL.Path {
		case "/header":
			w.Header().Set("X", large)
			errs <- http.NewResponseController(w).Flush()
		case "/trailer":
			w.Header().Set(http.TrailerPrefix+"X", large)
		case "/interim":
			w.Header().Set("X", large)
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("X")
		}
	}), nil)
	c := dialBare(t, s)
	c.uni(frame.StreamControl, settingsFrame(frame.SettingMaxFieldSectionSize, 500))
	<-s.onlyConn().settingsArrived()
	c.open(c.headers(get("/header")...)).end().wantReset(frame.InternalError)
	require.ErrorIs(t, <-errs, errTooLargeForClient)
	c.open(c.headers(get("/trailer")...)).end().wantReset(frame.InternalError)
	m := c.roundTrip(get("/interim")...)
	require.Equal(t, "200", m.status)
	require.Empty(t, m.interim)
	require.Equal(t, "200", c.roundTrip(get("/")...).status)
	s.wantLog(t, "the client accepts only 500")
}

// Secrets are literals that are never indexed, by the rule of the encoder.
func TestSecretsAreNeverIndexed(t *testing.T) {
	l := newFieldList()
	defer l.free()
	l.add("authorization", "Bearer 0123456789")
	l.add("set-cookie", "id=a-cookie-of-some-length-0123456789")
	section := qpack.NewEncoder(0).AppendSection(nil, 0, l.fields)
	sensitive := 0
	require.NoError(t, qpack.NewDecoder(0, 0).Decode(0, section, func(f qpack.Field) error {
		if f.Sensitive {
			sensitive++
		}
		return nil
	}))
	require.Equal(t, 2, sensitive)
}
