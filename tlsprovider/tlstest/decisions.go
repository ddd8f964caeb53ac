package tlstest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// The endpoint that a Decision brings signs with its own key, be that in this process or elsewhere, and has
// to be a server's.
func (su *Suite) decisionSigns(t *testing.T) {
	client, server, ca := Configs(t)
	key := NewAuthority(t).Key
	elsewhere := *server
	elsewhere.Certificates = []tlsprovider.Certificate{{Chain: ca.Issue(t, key, nil), Signer: remote{key, nil}}}
	ce, err := su.Client.NewClient(client)
	require.NoError(t, err)
	defer ce.Close()
	here, err := su.Server.NewServer(server)
	require.NoError(t, err)
	defer here.Close()
	there, err := su.Server.NewServer(&elsewhere)
	require.NoError(t, err)
	defer there.Close()
	wrong, err := su.Server.NewClient(client)
	require.NoError(t, err)
	defer wrong.Close()

	pair := func(first, decided tlsprovider.Endpoint) *Pair {
		p := PairOf(t, ce, first, "server.test")
		p.Decide = func(*tlsprovider.ClientHello) tlsprovider.Decision {
			return tlsprovider.Decision{Endpoint: decided, ALPN: "test", TransportParameters: []byte(ServerParams), Version: 1}
		}
		return p
	}
	p := pair(here, there)
	cs, _ := p.MustRun(t)
	require.Equal(t, elsewhere.Certificates[0].Chain, cs.PeerChain)
	require.Equal(t, 1, p.Signs)
	p = pair(there, here)
	cs, _ = p.MustRun(t)
	require.Equal(t, server.Certificates[0].Chain, cs.PeerChain)
	require.Zero(t, p.Signs)

	side, err := pair(here, wrong).Run(t)
	require.Equal(t, tlsprovider.Server, side)
	RequireAlert(t, tlsprovider.AlertInternalError, err)
}

// Events of one call are all good until the next, however many pieces of input it had.
func (su *Suite) piecesInOneCall(t *testing.T) {
	client, server, _ := Configs(t)
	for _, cut := range []int{1, 100, 200, 400} {
		p := su.NewPair(t, client, server)
		events, err := p.Client.Advance(nil)
		require.NoError(t, err)
		_, err = p.Server.Advance(cryptoOf(events))
		require.NoError(t, err)
		events, err = p.Server.Continue(tlsprovider.Decision{ALPN: "test", TransportParameters: []byte(ServerParams), Version: 1})
		require.NoError(t, err)
		var in []tlsprovider.CryptoData
		for _, d := range cryptoOf(events) {
			if d.Level == tlsprovider.LevelHandshake && len(d.Data) > cut {
				in = append(in, tlsprovider.CryptoData{Level: d.Level, Data: d.Data[:cut]})
				d.Data = d.Data[cut:]
			}
			in = append(in, d)
		}
		events, err = p.Client.Advance(in)
		require.NoError(t, err)
		seen := 0
		for _, e := range events {
			if e.Kind == tlsprovider.EventTransportParameters {
				require.Equal(t, ServerParams, string(e.Data), "cut at %d", cut)
				seen++
			}
		}
		require.Equal(t, 1, seen)
		_, err = p.Server.Advance(cryptoOf(events))
		require.NoError(t, err)
		require.True(t, p.Server.State().HandshakeDone)
	}
}
