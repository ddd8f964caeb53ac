//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var _ net.Conn = (*Stream)(nil)

// The context of a stream ends with its sending direction, and its cause is the error that Write returns.
func TestStreamContext(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(t *testing.T, client, server *Conn, c, s *Stream)
		want func(t *testing.T, s *Stream, cause error)
	}{
		{"the peer closes", func(t *testing.T, _, _ *Conn, c, _ *Stream) { require.NoError(t, c.Close()) },
			func(t *testing.T, s *Stream, cause error) {
				require.Equal(t, &StreamError{ID: s.ID(), Remote: true}, cause)
			}},
		{"the peer stops", func(t *testing.T, _, _ *Conn, c, _ *Stream) { require.NoError(t, c.StopSending(7)) },
			func(t *testing.T, s *Stream, cause error) {
				require.Equal(t, &StreamError{ID: s.ID(), Code: 7, Remote: true}, cause)
			}},
		{"Reset", func(t *testing.T, _, _ *Conn, _, s *Stream) { require.NoError(t, s.Reset(8)) },
			func(t *testing.T, s *Stream, cause error) {
				require.Equal(t, &StreamError{ID: s.ID(), Code: 8}, cause)
			}},
		{"Close", func(t *testing.T, _, _ *Conn, _, s *Stream) { require.NoError(t, s.Close()) },
			func(t *testing.T, _ *Stream, cause error) { require.Equal(t, ErrWriteClosed, cause) }},
		{"CloseWrite", func(t *testing.T, _, _ *Conn, _, s *Stream) { require.NoError(t, s.CloseWrite()) },
			func(t *testing.T, _ *Stream, cause error) { require.Equal(t, ErrWriteClosed, cause) }},
		{"the connection", func(t *testing.T, client, _ *Conn, _, _ *Stream) { require.NoError(t, client.CloseWithError(9, "")) },
			func(t *testing.T, _ *Stream, cause error) { requireApplicationError(t, cause, 9, "", true) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, nil, nil, func(t *testing.T, w *world) {
				client, server := w.connect()
				c, s := w.stream(client, server)
				other, sOther := w.stream(client, server)
				ctx := s.Context()
				require.NoError(t, other.CloseWrite())
				_, err := io.ReadAll(sOther)
				require.NoError(t, err)
				advance(time.Second)
				require.NoError(t, ctx.Err())
				require.NoError(t, sOther.Context().Err(), "only the peer's direction has ended")
				tc.end(t, client, server, c, s)
				<-ctx.Done()
				tc.want(t, s, context.Cause(ctx))
				_, err = s.Write([]byte{1})
				require.Equal(t, err, context.Cause(ctx))
				require.Same(t, ctx, s.Context())
				require.Equal(t, server.Context().Err(), sOther.Context().Err(), "an independent stream")
			})
		})
	}
}

// If the peer has aborted a stream before it is accepted, its context is done, and so is a context that is
// first requested after the end.
func TestStreamContextOfEarlierEnd(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, err := client.OpenStream(t.Context())
		require.NoError(t, err)
		_, err = c.Write([]byte{1})
		require.NoError(t, err)
		require.NoError(t, c.StopSending(7))
		advance(time.Second)
		s, err := server.AcceptStream(t.Context())
		require.NoError(t, err)
		require.Equal(t, &StreamError{ID: s.ID(), Code: 7, Remote: true}, context.Cause(s.Context()))
		uni, err := client.OpenUniStream(t.Context())
		require.NoError(t, err)
		require.NoError(t, uni.Close())
		require.Equal(t, ErrWriteClosed, context.Cause(uni.Context()))
		synctest.Wait()
	})
}

func TestStreamAddresses(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		require.Equal(t, serverAddr, c.RemoteAddr().String())
		require.Equal(t, clientAddr, s.RemoteAddr().String())
		require.Equal(t, server.LocalAddr(), s.LocalAddr())
		_, err := client.ConnectionState().TLS.PeerCertificates()
		require.NoError(t, err)
	})
}

// The error of a common mistake in programs ported from quic-go explains the remedy.
func TestReadAfterCloseNamesCloseWrite(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		c, _ := w.stream(w.connect())
		require.NoError(t, c.Close())
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, ErrReadClosed)
		require.ErrorContains(t, err, "CloseWrite")
	})
}

func TestNewEndpointWithoutSocket(t *testing.T) {
	_, err := NewEndpoint(nil, nil)
	require.ErrorContains(t, err, "nil")
	_, err = NewEndpoint((*net.UDPConn)(nil), nil)
	require.ErrorContains(t, err, "nil")
}

// ShutdownWithError closes idle connections with the application's code and reason.
func TestShutdownWithError(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		idle, _ := w.connect()
		client, server := w.connect()
		c, s := w.stream(client, server)
		require.ErrorContains(t, w.server.ShutdownWithError(t.Context(), 1<<62, ""), "exceeds")
		down := start(func() error { return w.server.ShutdownWithError(t.Context(), 0x100, "restart") })
		<-idle.Context().Done()
		requireApplicationError(t, context.Cause(idle.Context()), 0x100, "restart", true)
		require.NoError(t, s.Close())
		require.NoError(t, c.Close())
		<-client.Context().Done()
		requireApplicationError(t, context.Cause(client.Context()), 0x100, "restart", true)
		require.NoError(t, <-down)
	})
}

// A stream that the peer has asked us to stop is finished once the application has called Write, CloseWrite,
// Close or Reset: the peer then gets the credit for another stream.
func TestStoppedStreamReturnsItsCredit(t *testing.T) {
	for _, tc := range []struct {
		name   string
		before func(s *Stream) // called before the peer's STOP_SENDING arrives
		after  func(s *Stream) error
	}{
		{"Close", nil, (*Stream).Close},
		{"CloseWrite", nil, (*Stream).CloseWrite},
		{"Reset", nil, func(s *Stream) error { return s.Reset(1) }},
		{"a Write that fails", nil, func(s *Stream) error {
			if _, err := s.Write([]byte{1}); err == nil {
				return errors.New("Write succeeded")
			}
			return nil
		}},
		{"a Write that waits", func(s *Stream) { go s.Write(make([]byte, 8<<20)) }, func(*Stream) error { return nil }},
		{"Context", func(s *Stream) { s.Context() }, (*Stream).Close},
		{"Close without waiting", func(s *Stream) { s.Close() }, (*Stream).Close},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := serverConfig()
			cfg.MaxIncomingStreams = 4
			inBubble(t, cfg, nil, func(t *testing.T, w *world) {
				client, server := w.connect()
				for range 12 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					c, err := client.OpenStream(ctx)
					require.NoError(t, err)
					require.NoError(t, c.CloseWrite())
					s, err := server.AcceptStream(ctx)
					require.NoError(t, err)
					_, err = io.ReadAll(s)
					require.NoError(t, err)
					if tc.before != nil {
						tc.before(s)
					}
					require.NoError(t, c.Close())
					advance(time.Second)
					require.NoError(t, tc.after(s))
					cancel()
				}
				advance(time.Second)
				require.Zero(t, server.Stats().Streams.OpenStreams)
				require.Zero(t, client.Stats().Streams.OpenStreams)
			})
		})
	}
}
