package s2n

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

func TestServerCertificateFaults(t *testing.T) {
	prov := newProvider(t)
	other := newAuthority(t)
	tests := []struct {
		name  string
		name2 string // the name to ask for, "server.test" if empty
		edit  func(*x509.Certificate)
		roots *tlsprovider.Roots
		clock func() time.Time
		want  tlsprovider.Alert
		text  string
	}{
		{name: "untrusted", roots: other.roots(), want: tlsprovider.AlertUnknownCA, text: "S2N_ERR_CERT_UNTRUSTED"},
		{name: "expired", edit: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) },
			want: tlsprovider.AlertCertificateExpired},
		{name: "not yet valid", edit: func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) },
			want: tlsprovider.AlertCertificateExpired},
		{name: "expired by Config.Time", clock: func() time.Time { return time.Now().Add(500 * time.Hour) },
			want: tlsprovider.AlertCertificateExpired},
		{name: "another name", name2: "other.test", want: tlsprovider.AlertBadCertificate, text: `not valid for "other.test"`},
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
		}, want: tlsprovider.AlertBadCertificate},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, server, ca := configs(t)
			server.Certificates = []tlsprovider.Certificate{ca.leaf(t, tt.edit)}
			if tt.roots != nil {
				client.Roots = tt.roots
			}
			client.Time = tt.clock
			ce, err := prov.NewClient(client)
			require.NoError(t, err)
			defer ce.Close()
			se, err := prov.NewServer(server)
			require.NoError(t, err)
			defer se.Close()
			name := tt.name2
			if name == "" {
				name = "server.test"
			}
			p := pairOf(t, ce, se, name)
			side, err := p.run(t)
			require.Equal(t, tlsprovider.Client, side)
			requireAlert(t, tt.want, err)
			require.ErrorContains(t, err, tt.text)
			require.Empty(t, p.flights[tlsprovider.Client][tlsprovider.LevelHandshake], "no Finished leaves")
			_, again := p.client.Advance(nil)
			require.Equal(t, err, again)

			insecure := *client
			insecure.InsecureSkipVerify = true
			insecure.Roots = nil
			cs, _ := newPair(t, prov, &insecure, server).mustRun(t)
			require.Equal(t, server.Certificates[0].Chain, cs.PeerChain)
		})
	}
}

func TestNamesThatMatch(t *testing.T) {
	prov := newProvider(t)
	client, server, ca := configs(t)
	server.Certificates = []tlsprovider.Certificate{ca.leaf(t, func(c *x509.Certificate) {
		c.DNSNames = []string{"server.test", "*.wild.test"}
	})}
	ce, err := prov.NewClient(client)
	require.NoError(t, err)
	defer ce.Close()
	se, err := prov.NewServer(server)
	require.NoError(t, err)
	defer se.Close()
	for name, sni := range map[string]string{
		"server.test": "server.test", "SERVER.test": "SERVER.test", "server.test.": "server.test", "a.wild.test": "a.wild.test",
		"127.0.0.1": "", "::1": "", "[::1]": "", "::ffff:127.0.0.1": "", "::1%lo": "",
	} {
		t.Run(name, func(t *testing.T) {
			p := pairOf(t, ce, se, name)
			p.mustRun(t)
			require.Equal(t, sni, p.hello.ServerName)
		})
	}
	for _, name := range []string{"", ".", "a\x00b", string(make([]byte, 300))} {
		_, err := ce.NewSession(tlsprovider.SessionParams{ServerName: name})
		require.Error(t, err, "%q", name)
	}
}

