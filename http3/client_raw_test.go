package http3

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/qpack"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A rawServer is a QUIC server whose connections the test scripts frame by frame.
type rawServer struct {
	testing.TB
	l *quic.Listener
}

func listenRaw(t testing.TB, change func(*quic.Config)) *rawServer {
	t.Helper()
	cfg := &quic.Config{Provider: defaultProvider(), MaxDatagramFrameSize: 65535, TLS: &tlsprovider.Config{
		NextProtos: []string{NextProto}, Certificates: []tlsprovider.Certificate{testPKI().Provider()},
	}}
	if change != nil {
		change(cfg)
	}
	l, err := quic.Listen("udp", "127.0.0.1:0", cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Endpoint().Close()) })
	return &rawServer{t, l}
}

func (s *rawServer) url() string { return "https://" + s.l.Addr().String() + "/" }

// acceptBare accepts a connection and sends nothing.
func (s *rawServer) acceptBare() *rawClient {
	s.Helper()
	qc, err := s.l.Accept(s.Context())
	require.NoError(s, err)
	return &rawClient{s.TB, qc, qpack.NewEncoder(0), qpack.NewDecoder(0, 0)}
}

// accept accepts a connection and sends an empty SETTINGS frame. It returns the control stream, too.
func (s *rawServer) accept() (*rawClient, *quic.SendStream) {
	s.Helper()
	c := s.acceptBare()
	return c, c.uni(frame.StreamControl, frame.AppendHeader(nil, frame.Settings, 0))
}

// next accepts the stream of a request.
func (c *rawClient) next() *rawStream {
	c.Helper()
	s, err := c.AcceptStream(c.Context())
	require.NoError(c, err)
	return &rawStream{c, s}
}

// write writes to the stream of a request, and ends it with the last of several.
func (s *rawStream) send(parts ...[]byte) *rawStream {
	s.c.Helper()
	_, err := s.Write(join(parts...))
	require.NoError(s.c, err)
	return s
}

// answer writes a complete response with status 200.
func (s *rawStream) answer(body string) {
	s.c.Helper()
	s.send(s.c.headers(":status", "200"), data(body)).end()
}

// wantStop requires that the client has asked to stop the response with a code.
func (s *rawStream) wantStop(code uint64) {
	s.c.Helper()
	<-s.Stream.Context().Done()
	var se *quic.StreamError
	require.ErrorAs(s.c, context.Cause(s.Stream.Context()), &se)
	require.True(s.c, se.Remote)
	require.Equal(s.c, ErrorCode(code).String(), ErrorCode(se.Code).String())
}

// An outcome is what RoundTrip returns.
type outcome struct {
	resp *http.Response
	err  error
}

// begin performs a request on another goroutine.
func begin(rt http.RoundTripper, req *http.Request) <-chan outcome {
	out := make(chan outcome, 1)
	go func() {
		resp, err := rt.RoundTrip(req)
		out <- outcome{resp, err}
	}()
	return out
}
