//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

func TestConfigErrors(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  *Config
		want string
	}{
		{"no certificate", &Config{TLS: &tlsprovider.Config{NextProtos: []string{"x"}}}, "certificate"},
		{"nil", nil, "application protocol"},
		{"no protocol", &Config{TLS: &tlsprovider.Config{
			Certificates: []tlsprovider.Certificate{testPKI().Provider()},
		}}, "application protocol"},
		{"deferred certificates without GetTLSConfig", &Config{TLS: &tlsprovider.Config{DeferCertificates: true}}, "Config.GetTLSConfig is nil"},
		{"short reset secret", &Config{ResetSecret: make([]byte, 31)}, "Config.ResetSecret has 31 bytes; it needs at least 32"},
		{"short token secret", &Config{TokenSecrets: [][]byte{make([]byte, 32), {}}}, "Config.TokenSecrets[1] has 0 bytes; it needs at least 32"},
		{"two policies", &Config{AddressValidation: ValidateAlways, RequireAddressValidation: func(netip.AddrPort) bool { return true }},
			"Config.AddressValidation and RequireAddressValidation are both set"},
		{"unknown policy", &Config{AddressValidation: 3}, "Config.AddressValidation is 3"},
		{"negative timeout", &Config{HandshakeTimeout: -1}, "Config.HandshakeTimeout is negative: -1ns"},
		{"negative period", &Config{KeepAlivePeriod: -time.Second}, "Config.KeepAlivePeriod is negative: -1s"},
		{"negative limit", &Config{MaxHandshakes: -1}, "Config.MaxHandshakes is -1; it must be from 0 to"},
		{"small datagrams", &Config{MaxUDPPayload: 1199}, "Config.MaxUDPPayload is 1199; it must be from 1200 to 8972"},
		{"large datagrams", &Config{MaxUDPPayload: 8973}, "Config.MaxUDPPayload is 8973"},
		{"packets of other protocols", &Config{NonQUICQueue: -1}, "Config.NonQUICQueue is -1; it must be from 0 to"},
		{"window", &Config{StreamWindow: 2, MaxStreamWindow: 1}, "Config.MaxStreamWindow is 1; it must be from 2 to"},
		{"negative window", &Config{ConnWindow: -1, MaxConnWindow: 1}, "Config.ConnWindow is -1"},
		{"huge window", &Config{MaxConnWindow: 1 << 62}, "Config.MaxConnWindow is 4611686018427387904"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Listen("udp", "127.0.0.1:0", tc.cfg)
			require.ErrorContains(t, err, tc.want)
			require.ErrorContains(t, err, "quic: ")
		})
	}
	_, err := Listen("tcp", "127.0.0.1:0", serverConfig())
	require.ErrorContains(t, err, "tcp")
	_, err = Dial(t.Context(), "udp", "127.0.0.1", clientConfig())
	require.ErrorContains(t, err, "port")
	_, err = Dial(t.Context(), "udp", "127.0.0.1:0", clientConfig())
	require.ErrorContains(t, err, "port 0")
	_, err = Dial(t.Context(), "udp", "127.0.0.1:1", nil)
	require.ErrorContains(t, err, "application protocol")
}

func TestEndpointCloseEndsEverything(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		waits := []<-chan error{
			start(func() error { _, err := w.listener.Accept(t.Context()); return err }),
			start(func() error { _, err := s.Read(make([]byte, 1)); return err }),
			start(func() error { _, err := server.AcceptStream(t.Context()); return err }),
			start(func() error { _, err := server.AcceptUniStream(t.Context()); return err }),
			start(func() error { <-server.Context().Done(); return context.Cause(server.Context()) }),
		}
		synctest.Wait()
		require.NoError(t, w.server.Close())
		for _, ch := range waits {
			err := <-ch
			require.ErrorIs(t, err, ErrEndpointClosed)
			require.ErrorIs(t, err, net.ErrClosed)
		}
		_, err := c.Read(make([]byte, 1))
		requireTransportError(t, err, NoError, true)
		_, err = w.server.Dial(t.Context(), clientAddr, clientConfig())
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = w.server.Listen()
		require.ErrorIs(t, err, net.ErrClosed)
		require.NoError(t, w.server.Close(), "twice")
	})
}