func TestMutualTLS(t *testing.T) {
	prov := newProvider(t)
	client, server, ca := configs(t)
	server.Roots = ca.roots()
	cert := ca.leaf(t, nil)
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
	stranger := newAuthority(t).leaf(t, nil)
	tests = append(tests, tests[0])
	tests[len(tests)-1].name, tests[len(tests)-1].cert, tests[len(tests)-1].want = "untrusted", &stranger, tlsprovider.AlertUnknownCA
	expired := ca.leaf(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	tests = append(tests, tests[2])
	tests[len(tests)-1].name, tests[len(tests)-1].cert, tests[len(tests)-1].want = "expired", &expired, tlsprovider.AlertCertificateExpired
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, s := *client, *server
			s.ClientAuth = tt.auth
			if tt.cert != nil {
				c.Certificates = []tlsprovider.Certificate{*tt.cert}
			}
			p := newPair(t, prov, &c, &s)
			if tt.want != 0 {
				side, err := p.run(t)
				require.Equal(t, tlsprovider.Server, side)
				requireAlert(t, tt.want, err)
				return
			}
			_, ss := p.mustRun(t)
			if tt.cert != nil && tt.auth != tlsprovider.NoClientCert {
				require.Equal(t, tt.cert.Chain, ss.PeerChain)
				require.Equal(t, "ecdsa_secp256r1_sha256", ss.SignatureScheme.String())
			} else {
				require.Empty(t, ss.PeerChain)
			}
		})
	}
}

func TestVerifyPeer(t *testing.T) {
	prov := newProvider(t)
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
				client, server, _ := configs(t)
				var seen *tlsprovider.State
				verify := func(s *tlsprovider.State) error { seen = s; return tt.err }
				if side == tlsprovider.Client {
					client.VerifyPeer = verify
				} else {
					server.VerifyPeer = verify
				}
				p := newPair(t, prov, client, server)
				if tt.want == 0 {
					p.mustRun(t)
				} else {
					failed, err := p.run(t)
					require.Equal(t, side, failed)
					requireAlert(t, tt.want, err)
					require.False(t, p.session(side).State().HandshakeDone)
					require.False(t, p.done[side])
				}
				require.Equal(t, tlsprovider.X25519MLKEM768, seen.Group)
				require.Equal(t, side == tlsprovider.Client, len(seen.PeerChain) > 0)
			})
		}
	}
}

// A signer that is not *ecdsa.PrivateKey: a key that lives elsewhere.
type remote struct {
	crypto.Signer
	err error
}

func (r remote) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	return r.Signer.Sign(random, digest, opts)
}

func TestSigner(t *testing.T) {
	prov := newProvider(t)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	for name, key := range map[string]crypto.Signer{"P-256": p256, "P-384": p384, "RSA": rsaKey(t)} {
		t.Run(name, func(t *testing.T) {
			client, server, ca := configs(t)
			cert := tlsprovider.Certificate{Chain: ca.issue(t, key, nil), Signer: remote{key, nil}}
			server.Certificates = []tlsprovider.Certificate{cert}
			server.ClientAuth, server.Roots = tlsprovider.RequireClientCert, ca.roots()
			client.Certificates = []tlsprovider.Certificate{cert}
			p := newPair(t, prov, client, server)
			cs, ss := p.mustRun(t)
			require.Equal(t, 2, p.signs)
			require.Equal(t, cert.Chain, cs.PeerChain)
			require.Equal(t, cert.Chain, ss.PeerChain)
		})
	}
	t.Run("fails", func(t *testing.T) {
		client, server, ca := configs(t)
		server.Certificates = []tlsprovider.Certificate{{Chain: ca.issue(t, p256, nil), Signer: remote{p256, errors.New("HSM on fire")}}}
		side, err := newPair(t, prov, client, server).run(t)
		require.Equal(t, tlsprovider.Server, side)
		requireAlert(t, tlsprovider.AlertInternalError, err)
		require.ErrorContains(t, err, "HSM on fire")
	})
	t.Run("signs with another key", func(t *testing.T) {
		other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		client, server, ca := configs(t)
		server.Certificates = []tlsprovider.Certificate{{Chain: ca.issue(t, p256, nil), Signer: swapped{p256, other}}}
		side, err := newPair(t, prov, client, server).run(t)
		require.Equal(t, tlsprovider.Server, side)
		requireAlert(t, tlsprovider.AlertInternalError, err)
	})
	t.Run("beside a key in memory", func(t *testing.T) {
		client, server, ca := configs(t)
		server.Certificates = append(server.Certificates, tlsprovider.Certificate{
			Chain:  ca.issue(t, p256, func(c *x509.Certificate) { c.DNSNames = []string{"hsm.test"} }),
			Signer: remote{p256, nil},
		})
		ce, err := prov.NewClient(client)
		require.NoError(t, err)
		defer ce.Close()
		se, err := prov.NewServer(server)
		require.NoError(t, err)
		defer se.Close()
		for name, signs := range map[string]int{"server.test": 0, "hsm.test": 1} {
			p := pairOf(t, ce, se, name)
			p.mustRun(t)
			require.Equal(t, signs, p.signs, name)
		}
	})
}

