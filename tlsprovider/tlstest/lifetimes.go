package tlstest

import (
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// closedEndpoints checks that endpoints, including one from a Decision, can be closed before their sessions end.
func (su *Suite) closedEndpoints(t *testing.T) {
	client, server, _ := Configs(t)
	handles, _ := su.Live()
	for _, replaced := range su.replacements() {
		ce, err := su.Client.NewClient(client)
		require.NoError(t, err)
		se, err := su.Server.NewServer(server)
		require.NoError(t, err)
		p := PairOf(t, ce, se, "server.test")
		ce.Close()
		se.Close()
		p.Decide = func(*tlsprovider.ClientHello) tlsprovider.Decision {
			d := decision(nil)
			if replaced {
				other, err := su.Server.NewServer(server)
				require.NoError(t, err)
				d.Endpoint = other
				t.Cleanup(other.Close)
			}
			return d
		}
		cs, _ := p.MustRun(t)
		require.Equal(t, server.Certificates[0].Chain, cs.PeerChain)
		p.Client.Close()
		p.Server.Close()
	}
	t.Run("the Decision's Endpoint is closed before the handshake continues", func(t *testing.T) {
		su.need(t, decisionEndpoint)
		ce, se := su.Endpoints(t, client, server)
		other, err := su.Server.NewServer(server)
		require.NoError(t, err)
		p := PairOf(t, ce, se, "server.test")
		p.sendHello(t)
		events, err := p.Server.Continue(decision(other))
		require.NoError(t, err)
		other.Close()
		events, err = p.Client.Advance(cryptoOf(events))
		require.NoError(t, err)
		_, err = p.Server.Advance(cryptoOf(events))
		require.NoError(t, err)
		require.True(t, p.Server.State().HandshakeDone)

		p = PairOf(t, ce, se, "server.test")
		p.sendHello(t)
		_, err = p.Server.Continue(tlsprovider.Decision{Endpoint: other, ALPN: "test", Version: 1})
		RequireAlert(t, tlsprovider.AlertInternalError, err)
	})
	after, _ := su.Live()
	require.LessOrEqual(t, after-handles, int64(2), "more handles are open than those that the end of the test closes")
}

// replacements returns false, and also true if the providers support an Endpoint in a Decision.
func (su *Suite) replacements() []bool {
	if su.has(decisionEndpoint) {
		return []bool{false, true}
	}
	return []bool{false}
}

// clockSetBack checks that sessions resume if the server's clock is set back or forward.
func (su *Suite) clockSetBack(t *testing.T) {
	client, server, ca := Configs(t)
	server.Certificates = []tlsprovider.Certificate{ca.Leaf(t, func(c *x509.Certificate) {
		c.NotAfter = time.Now().Add(900 * time.Hour)
	})}
	for _, by := range []time.Duration{-50 * time.Minute, 800 * time.Hour} {
		for _, keys := range [][][]byte{nil, {make([]byte, 32)}} {
			var ahead time.Duration
			clock := func() time.Time { return time.Now().Add(ahead) }
			c, s := *client, *server
			c.Time, s.Time, s.TicketKeys = clock, clock, keys
			ce, se := su.Endpoints(t, &c, &s)
			ahead = by
			p := PairOf(t, ce, se, "server.test")
			p.MustRun(t)
			require.NotZero(t, p.Tickets, "%v", by)
			cs, _ := PairOf(t, ce, se, "server.test").MustRun(t)
			require.True(t, cs.Resumed, "%v %v", by, keys)
		}
	}
}

// manyCertificates checks that a server with many certificates selects the one for the client's server name.
func (su *Suite) manyCertificates(t *testing.T) {
	client, server, ca := Configs(t)
	for i := range 100 {
		server.Certificates = append(server.Certificates,
			ca.Leaf(t, func(c *x509.Certificate) { c.DNSNames = []string{fmt.Sprintf("n%d.test", i)} }))
	}
	ce, se := su.Endpoints(t, client, server)
	for i := range 100 {
		cs, _ := PairOf(t, ce, se, fmt.Sprintf("n%d.test", i)).MustRun(t)
		require.Equal(t, server.Certificates[1+i].Chain, cs.PeerChain)
	}
}

// floodWhileSigning sends data while a session waits for a Signer, and checks that the kept data is bounded.
func (su *Suite) floodWhileSigning(t *testing.T) {
	client, server, ca := Configs(t)
	key := NewAuthority(t).Key
	server.Certificates = []tlsprovider.Certificate{{Chain: ca.Issue(t, key, nil), Signer: remote{key, nil}}}
	for _, level := range []tlsprovider.Level{tlsprovider.LevelInitial, tlsprovider.LevelHandshake} {
		p := su.NewPair(t, client, server)
		p.sendHello(t)
		events, err := p.Server.Continue(decision(nil))
		require.NoError(t, err)
		require.Equal(t, tlsprovider.EventSign, events[len(events)-1].Kind)
		piece := make([]byte, 1000)
		sent := 0
		for err == nil && sent < 1<<20 {
			_, err = p.Server.Advance(Crypt(level, piece))
			sent += len(piece)
		}
		RequireAlert(t, tlsprovider.AlertUnexpectedMessage, err)
		require.LessOrEqual(t, sent, 1<<17, "%v", level)
	}
}

// afterIgnoreTickets checks that a session works as before after IgnoreTickets. It drops a ticket that arrives later, even
// if half of it arrived before, and still refuses messages that are not allowed.
func (su *Suite) afterIgnoreTickets(t *testing.T) {
	client, server, _ := Configs(t)
	for _, early := range []float64{0, 0.5, 1} {
		t.Run(fmt.Sprint(early, " of the ticket in time"), func(t *testing.T) {
			p := su.NewPair(t, client, server)
			var ticket []byte
			p.Rewrite = func(_ tlsprovider.Side, d tlsprovider.CryptoData) tlsprovider.CryptoData {
				if d.Level == tlsprovider.LevelApp {
					ticket = append(ticket, d.Data...)
					d.Data = nil
				}
				return d
			}
			p.Client.IgnoreTickets()
			p.Server.IgnoreTickets()
			cs, ss := p.MustRun(t)
			require.NotEmpty(t, ticket)
			cut := int(early * float64(len(ticket)))
			_, err := p.Client.Advance(Crypt(tlsprovider.LevelApp, ticket[:cut]))
			require.NoError(t, err)

			p.Client.IgnoreTickets()
			p.Server.IgnoreTickets()
			require.Equal(t, cs, p.Client.State())
			require.Equal(t, ss, p.Server.State())
			if su.has(exporters) {
				a, err := p.Client.Export("EXPORTER-test", []byte("context"), 32)
				require.NoError(t, err)
				b, err := p.Server.Export("EXPORTER-test", []byte("context"), 32)
				require.NoError(t, err)
				require.Equal(t, a, b)
			}
			events, err := p.Client.Advance(Crypt(tlsprovider.LevelApp, ticket[cut:]))
			require.NoError(t, err)
			require.Empty(t, events)
			for _, side := range []tlsprovider.Side{tlsprovider.Client, tlsprovider.Server} {
				k, err := p.Session(side).TakeKeys(tlsprovider.LevelApp, 1)
				require.NoError(t, err)
				require.NotNil(t, k.Sealer)
				require.NotNil(t, k.Opener)
				k.Close()
				_, err = p.Session(side).Advance(Crypt(tlsprovider.LevelApp, []byte{24, 0, 0, 1, 0}))
				RequireAlert(t, tlsprovider.AlertUnexpectedMessage, err)
			}
			p.Client.IgnoreTickets()
			require.Error(t, func() error { _, err := p.Client.Advance(nil); return err }())
		})
	}
}
