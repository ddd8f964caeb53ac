//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestResetAt(t *testing.T) {
	server, client := serverConfig(), clientConfig()
	server.EnableResetStreamAt, client.EnableResetStreamAt = true, true
	inBubble(t, server, client, func(t *testing.T, w *world) {
		cc, sc := w.connect()
		require.True(t, cc.ConnectionState().SupportsResetAt)
		out, err := cc.OpenUniStream(t.Context())
		require.NoError(t, err)
		_, err = out.Write([]byte("header and body"))
		require.NoError(t, err)
		require.ErrorContains(t, out.ResetAt(5, 16), "fewer than 16 bytes")
		require.ErrorContains(t, out.ResetAt(1<<62, 6), "exceeds")
		require.NoError(t, out.ResetAt(5, 10))
		require.NoError(t, out.ResetAt(6, 6))
		_, err = out.Write([]byte("more"))
		var reset *StreamError
		require.ErrorAs(t, err, &reset)
		require.Equal(t, StreamError{ID: out.ID(), Code: 5}, *reset)

		in, err := sc.AcceptUniStream(t.Context())
		require.NoError(t, err)
		got, err := io.ReadAll(in)
		require.Equal(t, "header", string(got))
		require.ErrorAs(t, err, &reset)
		require.Equal(t, StreamError{ID: out.ID(), Code: 5, Remote: true}, *reset)
		require.NoError(t, cc.Close(), "everything is acknowledged")
	})
}

func TestResetAtUnsupported(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		cc, sc := w.connect()
		require.False(t, cc.ConnectionState().SupportsResetAt)
		c, s := w.stream(cc, sc)
		_, err := c.Write([]byte("data"))
		require.NoError(t, err)
		require.ErrorIs(t, c.ResetAt(5, 3), errors.ErrUnsupported)
		require.NoError(t, c.CloseWrite())
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		require.Equal(t, "data", string(got))
	})
}

// Of two streams with much data, the more urgent one arrives first.
func TestSetPriority(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		cc, sc := w.connect()
		var streams []*SendStream
		for i := range 2 {
			s, err := cc.OpenUniStream(t.Context())
			require.NoError(t, err)
			s.SetPriority(9-20*i, false) // 7 and 0
			_, err = s.Write(make([]byte, 300_000))
			require.NoError(t, err)
			require.NoError(t, s.Close())
			streams = append(streams, s)
		}
		ended := make(chan StreamID, 2)
		for range 2 {
			in, err := sc.AcceptUniStream(t.Context())
			require.NoError(t, err)
			go func() {
				_, _ = io.Copy(io.Discard, in)
				ended <- in.ID()
			}()
		}
		require.Equal(t, []StreamID{streams[1].ID(), streams[0].ID()}, []StreamID{<-ended, <-ended})
		streams[0].SetPriority(0, true) // a stream that has ended
	})
}
