//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestInterleave(t *testing.T) {
	for _, tt := range []struct {
		in, want []string
	}{
		{[]string{"192.0.2.1"}, []string{"192.0.2.1"}},
		{[]string{"2001:db8::1", "2001:db8::2", "192.0.2.1"}, []string{"2001:db8::1", "192.0.2.1", "2001:db8::2"}},
		{[]string{"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"}, []string{"192.0.2.1", "2001:db8::1", "192.0.2.2", "2001:db8::2"}},
		{[]string{"::ffff:192.0.2.1", "2001:db8::1", "192.0.2.1", "2001:db8::1"}, []string{"192.0.2.1", "2001:db8::1"}},
	} {
		var in []netip.Addr
		for _, s := range tt.in {
			in = append(in, netip.MustParseAddr(s))
		}
		var got []string
		for _, ip := range interleave(in) {
			got = append(got, ip.String())
		}
		require.Equal(t, tt.want, got)
	}
	var many []netip.Addr
	for i := range 3000 {
		many = append(many, netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 14: byte(i >> 8), 15: byte(i)}))
	}
	many = append(many, netip.MustParseAddr("192.0.2.1"))
	got := interleave(many)
	require.Len(t, got, maxDialAddrs)
	require.Equal(t, "192.0.2.1", got[1].String())
}

const serverAddr6 = "[2001:db8::1]:4433"

// A dualWorld is a world whose server has an IPv6 address, too.
type dualWorld struct {
	*world
	server6 *Endpoint
}

func inDualBubble(t *testing.T, server6 *Config, test func(*testing.T, *dualWorld)) {
	if server6 == nil {
		server6 = serverConfig()
	}
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		d := &dualWorld{world: w}
		var err error
		d.server6, err = NewEndpoint(w.net.Listen(serverAddr6), server6)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, d.server6.Close()) })
		_, err = d.server6.Listen()
		require.NoError(t, err)
		test(t, d)
	})
}

// dialBoth dials the IPv6 address first, with a socket for each attempt, as the function Dial does.
func (w *dualWorld) dialBoth(ctx context.Context, cfg *Config) (*Conn, error) {
	remotes := []netip.AddrPort{netip.MustParseAddrPort(serverAddr6), netip.MustParseAddrPort(serverAddr)}
	var sockets atomic.Int64
	return dialAny(ctx, "localhost", remotes, func(ctx context.Context, remote netip.AddrPort) (*Conn, error) {
		e, err := NewEndpoint(w.net.Listen(fmt.Sprintf("10.0.0.3:%d", 6000+sockets.Add(1))), cfg)
		if err != nil {
			return nil, err
		}
		return e.dialAlone(ctx, remote, "localhost", false)
	})
}

// dropFrom loses what an address sends.
func (w *dualWorld) dropFrom(addr string) {
	lost := netip.MustParseAddrPort(addr)
	w.net.SetDrop(func(from, _ netip.AddrPort, _ []byte) bool { return from == lost })
}

// requireOnly requires that nothing is left of attempts but one connection of one server.
func (w *dualWorld) requireOnly(winner *Conn) {
	w.Helper()
	advance(time.Second)
	open, conns := 3, 0 // the servers and the client of the world
	if winner != nil {
		open, conns = 4, 1
	}
	require.Equal(w, open, w.net.Open(), "sockets")
	require.Equal(w, conns, w.server.Stats().Conns+w.server6.Stats().Conns, "connections of servers")
	if winner != nil {
		require.Equal(w, 1, winner.ep.Stats().Conns)
		require.NoError(w, winner.Close())
	}
}

// An address that works at once is the only one that is dialed.
func TestDialFirstAddress(t *testing.T) {
	inDualBubble(t, nil, func(t *testing.T, w *dualWorld) {
		c, err := w.dialBoth(t.Context(), clientConfig())
		require.NoError(t, err)
		require.Equal(t, serverAddr6, c.RemoteAddr().String())
		require.Zero(t, w.server.Stats().Conns)
		w.requireOnly(c)
	})
}

