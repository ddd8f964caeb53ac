package inspect

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/require"
	xquic "golang.org/x/net/quic"

	"github.com/pqquic/pqquic/cmd/internal/capture"
	"github.com/pqquic/pqquic/cmd/internal/inspect"
	"github.com/pqquic/pqquic/internal/testcert"
)

const serverName = "peer.test"

// credentials is the certificate of every server.
var credentials = sync.OnceValue(func() *testcert.Certificate {
	return testcert.New(serverName, "localhost", "127.0.0.1")
})

func serverTLS(groups ...tls.CurveID) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{credentials().TLS()}, NextProtos: []string{"peer"}, CurvePreferences: groups, MinVersion: tls.VersionTLS13}
}

func clientTLS(groups ...tls.CurveID) *tls.Config {
	return &tls.Config{RootCAs: credentials().Pool(), ServerName: serverName, NextProtos: []string{"peer"}, CurvePreferences: groups, MinVersion: tls.VersionTLS13}
}

// echoServer accepts connections of a stack and echoes their streams.
type echoServer func(t *testing.T, conf *tls.Config, retry bool) netip.AddrPort

func quicGoServer(t *testing.T, conf *tls.Config, retry bool) netip.AddrPort {
	t.Helper()
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	tr := &quicgo.Transport{Conn: pc, VerifySourceAddress: func(net.Addr) bool { return retry }}
	l, err := tr.ListenEarly(conf, &quicgo.Config{Versions: []quicgo.Version{quicgo.Version1, quicgo.Version2}, Allow0RTT: true})
	require.NoError(t, err)
	var wait sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		tr.Close()
		pc.Close()
		wait.Wait()
	})
	wait.Go(func() {
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			wait.Go(func() {
				for {
					s, err := c.AcceptStream(context.Background())
					if err != nil {
						return
					}
					_, _ = io.Copy(s, s)
					s.Close()
				}
			})
		}
	})
	return pc.LocalAddr().(*net.UDPAddr).AddrPort()
}

func xNetServer(t *testing.T, conf *tls.Config, retry bool) netip.AddrPort {
	t.Helper()
	e, err := xquic.Listen("udp", "127.0.0.1:0", &xquic.Config{TLSConfig: conf, RequireAddressValidation: retry})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		_ = e.Close(ctx)
		wait.Wait()
	})
	wait.Go(func() {
		for {
			c, err := e.Accept(ctx)
			if err != nil {
				return
			}
			wait.Go(func() {
				for {
					s, err := c.AcceptStream(ctx)
					if err != nil {
						return
					}
					_, _ = io.Copy(s, s)
					_ = s.Close()
				}
			})
		}
	})
	return e.LocalAddr()
}

// echoClient connects, exchanges a message, and closes.
type echoClient func(t *testing.T, addr netip.AddrPort, conf *tls.Config)

func quicGoClient(versions ...quicgo.Version) echoClient {
	return func(t *testing.T, addr netip.AddrPort, conf *tls.Config) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		c, err := quicgo.DialAddrEarly(ctx, addr.String(), conf, &quicgo.Config{Versions: versions})
		require.NoError(t, err)
		s, err := c.OpenStreamSync(ctx)
		require.NoError(t, err)
		echo(t, s, s.Close)
		<-c.HandshakeComplete()
		require.NoError(t, c.CloseWithError(0, ""))
	}
}

func xNetClient(t *testing.T, addr netip.AddrPort, conf *tls.Config) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	e, err := xquic.Listen("udp", "127.0.0.1:0", nil)
	require.NoError(t, err)
	defer e.Close(ctx)
	c, err := e.Dial(ctx, "udp", addr.String(), &xquic.Config{TLSConfig: conf})
	require.NoError(t, err)
	s, err := c.NewStream(ctx)
	require.NoError(t, err)
	echo(t, flusher{s}, func() error { s.CloseWrite(); return nil })
	c.Abort(nil)
}

