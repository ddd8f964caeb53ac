package tlstest

import (
	"sync"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/stretchr/testify/require"
)

// Closed at any moment, a pair leaves nothing behind.
func (su *Suite) nothingIsLeft(t *testing.T) {
	client, server, _ := Configs(t)
	ce, err := su.Client.NewClient(client)
	require.NoError(t, err)
	se, err := su.Server.NewServer(server)
	require.NoError(t, err)
	defer ce.Close()
	defer se.Close()
	once := func(stop int) {
		p := PairOf(t, ce, se, "server.test")
		p.Decide = func(*tlsprovider.ClientHello) tlsprovider.Decision {
			if stop == 1 {
				p.Server.Close()
			}
			return tlsprovider.Decision{ALPN: "test", TransportParameters: []byte(ServerParams), Version: 1}
		}
		if stop == 2 {
			p.Chunk = 1000
			events, err := p.Client.Advance(nil)
			require.NoError(t, err)
			for _, e := range events {
				_, err := p.Server.Advance([]tlsprovider.CryptoData{{Level: e.Level, Data: e.Data[:500]}})
				require.NoError(t, err)
			}
		} else if stop != 0 {
			_, err := p.Run(t)
			require.Equal(t, stop == 1, err != nil)
		}
		if stop == 4 {
			k, err := p.Server.TakeKeys(tlsprovider.LevelApp, 1)
			require.NoError(t, err)
			k.Close()
		}
		p.Client.Close()
		p.Server.Close()
		p.Client.Close()
	}
	for stop := range 5 {
		once(stop)
	}
	once(3) // a ticket is in the cache
	handles, bytes := su.Live()
	for range 20 {
		for stop := range 5 {
			once(stop)
		}
	}
	once(3)
	handlesAfter, bytesAfter := su.Live()
	require.Equal(t, handles, handlesAfter)
	require.InDelta(t, bytes, bytesAfter, 64, "tickets differ by bytes")
}

// Handshakes go on while certificates and ticket keys change, and while the endpoint closes.
func (su *Suite) concurrentUse(t *testing.T) {
	client, server, ca := Configs(t)
	ce, err := su.Client.NewClient(client)
	require.NoError(t, err)
	se, err := su.Server.NewServer(server)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 25 {
				if err := Lean(ce, se); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 20 {
			if err := se.SetCertificates([]tlsprovider.Certificate{ca.Leaf(t, nil)}); err != nil {
				t.Error(err)
			}
			key := make([]byte, 32)
			key[0] = byte(i)
			if err := se.SetTicketKeys([][]byte{key}); err != nil {
				t.Error(err)
			}
			_ = su.Server.Capabilities()
		}
	})
	wg.Wait()
	for range 4 {
		wg.Go(func() {
			for range 10 {
				_ = Lean(ce, se) // fails once the endpoints are closed, and does nothing worse
			}
		})
	}
	ce.Close()
	se.Close()
	wg.Wait()
	require.Error(t, Lean(ce, se))
}
