//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// earlyConfigs returns configurations of a server and a client that permit early data.
func earlyConfigs() (server, client *Config) {
	server, client = serverConfig(), clientConfig()
	s, c := *server.TLS, *client.TLS
	s.EarlyData, c.EarlyData = true, true
	server.TLS, client.TLS = &s, &c
	return server, client
}

// earlyStream dials with early data and returns both connections and both ends of a stream that the client opened with
// some bytes, before the handshake is complete.
func (w *world) earlyStream() (client, server *Conn, c, s *Stream) {
	w.Helper()
	client, err := w.client.DialEarly(w.Context(), serverAddr, nil)
	require.NoError(w, err)
	c, err = client.OpenStream(w.Context())
	require.NoError(w, err)
	_, err = c.Write([]byte("request"))
	require.NoError(w, err)
	require.NoError(w, c.CloseWrite())
	server, err = w.listener.Accept(w.Context())
	require.NoError(w, err)
	s, err = server.AcceptStream(w.Context())
	require.NoError(w, err)
	return client, server, c, s
}

// acceptAll lets the connections that wait for Accept end.
func (w *world) acceptAll() {
	for w.listener.waitingConns() > 0 {
		_, err := w.listener.Accept(w.Context())
		require.NoError(w, err)
	}
}

func (l *Listener) waitingConns() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

// A server answers early data before the handshake is complete, and knows that they are early.
func TestDialEarly(t *testing.T) {
	sc, cc := earlyConfigs()
	inBubble(t, sc, cc, func(t *testing.T, w *world) {
		first, err := w.client.DialEarly(t.Context(), serverAddr, nil)
		require.NoError(t, err)
		require.Equal(t, tlsprovider.EarlyDataNone, first.ConnectionState().TLS.EarlyData, "there was no session")
		require.True(t, isClosed(first.HandshakeComplete()))
		advance(time.Second)
		require.NoError(t, first.Close())
		w.acceptAll()

		begin := time.Now()
		client, server, c, s := w.earlyStream()
		require.Equal(t, 5*time.Millisecond, time.Since(begin), "half a round trip")
		require.False(t, isClosed(server.HandshakeComplete()))
		require.False(t, isClosed(client.HandshakeComplete()))
		require.True(t, s.EarlyData())
		require.False(t, c.EarlyData())
		require.Equal(t, testProto, server.ConnectionState().TLS.ALPN)
		require.False(t, server.ConnectionState().TLS.HandshakeDone)
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		require.Equal(t, "request", string(got))
		_, err = s.Write([]byte("answer"))
		require.NoError(t, err)
		require.NoError(t, s.CloseWrite())
		got, err = io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, "answer", string(got))
		require.Equal(t, 10*time.Millisecond, time.Since(begin), "one round trip")
		<-server.HandshakeComplete()
		for _, conn := range []*Conn{client, server} {
			require.True(t, conn.ConnectionState().TLS.HandshakeDone)
			require.Equal(t, tlsprovider.EarlyDataAccepted, conn.ConnectionState().TLS.EarlyData)
			require.EqualValues(t, 1, conn.ep.Stats().Handshakes.EarlyDataAccepted)
		}
		require.Zero(t, w.listener.waitingConns(), "the connection was delivered once")
		late, lateServer := w.stream(client, server)
		require.False(t, lateServer.EarlyData() || late.EarlyData())
	})
}

// A server that rejects early data gets them after the handshake.
func TestEarlyDataRejected(t *testing.T) {
	for _, panics := range []bool{false, true} {
		sc, cc := earlyConfigs()
		var offers []EarlyDataOffer
		sc.AcceptEarlyData = func(o EarlyDataOffer) bool {
			offers = append(offers, o)
			if panics {
				panic("tripwire")
			}
			return false
		}
		inBubble(t, sc, cc, func(t *testing.T, w *world) {
			w.dialForTicket(nil)
			w.acceptAll()
			client, server, c, s := w.earlyStream()
			require.True(t, isClosed(server.HandshakeComplete()), "delivered when the handshake is complete")
			require.False(t, s.EarlyData())
			for _, conn := range []*Conn{client, server} {
				require.Equal(t, tlsprovider.EarlyDataRejected, conn.ConnectionState().TLS.EarlyData)
				require.EqualValues(t, 1, conn.ep.Stats().Handshakes.EarlyDataRejected)
			}
			got, err := io.ReadAll(s)
			require.NoError(t, err)
			require.Equal(t, "request", string(got))
			require.NoError(t, s.Close())
			_, err = io.ReadAll(c)
			require.NoError(t, err)
			require.Len(t, offers, 1)
			require.True(t, offers[0].Own)
			require.Equal(t, "localhost", offers[0].ServerName)
			require.Equal(t, testProto, offers[0].Protocol)
			require.Equal(t, panics, w.server.Stats().Panics == 1)
		})
	}
}