// flusher flushes after each write; x/net's streams buffer writes otherwise.
type flusher struct{ *xquic.Stream }

func (f flusher) Write(b []byte) (int, error) {
	n, err := f.Stream.Write(b)
	if err == nil {
		err = f.Flush()
	}
	return n, err
}

func echo(t *testing.T, s io.ReadWriter, closeWrite func() error) {
	t.Helper()
	_, err := s.Write([]byte("word"))
	require.NoError(t, err)
	require.NoError(t, closeWrite())
	got, err := io.ReadAll(s)
	require.NoError(t, err)
	require.Equal(t, "word", string(got))
}

// tapped is what a relay recorded.
type tapped struct {
	server  netip.AddrPort
	frames  []capture.Frame
	keyLog  bytes.Buffer
	reports []*inspect.Connection
}

// tap connects dial through a relay to a server and inspects the packets.
func tap(t *testing.T, server netip.AddrPort, dial func(addr netip.AddrPort, keyLog io.Writer)) *tapped {
	t.Helper()
	out := &tapped{server: server}
	relay, err := capture.NewRelay(server, func(f capture.Frame) { out.frames = append(out.frames, f) })
	require.NoError(t, err)
	dial(relay.Addr(), &out.keyLog)
	relay.Close()
	keys := new(inspect.KeyLog)
	keys.Add(out.keyLog.Bytes())
	in := inspect.New(inspect.Options{KeyLog: keys, Report: func(c *inspect.Connection) { out.reports = append(out.reports, c) }})
	for _, f := range out.frames {
		f.Data = bytes.Clone(f.Data)
		in.Frame(f)
	}
	in.Finish()
	return out
}

// connect makes a recorded connection between two stacks.
func connect(t *testing.T, server echoServer, serverConf *tls.Config, retry bool, client echoClient, clientConf *tls.Config) *tapped {
	t.Helper()
	return tap(t, server(t, serverConf, retry), func(addr netip.AddrPort, keyLog io.Writer) {
		clientConf = clientConf.Clone()
		clientConf.KeyLogWriter = keyLog
		client(t, addr, clientConf)
	})
}

var (
	servers = map[string]echoServer{"quic-go": quicGoServer, "x-net": xNetServer}
	clients = map[string]echoClient{"quic-go": quicGoClient(quicgo.Version1), "x-net": xNetClient}
)

