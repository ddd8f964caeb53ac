package http3

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// control returns the server's control stream, after its type and SETTINGS.
func (c *rawClient) control() *quic.ReceiveStream {
	c.Helper()
	s, l := c.settings()
	require.True(c, l.EnableConnectProtocol)
	return s
}

// settings returns the peer's control stream, after its type and SETTINGS, with the settings.
func (c *rawClient) settings() (*quic.ReceiveStream, *frame.List) {
	c.Helper()
	s, err := c.AcceptUniStream(c.Context())
	require.NoError(c, err)
	typ, err := readStreamType(s)
	require.NoError(c, err)
	require.Equal(c, uint64(frame.StreamControl), typ)
	h, payload := readFrame(c, s)
	require.Equal(c, uint64(frame.Settings), h.Type)
	l, err := frame.ParseSettings(payload)
	require.NoError(c, err)
	return s, l
}

// readFrame reads a frame.
func readFrame(t testing.TB, r interface {
	io.Reader
	Peek(int) ([]byte, error)
}) (frame.Header, []byte) {
	t.Helper()
	for n := 1; ; n++ {
		b, err := r.Peek(n)
		require.NoError(t, err)
		if h, size := frame.ParseHeader(b); size > 0 {
			b := make([]byte, size+int(h.Length))
			_, err := io.ReadFull(r, b)
			require.NoError(t, err)
			return h, b[size:]
		}
	}
}

// wantGoAway requires that the next frame of the server's control stream is GOAWAY with an ID.
func wantGoAway(t testing.TB, s *quic.ReceiveStream, id uint64) {
	t.Helper()
	h, payload := readFrame(t, s)
	require.Equal(t, uint64(frame.GoAway), h.Type)
	got, err := frame.ParseInt(payload)
	require.NoError(t, err)
	require.Equal(t, id, got)
}

// Shutdown sends GOAWAY twice, serves what was sent before the second one, rejects what comes after, and closes the connection when
// the responses have arrived.
//
// "An endpoint that completes a graceful shutdown SHOULD use the H3_NO_ERROR error code when closing the connection."
// https://www.rfc-editor.org/rfc/rfc9114#section-5.2-11
func TestShutdown(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		started, release := make(chan struct{}), make(chan struct{})
		s := serve(t, p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				started <- struct{}{}
				<-release
			}
			_, _ = io.WriteString(w, "served")
		}), nil)
		c, idle := dialRaw(t, s), dialRaw(t, s)
		idle.control() // the server has accepted it
		control := c.control()
		slow := c.open(c.headers(get("/slow")...)).end() // stream 0
		<-started
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(context.Background()) }()
		wantGoAway(t, control, 1<<62-4)
		// A request in flight, which arrives before the second GOAWAY: if it was too slow, its stream is not below the ID.
		second := c.open(c.headers(get("/")...)).end() // stream 4
		h, payload := readFrame(t, control)
		require.Equal(t, uint64(frame.GoAway), h.Type)
		limit, err := frame.ParseInt(payload)
		require.NoError(t, err)
		if limit > 4 {
			require.Equal(t, "served", second.response().body)
		} else {
			second.wantReset(frame.RequestRejected)
		}
		// "Requests or pushes with the indicated identifier or greater are rejected (Section 4.1.1) by the sender of the GOAWAY."
		// https://www.rfc-editor.org/rfc/rfc9114#section-5.2-1
		c.open(c.headers(get("/")...)).end().wantReset(frame.RequestRejected)
		idle.wantClose(frame.NoError)
		select {
		case err := <-done:
			t.Fatalf("Shutdown returned %v before the last request has ended", err)
		default:
		}
		close(release)
		require.Equal(t, "served", slow.response().body)
		c.wantClose(frame.NoError)
		require.NoError(t, <-done)
		require.ErrorIs(t, s.ListenAndServe(), ErrServerClosed)
	})
}

