package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/probe"
	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// TestDowngrade probes a server of QUIC and of TLS over TCP on one port, directly and through a middlebox that stops large
// ClientHellos. Directly it takes the hybrid groups. Through the middlebox only the classical ones connect, and the report
// says that the server would take the others.
func TestDowngrade(t *testing.T) {
	addr, roots := serve(t)
	o := &probe.Options{
		QUIC: true, TCP: true, Providers: probe.Providers(), Roots: roots, ALPN: []string{"h3"}, TCPALPN: []string{"h2"}, Port: "443",
		HandshakeTimeout: 20 * time.Second, TicketTimeout: 20 * time.Second, Timeout: 2 * time.Minute,
	}
	direct := probe.Host(t.Context(), addr, o)
	require.True(t, direct.PQKeyExchange)
	for _, d := range []*probe.Transport{direct.QUIC, direct.TCP} {
		require.Equal(t, "X25519MLKEM768", d.Preferred)
		require.Contains(t, d.Groups, "X25519MLKEM768")
		require.Equal(t, "answered", d.LargeHello)
		require.Empty(t, d.LostGroups)
	}

	b, err := start(addr)
	require.NoError(t, err)
	defer b.close()
	// Here each lost ClientHello takes this time.
	o.HandshakeTimeout, o.TicketTimeout = 4*time.Second, 4*time.Second
	through := probe.Host(t.Context(), b.relay.Addr(), o)
	require.True(t, through.Reachable())
	require.False(t, through.PQKeyExchange)
	for _, d := range []*probe.Transport{through.QUIC, through.TCP} {
		require.True(t, d.Reachable)
		require.NotEmpty(t, d.Error, "of the usual handshake")
		require.Equal(t, []string{"X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024"}, d.LostGroups)
		require.Equal(t, "X25519", d.Preferred)
		require.NotContains(t, d.Groups, "X25519MLKEM768")
		require.Contains(t, d.Groups, "X25519")
		require.Equal(t, "lost", d.LargeHello, "not because it is post-quantum")
		require.NotEmpty(t, d.Notes)
		require.Contains(t, d.Notes[0], "a middlebox on the way drops them")
	}
	up, _ := b.relay.Dropped()
	require.Positive(t, up)
}

// TestParts gives the middlebox the first flight of a client, also cut short and changed. It recognizes both datagrams of a
// large ClientHello, and lets a small one pass.
func TestParts(t *testing.T) {
	b := &box{provider: native.New()}
	for _, tt := range []struct {
		group tlsprovider.Group
		parts []bool
	}{{tlsprovider.X25519MLKEM768, []bool{true, true}}, {tlsprovider.X25519, []bool{false}}} {
		server, err := net.ListenPacket("udp", "127.0.0.1:0")
		require.NoError(t, err)
		defer server.Close()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, err := quic.Dial(ctx, "udp", server.LocalAddr().String(), &quic.Config{Provider: b.provider,
				TLS: &tlsprovider.Config{NextProtos: []string{"h3"}, Groups: []tlsprovider.Group{tt.group}}})
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			server.Close() // ends the test if Dial failed before it sent anything
		}()
		for _, want := range tt.parts {
			buf := make([]byte, 2048)
			n, _, err := server.ReadFrom(buf)
			require.NoError(t, err)
			require.Equal(t, want, b.isPartOfHello(buf[:n]))
			for i := range n {
				require.False(t, b.isPartOfHello(buf[:i]), "a packet that is cut short is not opened")
			}
			for i := range 64 {
				buf[i] ^= 0xff
				b.isPartOfHello(buf[:n]) // must not panic
				buf[i] ^= 0xff
			}
		}
		cancel()
		<-ended
	}
}

// serve starts a server on one port of UDP and TCP.
func serve(t *testing.T) (string, *tlsprovider.Roots) {
	cert := testcert.New("127.0.0.1")
	tcp, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert.TLS()}, NextProtos: []string{"h2"}})
	require.NoError(t, err)
	t.Cleanup(func() { tcp.Close() })
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Addr().(*net.TCPAddr).Port))
	l, err := quic.Listen("udp", addr, &quic.Config{Provider: native.New(), TLS: &tlsprovider.Config{
		NextProtos: []string{"h3"}, Certificates: []tlsprovider.Certificate{cert.Provider()},
	}})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			if _, err := l.Accept(context.Background()); err != nil {
				return
			}
		}
	}()
	return addr, cert.Roots()
}
