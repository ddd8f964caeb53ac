package http3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/leaktest"
	"github.com/pqquic/pqquic/internal/qpack"
	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

var testPKI = sync.OnceValue(func() *testcert.Certificate { return testcert.New("localhost", "127.0.0.1") })

// testProviders returns the providers of this build: crypto/tls, and s2n-tls if it is linked.
func testProviders(t testing.TB) map[string]tlsprovider.Provider {
	p := map[string]tlsprovider.Provider{"native": native.New()}
	switch linked, err := s2n.New(s2n.AllowClassical()); {
	case err == nil:
		p["s2n"] = linked
	case !errors.Is(err, s2n.ErrNotLinked):
		require.NoError(t, err)
	}
	return p
}

// defaultProvider is the provider of the tests that do not choose one: that of quic.Config, or the linked one in the FIPS variants, where
// a Config must name its provider.
var defaultProvider = sync.OnceValue(func() tlsprovider.Provider {
	if linked, err := s2n.New(); err == nil && linked.Capabilities().FIPS.Enabled {
		return linked
	}
	return nil
})

// forProviders runs a test with each provider.
func forProviders(t *testing.T, test func(t *testing.T, p tlsprovider.Provider)) {
	t.Helper()
	for name, p := range testProviders(t) {
		t.Run(name, func(t *testing.T) { test(t, p) })
	}
}

// A testServer is a Server that listens on a port of 127.0.0.1.
type testServer struct {
	*Server
	addr string
	log  *lockedBuffer
}

// A lockedBuffer is a bytes.Buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// serve starts a server, which ends with the test. change may be nil.
func serve(t testing.TB, p tlsprovider.Provider, h http.Handler, change func(*Server)) *testServer {
	t.Helper()
	if p == nil {
		p = defaultProvider()
	}
	logged := new(lockedBuffer)
	s := &Server{
		Handler: h, Provider: p, ErrorLog: log.New(logged, "", 0),
		TLS: &tlsprovider.Config{Certificates: []tlsprovider.Certificate{testPKI().Provider()}},
	}
	if change != nil {
		change(s)
	}
	cfg, err := s.quicConfig()
	require.NoError(t, err)
	l, err := quic.Listen("udp", "127.0.0.1:0", cfg)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.serveOwn(l) }()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-done, ErrServerClosed)
	})
	return &testServer{s, l.Addr().String(), logged}
}

// wantLog waits until the log contains text: a peer may see what a server does before the server has logged it.
func (s *testServer) wantLog(t testing.TB, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(s.log.String(), text) }, 10*time.Second, time.Millisecond,
		"%q is not logged", text)
}

// activeRequests returns the number of requests in progress.
func (s *testServer) activeRequests() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sc := range s.conns {
		sc.reqs.mu.Lock()
		n += sc.reqs.active
		sc.reqs.mu.Unlock()
	}
	return n
}

// A rawClient speaks HTTP/3 frame by frame, so that it can also say what is not permitted.
type rawClient struct {
	testing.TB
	*quic.Conn
	enc *qpack.Encoder
	dec *qpack.Decoder
}

// dialBare connects and sends nothing.
func dialBare(t testing.TB, s *testServer) *rawClient {
	t.Helper()
	return dialWith(t, s, nil)
}

// dialWith is dialBare with a change of the configuration, which may be nil.
func dialWith(t testing.TB, s *testServer, change func(*quic.Config)) *rawClient {
	t.Helper()
	c, err := tryDial(t, s, change)
	require.NoError(t, err)
	return c
}

// tryDial is dialWith for a server that may close the connection at once, which can be an error of Dial.
func tryDial(t testing.TB, s *testServer, change func(*quic.Config)) (*rawClient, error) {
	cfg := &quic.Config{
		Provider: s.Provider, ServerName: "localhost", MaxDatagramFrameSize: 65535,
		TLS: &tlsprovider.Config{NextProtos: []string{NextProto}, RootCAs: testPKI().Roots()},
	}
	if change != nil {
		change(cfg)
	}
	qc, err := quic.Dial(t.Context(), "udp", s.addr, cfg)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = qc.CloseWithError(frame.NoError, "") })
	return &rawClient{t, qc, qpack.NewEncoder(0), qpack.NewDecoder(0, 0)}, nil
}

// wantRefused requires that the server closes a new connection at once with a code.
func (s *testServer) wantRefused(t testing.TB, change func(*quic.Config), code uint64) {
	t.Helper()
	c, err := tryDial(t, s, change)
	if err == nil {
		c.wantClose(code)
		return
	}
	var ae *quic.ApplicationError
	require.ErrorAs(t, err, &ae)
	require.Equal(t, ErrorCode(code).String(), ErrorCode(ae.Code).String(), ae.Reason)
}

// dialRaw connects and sends an empty SETTINGS frame.
func dialRaw(t testing.TB, s *testServer) *rawClient {
	t.Helper()
	c := dialBare(t, s)
	c.uni(frame.StreamControl, frame.AppendHeader(nil, frame.Settings, 0))
	return c
}