// Shutdown does not panic for a connection that has not sent SETTINGS yet, or cannot: the GOAWAY frame comes after SETTINGS, or not at all.
//
// "Each side MUST initiate a single control stream at the beginning of the connection and send its SETTINGS frame as the first
// frame on this stream."
// https://www.rfc-editor.org/rfc/rfc9114#section-6.2.1-2
func TestShutdownBeforeSettings(t *testing.T) {
	for name, streams := range map[string]int64{"not begun": 3, "no stream": -1} {
		t.Run(name, func(t *testing.T) {
			l := listenRaw(t, nil)
			cfg := clientQUIC()
			cfg.MaxIncomingUniStreams = streams
			client, err := quic.Dial(t.Context(), "udp", l.l.Addr().String(), cfg)
			require.NoError(t, err)
			srv := new(Server)
			sc, err := newServerConn(srv, l.acceptBare().Conn)
			require.NoError(t, err)
			require.True(t, srv.add(sc))
			require.Equal(t, streams < 0, sc.announceShutdown() != nil)
			require.Equal(t, streams < 0, sc.start() != nil)
			if streams > 0 {
				rs, err := client.AcceptUniStream(t.Context())
				require.NoError(t, err)
				b := make([]byte, 2)
				_, err = io.ReadFull(rs, b)
				require.NoError(t, err)
				require.Equal(t, []byte{frame.StreamControl, frame.Settings}, b)
			}
			require.NoError(t, srv.Close())
		})
	}
}

// Shutdown with a context that ends leaves the connections open, and Close ends them.
func TestShutdownTimeout(t *testing.T) {
	p := testProviders(t)["native"]
	started, release := make(chan struct{}), make(chan struct{})
	s := serve(t, p, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { started <- struct{}{}; <-release }), nil)
	c := dialRaw(t, s)
	c.open(c.headers(get("/")...)).end()
	<-started
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Shutdown(ctx), context.Canceled)
	require.NoError(t, c.Conn.Context().Err())
	require.NoError(t, s.Close())
	c.wantClose(frame.NoError)
	close(release)
}

// A connection without requests ends after IdleTimeout, but not while there is a request.
func TestIdleTimeout(t *testing.T) {
	p := testProviders(t)["native"]
	started, release := make(chan struct{}), make(chan struct{})
	s := serve(t, p, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(started); <-release }), func(s *Server) {
		s.IdleTimeout = 50 * time.Millisecond
	})
	// On a machine that is busy, the connection may end before the request arrives.
	var req *rawStream
	for req == nil {
		c := dialUntilIdle(t, s)
		st, err := c.OpenStream(t.Context())
		if err == nil {
			_, err = st.WriteEnd(c.headers(get("/")...))
		}
		if err != nil {
			continue
		}
		select {
		case <-started:
			req = &rawStream{c, st}
		case <-c.Conn.Context().Done():
		}
	}
	busy, idle := req.c, dialUntilIdle(t, s)
	control := idle.control()
	wantGoAway(t, control, 0)
	idle.wantClose(frame.NoError)
	require.NoError(t, busy.Conn.Context().Err())
	close(release)
	require.Equal(t, "200", req.response().status)
	busy.wantClose(frame.NoError)
}

// dialUntilIdle is dialBare for a server whose IdleTimeout is so short that it may pass while Dial returns.
func dialUntilIdle(t *testing.T, s *testServer) *rawClient {
	t.Helper()
	for {
		c, err := tryDial(t, s, nil)
		if err == nil {
			return c
		}
		var ae *quic.ApplicationError
		require.ErrorAs(t, err, &ae)
		require.Equal(t, uint64(frame.NoError), ae.Code)
	}
}

// A request whose header section does not arrive is rejected after ReadHeaderTimeout.
func TestLimitSlowHeaders(t *testing.T) {
	p := testProviders(t)["native"]
	s := serve(t, p, http.HandlerFunc(echo), func(s *Server) { s.ReadHeaderTimeout = 50 * time.Millisecond })
	c := dialRaw(t, s)
	h := c.headers(get("/")...)
	c.open(h[:1]).wantReset(frame.RequestRejected)
	c.open(h[:len(h)-1]).wantReset(frame.RequestRejected)
	require.Equal(t, "200", c.open(h).end().response().status)
}

