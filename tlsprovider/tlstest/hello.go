package tlstest

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
)

// "Endpoints MUST explicitly negotiate an application protocol."
// https://www.rfc-editor.org/rfc/rfc9000#section-7-10
// "Servers MUST select an application protocol compatible with the QUIC version that the client has selected."
// https://www.rfc-editor.org/rfc/rfc9001#section-8.1-3
// "The server MUST treat the inability to select a compatible application protocol as a connection error of type
// 0x0178 (no_application_protocol)."
// https://www.rfc-editor.org/rfc/rfc9001#section-8.1-3
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

// namesInCertificates checks that a provider compares names by the rules of x509.Certificate.VerifyHostname.
func (su *Suite) namesInCertificates(t *testing.T) {
	for _, tt := range []struct {
		in, asked string
		match     bool
	}{
		{"host.test", "host.test", true},
		{"Host.TEST", "hOST.test", true},
		{"host.test", "host.test.", true},
		{"host.test", "ahost.test", false},
		{"host.test", "host.tes", false},
		{"my_host.test", "my_host.test", true},
		{"localhost", "localhost", true},
		{"*.internal", "host.internal", true},
		{"*.internal", "my_host.internal", true},
		{"*.internal", "a.b.internal", false},
		{"*.internal", "internal", false},
		{"*.wild.test", "a.wild.test", true},
		{"*.wild.test", "A.WILD.test.", true},
		{"*.wild.test", "my_host.wild.test", true},
		{"*.wild.test", "xn--bcher-kva.wild.test", true},
		{"*.wild.test", "a.b.wild.test", false},
		{"*.wild.test", "wild.test", false},
		{"*.wild.test", "*.wild.test", true},
		{"*.my_zone.test", "a.my_zone.test", true},
		{"*.xn--bcher-kva.test", "a.xn--bcher-kva.test", true},
		{"*", "host", false},
		{"*.*.test", "a.b.test", false},
		{"a.*.test", "a.b.test", false},
		{"w*.test", "www.test", false},
		{"*w.test", "www.test", false},
		{"-odd.test", "-odd.test", true},
		{"odd name.test", "odd name.test", true},
		{"*.odd name.test", "a.odd name.test", false},
		{"*.-odd.test", "a.-odd.test", false},
	} {
		t.Run(tt.in+" for "+tt.asked, func(t *testing.T) {
			client, server, ca := Configs(t)
			server.Certificates = []tlsprovider.Certificate{ca.Leaf(t, func(c *x509.Certificate) {
				c.DNSNames = []string{"other.test", tt.in}
			})}
			leaf, err := x509.ParseCertificate(server.Certificates[0].Chain[0])
			require.NoError(t, err)
			require.Equal(t, tt.match, leaf.VerifyHostname(tt.asked) == nil, "the rule itself")
			ce, se := su.Endpoints(t, client, server)
			p := PairOf(t, ce, se, tt.asked)
			if tt.match {
				p.MustRun(t)
				return
			}
			side, err := p.Run(t)
			require.Equal(t, tlsprovider.Client, side)
			RequireAlert(t, tlsprovider.AlertBadCertificate, err)
			require.ErrorContains(t, err, tt.asked)
		})
	}
}

// namesOfClients checks that a server verifies a client's chain, and ignores the names in it, which are for VerifyPeer.
func (su *Suite) namesOfClients(t *testing.T) {
	_, id, err := net.ParseCIDR("192.0.2.0/24")
	require.NoError(t, err)
	uri, err := url.Parse("spiffe://test/client")
	require.NoError(t, err)
	for name, edit := range map[string]func(*x509.Certificate){
		"none":                     func(c *x509.Certificate) { c.Subject = pkix.Name{Organization: []string{"test"}} },
		"an address as CommonName": func(c *x509.Certificate) { c.Subject.CommonName = "192.0.2.1" },
		"e-mail":                   func(c *x509.Certificate) { c.EmailAddresses = []string{"a@client.test"} },
		"e-mail and an address as CommonName": func(c *x509.Certificate) {
			c.EmailAddresses, c.Subject.CommonName = []string{"a@client.test"}, "2001:db8::1"
		},
		"long CommonName": func(c *x509.Certificate) { c.Subject.CommonName = strings.Repeat("a", 300) },
		"URI":             func(c *x509.Certificate) { c.URIs = []*url.URL{uri} },
		"address":         func(c *x509.Certificate) { c.IPAddresses = []net.IP{id.IP} },
	} {
		t.Run(name, func(t *testing.T) {
			client, server, ca := Configs(t)
			server.ClientAuth, server.ClientCAs = tlsprovider.RequireClientCert, ca.Roots()
			client.Certificates = []tlsprovider.Certificate{ca.Leaf(t, func(c *x509.Certificate) {
				c.DNSNames, c.IPAddresses = nil, nil
				edit(c)
			})}
			_, ss := su.NewPair(t, client, server).MustRun(t)
			require.Equal(t, client.Certificates[0].Chain, ss.PeerChain)
		})
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