// An attacker who records a client's first flight and sends it to the server again, from wherever, gets none of the early
// data processed a second time.
//
// "Endpoints MUST implement and use the replay protections described in [TLS13]".
// https://www.rfc-editor.org/rfc/rfc9001#section-9.2-2
func TestEarlyDataReplayed(t *testing.T) {
	sc, cc := earlyConfigs()
	inBubble(t, sc, cc, func(t *testing.T, w *world) {
		w.dialForTicket(nil)
		w.acceptAll()
		var flight [][]byte
		w.net.SetDrop(func(from, _ netip.AddrPort, b []byte) bool {
			if from.String() == clientAddr && len(flight) < 3 {
				flight = append(flight, bytes.Clone(b))
			}
			return false
		})
		_, _, _, s := w.earlyStream()
		require.True(t, s.EarlyData())
		require.Len(t, flight, 3)
		attacker := w.net.Listen("10.0.0.9:9")
		for range 2 {
			for _, b := range flight {
				_, err := attacker.WriteTo(b, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(serverAddr)))
				require.NoError(t, err)
			}
			advance(time.Second)
		}
		require.Equal(t, 2, w.server.Stats().Conns, "the replay began a connection")
		require.Zero(t, w.listener.waitingConns(), "which does not get to the application")
		require.NoError(t, attacker.Close())
	})
}

// A ticket of another Endpoint gives no early data without a hook that speaks for the fleet, although the session resumes.
func TestEarlyDataOfAFleet(t *testing.T) {
	for _, hook := range []bool{false, true} {
		sc, cc := earlyConfigs()
		sc.TLS.TicketKeys = [][]byte{pattern(32, 1)}
		used := make(map[[16]byte]bool)
		if hook {
			sc.AcceptEarlyData = func(o EarlyDataOffer) bool {
				first := !used[o.TicketID]
				used[o.TicketID] = true
				return first && !o.Own
			}
		}
		inBubble(t, sc, cc, func(t *testing.T, w *world) {
			w.dialForTicket(nil)
			require.NoError(t, w.server.Close())
			var err error
			w.server, err = NewEndpoint(w.net.Listen(serverAddr), sc)
			require.NoError(t, err)
			w.listener, err = w.server.Listen()
			require.NoError(t, err)
			client, _, _, s := w.earlyStream()
			<-client.HandshakeComplete()
			require.True(t, client.ConnectionState().TLS.Resumed)
			require.Equal(t, hook, s.EarlyData())
		})
	}
}

func TestDialEarlyWithoutPermission(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		_, err := w.client.DialEarly(t.Context(), serverAddr, nil)
		require.ErrorContains(t, err, "DialEarly needs tlsprovider.Config.EarlyData")
	})
}

// Close delivers early data, too, whether they are accepted or not.
func TestCloseDeliversEarlyData(t *testing.T) {
	for _, accept := range []bool{true, false} {
		sc, cc := earlyConfigs()
		sc.AcceptEarlyData = func(EarlyDataOffer) bool { return accept }
		inBubble(t, sc, cc, func(t *testing.T, w *world) {
			w.dialForTicket(nil)
			w.acceptAll()
			conn, err := w.client.DialEarly(t.Context(), serverAddr, nil)
			require.NoError(t, err)
			s, err := conn.OpenUniStream(t.Context())
			require.NoError(t, err)
			_, err = s.Write(pattern(30_000, 1))
			require.NoError(t, err)
			require.NoError(t, s.Close())
			closed := start(conn.Close)
			server, err := w.listener.Accept(t.Context())
			require.NoError(t, err)
			r, err := server.AcceptUniStream(t.Context())
			require.NoError(t, err)
			got, err := io.ReadAll(r)
			require.NoError(t, err)
			requireSame(t, pattern(30_000, 1), got)
			require.NoError(t, <-closed)
			require.Equal(t, accept, r.EarlyData())
		})
	}
}