// A body that does not arrive fails after ReadTimeout, and a response that is not read after WriteTimeout.
func TestLimitSlowBodies(t *testing.T) {
	p := testProviders(t)["native"]
	errs := make(chan error, 1)
	s := serve(t, p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/read" {
			_, err := io.ReadAll(r.Body)
			errs <- err
			return
		}
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				errs <- err
				return
			}
		}
	}), func(s *Server) { s.ReadTimeout, s.WriteTimeout = 100*time.Millisecond, 100*time.Millisecond })
	c := dialRaw(t, s)
	c.open(join(c.headers(post("/read")...), data("x")))
	require.True(t, isTimeout(<-errs))
	c.open(c.headers(get("/write")...)).end()
	require.True(t, isTimeout(<-errs))
}

// The ways to serve, and what ends them.
func TestServe(t *testing.T) {
	certFile, keyFile, err := testPKI().Write(t.TempDir())
	require.NoError(t, err)
	tlsConfig := func() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{testPKI().TLS()}} }
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		ready := make(chan string, 1)
		for name, start := range map[string]func(s *Server) error{
			"Serve": func(s *Server) error {
				pc, err := net.ListenPacket("udp", s.Addr)
				require.NoError(t, err)
				s.TLSConfig = tlsConfig()
				return s.Serve(pc)
			},
			"ServeListener": func(s *Server) error {
				s.TLSConfig = tlsConfig()
				cfg, err := s.quicConfig()
				require.NoError(t, err)
				l, err := quic.Listen("udp", s.Addr, cfg)
				require.NoError(t, err)
				return s.ServeListener(l)
			},
			"ServeConn": func(s *Server) error {
				s.TLSConfig = tlsConfig()
				cfg, err := s.quicConfig()
				require.NoError(t, err)
				l, err := quic.Listen("udp", s.Addr, cfg)
				require.NoError(t, err)
				defer l.Close()
				ready <- l.Addr().String()
				qc, err := l.Accept(t.Context())
				require.NoError(t, err)
				require.NoError(t, s.ServeConn(qc))
				return ErrServerClosed
			},
			"ListenAndServe": func(s *Server) error {
				s.TLSConfig = tlsConfig()
				return s.ListenAndServe()
			},
			"ListenAndServeTLS": func(s *Server) error {
				return s.ListenAndServeTLS(certFile, keyFile)
			},
			"ListenAndServeTLS with TLS": func(s *Server) error {
				s.TLS = &tlsprovider.Config{}
				return s.ListenAndServeTLS(certFile, keyFile)
			},
		} {
			t.Run(name, func(t *testing.T) {
				s := &Server{Handler: http.HandlerFunc(echo), Provider: p, Addr: "127.0.0.1:0"}
				done := make(chan error, 1)
				go func() { done <- start(s) }()
				addr := ""
				for addr == "" {
					select {
					case addr = <-ready:
					case err := <-done:
						require.NoError(t, err)
					default:
						addr = s.listenAddr()
						runtime.Gosched()
					}
				}
				c := dialRaw(t, &testServer{s, addr, nil})
				require.Equal(t, "200", c.roundTrip(get("/")...).status)
				require.NoError(t, s.Close())
				require.ErrorIs(t, <-done, ErrServerClosed)
				c.wantClose(frame.NoError)
			})
		}
	})
}

// listenAddr returns the address of a listener, or "" if there is none.
func (s *Server) listenAddr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.listeners {
		return l.Addr().String()
	}
	return ""
}