// If the first address does not answer, the second one is tried after 250 ms. The first attempt leaves nothing behind,
// although its server has received a ClientHello.
func TestDialSecondAddressAfterSilence(t *testing.T) {
	inDualBubble(t, nil, func(t *testing.T, w *dualWorld) {
		w.dropFrom(serverAddr6)
		begun := time.Now()
		c, err := w.dialBoth(t.Context(), clientConfig())
		require.NoError(t, err)
		require.Equal(t, attemptDelay+2*w.net.Latency, time.Since(begun))
		require.Equal(t, serverAddr, c.RemoteAddr().String())
		w.requireOnly(c)
		require.Zero(t, w.server6.Stats().Accepted)
	})
}

// If an attempt fails, the next one begins at once.
func TestDialSecondAddressAfterRefusal(t *testing.T) {
	refuse := serverConfig()
	refuse.Accept = func(ClientInfo) error { return errors.New("no") }
	inDualBubble(t, refuse, func(t *testing.T, w *dualWorld) {
		begun := time.Now()
		c, err := w.dialBoth(t.Context(), clientConfig())
		require.NoError(t, err)
		require.Equal(t, 4*w.net.Latency, time.Since(begun))
		require.Equal(t, serverAddr, c.RemoteAddr().String())
		w.requireOnly(c)
	})
}

// A slow first address wins if it answers before the second one.
func TestDialSlowFirstAddress(t *testing.T) {
	inDualBubble(t, nil, func(t *testing.T, w *dualWorld) {
		begun := time.Now()
		w.net.SetDrop(func(from, to netip.AddrPort, _ []byte) bool {
			return to.String() == serverAddr || from.String() == serverAddr6 && time.Since(begun) < time.Second
		})
		c, err := w.dialBoth(t.Context(), clientConfig())
		require.NoError(t, err)
		require.Greater(t, time.Since(begun), time.Second)
		require.Equal(t, serverAddr6, c.RemoteAddr().String())
		w.requireOnly(c)
	})
}

// If no address answers, the error names each of them, and nothing is left. The same is true if the caller gives up.
func TestDialNoAddress(t *testing.T) {
	inDualBubble(t, nil, func(t *testing.T, w *dualWorld) {
		w.net.SetDrop(func(netip.AddrPort, netip.AddrPort, []byte) bool { return true })
		_, err := w.dialBoth(t.Context(), clientConfig())
		require.ErrorIs(t, err, ErrHandshakeTimeout)
		require.True(t, isTimeout(err))
		require.ErrorContains(t, err, "quic: dial localhost: all attempts failed: "+serverAddr6)
		require.ErrorContains(t, err, "; "+serverAddr)
		w.net.SetDrop(nil)
		w.requireOnly(nil)

		w.dropFrom(serverAddr6)
		for _, d := range []time.Duration{0, 100 * time.Millisecond, attemptDelay + 3*time.Millisecond} {
			why := errors.New("enough")
			ctx, cancel := context.WithTimeoutCause(t.Context(), d, why)
			_, err = w.dialBoth(ctx, clientConfig())
			cancel()
			require.ErrorIs(t, err, why)
			advance(100 * time.Millisecond) // the close crosses the server's answer
			w.requireOnly(nil)
		}
	})
}

// An error that does not concern the address ends a Dial without further attempts.
func TestDialAddressesWithUselessConfig(t *testing.T) {
	inDualBubble(t, nil, func(t *testing.T, w *dualWorld) {
		cfg := clientConfig()
		cfg.TLS.NextProtos = nil
		_, err := w.dialBoth(t.Context(), cfg)
		// "Unless another mechanism is used for agreeing on an application protocol, endpoints MUST use ALPN for this
		// purpose."
		// https://www.rfc-editor.org/rfc/rfc9001#section-8.1-1
		require.EqualError(t, err, "quic: Config.TLS.NextProtos names no application protocol")
		w.requireOnly(nil)
	})
}

