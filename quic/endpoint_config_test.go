//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A program may return a new configuration for each client. The last ones are kept, what they hold is
// let go with them, and the Endpoint's own is not among those that give way.
func TestNewTLSConfigForEveryClient(t *testing.T) {
	var made []*tlsprovider.Config
	fresh := func() *tlsprovider.Config {
		made = append(made, serverConfig().TLS)
		return made[len(made)-1]
	}
	cfg := serverConfig()
	cfg.GetTLSConfig = func(h *tlsprovider.ClientHello) (*tlsprovider.Config, error) {
		if h.ServerName == "own.example" {
			return nil, nil
		}
		return fresh(), nil
	}
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		dial := func(name string) {
			t.Helper()
			c := clientConfig()
			c.ServerName = name
			c.TLS.InsecureSkipVerify = true
			_, err := w.client.Dial(t.Context(), serverAddr, c)
			require.NoError(t, err)
		}
		dial("any.example")
		first, err := w.server.tls.server(made[0])
		require.NoError(t, err)
		for range maxTLSConfigs + 5 {
			_, err := w.server.tls.server(fresh())
			require.NoError(t, err)
		}
		require.Len(t, w.server.tls.servers, maxTLSConfigs)
		_, err = first.NewSession(tlsprovider.SessionParams{Version: uint32(Version1)})
		require.Error(t, err, "the oldest one is closed")
		dial("any.example")
		dial("own.example")

		// What is in use stays: of made, these are the oldest.
		kept := made[len(made)-maxTLSConfigs+10]
		want, err := w.server.tls.server(kept)
		require.NoError(t, err)
		for range maxTLSConfigs - 2 {
			_, err := w.server.tls.server(fresh())
			require.NoError(t, err)
		}
		got, err := w.server.tls.server(kept)
		require.NoError(t, err)
		require.Same(t, want, got)
	})
}