// Configurations that cannot work, and connections of other protocols, are refused with a reason.
func TestServeErrors(t *testing.T) {
	require.ErrorContains(t, (&Server{}).ListenAndServe(), "needs TLSConfig or TLS")
	require.ErrorContains(t, (&Server{TLSConfig: &tls.Config{}, TLS: &tlsprovider.Config{}}).ListenAndServe(), "both set")
	require.ErrorIs(t, func() error { s := &Server{}; _ = s.Close(); return s.ServeListener(listen(t, "h3")) }(), ErrServerClosed)

	l := listen(t, "other")
	closed := &Server{Addr: l.Addr().String()} // which is in use
	require.NoError(t, closed.Close())
	require.ErrorIs(t, closed.ListenAndServe(), ErrServerClosed)
	go func() {
		qc, err := quic.Dial(context.Background(), "udp", l.Addr().String(), &quic.Config{Provider: defaultProvider(), ServerName: "localhost",
			TLS: &tlsprovider.Config{NextProtos: []string{"other"}, RootCAs: testPKI().Roots()}})
		if err == nil {
			<-qc.Context().Done()
		}
	}()
	qc, err := l.Accept(t.Context())
	require.NoError(t, err)
	require.ErrorContains(t, (&Server{}).ServeConn(qc), `application protocol "other"`)
}

// listen returns a Listener for a protocol, which is closed with the test.
func listen(t *testing.T, proto string) *quic.Listener {
	t.Helper()
	l, err := quic.Listen("udp", "127.0.0.1:0", &quic.Config{Provider: defaultProvider(), TLS: &tlsprovider.Config{
		NextProtos: []string{proto}, Certificates: []tlsprovider.Certificate{testPKI().Provider()},
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Endpoint().Close()) })
	return l
}

// Messages go to Logger, although serve sets ErrorLog as well.
func TestServerLogger(t *testing.T) {
	logged := new(lockedBuffer)
	s := serve(t, nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oops") }), func(s *Server) {
		s.Logger = slog.New(slog.NewTextHandler(logged, nil))
	})
	c := dialRaw(t, s)
	c.open(c.headers(get("/")...)).end().wantReset(frame.InternalError)
	require.Contains(t, logged.String(), "level=ERROR")
	require.Contains(t, logged.String(), "oops")
	require.Empty(t, s.log.String())
}

// GetCertificate and GetConfigForClient choose by the name in the ClientHello, with every provider.
func TestCallbacks(t *testing.T) {
	one, two := testcert.New("one.example"), testcert.New("two.example")
	certificate := func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if h.Conn.RemoteAddr() == nil || len(h.SignatureSchemes) == 0 || len(h.SupportedCurves) == 0 || len(h.CipherSuites) == 0 {
			return nil, errors.New("the ClientHelloInfo is incomplete")
		}
		var c tls.Certificate
		switch h.ServerName {
		case "one.example":
			c = one.TLS()
		case "two.example":
			c = two.TLS()
		default:
			return nil, errors.New("unknown name")
		}
		return &c, nil
	}
	configs := map[string]*tls.Config{
		"GetCertificate": {GetCertificate: certificate},
		"GetConfigForClient": {GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			c, err := certificate(h)
			if err != nil {
				return nil, err
			}
			return &tls.Config{Certificates: []tls.Certificate{*c}, NextProtos: []string{"h2"}}, nil
		}},
		"both": {GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return &tls.Config{GetCertificate: certificate}, nil
		}},
	}
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		for name, cfg := range configs {
			t.Run(name, func(t *testing.T) {
				s := serve(t, p, http.HandlerFunc(echo), func(s *Server) { s.TLS, s.TLSConfig = nil, cfg })
				for _, cert := range []*testcert.Certificate{one, two, one} {
					qc, err := quic.Dial(t.Context(), "udp", s.addr, &quic.Config{Provider: p, ServerName: cert.X509.DNSNames[0],
						TLS: &tlsprovider.Config{NextProtos: []string{NextProto}, RootCAs: cert.Roots()}})
					require.NoError(t, err)
					require.NoError(t, qc.Close())
				}
				_, err := quic.Dial(t.Context(), "udp", s.addr, &quic.Config{Provider: p, ServerName: "three.example",
					TLS: &tlsprovider.Config{NextProtos: []string{NextProto}, RootCAs: one.Roots()}})
				require.Error(t, err)
			})
		}
	})
}

