//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

func TestHandshake(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		for _, c := range []*Conn{client, server} {
			require.True(t, isClosed(c.HandshakeComplete()))
			s := c.ConnectionState()
			require.True(t, s.TLS.HandshakeDone)
			require.Equal(t, tlsprovider.X25519MLKEM768, s.TLS.Group, "post-quantum by default")
			require.Equal(t, testProto, s.TLS.ALPN)
			require.Equal(t, Version1, s.Version)
			require.NoError(t, c.Context().Err())
			require.Positive(t, c.Stats().DatagramsReceived)
			require.GreaterOrEqual(t, c.Stats().HandshakeTime, 5*time.Millisecond)
		}
		require.Equal(t, serverAddr, client.RemoteAddr().String())
		require.Equal(t, clientAddr, client.LocalAddr().String())
		require.Equal(t, clientAddr, server.RemoteAddr().String())

		a, err := client.ExportKeyingMaterial("label", []byte("context"), 32)
		require.NoError(t, err)
		b, err := server.ExportKeyingMaterial("label", []byte("context"), 32)
		require.NoError(t, err)
		require.Equal(t, a, b)
	})
}

func TestHandshakeWithAddressValidation(t *testing.T) {
	cfg := serverConfig()
	var info ClientInfo
	cfg.RequireAddressValidation = func(a netip.AddrPort) bool { return a.String() == clientAddr }
	cfg.Accept = func(i ClientInfo) error { info = i; return nil }
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		w.connect()
		require.Equal(t, clientAddr, info.RemoteAddr.String())
		require.True(t, info.AddrValidated)
		require.Equal(t, Version1, info.Version)
	})
}

func TestAcceptHookRefuses(t *testing.T) {
	cfg := serverConfig()
	cfg.Accept = func(ClientInfo) error { return errors.New("go away") }
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		_, err := w.client.Dial(t.Context(), serverAddr, nil)
		requireTransportError(t, err, ConnectionRefused, true)
	})
}

func TestAcceptHookIgnores(t *testing.T) {
	cfg := serverConfig()
	cfg.Accept = func(ClientInfo) error { return ErrIgnore }
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		began := time.Now()
		_, err := w.client.Dial(t.Context(), serverAddr, nil)
		require.ErrorIs(t, err, ErrHandshakeTimeout)
		require.ErrorIs(t, err, net.ErrClosed)
		require.True(t, isTimeout(err))
		require.InDelta(t, 10*time.Second, time.Since(began), float64(time.Second))
	})
}

func TestALPNMismatch(t *testing.T) {
	cfg := clientConfig()
	cfg.TLS.NextProtos = []string{"another"}
	inBubble(t, nil, cfg, func(t *testing.T, w *world) {
		_, err := w.client.Dial(t.Context(), serverAddr, nil)
		requireTransportError(t, err, 0x178, true)
	})
}

func TestUntrustedCertificate(t *testing.T) {
	cfg := clientConfig()
	cfg.ServerName = "elsewhere.example"
	inBubble(t, nil, cfg, func(t *testing.T, w *world) {
		_, err := w.client.Dial(t.Context(), serverAddr, nil)
		var te *TransportError
		require.ErrorAs(t, err, &te)
		_, isAlert := te.Code.Alert()
		require.True(t, isAlert, "%v", err)
		require.False(t, te.Remote)
		var pe *tlsprovider.Error
		require.ErrorAs(t, err, &pe, "the provider's error is kept")
	})
}

func TestGetTLSConfig(t *testing.T) {
	special := &tlsprovider.Config{
		NextProtos: []string{"special"}, Certificates: []tlsprovider.Certificate{testPKI().Provider()},
	}
	cfg := serverConfig()
	cfg.GetTLSConfig = func(h *tlsprovider.ClientHello) (*tlsprovider.Config, error) {
		switch h.ALPN[0] {
		case "special":
			return special, nil
		case "forbidden":
			return nil, errors.New("forbidden")
		}
		return nil, nil
	}
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		for _, proto := range []string{testProto, "special"} {
			c := clientConfig()
			c.TLS.NextProtos = []string{proto}
			conn, err := w.client.Dial(t.Context(), serverAddr, c)
			require.NoError(t, err)
			require.Equal(t, proto, conn.ConnectionState().TLS.ALPN)
		}
		c := clientConfig()
		c.TLS.NextProtos = []string{"forbidden"}
		_, err := w.client.Dial(t.Context(), serverAddr, c)
		requireTransportError(t, err, 0x100+TransportErrorCode(tlsprovider.AlertInternalError), true)
	})
}

