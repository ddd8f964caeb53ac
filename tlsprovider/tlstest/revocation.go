package tlstest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/hello"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
)

// Certify returns a subordinate authority with a name and a key. If the key is nil, it makes one. Authorities of the same name
// and key that several others certify are cross-signed.
func (a *Authority) Certify(t testing.TB, name string, key *ecdsa.PrivateKey) *Authority {
	t.Helper()
	if key == nil {
		var err error
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.Cert, key.Public(), a.Key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &Authority{der, cert, key}
}

// ofDetails runs f for both sides. cfg is the configuration of the side that verifies, with a VerifyPeer that stores the State that
// it gets in *seen, and peer is that of the other side, which presents cert.
func (su *Suite) ofDetails(t *testing.T, f func(t *testing.T, side tlsprovider.Side, cfg, peer *tlsprovider.Config, seen **tlsprovider.State)) {
	for _, side := range []tlsprovider.Side{tlsprovider.Client, tlsprovider.Server} {
		t.Run(side.String(), func(t *testing.T) {
			client, server, ca := Configs(t)
			cfg, peer := client, server
			if side == tlsprovider.Server {
				su.need(t, clientCertificates)
				cfg, peer = server, client
				server.ClientAuth, server.ClientCAs = tlsprovider.RequireClientCert, ca.Roots()
				client.Certificates = []tlsprovider.Certificate{ca.Leaf(t, nil)}
			}
			var seen *tlsprovider.State
			cfg.VerifyPeer = func(st *tlsprovider.State) error { seen = st; return nil }
			f(t, side, cfg, peer, &seen)
		})
	}
}

// exchange runs a handshake and returns the state of the side that verifies.
func (su *Suite) exchange(t *testing.T, side tlsprovider.Side, cfg, peer *tlsprovider.Config) tlsprovider.State {
	t.Helper()
	if side == tlsprovider.Client {
		cs, _ := su.NewPair(t, cfg, peer).MustRun(t)
		return cs
	}
	_, ss := su.NewPair(t, peer, cfg).MustRun(t)
	return ss
}

// verifiedChains compares the paths that VerifyPeer gets with those that crypto/x509 finds.
func (su *Suite) verifiedChains(t *testing.T) {
	one, two := NewAuthority(t), NewAuthority(t)
	inner := one.Certify(t, "test intermediate", nil)
	crossed := two.Certify(t, "test intermediate", inner.Key)
	unrelated := two.Certify(t, "test bystander", nil)
	leaf := inner.Leaf(t, nil)
	for _, tt := range []struct {
		name  string
		sent  []*Authority
		roots []*Authority
	}{
		{"with the root", []*Authority{inner, one}, []*Authority{one}},
		{"without the root", []*Authority{inner}, []*Authority{one}},
		{"with a certificate that is not needed", []*Authority{unrelated, inner}, []*Authority{one}},
		{"cross-signed, both roots", []*Authority{inner, crossed}, []*Authority{one, two}},
		{"cross-signed, one root", []*Authority{inner, crossed}, []*Authority{one}},
		{"cross-signed, the other root", []*Authority{crossed, inner}, []*Authority{two}},
		{"trusted intermediate", []*Authority{inner}, []*Authority{inner}},
		{"trusted intermediate and its root", []*Authority{inner}, []*Authority{inner, one}},
		{"trusted intermediate that is not sent", nil, []*Authority{inner}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cert := tlsprovider.Certificate{Chain: leaf.Chain[:1:1], KeyDER: leaf.KeyDER}
			roots, pool, inter := new(tlsprovider.Roots), x509.NewCertPool(), x509.NewCertPool()
			for _, a := range tt.sent {
				cert.Chain = append(cert.Chain, a.DER)
				inter.AddCert(a.Cert)
			}
			for _, a := range tt.roots {
				roots.AddDER(a.DER)
				pool.AddCert(a.Cert)
			}
			parsed, err := x509.ParseCertificate(cert.Chain[0])
			require.NoError(t, err)
			want, err := parsed.Verify(x509.VerifyOptions{Roots: pool, Intermediates: inter, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
			require.NoError(t, err)
			su.ofDetails(t, func(t *testing.T, side tlsprovider.Side, cfg, peer *tlsprovider.Config, seen **tlsprovider.State) {
				cfg.RootCAs, cfg.ClientCAs = roots, roots
				peer.Certificates = []tlsprovider.Certificate{cert}
				if side == tlsprovider.Server {
					cfg.Certificates = []tlsprovider.Certificate{cert}
					peer.RootCAs = roots
				}
				st := su.exchange(t, side, cfg, peer)
				got, err := (*seen).VerifiedChains()
				require.NoError(t, err)
				require.NotEmpty(t, got)
				for _, chain := range got {
					require.True(t, slices.ContainsFunc(want, func(w []*x509.Certificate) bool {
						return slices.EqualFunc(w, chain, (*x509.Certificate).Equal)
					}), "crypto/x509 does not find this path")
				}
				after, err := st.VerifiedChains()
				require.NoError(t, err)
				require.Equal(t, len(got), len(after), "the State of a connection has them, too")
				require.Equal(t, cert.Chain, st.PeerChain)
			})
		})
	}
	t.Run("not verified, not asked for, resumed", su.noChains)
}

// noChains checks when there are no paths.
func (su *Suite) noChains(t *testing.T) {
	su.ofDetails(t, func(t *testing.T, side tlsprovider.Side, cfg, peer *tlsprovider.Config, seen **tlsprovider.State) {
		none := func(st tlsprovider.State) {
			t.Helper()
			chains, err := st.VerifiedChains()
			require.NoError(t, err)
			require.Empty(t, chains)
		}
		if side == tlsprovider.Client {
			insecure := *cfg
			insecure.InsecureSkipVerify = true
			none(su.exchange(t, side, &insecure, peer))
			none(**seen)
		}
		plain := *cfg
		plain.VerifyPeer = nil
		st := su.exchange(t, side, &plain, peer)
		require.NotEmpty(t, st.PeerChain)
		none(st)
		su.detailsOfResumption(t, side, cfg, peer, seen)
	})
}

// detailsOfResumption checks that a client that resumes gets no details, and a server those of the original session.
func (su *Suite) detailsOfResumption(t *testing.T, side tlsprovider.Side, cfg, peer *tlsprovider.Config, seen **tlsprovider.State) {
	client, server := cfg, peer
	if side == tlsprovider.Server {
		client, server = peer, cfg
	}
	ce, se := su.Endpoints(t, client, server)
	var first [][]*x509.Certificate
	for i := range 3 {
		PairOf(t, ce, se, "server.test").MustRun(t)
		chains, err := (*seen).VerifiedChains()
		require.NoError(t, err)
		switch {
		case i == 0:
			require.NotEmpty(t, chains)
			first = chains
		case side == tlsprovider.Client && (*seen).Resumed:
			require.Empty(t, chains)
			require.Nil(t, (*seen).OCSPStaple())
		default:
			require.True(t, slices.EqualFunc(first[0], chains[0], (*x509.Certificate).Equal))
		}
	}
}

// staples checks that OCSP responses are sent to peers that ask for them and that VerifyPeer gets them.
func (su *Suite) staples(t *testing.T) {
	long := make([]byte, 1<<16-1-4)
	_, _ = rand.Read(long)
	su.ofDetails(t, func(t *testing.T, side tlsprovider.Side, cfg, peer *tlsprovider.Config, seen **tlsprovider.State) {
		for _, staple := range [][]byte{[]byte("a staple"), {}, nil, long[:20_000]} {
			peer.Certificates[0].OCSPStaple = staple
			st := su.exchange(t, side, cfg, peer)
			require.True(t, bytes.Equal(staple, (*seen).OCSPStaple()))
			require.True(t, bytes.Equal(staple, st.OCSPStaple()))
			require.Equal(t, len(staple) == 0, st.OCSPStaple() == nil)
		}
		plain := *cfg
		plain.VerifyPeer = nil
		st := su.exchange(t, side, &plain, peer)
		require.Nil(t, st.OCSPStaple(), "the State of other connections stays small")
		if side == tlsprovider.Client {
			insecure := *cfg
			insecure.InsecureSkipVerify, insecure.RootCAs = true, nil
			st := su.exchange(t, side, &insecure, peer)
			require.Equal(t, long[:20_000], st.OCSPStaple())
		}

		newEndpoint := su.Client.NewClient
		if side == tlsprovider.Client {
			newEndpoint = su.Server.NewServer
		}
		peer.Certificates[0].OCSPStaple = long
		e, err := newEndpoint(peer)
		require.NoError(t, err)
		defer e.Close()
		replacement := peer.Certificates[0]
		replacement.OCSPStaple = append(long, 0)
		require.ErrorContains(t, e.SetCertificates([]tlsprovider.Certificate{replacement}), "OCSPStaple has 65532 bytes")
		peer.Certificates[0].OCSPStaple = replacement.OCSPStaple
		_, err = newEndpoint(peer)
		require.ErrorContains(t, err, "certificate 0: OCSPStaple has 65532 bytes")
	})
}

// staplesByName checks that each certificate of a server has its own staple, which SetCertificates replaces.
func (su *Suite) staplesByName(t *testing.T) {
	client, server, ca := Configs(t)
	client.VerifyPeer = func(*tlsprovider.State) error { return nil }
	client.DisableTickets = true
	certs := func(suffix string) (out []tlsprovider.Certificate) {
		for _, name := range []string{"one.test", "two.test", "three.test"} {
			c := ca.Leaf(t, func(c *x509.Certificate) { c.DNSNames = []string{name} })
			if name != "three.test" {
				c.OCSPStaple = []byte(name + suffix)
			}
			out = append(out, c)
		}
		return out
	}
	server.Certificates = certs(" at first")
	ce, se := su.Endpoints(t, client, server)
	for _, suffix := range []string{" at first", " now"} {
		for name, want := range map[string]string{"one.test": "one.test" + suffix, "two.test": "two.test" + suffix, "three.test": ""} {
			cs, _ := PairOf(t, ce, se, name).MustRun(t)
			require.Equal(t, want, string(cs.OCSPStaple()))
		}
		require.NoError(t, se.SetCertificates(certs(" now")))
	}
}

// stapleForms sends status_request extensions of every form. With one that is malformed the handshake fails.
func (su *Suite) stapleForms(t *testing.T) {
	status := func(parts ...string) []byte {
		var b cryptobyte.Builder
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, p := range parts {
				extension(b, hello.ExtStatusRequest, func(b *cryptobyte.Builder) { b.AddBytes([]byte(p)) })
			}
		})
		return b.BytesOrPanic()
	}
	none := []byte{0, 0}
	for _, tt := range []struct {
		name         string
		leaf, issuer []byte
		good         bool
		staple       string
	}{
		{"as it should be", status("\x01\x00\x00\x02ok"), none, true, "ok"},
		{"of both certificates", status("\x01\x00\x00\x02ok"), status("\x01\x00\x00\x02no"), true, "ok"},
		{"of the issuer alone", none, status("\x01\x00\x00\x02no"), true, ""},
		{"empty extension", status(""), none, false, ""},
		{"another type", status("\x02\x00\x00\x02ok"), none, false, ""},
		{"empty response", status("\x01\x00\x00\x00"), none, false, ""},
		{"response cut off", status("\x01\x00\x00\x03ok"), none, false, ""},
		{"bytes after the response", status("\x01\x00\x00\x01ok"), none, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			su.ofDetails(t, func(t *testing.T, side tlsprovider.Side, cfg, peer *tlsprovider.Config, seen **tlsprovider.State) {
				cfg.Groups, cfg.DisableTickets = []tlsprovider.Group{tlsprovider.P256}, true
				cert := peer.Certificates[0]
				message := certificateMessage("", []entry{{cert.Chain[0], tt.leaf}, {cert.Chain[1], tt.issuer}}, "")
				run := su.runScriptedServer
				if side == tlsprovider.Server {
					run = su.runScriptedClient
				}
				st, err := run(t, cfg, message, cert)
				if !tt.good {
					RequireAlert(t, tlsprovider.AlertDecodeError, err)
					require.Nil(t, *seen)
					return
				}
				require.NoError(t, err)
				require.Equal(t, tt.staple, string((*seen).OCSPStaple()))
				require.Equal(t, cert.Chain, st.PeerChain)

				// "Implementations MUST NOT send extension responses if the remote endpoint did not send the corresponding
				// extension requests, [...] Upon receiving such an extension, an endpoint MUST abort the handshake with an
				// "unsupported_extension" alert."
				// https://www.rfc-editor.org/rfc/rfc8446#section-4.2
				plain := *cfg
				plain.VerifyPeer = nil // a provider may then not ask for a staple
				if _, err := run(t, &plain, message, cert); err != nil {
					RequireAlert(t, tlsprovider.AlertUnsupportedExtension, err)
					require.NotEmpty(t, tt.staple)
				}
			})
		})
	}
}