func TestSetAltSvc(t *testing.T) {
	h := http.Header{}
	require.Error(t, (&Server{}).SetAltSvc(h))
	require.NoError(t, (&Server{Port: 443}).SetAltSvc(h))
	require.Equal(t, []string{`h3=":443"; ma=2592000`}, h["Alt-Svc"])
	s := serve(t, nil, nil, nil)
	h = http.Header{}
	for len(h) == 0 { // until the server listens
		_ = s.SetAltSvc(h)
	}
	_, port, err := net.SplitHostPort(s.addr)
	require.NoError(t, err)
	require.Equal(t, []string{`h3=":` + port + `"; ma=2592000`}, h["Alt-Svc"])
}

// A DualServer answers over TCP with a pointer to HTTP/3 on the same port.
func TestDualServer(t *testing.T) {
	l, pc, err := ListenTCPAndUDP("127.0.0.1:0")
	require.NoError(t, err)
	certFile, keyFile, err := testPKI().Write(t.TempDir())
	require.NoError(t, err)
	d := &DualServer{TCP: &http.Server{Handler: http.HandlerFunc(echo)}, H3: &Server{Provider: defaultProvider()}}
	accepting := &firstAccept{Listener: l, result: make(chan error, 1)}
	accepting.check = func() error { return d.H3.SetAltSvc(http.Header{}) }
	done := make(chan error, 1)
	go func() { done <- d.Serve(accepting, pc, certFile, keyFile) }()

	require.NoError(t, <-accepting.result, "the first response over TCP must have a field Alt-Svc")
	c := dialRaw(t, &testServer{d.H3, l.Addr().String(), nil})
	require.Equal(t, "GET / ", c.roundTrip(get("/")...).body)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: testPKI().Pool()}, ForceAttemptHTTP2: true}
	resp, err := (&http.Client{Transport: tr}).Get("https://" + l.Addr().String())
	require.NoError(t, err)
	_, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 2, resp.ProtoMajor)
	require.Contains(t, resp.Header.Get("Alt-Svc"), `h3=":`)
	tr.CloseIdleConnections()
	require.NoError(t, d.Shutdown(t.Context()))
	require.ErrorIs(t, <-done, http.ErrServerClosed)
	c.wantClose(frame.NoError)
}

// A firstAccept calls check when Accept is called first.
type firstAccept struct {
	net.Listener
	once   sync.Once
	check  func() error
	result chan error
}

func (l *firstAccept) Accept() (net.Conn, error) {
	l.once.Do(func() { l.result <- l.check() })
	return l.Listener.Accept()
}

// DualServer.ListenAndServeTLS listens on the same port with TCP and UDP, and ListenAndServeTLS does with an address. Both return
// the reason if they cannot.
func TestDualServerListens(t *testing.T) {
	certFile, keyFile, err := testPKI().Write(t.TempDir())
	require.NoError(t, err)
	d := &DualServer{TCP: &http.Server{Addr: "127.0.0.1:0", Handler: http.HandlerFunc(echo)}, H3: &Server{Provider: defaultProvider()}}
	done := make(chan error, 1)
	go func() { done <- d.ListenAndServeTLS(certFile, keyFile) }()
	h := http.Header{}
	for d.H3.SetAltSvc(h) != nil {
		runtime.Gosched()
	}
	port, _, _ := strings.Cut(strings.TrimPrefix(h.Get("Alt-Svc"), `h3=":`), `"`)
	addr := net.JoinHostPort("127.0.0.1", port)
	require.Equal(t, "GET / ", dialRaw(t, &testServer{d.H3, addr, nil}).roundTrip(get("/")...).body)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: testPKI().Pool()}}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get("https://" + addr)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.ErrorContains(t, ListenAndServeTLS(addr, certFile, keyFile, nil), "address already in use")
	require.ErrorContains(t, ListenAndServeTLS("127.0.0.1:0", "none.pem", keyFile, nil), "none.pem")
	require.NoError(t, d.Close())
	require.ErrorIs(t, <-done, http.ErrServerClosed)
}