// uni opens a unidirectional stream of a type and writes b.
func (c *rawClient) uni(typ uint64, b []byte) *quic.SendStream {
	c.Helper()
	s, err := c.OpenUniStream(c.Context())
	require.NoError(c, err)
	_, err = s.Write(append(varint.Append(nil, typ), b...))
	require.NoError(c, err)
	return s
}

// Context is that of the test.
func (c *rawClient) Context() context.Context { return c.TB.Context() }

// open opens a request stream and writes b.
func (c *rawClient) open(b []byte) *rawStream {
	c.Helper()
	s, err := c.OpenStream(c.Context())
	require.NoError(c, err)
	_, err = s.Write(b)
	require.NoError(c, err)
	return &rawStream{c, s}
}

// sendAll opens a request stream and writes b and the end, which arrive together.
func (c *rawClient) sendAll(b []byte) *rawStream {
	c.Helper()
	s, err := c.OpenStream(c.Context())
	require.NoError(c, err)
	_, err = s.WriteEnd(b)
	require.NoError(c, err)
	return &rawStream{c, s}
}

// pairs returns fields from names and values.
func pairs(kv ...string) (fields []qpack.Field) {
	for p := range slices.Chunk(kv, 2) {
		fields = append(fields, qpack.Field{Name: p[0], Value: p[1]})
	}
	return fields
}

// get is the header section of a GET request for a path, followed by other fields.
func get(path string, kv ...string) []string {
	return append([]string{":method", "GET", ":scheme", "https", ":authority", "localhost", ":path", path}, kv...)
}

// post is the same for a POST request.
func post(path string, kv ...string) []string {
	return append([]string{":method", "POST", ":scheme", "https", ":authority", "localhost", ":path", path}, kv...)
}

// headers is a HEADERS frame.
func (c *rawClient) headers(kv ...string) []byte {
	return frameBytes(frame.Headers, c.enc.AppendSection(nil, 0, pairs(kv...)))
}

// frameBytes is a frame.
func frameBytes(typ uint64, payload []byte) []byte {
	return append(frame.AppendHeader(nil, typ, uint64(len(payload))), payload...)
}

func data(s string) []byte { return frameBytes(frame.Data, []byte(s)) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// A rawStream is a request stream of a rawClient.
type rawStream struct {
	c *rawClient
	*quic.Stream
}

// end ends the request.
func (s *rawStream) end() *rawStream {
	s.c.Helper()
	require.NoError(s.c, s.CloseWrite())
	return s
}

// A message is a response with everything before and after it.
type message struct {
	interim  []string // the statuses of interim responses
	status   string
	header   http.Header
	body     string
	trailer  http.Header
	dataSize []int // of the DATA frames
}

// response reads a response to the end.
func (s *rawStream) response() *message {
	s.c.Helper()
	b, err := io.ReadAll(s)
	require.NoError(s.c, err)
	return s.parse(b)
}

// parse parses a response.
func (s *rawStream) parse(b []byte) *message {
	s.c.Helper()
	m := &message{}
	for len(b) > 0 {
		h, n := frame.ParseHeader(b)
		require.Positive(s.c, n)
		require.LessOrEqual(s.c, h.Length, uint64(len(b)-n))
		payload := b[n : n+int(h.Length)]
		b = b[n+int(h.Length):]
		switch h.Type {
		case frame.Data:
			m.body += string(payload)
			m.dataSize = append(m.dataSize, len(payload))
		case frame.Headers:
			header := http.Header{}
			status := ""
			require.NoError(s.c, s.c.dec.Decode(uint64(s.ID()), payload, func(f qpack.Field) error {
				if f.Name == ":status" {
					status = f.Value
				} else {
					header.Add(f.Name, f.Value)
				}
				return nil
			}))
			switch {
			case strings.HasPrefix(status, "1"):
				m.interim = append(m.interim, status)
			case status != "":
				m.status, m.header = status, header
			default:
				m.trailer = header
			}
		default:
			require.Failf(s.c, "unexpected frame", "type %#x", h.Type)
		}
	}
	return m
}

// roundTrip sends a request without a body and reads the response.
func (c *rawClient) roundTrip(kv ...string) *message {
	c.Helper()
	return c.sendAll(c.headers(kv...)).response()
}

// wantReset requires that the server aborts the response with a code.
func (s *rawStream) wantReset(code uint64) {
	s.c.Helper()
	_, err := io.ReadAll(s)
	var se *quic.StreamError
	require.ErrorAs(s.c, err, &se)
	require.True(s.c, se.Remote)
	require.Equal(s.c, ErrorCode(code).String(), ErrorCode(se.Code).String())
}

// wantClose requires that the server closes the connection with a code.
func (c *rawClient) wantClose(code uint64) {
	c.Helper()
	<-c.Conn.Context().Done()
	var ae *quic.ApplicationError
	err := context.Cause(c.Conn.Context())
	require.ErrorAs(c, err, &ae)
	require.True(c, ae.Remote)
	require.Equal(c, ErrorCode(code).String(), ErrorCode(ae.Code).String(), ae.Reason)
}