// swapped claims one key and signs with another.
type swapped struct{ claimed, used crypto.Signer }

func (s swapped) Public() crypto.PublicKey { return s.claimed.Public() }
func (s swapped) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.used.Sign(random, digest, opts)
}

func crypt(level tlsprovider.Level, data []byte) []tlsprovider.CryptoData {
	return []tlsprovider.CryptoData{{Level: level, Data: data}}
}

func TestWrongLevels(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := configs(t)
	for _, level := range []tlsprovider.Level{tlsprovider.LevelEarly, tlsprovider.LevelHandshake, tlsprovider.LevelApp} {
		t.Run("first bytes at "+level.String(), func(t *testing.T) {
			p := newPair(t, prov, client, server)
			events, err := p.client.Advance(nil)
			require.NoError(t, err)
			_, err = p.server.Advance(crypt(level, events[0].Data))
			requireAlert(t, tlsprovider.AlertUnexpectedMessage, err)
		})
	}
	t.Run("bytes behind the ClientHello", func(t *testing.T) {
		p := newPair(t, prov, client, server)
		events, err := p.client.Advance(nil)
		require.NoError(t, err)
		_, err = p.server.Advance(crypt(tlsprovider.LevelInitial, append(events[0].Data, 1, 0, 0)))
		require.NoError(t, err, "the ClientHello stop comes first")
		_, err = p.server.Continue(tlsprovider.Decision{ALPN: "test", TransportParameters: []byte(serverParams)})
		requireAlert(t, tlsprovider.AlertUnexpectedMessage, err)
	})
	t.Run("Initial bytes after the handshake", func(t *testing.T) {
		p := newPair(t, prov, client, server)
		p.mustRun(t)
		for _, side := range []tlsprovider.Side{tlsprovider.Client, tlsprovider.Server} {
			_, err := p.session(side).Advance(crypt(tlsprovider.LevelInitial, []byte{1}))
			requireAlert(t, tlsprovider.AlertUnexpectedMessage, err)
		}
	})
}

func TestPostHandshakeMessages(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := configs(t)
	ticket := append([]byte{4, 0, 0, 13, 0, 0, 0, 60, 0, 0, 0, 0, 1, 0}, 0, 0, 0)
	for _, tt := range []struct {
		name    string
		side    tlsprovider.Side
		tickets bool
		data    []byte
		want    tlsprovider.Alert
	}{
		{"KeyUpdate to the client", tlsprovider.Client, true, []byte{24, 0, 0, 1, 0}, tlsprovider.AlertUnexpectedMessage},
		{"KeyUpdate to the server", tlsprovider.Server, true, []byte{24, 0, 0, 1, 0}, tlsprovider.AlertUnexpectedMessage},
		{"CertificateRequest", tlsprovider.Client, true, []byte{13, 0, 0, 0}, tlsprovider.AlertUnexpectedMessage},
		{"KeyUpdate without tickets", tlsprovider.Client, false, []byte{24}, tlsprovider.AlertUnexpectedMessage},
		{"a ticket to the server", tlsprovider.Server, true, ticket, tlsprovider.AlertUnexpectedMessage},
		{"a ticket that nobody wants", tlsprovider.Client, false, ticket, 0},
		{"KeyUpdate behind a ticket", tlsprovider.Client, false, append(append([]byte{}, ticket...), 24), tlsprovider.AlertUnexpectedMessage},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, s := *client, *server
			c.DisableTickets, s.DisableTickets = !tt.tickets, true
			p := newPair(t, prov, &c, &s)
			p.mustRun(t)
			for i := range tt.data {
				_, err := p.session(tt.side).Advance(crypt(tlsprovider.LevelApp, tt.data[i:i+1]))
				if err != nil {
					requireAlert(t, tt.want, err)
					return
				}
			}
			require.Zero(t, tt.want)
		})
	}
}