func TestListenerCloseLeavesConnectionsAlone(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		// This connection waits for Accept when the Listener closes.
		waiting, err := w.client.Dial(t.Context(), serverAddr, nil)
		require.NoError(t, err)
		synctest.Wait()
		advance(20 * time.Millisecond)
		accepted := start(func() error { _, err := w.listener.Accept(canceled()); return err })
		require.ErrorIs(t, <-accepted, context.Canceled)
		require.NoError(t, w.listener.Close())
		_, err = w.listener.Accept(t.Context())
		require.ErrorIs(t, err, ErrListenerClosed)
		<-waiting.Context().Done()
		requireTransportError(t, context.Cause(waiting.Context()), ConnectionRefused, true)
		_, err = w.client.Dial(t.Context(), serverAddr, nil)
		requireTransportError(t, err, ConnectionRefused, true)
		w.stream(client, server)

		l, err := w.server.Listen()
		require.NoError(t, err, "an Endpoint can listen again")
		_, err = w.server.Listen()
		require.Error(t, err, "but not twice at a time")
		w.listener = l
		w.connect()
	})
}

func TestShutdownWaitsForStreams(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		idleClient, _ := w.connect()
		client, server := w.connect()
		c, s := w.stream(client, server)
		down := start(func() error { return w.server.Shutdown(t.Context()) })
		<-idleClient.Context().Done()
		requireApplicationError(t, context.Cause(idleClient.Context()), 0, "", true)
		_, err := w.client.Dial(t.Context(), serverAddr, nil)
		require.Error(t, err, "no new connections")

		// The open stream can be finished.
		_, err = s.Write([]byte("the end"))
		require.NoError(t, err)
		require.NoError(t, s.CloseWrite())
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, "the end", string(got))
		require.NoError(t, c.Close())
		_, err = s.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		require.NoError(t, <-down)
	})
}

func TestShutdownIsBoundedByItsContext(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, _ := w.stream(client, server)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		require.ErrorIs(t, w.server.Shutdown(ctx), context.DeadlineExceeded)
		_, err := c.Write([]byte("still here"))
		require.NoError(t, err)
		require.NoError(t, server.Context().Err())
	})
}

func TestShutdownEndsUnfinishedHandshakes(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		w.net.SetDrop(func(from, _ netip.AddrPort, _ []byte) bool { return from.String() == serverAddr })
		dialed := start(func() error { _, err := w.client.Dial(t.Context(), serverAddr, nil); return err })
		advance(time.Second)
		require.Equal(t, 1, w.server.Stats().Conns)
		began := time.Now()
		require.NoError(t, w.server.Shutdown(t.Context()))
		require.Less(t, time.Since(began), time.Second)
		require.NoError(t, w.client.Close())
		require.ErrorIs(t, <-dialed, ErrEndpointClosed)
	})
}

func TestBacklog(t *testing.T) {
	cfg, book := serverConfig(), new(logBook)
	cfg.AcceptBacklog, cfg.Logger = 2, slog.New(book)
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		for range 2 {
			_, err := w.client.Dial(t.Context(), serverAddr, nil)
			require.NoError(t, err)
			advance(20 * time.Millisecond)
		}
		for range 3 {
			_, err := w.client.Dial(t.Context(), serverAddr, nil)
			requireTransportError(t, err, ConnectionRefused, true)
		}
		stats := w.server.Stats()
		require.EqualValues(t, 3, stats.BacklogFull)
		require.EqualValues(t, 3, stats.Refused)
		lines := book.at(slog.LevelWarn)
		require.Len(t, lines, 1, "clients do not cause many messages")
		require.Contains(t, lines[0], "wait for Listener.Accept")
		require.Contains(t, lines[0], "backlog=2")

		_, err := w.listener.Accept(t.Context())
		require.NoError(t, err)
		_, err = w.client.Dial(t.Context(), serverAddr, nil)
		require.NoError(t, err)

		require.NoError(t, w.listener.Close())
		_, err = w.client.Dial(t.Context(), serverAddr, nil)
		requireTransportError(t, err, ConnectionRefused, true)
		require.EqualValues(t, 3, w.server.Stats().BacklogFull, "no Listener is not a full backlog")
	})
}

