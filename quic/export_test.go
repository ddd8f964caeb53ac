//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// ExportKeyingMaterial waits while a ticket is being processed, and returns if the connection ends.
func TestExportWaitsForTicket(t *testing.T) {
	for _, end := range []bool{false, true} {
		cfg := clientConfig()
		var began, may chan struct{}
		cfg.Provider = &steppedProvider{Provider: native.New(), side: tlsprovider.Client, beforeAdvance: func(in []tlsprovider.CryptoData) {
			if len(in) > 0 && in[0].Level == tlsprovider.LevelApp { // a ticket
				close(began)
				<-may
			}
		}}
		inBubble(t, nil, cfg, func(t *testing.T, w *world) {
			began, may = make(chan struct{}), make(chan struct{})
			client, server := w.connect()
			<-began
			type result struct {
				key []byte
				err error
			}
			done := make(chan result, 3)
			for range 3 {
				go func() {
					key, err := client.ExportKeyingMaterial("label", nil, 32)
					done <- result{key, err}
				}()
			}
			synctest.Wait()
			require.Empty(t, done, "exported while a ticket is being processed")
			if end {
				require.NoError(t, client.CloseWithError(7, ""))
			} else {
				close(may)
			}
			for range 3 {
				r := <-done
				if end {
					require.Error(t, r.err)
					continue
				}
				require.NoError(t, r.err)
				want, err := server.ExportKeyingMaterial("label", nil, 32)
				require.NoError(t, err)
				require.Equal(t, want, r.key)
			}
			if end {
				close(may)
			}
		})
	}
}