// A connection that was dialed early fails like any other if its handshake does.
func TestDialEarlyFailsLater(t *testing.T) {
	sc, cc := earlyConfigs()
	inBubble(t, sc, cc, func(t *testing.T, w *world) {
		w.dialForTicket(nil)
		w.acceptAll()
		require.NoError(t, w.server.Close())
		conn, err := w.client.DialEarly(t.Context(), serverAddr, nil)
		require.NoError(t, err)
		s, err := conn.OpenStream(t.Context())
		require.NoError(t, err)
		_, err = s.Write([]byte("request"))
		require.NoError(t, err)
		_, err = s.Read(make([]byte, 1))
		require.ErrorIs(t, err, ErrHandshakeTimeout)
		w.server, err = NewEndpoint(w.net.Listen(serverAddr), sc)
		require.NoError(t, err)
	})
}

// DialEarly without a session tries what Dial tries: another version, and classical key exchange.
func TestDialEarlyTriesAgain(t *testing.T) {
	t.Run("version", func(t *testing.T) {
		sc, cc := earlyConfigs()
		sc.Versions, cc.Versions = []Version{Version2}, []Version{Version1, Version2}
		inBubble(t, sc, cc, func(t *testing.T, w *world) {
			conn, err := w.client.DialEarly(t.Context(), serverAddr, nil)
			require.NoError(t, err)
			require.Equal(t, Version2, conn.ConnectionState().Version)
			require.True(t, isClosed(conn.HandshakeComplete()))
		})
	})
	t.Run("key exchange", func(t *testing.T) {
		sc, cc := earlyConfigs()
		cc.ClassicalFallback = 3
		inBubble(t, sc, cc, func(t *testing.T, w *world) {
			m := new(middlebox)
			m.install(w)
			conn, err := w.client.DialEarly(t.Context(), serverAddr, nil)
			require.NoError(t, err)
			require.True(t, conn.ConnectionState().Fallback)
		})
	})
	t.Run("own socket", func(t *testing.T) {
		sc, cc := earlyConfigs()
		sc.Versions, cc.Versions = []Version{Version2}, []Version{Version1, Version2}
		l, err := Listen("udp", "127.0.0.1:0", sc)
		require.NoError(t, err)
		defer l.Endpoint().Close()
		conn, err := DialEarly(t.Context(), "udp", l.Addr().String(), cc)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		require.ErrorIs(t, conn.ep.Close(), nil, "it is closed already")
	})
}

// A server that has given up the version of a session gets early data in a version that it does not read. The connection
// has an error that says so, and the next DialEarly, without a session, connects.
func TestDialEarlyToAnotherVersion(t *testing.T) {
	sc, cc := earlyConfigs()
	cc.Versions = []Version{Version1, Version2}
	inBubble(t, sc, cc, func(t *testing.T, w *world) {
		w.dialForTicket(nil)
		w.acceptAll()
		require.NoError(t, w.server.Close())
		other := *sc
		other.Versions = []Version{Version2}
		var err error
		w.server, err = NewEndpoint(w.net.Listen(serverAddr), &other)
		require.NoError(t, err)
		w.listener, err = w.server.Listen()
		require.NoError(t, err)

		conn, err := w.client.DialEarly(t.Context(), serverAddr, nil)
		require.NoError(t, err)
		s, err := conn.OpenStream(t.Context())
		require.NoError(t, err)
		_, err = s.Write([]byte("request"))
		require.NoError(t, err)
		_, err = s.Read(make([]byte, 1))
		var version *VersionNegotiationError
		require.ErrorAs(t, err, &version)
		require.Contains(t, version.Theirs, Version2)
		require.ErrorContains(t, err, "see Config.Versions")
		require.Zero(t, w.server.Stats().Conns)

		conn, err = w.client.DialEarly(t.Context(), serverAddr, nil)
		require.NoError(t, err)
		require.Equal(t, Version2, conn.ConnectionState().Version)
	})
}