func TestSlowGetTLSConfigDoesNotBlockOthers(t *testing.T) {
	const stuck = 50
	var answer chan struct{}
	cfg := serverConfig()
	cfg.TLS.NextProtos = append(cfg.TLS.NextProtos, "slow")
	cfg.GetTLSConfig = func(h *tlsprovider.ClientHello) (*tlsprovider.Config, error) {
		if h.ALPN[0] == "slow" {
			<-answer
		}
		return nil, nil
	}
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		answer = make(chan struct{}) // of this bubble
		c := clientConfig()
		c.TLS.NextProtos = []string{"slow"}
		dials := make(chan error, stuck)
		for range stuck {
			go func() {
				_, err := w.client.Dial(t.Context(), serverAddr, c)
				dials <- err
			}()
		}
		advance(time.Second)
		began := time.Now()
		w.connect()
		require.Less(t, time.Since(began), time.Second, "other clients are served meanwhile")
		close(answer)
		for range stuck {
			require.NoError(t, <-dials)
		}
	})
}

func TestUnrelatedPacketsAreHarmless(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		stranger := w.net.Listen("10.0.0.9:9")
		to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(serverAddr))
		for n := range 1500 {
			_, err := stranger.WriteTo(pattern(n+1, byte(n)), to)
			require.NoError(t, err)
		}
		advance(time.Second)
		w.stream(client, server)
		require.NoError(t, stranger.Close())
	})
}

func TestErrorTexts(t *testing.T) {
	cause := errors.New("untrusted")
	for _, tc := range []struct {
		err  error
		want string
	}{
		{&ApplicationError{Code: 1, Reason: "why", Remote: true}, `quic: connection closed by the peer: application code 0x1: "why"`},
		{&TransportError{Code: 0x130, FrameType: 6, err: cause}, "(0x130): untrusted"},
		{&TransportError{Code: FlowControlError, FrameType: 8, Reason: "why", Remote: true},
			`quic: connection closed by the peer: FLOW_CONTROL_ERROR (0x3) for a frame of type STREAM: "why"`},
		{&TransportError{Code: FrameEncodingError, FrameType: 0x20}, "(0x7) for a frame of type 0x20"},
		{&StreamError{ID: 4, Code: 9}, "quic: stream 4 aborted locally: code 0x9"},
		{&VersionNegotiationError{Theirs: []Version{0x1a2a3a4a}}, "0x1a2a3a4a"},
		{ErrIdleTimeout, "quic: "},
	} {
		require.ErrorContains(t, tc.err, tc.want)
	}
	require.ErrorIs(t, &TransportError{err: cause}, cause)
	require.ErrorIs(t, &TransportError{err: cause}, net.ErrClosed)
	require.ErrorIs(t, &VersionNegotiationError{}, net.ErrClosed)
	require.NotErrorIs(t, &StreamError{}, net.ErrClosed, "the connection stays open")
	require.False(t, isTimeout(ErrEndpointClosed))
}

// A Retry token is valid at every Endpoint with the same secret, however long each has been running.
func TestRetryTokenOfAnotherEndpoint(t *testing.T) {
	cfg := serverConfig()
	cfg.TokenSecrets = [][]byte{pattern(32, 1)}
	cfg.RequireAddressValidation = func(netip.AddrPort) bool { return true }
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		advance(time.Hour)
		retried := false
		w.net.SetDrop(func(from, _ netip.AddrPort, b []byte) bool {
			if from.String() == serverAddr {
				retried = true
				return false
			}
			return retried
		})
		dialed := start(func() error {
			conn, err := w.client.Dial(t.Context(), serverAddr, nil)
			if err == nil {
				err = conn.Close()
			}
			return err
		})
		advance(100 * time.Millisecond)
		w.net.SetDrop(nil)
		require.True(t, retried)
		require.NoError(t, w.server.Close())
		var err error
		w.server, err = NewEndpoint(w.net.Listen(serverAddr), cfg)
		require.NoError(t, err)
		_, err = w.server.Listen()
		require.NoError(t, err)
		require.NoError(t, <-dialed)
	})
}

// The Endpoint's own deadline, which passes at least once for most clients, allocates nothing.
func TestEndpointTimeoutAllocations(t *testing.T) {
	e, err := newTestEndpoint()
	require.NoError(t, err)
	defer e.Close()
	require.Zero(t, testing.AllocsPerRun(100, func() { e.handleTimeout(e.clock.now()) }))
}