func TestCancelledDialLeavesNothing(t *testing.T) {
	for _, tc := range []struct {
		name string
		drop bool // the server receives nothing
	}{{"no server", true}, {"handshake under way", false}} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, nil, nil, func(t *testing.T, w *world) {
				w.net.SetDrop(func(_, _ netip.AddrPort, _ []byte) bool { return tc.drop })
				cause := errors.New("lost interest")
				ctx, cancel := context.WithCancelCause(t.Context())
				dialed := start(func() error {
					_, err := w.client.Dial(ctx, serverAddr, nil)
					return err
				})
				advance(7 * time.Millisecond) // the server's answer is on its way
				cancel(cause)
				require.ErrorIs(t, <-dialed, cause)
				synctest.Wait()
				require.Zero(t, w.client.Stats().Conns)
			})
		})
	}
}

func TestDialWithCancelledContext(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		_, err := w.client.Dial(canceled(), serverAddr, nil)
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestIdleTimeout(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		began := time.Now()
		<-client.Context().Done()
		<-server.Context().Done()
		require.GreaterOrEqual(t, time.Since(began), 29*time.Second)
		err := context.Cause(client.Context())
		require.ErrorIs(t, err, ErrIdleTimeout)
		require.ErrorIs(t, err, net.ErrClosed)
		require.True(t, isTimeout(err))
		_, err = client.OpenStream(t.Context())
		require.ErrorIs(t, err, ErrIdleTimeout)
	})
}

func TestKeepAlive(t *testing.T) {
	cfg := clientConfig()
	cfg.KeepAlivePeriod = 10 * time.Second
	inBubble(t, nil, cfg, func(t *testing.T, w *world) {
		client, server := w.connect()
		advance(10 * time.Minute)
		require.NoError(t, client.Context().Err())
		c, s := w.stream(client, server)
		require.NoError(t, c.Close())
		require.NoError(t, s.Close())
	})
}

func TestLastBytesBeforeCloseArrive(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		want := pattern(200_000, 1)
		_, err := s.Write(want)
		require.NoError(t, err)
		require.NoError(t, server.Close())

		// Nothing has been read yet, and the connection has ended.
		<-client.Context().Done()
		got := make([]byte, len(want))
		_, err = io.ReadFull(c, got)
		require.NoError(t, err)
		requireSame(t, want, got)
		_, err = c.Read(got)
		requireApplicationError(t, err, 0, "", true)
		requireApplicationError(t, context.Cause(client.Context()), 0, "", true)
	})
}

func TestLastBytesBeforeCloseArriveDespiteLoss(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		n := 0
		w.net.SetDrop(func(_, _ netip.AddrPort, _ []byte) bool { n++; return n%4 == 0 })
		want := pattern(100_000, 2)
		received := start(func() []byte {
			b, _ := io.ReadAll(c)
			return b
		})
		_, err := s.Write(want)
		require.NoError(t, err)
		require.NoError(t, s.CloseWrite())
		require.NoError(t, server.Close())
		requireSame(t, want, <-received)
	})
}

func TestCloseIsBounded(t *testing.T) {
	cfg := serverConfig()
	cfg.CloseTimeout = 2 * time.Second
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		_, s := w.stream(client, server)
		w.net.SetDrop(func(from, _ netip.AddrPort, _ []byte) bool { return true })
		_, err := s.Write(make([]byte, 1000))
		require.NoError(t, err)
		began := time.Now()
		closed := start(server.Close)
		synctest.Wait()
		_, err = s.Write([]byte("more"))
		require.ErrorIs(t, err, net.ErrClosed, "Close accepts no new data")
		_, err = server.OpenStream(t.Context())
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, <-closed, os.ErrDeadlineExceeded)
		require.Equal(t, 2*time.Second, time.Since(began))
		require.NoError(t, server.Close(), "twice")
	})
}

