package tlstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
)

func (su *Suite) serverCertificateFaults(t *testing.T) {
	other := NewAuthority(t)
	tests := []struct {
		name  string
		name2 string // the name to ask for, "server.test" if empty
		edit  func(*x509.Certificate)
		roots *tlsprovider.Roots
		clock func() time.Time
		want  tlsprovider.Alert
		text  string
		needs []feature
	}{
		{name: "untrusted", roots: other.Roots(), want: tlsprovider.AlertUnknownCA},
		{name: "expired", edit: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) },
			want: tlsprovider.AlertCertificateExpired},
		{name: "not yet valid", edit: func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) },
			want: tlsprovider.AlertCertificateExpired},
		{name: "expired by Config.Time", clock: func() time.Time { return time.Now().Add(500 * time.Hour) },
			want: tlsprovider.AlertCertificateExpired},
		{name: "another name", name2: "other.test", want: tlsprovider.AlertBadCertificate, text: "other.test"},
		{name: "another address", name2: "127.0.0.2", want: tlsprovider.AlertBadCertificate, text: "127.0.0.2"},
		{name: "the common name is no name", name2: "test leaf", edit: func(c *x509.Certificate) { c.DNSNames = nil },
			want: tlsprovider.AlertBadCertificate},
		{name: "no name at all", edit: func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil },
			want: tlsprovider.AlertBadCertificate},
		{name: "an address in a name", name2: "127.0.0.1", edit: func(c *x509.Certificate) {
			c.DNSNames, c.IPAddresses = []string{"127.0.0.1"}, nil
		}, want: tlsprovider.AlertBadCertificate},
		{name: "for clients only", edit: func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}, want: tlsprovider.AlertBadCertificate, needs: needs(purposes)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			su.need(t, tt.needs...)
			client, server, ca := Configs(t)
			server.Certificates = []tlsprovider.Certificate{ca.Leaf(t, tt.edit)}
			if tt.roots != nil {
				client.RootCAs = tt.roots
			}
			client.Time = tt.clock
			ce, se := su.Endpoints(t, client, server)
			name := tt.name2
			if name == "" {
				name = "server.test"
			}
			p := PairOf(t, ce, se, name)
			side, err := p.Run(t)
			require.Equal(t, tlsprovider.Client, side)
			su.requireAlert(t, side, tt.want, err)
			require.ErrorContains(t, err, tt.text)
			require.Empty(t, p.Flights[tlsprovider.Client][tlsprovider.LevelHandshake], "no Finished is sent")
			_, again := p.Client.Advance(nil)
			require.Equal(t, err, again)

			insecure := *client
			insecure.InsecureSkipVerify = true
			insecure.RootCAs = nil
			cs, _ := su.NewPair(t, &insecure, server).MustRun(t)
			require.Equal(t, server.Certificates[0].Chain, cs.PeerChain)
		})
	}
}

func (su *Suite) mutualTLS(t *testing.T) {
	client, server, ca := Configs(t)
	server.ClientCAs = ca.Roots()
	cert := ca.Leaf(t, nil)
	tests := []struct {
		name string
		auth tlsprovider.ClientAuth
		cert *tlsprovider.Certificate
		want tlsprovider.Alert // 0: the handshake succeeds
	}{
		{"required and given", tlsprovider.RequireClientCert, &cert, 0},
		{"required, not given", tlsprovider.RequireClientCert, nil, tlsprovider.AlertCertificateRequired},
		{"asked and given", tlsprovider.VerifyClientCertIfGiven, &cert, 0},
		{"asked, not given", tlsprovider.VerifyClientCertIfGiven, nil, 0},
		{"not asked", tlsprovider.NoClientCert, &cert, 0},
	}
	stranger := NewAuthority(t).Leaf(t, nil)
	tests = append(tests, tests[0])
	tests[len(tests)-1].name, tests[len(tests)-1].cert, tests[len(tests)-1].want = "untrusted", &stranger, tlsprovider.AlertUnknownCA
	expired := ca.Leaf(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	tests = append(tests, tests[2])
	tests[len(tests)-1].name, tests[len(tests)-1].cert, tests[len(tests)-1].want = "expired", &expired, tlsprovider.AlertCertificateExpired
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, s := *client, *server
			s.ClientAuth = tt.auth
			if tt.cert != nil {
				c.Certificates = []tlsprovider.Certificate{*tt.cert}
			}
			p := su.NewPair(t, &c, &s)
			if tt.want != 0 {
				side, err := p.Run(t)
				require.Equal(t, tlsprovider.Server, side)
				su.requireAlert(t, side, tt.want, err)
				return
			}
			_, ss := p.MustRun(t)
			if tt.cert != nil && tt.auth != tlsprovider.NoClientCert {
				require.Equal(t, tt.cert.Chain, ss.PeerChain)
				if su.has(handshakeDetails) {
					require.Equal(t, ecdsaP256, ss.SignatureScheme)
				}
			} else {
				require.Empty(t, ss.PeerChain)
			}
		})
	}
}