// Each stack with each, with default settings and with those that matter for a verdict.
func TestPeers(t *testing.T) {
	pq, x, p384 := tls.X25519MLKEM768, tls.X25519, tls.SecP384r1MLKEM1024
	for _, tt := range []struct {
		name           string
		client, server []tls.CurveID
		retry          bool
		check          func(t *testing.T, c *inspect.Connection)
	}{
		{"as they come", nil, nil, false, func(t *testing.T, c *inspect.Connection) {
			require.Equal(t, inspect.PostQuantum, c.Verdict.Result)
			require.Equal(t, "X25519MLKEM768", c.Selected.Name)
			require.Equal(t, 1216, c.Hello.Shares[0].Bytes)
			require.Equal(t, 1184, c.Hello.Shares[0].Halves[0].Bytes)
			require.Equal(t, 32, c.Hello.Shares[0].Halves[1].Bytes)
			require.Equal(t, 1120, c.ServerHello.Share.Bytes)
			require.GreaterOrEqual(t, c.ClientInitials.Datagrams, 2)
			require.GreaterOrEqual(t, c.ClientInitials.Bytes[0], 1200)
		}},
		{"client without", []tls.CurveID{x}, nil, false, func(t *testing.T, c *inspect.Connection) {
			require.Equal(t, inspect.CauseClient, c.Verdict.Cause)
			require.Equal(t, "X25519", c.Selected.Name)
		}},
		{"server without", nil, []tls.CurveID{x}, false, func(t *testing.T, c *inspect.Connection) {
			require.Equal(t, inspect.CauseServer, c.Verdict.Cause)
		}},
		{"HelloRetryRequest", []tls.CurveID{pq, x, p384}, []tls.CurveID{p384}, false, func(t *testing.T, c *inspect.Connection) {
			require.Equal(t, inspect.PostQuantum, c.Verdict.Result)
			require.Equal(t, uint16(p384), c.RetryRequest.Group.ID)
			require.Equal(t, 1665, c.RetryHello.Shares[0].Bytes)
		}},
		{"Retry", nil, nil, true, func(t *testing.T, c *inspect.Connection) {
			require.True(t, c.Retry)
			require.Equal(t, inspect.PostQuantum, c.Verdict.Result)
		}},
	} {
		for serverName, server := range servers {
			for clientName, client := range clients {
				t.Run(tt.name+"/"+clientName+" to "+serverName, func(t *testing.T) {
					r := connect(t, server, serverTLS(tt.server...), tt.retry, client, clientTLS(tt.client...))
					c := r.one(t)
					require.Empty(t, c.Problems)
					require.Equal(t, "QUIC v1", c.Version)
					require.Equal(t, "peer.test", c.ServerName)
					require.Equal(t, []string{"peer"}, c.ALPN)
					require.Equal(t, tt.retry, c.Retry)
					require.False(t, c.Resumed)
					tt.check(t, c)
					require.NotNil(t, c.Handshake, "there is a key log")
					require.Equal(t, "ECDSA P-256", c.Handshake.Certificate.PublicKey)
					require.Equal(t, "ecdsa_secp256r1_sha256", c.Handshake.Signature.Name)
					require.Equal(t, "peer", c.Handshake.ALPN)
					require.NotEmpty(t, c.Handshake.ServerParameters)
					r.compare(t)
				})
			}
		}
	}
}

func (r *tapped) one(t *testing.T) *inspect.Connection {
	t.Helper()
	require.Len(t, r.reports, 1)
	return r.reports[0]
}

// Version 2 has its own keys and packet types. Here quic-go derives the keys.
func TestVersion2(t *testing.T) {
	for _, retry := range []bool{false, true} {
		c := connect(t, quicGoServer, serverTLS(), retry, quicGoClient(quicgo.Version2), clientTLS()).one(t)
		require.Empty(t, c.Problems)
		require.Equal(t, "QUIC v2", c.Version)
		require.Equal(t, retry, c.Retry)
		require.Equal(t, inspect.PostQuantum, c.Verdict.Result)
		require.Equal(t, "ECDSA P-256", c.Handshake.Certificate.PublicKey)
	}
}

// cache is a ticket store that signals when a ticket has arrived.
type cache struct {
	tls.ClientSessionCache
	put chan struct{}
}

func (c cache) Put(key string, s *tls.ClientSessionState) {
	c.ClientSessionCache.Put(key, s)
	select {
	case c.put <- struct{}{}:
	default:
	}
}

// A resumed connection with early data is distinguished from a full handshake.
func TestResumed(t *testing.T) {
	conf := clientTLS()
	tickets := cache{tls.NewLRUClientSessionCache(1), make(chan struct{}, 1)}
	conf.ClientSessionCache = tickets
	r := tap(t, quicGoServer(t, serverTLS(), false), func(addr netip.AddrPort, keyLog io.Writer) {
		conf.KeyLogWriter = keyLog
		dial := quicGoClient(quicgo.Version1)
		dial(t, addr, conf)
		<-tickets.put
		dial(t, addr, conf)
	})
	require.Len(t, r.reports, 2)
	require.False(t, r.reports[0].Resumed)
	require.False(t, r.reports[0].Hello.PSK)
	c := r.reports[1]
	require.True(t, c.Resumed)
	require.True(t, c.Hello.EarlyData)
	require.Equal(t, inspect.PostQuantum, c.Verdict.Result)
	require.Nil(t, c.Handshake.Certificate, "a resumed handshake shows none")
	r.compare(t)
}
