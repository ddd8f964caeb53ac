package http3

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/qpack"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// A gate is a socket that delivers nothing while it is closed. Handshakes cannot complete then.
type gate struct {
	net.PacketConn
	open chan struct{}
}

func (g *gate) ReadFrom(p []byte) (int, net.Addr, error) {
	n, addr, err := g.PacketConn.ReadFrom(p)
	<-g.open
	return n, addr, err
}

// A signalStore is a ClientStore that says when it has a session.
type signalStore struct {
	tlsprovider.ClientStore
	once sync.Once
	has  chan struct{}
}

func (s *signalStore) Put(key string, value []byte) {
	s.ClientStore.Put(key, value)
	s.once.Do(func() { close(s.has) })
}

// earlyProvider is the provider of the tests of early data, which the s2n provider does not support.
var earlyProvider = native.New()

// dialEarly resumes a session and returns a connection whose handshake is complete when open is closed.
func dialEarly(t *testing.T, s *testServer) (c *rawClient, open chan struct{}) {
	t.Helper()
	store := &signalStore{ClientStore: tlsprovider.NewClientStore(0, 0), has: make(chan struct{})}
	cfg := &quic.Config{Provider: earlyProvider, ServerName: "localhost", TLS: &tlsprovider.Config{
		NextProtos: []string{NextProto}, RootCAs: testPKI().Roots(), ClientStore: store, EarlyData: true,
	}}
	dial := func(open chan struct{}) *rawClient {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		require.NoError(t, err)
		ep, err := quic.NewEndpoint(&gate{pc, open}, cfg)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, ep.Close()) })
		qc, err := ep.DialEarly(t.Context(), s.addr, nil)
		require.NoError(t, err)
		return &rawClient{t, qc, qpack.NewEncoder(0), qpack.NewDecoder(0, 0)}
	}
	isOpen := make(chan struct{})
	close(isOpen)
	first := dial(isOpen)
	<-store.has
	require.NoError(t, first.CloseWithError(frame.NoError, ""))
	open = make(chan struct{})
	c = dial(open)
	t.Cleanup(sync.OnceFunc(func() {
		select {
		case <-open:
		default:
			close(open)
		}
	}))
	c.uni(frame.StreamControl, settingsFrame())
	return c, open
}

// Safe requests in early data are handled at once, and marked. Others wait for the handshake.
func TestEarlyData(t *testing.T) {
	handled := make(chan string, 10)
	s := serve(t, earlyProvider, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _ := ConnFromContext(r.Context())
		isDone := false
		select {
		case <-conn.HandshakeComplete():
			isDone = true
		default:
		}
		_, _ = fmt.Fprint(w, r.Method, " ", IsEarly(r), " ", r.Header.Get("Early-Data"))
		handled <- fmt.Sprint(r.Method, " ", IsEarly(r), " ", isDone, " ", r.TLS.HandshakeComplete)
	}), func(s *Server) { s.EarlyData, s.EnableDatagrams = true, true })
	c, open := dialEarly(t, s)
	postReq := c.open(join(c.headers(post("/")...), data("x"))).end()
	getReq := c.open(c.headers(get("/")...)).end()
	// "The anti-replay mitigations in [HTTP-REPLAY] MUST be applied when using HTTP/3 with 0-RTT."
	// https://www.rfc-editor.org/rfc/rfc9114#section-10.9-1
	require.Equal(t, "GET true false false", <-handled)
	close(open)
	require.Equal(t, "POST false true true", <-handled)
	require.Equal(t, "GET true 1", getReq.response().body)
	require.Equal(t, "POST false ", postReq.response().body)
	require.Equal(t, tlsprovider.EarlyDataAccepted, c.ConnectionState().TLS.EarlyData)
	// "If 0-RTT data is accepted by the server, its SETTINGS frame MUST NOT reduce any limits or alter any values that might be
	// violated by the client with its 0-RTT data."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.2-8
	//
	// "When servers decide to accept 0-RTT data, they MUST send a SETTINGS_H3_DATAGRAM setting greater than or equal to the value
	// they sent to the client in the connection where they sent them the NewSessionTicket message."
	// https://www.rfc-editor.org/rfc/rfc9297#section-2.1.1-4
	_, early := c.settings()
	_, late := dialBare(t, s).settings()
	require.True(t, early.Datagrams)
	require.Equal(t, late, early)
	<-c.HandshakeComplete()
	require.Equal(t, "GET false ", c.roundTrip(get("/")...).body)
	<-handled
}

// RequireHandshake answers early requests with 425.
func TestRequireHandshake(t *testing.T) {
	s := serve(t, earlyProvider, RequireHandshake(http.HandlerFunc(echo)), func(s *Server) { s.EarlyData = true })
	c, open := dialEarly(t, s)
	req := c.open(c.headers(get("/")...)).end()
	b := make([]byte, 1)
	go close(open)
	_, err := io.ReadFull(req, b[:0])
	require.NoError(t, err)
	status := req.response().status
	if c.ConnectionState().TLS.EarlyData == tlsprovider.EarlyDataAccepted && status != "425" {
		require.Equal(t, "200", status, "the handshake was complete before the request was read")
	}
	require.Equal(t, "425", c.roundTrip(get("/", "early-data", "1")...).status, "a request that a proxy has forwarded")
	require.Equal(t, "200", c.roundTrip(get("/")...).status)
}

// Early data are off by default: the same requests arrive after the handshake.
func TestEarlyDataIsOffByDefault(t *testing.T) {
	s := serve(t, earlyProvider, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, IsEarly(r)) }), nil)
	store := &signalStore{ClientStore: tlsprovider.NewClientStore(0, 0), has: make(chan struct{})}
	for range 2 {
		qc, err := quic.DialEarly(t.Context(), "udp", s.addr, &quic.Config{Provider: earlyProvider, ServerName: "localhost", TLS: &tlsprovider.Config{
			NextProtos: []string{NextProto}, RootCAs: testPKI().Roots(), ClientStore: store, EarlyData: true,
		}})
		require.NoError(t, err)
		c := &rawClient{t, qc, qpack.NewEncoder(0), qpack.NewDecoder(0, 0)}
		require.Equal(t, "false", c.roundTrip(get("/")...).body)
		require.Equal(t, tlsprovider.EarlyDataNone, qc.ConnectionState().TLS.EarlyData)
		<-store.has
		require.NoError(t, qc.CloseWithError(frame.NoError, ""))
	}
}

// A provider without early data is refused by name.
func TestEarlyDataUnsupported(t *testing.T) {
	p, isLinked := testProviders(t)["s2n"]
	if !isLinked {
		t.Skip("needs the C library of the provider s2n: run make build")
	}
	srv := &Server{Provider: p, EarlyData: true, Addr: "127.0.0.1:0",
		TLS: &tlsprovider.Config{Certificates: []tlsprovider.Certificate{testPKI().Provider()}}}
	require.ErrorIs(t, srv.ListenAndServe(), tlsprovider.ErrUnsupported)
}
