//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// slowTickets is a provider whose client sessions do not process a ticket until may is closed.
type slowTickets struct {
	tlsprovider.Provider
	began, may chan struct{}
}

type slowEndpoint struct {
	tlsprovider.Endpoint
	p *slowTickets
}

type slowSession struct {
	tlsprovider.Session
	p *slowTickets
}

func (p *slowTickets) NewClient(c *tlsprovider.Config) (tlsprovider.Endpoint, error) {
	e, err := p.Provider.NewClient(c)
	return slowEndpoint{e, p}, err
}

func (e slowEndpoint) NewSession(sp tlsprovider.SessionParams) (tlsprovider.Session, error) {
	s, err := e.Endpoint.NewSession(sp)
	return slowSession{s, e.p}, err
}

func (s slowSession) Advance(in []tlsprovider.CryptoData) ([]tlsprovider.Event, error) {
	if len(in) > 0 && in[0].Level == tlsprovider.LevelApp {
		close(s.p.began)
		<-s.p.may
	}
	return s.Session.Advance(in)
}

// ExportKeyingMaterial waits while a ticket is being processed, and returns if the connection ends.
func TestExportWaitsForTicket(t *testing.T) {
	for _, end := range []bool{false, true} {
		cfg := clientConfig()
		p := &slowTickets{Provider: native.New()}
		cfg.Provider = p
		inBubble(t, nil, cfg, func(t *testing.T, w *world) {
			p.began, p.may = make(chan struct{}), make(chan struct{})
			client, server := w.connect()
			<-p.began
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
				close(p.may)
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
				close(p.may)
			}
		})
	}
}