func TestCloseWithError(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		read := start(func() error { _, err := s.Read(make([]byte, 1)); return err })
		accepted := start(func() error { _, err := server.AcceptUniStream(t.Context()); return err })
		synctest.Wait()
		require.NoError(t, client.CloseWithError(42, "because"))
		require.NoError(t, client.CloseWithError(43, "again"))

		requireApplicationError(t, <-read, 42, "because", true)
		requireApplicationError(t, <-accepted, 42, "because", true)
		_, err := s.Write([]byte("x"))
		requireApplicationError(t, err, 42, "because", true)
		_, err = c.Write([]byte("x"))
		requireApplicationError(t, err, 42, "because", false)
		_, err = c.Read(make([]byte, 1))
		requireApplicationError(t, err, 42, "because", false)
		requireApplicationError(t, context.Cause(client.Context()), 42, "because", false)
		require.Error(t, client.CloseWithError(1<<62, ""))
	})
}

func TestFullSocketParksTheTrain(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		w.net.SetFull(func(from netip.AddrPort) bool { return from.String() == clientAddr })
		want := pattern(100_000, 3)
		_, err := c.Write(want)
		require.NoError(t, err, "Write fills the stream's buffer although the socket is full")
		require.NoError(t, c.CloseWrite())
		advance(100 * time.Millisecond)
		require.True(t, client.isDriving(), "the train is parked")
		_, err = s.Write([]byte("still reading"))
		require.NoError(t, err)
		buf := make([]byte, 13)
		_, err = io.ReadFull(c, buf)
		require.NoError(t, err, "a parked connection receives")

		w.net.SetFull(nil)
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		requireSame(t, want, got)
		require.Zero(t, client.Stats().PacketsLost)
	})
}

func (c *Conn) isDriving() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.driving
}

// What was written just before CloseWithError arrives with it: as much as fits in a train.
func TestCloseWithErrorSendsWhatIsWritten(t *testing.T) {
	for name, age := range map[string]time.Duration{"at once": 0, "while it rests": time.Minute} {
		t.Run(name, func(t *testing.T) { closeAfterWrite(t, age) })
	}
}

// closeAfterWrite writes and closes a connection that has been idle for some time.
func closeAfterWrite(t *testing.T, age time.Duration) {
	cfg := serverConfig()
	cfg.MaxIdleTimeout = -1
	client := clientConfig()
	client.MaxIdleTimeout = -1
	inBubble(t, cfg, client, func(t *testing.T, w *world) {
		client, server := w.connect()
		time.Sleep(age)
		before := client.Stats().DatagramsSent
		s, err := client.OpenStream(t.Context())
		require.NoError(t, err)
		_, err = s.Write([]byte("sorry"))
		require.NoError(t, err)
		require.NoError(t, client.CloseWithError(7, "bad request"))
		require.LessOrEqual(t, client.Stats().DatagramsSent, before+2)

		peer, err := server.AcceptStream(t.Context())
		require.NoError(t, err)
		got, err := io.ReadAll(peer)
		require.Equal(t, "sorry", string(got))
		requireApplicationError(t, err, 7, "bad request", true)
	})
}

// A CloseWithError with more data than a train sends a part, and does not wait for the peer or for memory.
func TestCloseWithErrorDoesNotWait(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		s, err := client.OpenStream(t.Context())
		require.NoError(t, err)
		_, err = s.Write(make([]byte, 1<<20))
		require.NoError(t, err)
		start := time.Now()
		require.NoError(t, client.CloseWithError(7, ""))
		require.Zero(t, time.Since(start))
		peer, err := server.AcceptStream(t.Context())
		require.NoError(t, err)
		n, err := io.Copy(io.Discard, peer)
		requireApplicationError(t, err, 7, "", true)
		require.Positive(t, n)
		require.Less(t, n, int64(1<<20))
	})
}
