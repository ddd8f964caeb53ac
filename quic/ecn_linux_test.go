//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// Packets are marked over real sockets, and both sides find that this works, unless one of them does not mark. There are
// enough packets that one is marked with ECN-CE.
func TestECNOverLoopback(t *testing.T) {
	for _, off := range []bool{false, true} {
		server, client := serverConfig(), clientConfig()
		client.DisableECN = off
		server.MaxUDPPayload, client.MaxUDPPayload = 1200, 1200
		l, err := Listen("udp", "127.0.0.1:0", server)
		require.NoError(t, err)
		conn, err := Dial(t.Context(), "udp", l.Addr().String(), client)
		require.NoError(t, err)
		served, err := l.Accept(t.Context())
		require.NoError(t, err)
		s, err := conn.OpenStream(t.Context())
		require.NoError(t, err)
		_, err = s.Write(pattern(4_000_000, 1))
		require.NoError(t, err)
		require.NoError(t, s.CloseWrite())
		r, err := served.AcceptStream(t.Context())
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, pattern(4_000_000, 1), got)
		require.Equal(t, !off, conn.Stats().ECNCapable)
		require.True(t, served.Stats().ECNCapable)
		require.Zero(t, conn.Stats().PacketsMarked)
		require.NoError(t, conn.Close())
		require.NoError(t, l.Endpoint().Close())
	}
}
