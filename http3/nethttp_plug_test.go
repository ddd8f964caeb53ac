package http3

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider/native"
)

// The interfaces by which net/http of Go's main branch finds implementations of HTTP/3.
type (
	dialClientConner interface {
		http.RoundTripper
		DialClientConn(ctx context.Context, addr string, proxy *url.URL, cfg *tls.Config, stateHook func()) (http.RoundTripper, error)
		Registered(*http.Transport)
	}
	clientConner interface {
		http.RoundTripper
		Close() error
		Err() error
		Reserve() error
		Release()
		Available() int
		InFlight() int
	}
	http3Server interface {
		net.Listener
		ServeHTTP3(ctx context.Context, pc net.PacketConn, cfg *tls.Config, h http.Handler) error
		Shutdown(ctx context.Context) error
	}
)

var (
	_ dialClientConner = netHTTPTransport{}
	_ clientConner     = (*netHTTPConn)(nil)
	_ http3Server      = (*netHTTPListener)(nil)
)

// net/http's server and client by these interfaces.
func TestNetHTTPPlug(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := pc.LocalAddr().String()
	var l http3Server = newNetHTTPListener(func() *Server { return &Server{Provider: native.New()} })
	served := make(chan error, 1)
	go func() {
		served <- l.ServeHTTP3(t.Context(), pc, &tls.Config{Certificates: []tls.Certificate{testPKI().TLS()}}, http.HandlerFunc(oneKB))
	}()
	var rt dialClientConner = netHTTPTransport{&Transport{Provider: native.New()}}
	new(http.Transport).RegisterProtocol("http/3", rt)
	hooks := make(chan struct{}, 100)
	c, err := rt.DialClientConn(t.Context(), addr, nil, &tls.Config{RootCAs: testPKI().Pool()}, func() { hooks <- struct{}{} })
	require.NoError(t, err)
	cc := c.(clientConner)
	require.NoError(t, cc.Err())
	require.Equal(t, 100, cc.Available())
	require.NoError(t, cc.Reserve())
	require.Equal(t, 1, cc.InFlight())
	cc.Release()
	<-hooks
	cc.Release() // has no effect
	require.Zero(t, cc.InFlight())
	require.NoError(t, cc.Reserve())
	_, body := do(t, cc, newRequest(t, "GET", "https://"+addr+"/", nil))
	require.Len(t, body, 1000)
	<-hooks
	for cc.InFlight() > 0 {
		<-hooks
	}
	for range maxNetHTTPRequests {
		require.NoError(t, cc.Reserve())
	}
	require.ErrorIs(t, cc.Reserve(), errNoSlot)
	require.Zero(t, cc.Available())
	require.NoError(t, cc.Close())
	require.Error(t, cc.Err())
	require.Error(t, cc.Reserve())
	_, err = rt.DialClientConn(t.Context(), addr, &url.URL{Scheme: "http", Host: "proxy"}, nil, nil)
	require.ErrorContains(t, err, "proxy")
	require.NoError(t, l.Shutdown(t.Context()))
	require.ErrorIs(t, <-served, http.ErrServerClosed)
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}

// The end of the context ends ServeHTTP3, and a closed listener serves nothing.
func TestNetHTTPListenerEnds(t *testing.T) {
	cfg := &tls.Config{Certificates: []tls.Certificate{testPKI().TLS()}}
	serveHTTP3 := func(l http3Server, ctx context.Context) error {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		require.NoError(t, err)
		return l.ServeHTTP3(ctx, pc, cfg, http.HandlerFunc(oneKB))
	}
	l := newNetHTTPListener(func() *Server { return &Server{Provider: defaultProvider()} })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, serveHTTP3(l, ctx), http.ErrServerClosed)
	require.NoError(t, l.Close())
	require.ErrorIs(t, serveHTTP3(l, t.Context()), http.ErrServerClosed)
}