func TestGarbage(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := configs(t)
	junk := make([]byte, 300)
	for i := range junk {
		junk[i] = byte(i * 7)
	}
	t.Run("to a server", func(t *testing.T) {
		p := newPair(t, prov, client, server)
		_, err := p.server.Advance(crypt(tlsprovider.LevelInitial, append([]byte{1, 0, 1, 0x28}, junk...)))
		require.Error(t, err)
		var e *tlsprovider.Error
		require.ErrorAs(t, err, &e)
	})
	t.Run("to a client", func(t *testing.T) {
		p := newPair(t, prov, client, server)
		_, err := p.client.Advance(nil)
		require.NoError(t, err)
		_, err = p.client.Advance(crypt(tlsprovider.LevelInitial, append([]byte{2, 0, 1, 0x28}, junk...)))
		var e *tlsprovider.Error
		require.ErrorAs(t, err, &e)
	})
	t.Run("Finished changed", func(t *testing.T) {
		p := newPair(t, prov, client, server)
		events, err := p.client.Advance(nil)
		require.NoError(t, err)
		var out []tlsprovider.CryptoData
		sev, err := p.server.Advance(crypt(tlsprovider.LevelInitial, append([]byte(nil), events[0].Data...)))
		require.NoError(t, err)
		require.NoError(t, p.events(t, tlsprovider.Server, sev, &out))
		last := out[len(out)-1].Data
		last[len(last)-1] ^= 1
		_, err = p.client.Advance(out)
		requireAlert(t, tlsprovider.AlertDecryptError, err)
	})
	t.Run("a message beyond all bounds", func(t *testing.T) {
		p := newPair(t, prov, client, server)
		_, err := p.server.Advance(crypt(tlsprovider.LevelInitial, []byte{1, 0xff, 0xff, 0xff}))
		require.Error(t, err)
	})
}

func TestNoCommonGroup(t *testing.T) {
	prov := newProvider(t)
	for _, pair := range [][2]tlsprovider.Group{
		{tlsprovider.P256, tlsprovider.P384},
		{tlsprovider.X25519, tlsprovider.X25519MLKEM768},
		{tlsprovider.SecP384r1MLKEM1024, tlsprovider.X25519MLKEM768},
		{tlsprovider.X25519MLKEM768, tlsprovider.P256},
	} {
		client, server, _ := configs(t)
		client.Groups, server.Groups = pair[:1], pair[1:]
		p := newPair(t, prov, client, server)
		side, err := p.run(t)
		require.Equal(t, tlsprovider.Server, side)
		requireAlert(t, tlsprovider.AlertHandshakeFailure, err)
		require.Empty(t, p.flights[tlsprovider.Server])
	}
}

func TestWrongOrder(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := configs(t)
	p := newPair(t, prov, client, server)
	_, err := p.server.Continue(tlsprovider.Decision{ALPN: "test"})
	require.Error(t, err, "before the ClientHello")
	p = newPair(t, prov, client, server)
	p.server.Close()
	_, err = p.server.Advance(nil)
	require.Error(t, err)
	_, err = p.server.TakeKeys(tlsprovider.LevelApp, 1)
	require.Error(t, err)

	ce, err := prov.NewClient(client)
	require.NoError(t, err)
	ce.Close()
	ce.Close()
	_, err = ce.NewSession(tlsprovider.SessionParams{ServerName: "server.test"})
	require.Error(t, err)
	require.Error(t, ce.SetCertificates(nil))
}