// An attempt that connects after another one has won is closed.
func TestDialLateAttemptIsClosed(t *testing.T) {
	inDualBubble(t, nil, func(t *testing.T, w *dualWorld) {
		r := newRace(t.Context())
		connected, release := make(chan *Conn, 1), make(chan struct{})
		r.run(0, func(context.Context) (*Conn, error) {
			c, err := w.client.Dial(context.Background(), serverAddr, nil)
			connected <- c
			<-release
			return c, err
		})
		late := <-connected
		require.NotNil(t, late)
		r.finish()
		close(release)
		<-late.Context().Done()
		require.ErrorIs(t, context.Cause(late.Context()), errOtherAttempt)
		w.requireOnly(nil)
		require.Zero(t, w.client.Stats().Conns)
	})
}

// One socket of both families can dial both addresses. The attempt that loses leaves no connection.
func TestSharedSocketDialsBothAddresses(t *testing.T) {
	inDualBubble(t, nil, func(t *testing.T, w *dualWorld) {
		w.dropFrom(serverAddr6)
		remotes := []netip.AddrPort{netip.MustParseAddrPort(serverAddr6), netip.MustParseAddrPort(serverAddr)}
		c, err := dialAny(t.Context(), "localhost", remotes, func(ctx context.Context, remote netip.AddrPort) (*Conn, error) {
			return w.client.dial(ctx, remote, "localhost", w.client.cfg, dialMode{})
		})
		require.NoError(t, err)
		require.Equal(t, serverAddr, c.RemoteAddr().String())
		advance(time.Second)
		require.Equal(t, 1, w.client.Stats().Conns)
		require.Equal(t, 1, w.server.Stats().Conns+w.server6.Stats().Conns)
		require.EqualValues(t, 1, w.client.Stats().Handshakes.Canceled)
		require.NoError(t, c.Close())
	})
}

// fakeDNS returns a Resolver to which every name has the loopback addresses of both families, without a network.
func fakeDNS() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe() // not a net.PacketConn, so a message follows its length
		go func() {
			defer server.Close()
			b := make([]byte, 4<<10)
			if n, err := server.Read(b); err == nil {
				server.Write(dnsAnswer(b[2:n]))
			}
		}()
		return client, nil
	}}
}

// dnsAnswer returns the answer to a query (RFC 1035, section 4) with its length before it.
func dnsAnswer(query []byte) []byte {
	const header = 12
	question := query[header:]
	question = question[:bytes.IndexByte(question, 0)+5] // a name, a type and a class
	var addr []byte
	switch question[len(question)-3] {
	case 1: // A
		addr = []byte{127, 0, 0, 1}
	case 28: // AAAA
		addr = net.IPv6loopback
	}
	m := append([]byte{0, 0}, query[:2]...)
	m = append(m, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0) // an answer, recursion available, one question
	m = append(m, question...)
	if addr != nil {
		m[9] = 1
		m = append(m, 0xc0, header) // the name of the question
		m = append(m, question[len(question)-4:]...)
		m = append(m, 0, 0, 0, 60, 0, byte(len(addr)))
		m = append(m, addr...)
	}
	m[1] = byte(len(m) - 2)
	return m
}

// Dial finds both addresses of a host and connects to the one that answers, whichever is the first.
func TestLoopbackDialHostWithBothFamilies(t *testing.T) {
	defer func(r *net.Resolver) { net.DefaultResolver = r }(net.DefaultResolver)
	net.DefaultResolver = fakeDNS()
	for _, tt := range []struct {
		server, other string
		closed        bool // nothing listens at the other address
	}{{"127.0.0.1", "[::1]", false}, {"[::1]", "127.0.0.1", false}, {"127.0.0.1", "[::1]", true}} {
		l, err := Listen("udp", tt.server+":0", serverConfig())
		if err != nil {
			t.Skipf("no address %s here: %v", tt.server, err)
		}
		_, port, err := net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		silent, err := net.ListenPacket("udp", tt.other+":"+port)
		if err != nil {
			l.Endpoint().Close()
			t.Skipf("no address %s here: %v", tt.other, err)
		}
		if tt.closed {
			require.NoError(t, silent.Close())
		}
		c, err := Dial(t.Context(), "udp", "host.test:"+port, clientConfig())
		require.NoError(t, err)
		require.Equal(t, l.Addr().String(), c.RemoteAddr().String())
		require.NoError(t, c.Close())
		silent.Close()
		require.NoError(t, l.Endpoint().Close())
	}
}
