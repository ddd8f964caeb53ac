package tlstest

import (
	"crypto/x509"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
)

func (su *Suite) alpn(t *testing.T) {
	client, server, _ := Configs(t)
	client.NextProtos = []string{"one", "two"}
	p := su.NewPair(t, client, server)
	p.ALPN = "two"
	cs, _ := p.MustRun(t)
	require.Equal(t, []string{"one", "two"}, p.Hello.ALPN)
	require.Equal(t, "two", cs.ALPN)

	for _, bad := range []string{"", "three"} {
		p := su.NewPair(t, client, server)
		p.ALPN = bad
		side, err := p.Run(t)
		require.Equal(t, tlsprovider.Server, side)
		RequireAlert(t, tlsprovider.AlertNoApplicationProtocol, err)
		require.Empty(t, p.Flights[tlsprovider.Server], "no ServerHello is sent")
	}
}

// negotiatedALPN checks that a server negotiates exactly the protocol of its Decision, or fails, with a client that
// accepts every protocol. A library that ends strings at a zero byte would negotiate another protocol.
func (su *Suite) negotiatedALPN(t *testing.T) {
	_, server, _ := Configs(t)
	server.Groups, server.DisableTickets = []tlsprovider.Group{tlsprovider.P256}, true
	for _, proto := range []string{"test", "te\x00st"} {
		s, err := su.newServer(t, server).NewSession(tlsprovider.SessionParams{Version: 1})
		require.NoError(t, err)
		t.Cleanup(s.Close)
		peer := newScripted(t)
		peer.alpn = proto
		_, err = s.Advance(Crypt(tlsprovider.LevelInitial, peer.hello()))
		require.NoError(t, err)
		d := decision(nil)
		d.ALPN = proto
		events, err := s.Continue(d)
		require.NoError(t, err)
		_, err = s.Advance(Crypt(tlsprovider.LevelHandshake, peer.answer(cryptoOf(events), nil, nil)))
		if err != nil {
			require.Equal(t, "te\x00st", proto)
			RequireAlert(t, tlsprovider.AlertNoApplicationProtocol, err)
			require.False(t, s.State().HandshakeDone)
			continue
		}
		require.True(t, s.State().HandshakeDone)
		require.Equal(t, proto, s.State().ALPN)
	}
}

func (su *Suite) namesThatMatch(t *testing.T) {
	client, server, ca := Configs(t)
	server.Certificates = []tlsprovider.Certificate{ca.Leaf(t, func(c *x509.Certificate) {
		c.DNSNames = []string{"server.test", "*.wild.test"}
	})}
	ce, se := su.Endpoints(t, client, server)
	for name, sni := range map[string]string{
		"server.test": "server.test", "SERVER.test": "SERVER.test", "server.test.": "server.test", "a.wild.test": "a.wild.test",
		"127.0.0.1": "", "::1": "", "[::1]": "", "::ffff:127.0.0.1": "", "::1%lo": "",
	} {
		t.Run(name, func(t *testing.T) {
			p := PairOf(t, ce, se, name)
			p.MustRun(t)
			require.Equal(t, sni, p.Hello.ServerName)
		})
	}
	for _, name := range []string{"", ".", "a\x00b", string(make([]byte, 300)), ".server.test", ".wild.test", "a..wild.test"} {
		_, err := ce.NewSession(tlsprovider.SessionParams{ServerName: name})
		require.Error(t, err, "%q", name)
	}
}

func (su *Suite) certificateByName(t *testing.T) {
	client, server, ca := Configs(t)
	for _, name := range []string{"a.test", "b.test"} {
		server.Certificates = append(server.Certificates, ca.Leaf(t, func(c *x509.Certificate) { c.DNSNames = []string{name} }))
	}
	ce, se := su.Endpoints(t, client, server)
	for i, name := range []string{"server.test", "a.test", "b.test"} {
		cs, _ := PairOf(t, ce, se, name).MustRun(t)
		require.Equal(t, server.Certificates[i].Chain, cs.PeerChain, name)
	}
	fresh := ca.Leaf(t, nil)
	require.NoError(t, se.SetCertificates([]tlsprovider.Certificate{fresh}))
	require.Error(t, se.SetCertificates(nil))
	require.NoError(t, ce.SetCertificates(nil)) // drops the ticket
	cs, _ := PairOf(t, ce, se, "server.test").MustRun(t)
	require.Equal(t, fresh.Chain, cs.PeerChain)
}
