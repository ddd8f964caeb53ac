package s2n

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// BenchmarkHandshakePair is both sides of a handshake in memory, keys taken, chain and name verified.
func BenchmarkHandshakePair(b *testing.B) {
	prov := newProvider(b)
	for _, g := range []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.X25519, tlsprovider.P256} {
		b.Run(g.String(), func(b *testing.B) {
			client, server, _ := configs(b)
			client.Groups, server.Groups = []tlsprovider.Group{g}, []tlsprovider.Group{g}
			client.DisableTickets, server.DisableTickets = true, true
			ce, err := prov.NewClient(client)
			require.NoError(b, err)
			defer ce.Close()
			se, err := prov.NewServer(server)
			require.NoError(b, err)
			defer se.Close()
			b.ReportAllocs()
			for b.Loop() {
				if err := lean(ce, se); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// lean is a handshake with nothing beside it.
func lean(ce, se tlsprovider.Endpoint) error {
	c, err := ce.NewSession(tlsprovider.SessionParams{Version: 1, ServerName: "server.test", TransportParameters: []byte(clientParams)})
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := se.NewSession(tlsprovider.SessionParams{Version: 1})
	if err != nil {
		return err
	}
	defer s.Close()
	events, err := c.Advance(nil)
	if err != nil {
		return err
	}
	if _, err = s.Advance(cryptoOf(events)); err != nil {
		return err
	}
	events, err = s.Continue(tlsprovider.Decision{ALPN: "test", TransportParameters: []byte(serverParams), Version: 1})
	if err != nil {
		return err
	}
	if events, err = c.Advance(cryptoOf(events)); err != nil {
		return err
	}
	if _, err = s.Advance(cryptoOf(events)); err != nil {
		return err
	}
	for _, session := range []tlsprovider.Session{c, s} {
		for _, level := range []tlsprovider.Level{tlsprovider.LevelHandshake, tlsprovider.LevelApp} {
			k, err := session.TakeKeys(level, 1)
			if err != nil {
				return err
			}
			k.Close()
		}
	}
	return nil
}

func cryptoOf(events []tlsprovider.Event) (out []tlsprovider.CryptoData) {
	for _, e := range events {
		if e.Kind == tlsprovider.EventWrite {
			out = append(out, tlsprovider.CryptoData{Level: e.Level, Data: e.Data})
		}
	}
	return out
}

func TestLeanPairHandshakes(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := configs(t)
	ce, err := prov.NewClient(client)
	require.NoError(t, err)
	defer ce.Close()
	se, err := prov.NewServer(server)
	require.NoError(t, err)
	defer se.Close()
	require.NoError(t, lean(ce, se))
}