// authoritiesOfEachRole checks that RootCAs and ClientCAs are separate. Both sides use one Config with an authority for
// servers and another one for clients. A certificate of the wrong authority is refused in each role.
func (su *Suite) authoritiesOfEachRole(t *testing.T) {
	servers, clients := NewAuthority(t), NewAuthority(t)
	cfg := func(cert tlsprovider.Certificate) *tlsprovider.Config {
		return &tlsprovider.Config{
			NextProtos: []string{"test"}, Certificates: []tlsprovider.Certificate{cert}, DisableTickets: true,
			RootCAs: servers.Roots(), ClientCAs: clients.Roots(), ClientAuth: tlsprovider.RequireClientCert,
		}
	}
	for _, tt := range []struct {
		name           string
		client, server *Authority // the issuers of the certificates
		refuses        tlsprovider.Side
		want           tlsprovider.Alert // 0: the handshake succeeds
	}{
		{"each of its own", clients, servers, 0, 0},
		{"server with a client's certificate", clients, clients, tlsprovider.Client, tlsprovider.AlertUnknownCA},
		{"client with a server's certificate", servers, servers, tlsprovider.Server, tlsprovider.AlertUnknownCA},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := su.NewPair(t, cfg(tt.client.Leaf(t, nil)), cfg(tt.server.Leaf(t, nil)))
			if tt.want == 0 {
				p.MustRun(t)
				return
			}
			side, err := p.Run(t)
			require.Equal(t, tt.refuses, side)
			RequireAlert(t, tt.want, err)
		})
	}
}

// clientWithTwoCertificates checks that a client presents one of its certificates, or that the provider refuses the
// configuration.
func (su *Suite) clientWithTwoCertificates(t *testing.T) {
	client, server, ca := Configs(t)
	server.ClientAuth, server.ClientCAs = tlsprovider.RequireClientCert, ca.Roots()
	key := RSAKey(t)
	ecdsaCert := ca.Leaf(t, nil)
	rsaCert := tlsprovider.Certificate{Chain: ca.Issue(t, key, nil), KeyDER: x509.MarshalPKCS1PrivateKey(key)}
	se := su.newServer(t, server)
	for name, certs := range map[string][]tlsprovider.Certificate{
		"RSA and ECDSA": {rsaCert, ecdsaCert},
		"two of ECDSA":  {ecdsaCert, ca.Leaf(t, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			shown := func(ce tlsprovider.Endpoint) [][]byte {
				_, ss := PairOf(t, ce, se, "server.test").MustRun(t)
				return ss.PeerChain
			}
			cfg := *client
			cfg.Certificates = certs[:1]
			ce := su.newClient(t, &cfg)
			if err := ce.SetCertificates(certs); err != nil {
				require.ErrorIs(t, err, tlsprovider.ErrUnsupported)
				require.Equal(t, certs[0].Chain, shown(ce), "nothing has changed")
				cfg.Certificates = certs
				_, again := su.Client.NewClient(&cfg)
				require.ErrorContains(t, again, err.Error())
				return
			}
			require.Contains(t, [][][]byte{certs[0].Chain, certs[1].Chain}, shown(ce))
		})
	}
}

func (su *Suite) verifyPeer(t *testing.T) {
	for _, side := range []tlsprovider.Side{tlsprovider.Client, tlsprovider.Server} {
		for _, tt := range []struct {
			name string
			err  error
			want tlsprovider.Alert
		}{
			{"accepts", nil, 0},
			{"refuses", errors.New("not today"), tlsprovider.AlertBadCertificate},
			{"refuses with an alert", &tlsprovider.Error{Alert: tlsprovider.AlertAccessDenied}, tlsprovider.AlertAccessDenied},
		} {
			t.Run(side.String()+" "+tt.name, func(t *testing.T) {
				client, server, _ := Configs(t)
				var seen *tlsprovider.State
				verify := func(s *tlsprovider.State) error { seen = s; return tt.err }
				if side == tlsprovider.Client {
					client.VerifyPeer = verify
				} else {
					server.VerifyPeer = verify
				}
				p := su.NewPair(t, client, server)
				if tt.want == 0 {
					p.MustRun(t)
				} else {
					failed, err := p.Run(t)
					require.Equal(t, side, failed)
					RequireAlert(t, tt.want, err)
					require.False(t, p.Session(side).State().HandshakeDone)
					require.False(t, p.Done[side])
				}
				require.Equal(t, su.groups()[0], seen.Group)
				require.Equal(t, side == tlsprovider.Client, len(seen.PeerChain) > 0)
			})
		}
	}
}

func (su *Suite) keyFormats(t *testing.T) {
	client, server, ca := Configs(t)
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	sec1, err := x509.MarshalECPrivateKey(ec)
	require.NoError(t, err)
	ecChain := ca.Issue(t, ec, nil)
	rk := RSAKey(t)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(rk)
	require.NoError(t, err)
	rsaChain := ca.Issue(t, rk, nil)
	for name, c := range map[string]struct {
		cert   tlsprovider.Certificate
		scheme tlsprovider.SignatureScheme
	}{
		"SEC 1":        {tlsprovider.Certificate{Chain: ecChain, KeyDER: sec1}, ecdsaP384},
		"PKCS #1":      {tlsprovider.Certificate{Chain: rsaChain, KeyDER: x509.MarshalPKCS1PrivateKey(rk)}, rsaPSS},
		"PKCS #8, RSA": {tlsprovider.Certificate{Chain: rsaChain, KeyDER: pkcs8}, rsaPSS},
	} {
		t.Run(name, func(t *testing.T) {
			su.need(t, scheme(c.scheme))
			server.Certificates = []tlsprovider.Certificate{c.cert}
			cs, _ := su.NewPair(t, client, server).MustRun(t)
			require.Equal(t, c.cert.Chain, cs.PeerChain)
		})
	}
}
