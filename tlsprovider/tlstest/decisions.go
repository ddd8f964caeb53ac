package tlstest

import (
	"fmt"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// decide returns a function for [Pair.Decide] that selects an Endpoint.
func decide(e tlsprovider.Endpoint) func(*tlsprovider.ClientHello) tlsprovider.Decision {
	return func(*tlsprovider.ClientHello) tlsprovider.Decision { return decision(e) }
}

// decisionSigns checks that a Decision's Endpoint signs with its own key, whether in memory or with a Signer, and that
// it must be a server's.
func (su *Suite) decisionSigns(t *testing.T) {
	client, server, ca := Configs(t)
	key := NewAuthority(t).Key
	elsewhere := *server
	elsewhere.Certificates = []tlsprovider.Certificate{{Chain: ca.Issue(t, key, nil), Signer: remote{key, nil}}}
	ce, here := su.Endpoints(t, client, server)
	there := su.newServer(t, &elsewhere)
	wrong, err := su.Server.NewClient(client)
	require.NoError(t, err)
	defer wrong.Close()

	pair := func(first, decided tlsprovider.Endpoint) *Pair {
		p := PairOf(t, ce, first, "server.test")
		p.Decide = decide(decided)
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

// decisionSuppliesCertificate checks that a server with DeferCertificates uses the certificates of its Decision's
// Endpoint, and fails without one.
func (su *Suite) decisionSuppliesCertificate(t *testing.T) {
	client, server, _ := Configs(t)
	ce, there := su.Endpoints(t, client, server)
	deferred := su.newServer(t, &tlsprovider.Config{DeferCertificates: true})
	p := PairOf(t, ce, deferred, "server.test")
	p.Decide = decide(there)
	cs, _ := p.MustRun(t)
	require.Equal(t, server.Certificates[0].Chain, cs.PeerChain)

	for name, decided := range map[string]tlsprovider.Endpoint{"none": nil, "deferred too": deferred} {
		p := PairOf(t, ce, deferred, "server.test")
		p.Decide = decide(decided)
		side, err := p.Run(t)
		require.Equal(t, tlsprovider.Server, side, name)
		RequireAlert(t, tlsprovider.AlertInternalError, err)
	}
}

// piecesInOneCall checks that the events of a call are valid until the next call, also if its input had several pieces.
func (su *Suite) piecesInOneCall(t *testing.T) {
	client, server, _ := Configs(t)
	for _, cut := range []int{1, 100, 200, 400} {
		p := su.NewPair(t, client, server)
		p.sendHello(t)
		events, err := p.Server.Continue(decision(nil))
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

// decisionAsksForCertificate checks that the whole configuration of a Decision's Endpoint applies, in particular
// ClientAuth, also to a client with a ticket of the first endpoint.
func (su *Suite) decisionAsksForCertificate(t *testing.T) {
	client, server, ca := Configs(t)
	if su.has(tickets) {
		server.TicketKeys = [][]byte{make([]byte, 32)}
	}
	strict := *server
	strict.ClientAuth, strict.ClientCAs, strict.TicketKeys = tlsprovider.RequireClientCert, ca.Roots(), nil
	ce := su.newClient(t, client)
	with := *client
	with.Certificates = []tlsprovider.Certificate{ca.Leaf(t, nil)}
	cwith, open := su.Endpoints(t, &with, server)
	closed := su.newServer(t, &strict)
	for _, ticket := range []bool{false, true} {
		t.Run(fmt.Sprint("ticket ", ticket), func(t *testing.T) {
			if ticket {
				su.need(t, tickets)
				PairOf(t, ce, open, "server.test").MustRun(t)
			}
			p := PairOf(t, ce, open, "server.test")
			p.Decide = decide(closed)
			side, err := p.Run(t)
			require.Equal(t, tlsprovider.Server, side)
			su.requireAlert(t, side, tlsprovider.AlertCertificateRequired, err)
		})
	}
	p := PairOf(t, cwith, open, "server.test")
	p.Decide = decide(closed)
	_, ss := p.MustRun(t)
	require.Equal(t, with.Certificates[0].Chain, ss.PeerChain)

	p = PairOf(t, ce, closed, "server.test")
	p.Decide = decide(open)
	_, ss = p.MustRun(t)
	require.Empty(t, ss.PeerChain, "the reverse order")
}

// decisionKeepsRequirePQ checks that RequirePQ applies if the first endpoint or the Decision's Endpoint has it.
func (su *Suite) decisionKeepsRequirePQ(t *testing.T) {
	client, server, _ := Configs(t)
	su.firstGroup(t, true)
	client.Groups = []tlsprovider.Group{su.firstGroup(t, false)}
	client.DisableTickets, server.DisableTickets = true, true
	strict := *server
	strict.RequirePQ = true
	ce := su.newClient(t, client)
	lax, pq := su.newServer(t, server), su.newServer(t, &strict)
	for _, tt := range []struct {
		name           string
		first, decided tlsprovider.Endpoint
		fails          bool
	}{
		{"neither", lax, lax, false},
		{"the first", pq, lax, true},
		{"the decided", lax, pq, true},
		{"no other", pq, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := PairOf(t, ce, tt.first, "server.test")
			p.Decide = decide(tt.decided)
			if !tt.fails {
				p.MustRun(t)
				return
			}
			side, err := p.Run(t)
			require.Equal(t, tlsprovider.Server, side)
			RequireAlert(t, tlsprovider.AlertInsufficientSecurity, err)
		})
	}
}
