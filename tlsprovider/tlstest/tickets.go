package tlstest

import (
	"bytes"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
)

func (su *Suite) resumption(t *testing.T) {
	client, server, _ := Configs(t)
	ce, se := su.Endpoints(t, client, server)

	cs, _ := PairOf(t, ce, se, "server.test").MustRun(t)
	require.False(t, cs.Resumed)
	cs, _ = PairOf(t, ce, se, "server.test").MustRun(t)
	require.True(t, cs.Resumed)
	require.Equal(t, su.groups()[0], cs.Group)
	require.Nil(t, cs.PeerChain)
	require.Zero(t, cs.SignatureScheme)
	su.requireShares(t, cs)

	full := func(why string) {
		t.Helper()
		p := PairOf(t, ce, se, "server.test")
		cs, _ := p.MustRun(t)
		require.False(t, cs.Resumed, why)
		require.NotZero(t, p.Tickets)
	}
	// collect replaces the client's tickets by those of a new full handshake, because a ticket is used once and a
	// server may send none on a resumed connection.
	collect := func() {
		t.Helper()
		require.NoError(t, ce.SetCertificates(nil))
		full("the client forgot its tickets")
	}
	resumed := func(why string) {
		t.Helper()
		cs, _ := PairOf(t, ce, se, "server.test").MustRun(t)
		require.True(t, cs.Resumed, why)
	}
	collect()
	cs, _ = PairOf(t, ce, se, "127.0.0.1").MustRun(t)
	require.False(t, cs.Resumed, "a ticket is valid for one name only")

	key, newer := bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{8}, 32)
	require.NoError(t, se.SetTicketKeys([][]byte{key}))
	full("the old key is gone")
	require.NoError(t, se.SetTicketKeys([][]byte{newer, key}))
	resumed("the old key still opens")
	collect()
	require.NoError(t, se.SetTicketKeys([][]byte{newer}))
	resumed("the first key seals")
	collect()
	require.NoError(t, ce.SetCertificates(nil))
	full("tickets stand for the old certificates")
}

func (su *Suite) ticketsOff(t *testing.T) {
	client, server, _ := Configs(t)
	for _, side := range []tlsprovider.Side{tlsprovider.Client, tlsprovider.Server} {
		c, s := *client, *server
		if side == tlsprovider.Client {
			c.DisableTickets = true
		} else {
			s.DisableTickets = true
		}
		p := su.NewPair(t, &c, &s)
		p.MustRun(t)
		require.Zero(t, p.Tickets)
	}
}

// resumedClientsAreKnown checks that a server that requests certificates knows the client's chain, also after a
// resumption.
func (su *Suite) resumedClientsAreKnown(t *testing.T) {
	client, server, ca := Configs(t)
	server.ClientAuth, server.ClientCAs = tlsprovider.RequireClientCert, ca.Roots()
	client.Certificates = []tlsprovider.Certificate{ca.Leaf(t, nil)}
	var seen [][][]byte
	server.VerifyPeer = func(st *tlsprovider.State) error {
		seen = append(seen, st.PeerChain)
		return nil
	}
	ce, se := su.Endpoints(t, client, server)
	for i := range 3 {
		_, ss := PairOf(t, ce, se, "server.test").MustRun(t)
		require.Equal(t, client.Certificates[0].Chain, ss.PeerChain, "connection %d, resumed: %v", i, ss.Resumed)
	}
	for _, chain := range seen {
		require.Equal(t, client.Certificates[0].Chain, chain)
	}
}

// ticketsAcrossSetCertificates checks that later sessions do not use a ticket of a session that began before
// SetCertificates, because the ticket is for the old certificates.
func (su *Suite) ticketsAcrossSetCertificates(t *testing.T) {
	client, server, _ := Configs(t)
	ce, se := su.Endpoints(t, client, server)
	for _, when := range []tlsprovider.EventKind{tlsprovider.EventWrite, tlsprovider.EventHandshakeDone} {
		p := PairOf(t, ce, se, "server.test")
		changed := false
		p.OnEvent = func(side tlsprovider.Side, e tlsprovider.Event) error {
			if side == tlsprovider.Client && e.Kind == when && !changed {
				changed = true
				return ce.SetCertificates(nil)
			}
			return nil
		}
		p.MustRun(t)
		require.True(t, changed)
		p = PairOf(t, ce, se, "server.test")
		cs, _ := p.MustRun(t)
		require.False(t, cs.Resumed)
		require.NotZero(t, p.Tickets)
		cs, _ = PairOf(t, ce, se, "server.test").MustRun(t)
		require.True(t, cs.Resumed, "there are new tickets for the new certificates")
	}
}
