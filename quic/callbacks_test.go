//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A server can have its certificates from GetTLSConfig alone.
func TestCertificatesFromGetTLSConfigAlone(t *testing.T) {
	full := serverConfig().TLS
	for name, own := range map[string]*tlsprovider.Config{
		"protocols only": {NextProtos: []string{testProto}},
		"empty":          {},
		"nil":            nil,
	} {
		t.Run(name, func(t *testing.T) {
			cfg := &Config{TLS: own}
			cfg.GetTLSConfig = func(hello *tlsprovider.ClientHello) (*tlsprovider.Config, error) {
				require.Equal(t, "localhost", hello.ServerName)
				return full, nil
			}
			inBubble(t, cfg, nil, func(t *testing.T, w *world) {
				for range 2 {
					client, server := w.connect()
					w.stream(client, server)
				}
			})
		})
	}
}
