package tlstest

import (
	"embed"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
)

// certs holds certificates of every kind for server.test, which `pqcert all` has made.
//
//go:generate sh -c "cd ../../cmd && rm -rf ../tlsprovider/tlstest/testdata/certs && GOWORK=$(../scripts/workspace) go run ./pqcert all -d ../tlsprovider/tlstest/testdata/certs --days 36500 --host server.test --host 127.0.0.1 --host ::1"
//go:embed testdata/certs
var certs embed.FS

// NamedCertificate returns a certificate of testdata/certs: a NAME of `pqcert all`.
func NamedCertificate(t testing.TB, name string) tlsprovider.Certificate {
	t.Helper()
	c, err := tlsprovider.CertificateFromPEM(certPEM(t, name), certPEM(t, name+"-key"))
	require.NoError(t, err)
	return c
}

// NamedRoots returns the root with a key of an algorithm, such as ml-dsa-65.
func NamedRoots(t testing.TB, algorithm string) *tlsprovider.Roots {
	t.Helper()
	r, err := tlsprovider.RootsFromPEM(certPEM(t, "root-"+algorithm))
	require.NoError(t, err)
	return r
}

func certPEM(t testing.TB, name string) []byte {
	t.Helper()
	b, err := certs.ReadFile("testdata/certs/" + name + ".pem")
	require.NoError(t, err)
	return b
}

const (
	mldsa44 tlsprovider.SignatureScheme = 0x0904
	mldsa65 tlsprovider.SignatureScheme = 0x0905
	mldsa87 tlsprovider.SignatureScheme = 0x0906
)

// A certKind is a certificate of testdata/certs.
type certKind struct {
	name, root string
	scheme     tlsprovider.SignatureScheme
	length     int  // of the chain
	pq         bool // PQAuth
	seedOnly   bool // providers may refuse the form of the key
}

var certKinds = []certKind{
	{"ecdsa-p256", "ecdsa-p256", ecdsaP256, 1, false, false},
	{"ml-dsa-44", "ml-dsa-44", mldsa44, 1, true, false},
	{"ml-dsa-65", "ml-dsa-65", mldsa65, 1, true, false},
	{"ml-dsa-87", "ml-dsa-87", mldsa87, 1, true, false},
	{"ml-dsa-65-expanded", "ml-dsa-65", mldsa65, 1, true, true},
	{"ml-dsa-65-both", "ml-dsa-65", mldsa65, 1, true, false},
	{"ml-dsa-intermediate", "ml-dsa-87", mldsa44, 2, true, false},
	{"ml-dsa-long", "ml-dsa-87", mldsa87, 3, true, false},
	{"mixed-ml-dsa-leaf", "ecdsa-p256", mldsa65, 1, false, false},
	{"mixed-ecdsa-leaf", "ml-dsa-65", ecdsaP256, 1, false, false},
	{"mixed-ecdsa-intermediate", "ml-dsa-65", mldsa65, 2, false, false},
	{"mixed-ecdsa-root", "ecdsa-p256", mldsa65, 2, false, false},
}

// configs returns configurations of a client and a server that both present the certificate and verify the other's.
func (k certKind) configs(t testing.TB) (client, server *tlsprovider.Config) {
	t.Helper()
	roots, cert := NamedRoots(t, k.root), NamedCertificate(t, k.name)
	client = &tlsprovider.Config{NextProtos: []string{"test"}, RootCAs: roots, Certificates: []tlsprovider.Certificate{cert}}
	server = &tlsprovider.Config{NextProtos: []string{"test"}, Certificates: []tlsprovider.Certificate{cert}}
	return client, server
}

// pairOf returns a Pair. It skips the test if a provider refuses the form of the key.
func (su *Suite) pairOf(t testing.TB, k certKind, client, server *tlsprovider.Config) *Pair {
	t.Helper()
	if k.seedOnly {
		for _, err := range []error{refusal(su.Client.NewClient, client), refusal(su.Server.NewServer, server)} {
			if err != nil {
				require.ErrorIs(t, err, tlsprovider.ErrUnsupported)
				t.Skip(err)
			}
		}
	}
	return su.NewPair(t, client, server)
}

// mldsaCertificates runs handshakes with certificates of every kind, of servers and of both sides.
func (su *Suite) mldsaCertificates(t *testing.T) {
	for _, k := range certKinds {
		t.Run(k.name, func(t *testing.T) {
			client, server := k.configs(t)
			cs, ss := su.pairOf(t, k, client, server).MustRun(t)
			require.Len(t, cs.PeerChain, k.length)
			require.Equal(t, k.scheme, cs.SignatureScheme)
			require.Equal(t, k.pq, cs.PQAuth)
			require.False(t, ss.PQAuth, "the client sent no certificate")

			su.need(t, clientCertificates)
			server.ClientAuth, server.ClientCAs = tlsprovider.RequireClientCert, client.RootCAs
			cs, ss = su.NewPair(t, client, server).MustRun(t)
			require.Equal(t, [2]bool{k.pq, k.pq}, [2]bool{cs.PQAuth, ss.PQAuth})
			require.Equal(t, k.scheme, ss.SignatureScheme)
			require.Equal(t, server.Certificates[0].Chain, ss.PeerChain)
		})
	}
	t.Run("not verified", func(t *testing.T) {
		client, server := certKinds[2].configs(t)
		client.InsecureSkipVerify = true
		cs, _ := su.NewPair(t, client, server).MustRun(t)
		require.False(t, cs.PQAuth)
	})
	t.Run("with the root in the chain", func(t *testing.T) {
		client, server := certKinds[2].configs(t)
		cert := server.Certificates[0]
		cert.Chain = append(cert.Chain, client.RootCAs.DER()...)
		server.Certificates = []tlsprovider.Certificate{cert}
		cs, _ := su.NewPair(t, client, server).MustRun(t)
		require.True(t, cs.PQAuth)
		// A classical certificate that is not needed makes the chain classical.
		cert.Chain = append(cert.Chain, NamedRoots(t, "ecdsa-p256").DER()...)
		server.Certificates = []tlsprovider.Certificate{cert}
		cs, _ = su.NewPair(t, client, server).MustRun(t)
		require.False(t, cs.PQAuth)
		// If it is a trusted root, it is not a part of what is verified.
		roots := NamedRoots(t, "ml-dsa-65")
		roots.AddDER(NamedRoots(t, "ecdsa-p256").DER()[0])
		client.RootCAs = roots
		cs, _ = su.NewPair(t, client, server).MustRun(t)
		require.True(t, cs.PQAuth)
	})
	t.Run("key of another certificate", func(t *testing.T) {
		_, server := certKinds[2].configs(t)
		server.Certificates[0].KeyDER = NamedCertificate(t, "ml-dsa-65-both").KeyDER
		require.ErrorContains(t, refusal(su.Server.NewServer, server), "does not belong")
	})
	t.Run("chosen by the client", func(t *testing.T) {
		su.need(t, certificatesByName, group(tlsprovider.P256))
		client, server := certKinds[2].configs(t)
		ecdsa := NamedCertificate(t, "ecdsa-p256")
		server.Certificates = append(server.Certificates, ecdsa)
		cs, _ := su.NewPair(t, client, server).MustRun(t)
		require.Equal(t, mldsa65, cs.SignatureScheme)
		// The scripted client offers ecdsa_secp256r1_sha256 alone.
		server.Groups = []tlsprovider.Group{tlsprovider.P256}
		st, err := su.runScriptedClient(t, server, nil, ecdsa)
		require.NoError(t, err)
		require.True(t, st.HandshakeDone)
	})
}

// requirePQAuth checks RequirePQAuth on each side with certificates of every kind.
func (su *Suite) requirePQAuth(t *testing.T) {
	for _, k := range certKinds {
		for _, side := range []tlsprovider.Side{tlsprovider.Client, tlsprovider.Server} {
			t.Run(side.String()+" with "+k.name, func(t *testing.T) {
				client, server := k.configs(t)
				if side == tlsprovider.Client {
					client.RequirePQAuth = true
				} else {
					su.need(t, clientCertificates)
					server.RequirePQAuth, server.ClientAuth, server.ClientCAs = true, tlsprovider.RequireClientCert, client.RootCAs
				}
				p := su.pairOf(t, k, client, server)
				if k.pq {
					p.MustRun(t)
					return
				}
				failed, err := p.Run(t)
				require.Equal(t, side, failed)
				RequireAlert(t, tlsprovider.AlertInsufficientSecurity, err)
				require.ErrorContains(t, err, "RequirePQAuth is set")
				require.ErrorContains(t, err, "classical")
				require.False(t, p.Done[side])
				if side == tlsprovider.Client {
					require.Empty(t, p.Flights[side][tlsprovider.LevelHandshake], "no Finished is sent")
				}
			})
		}
	}
	t.Run("client without a certificate", func(t *testing.T) {
		su.need(t, clientCertificates)
		client, server := certKinds[2].configs(t)
		client.Certificates = nil
		server.RequirePQAuth, server.ClientAuth, server.ClientCAs = true, tlsprovider.VerifyClientCertIfGiven, client.RootCAs
		_, ss := su.NewPair(t, client, server).MustRun(t)
		require.False(t, ss.PQAuth)
	})
	t.Run("decision keeps it", func(t *testing.T) {
		su.need(t, clientCertificates, decisionEndpoint)
		client, server := certKinds[0].configs(t)
		server.ClientAuth, server.ClientCAs = tlsprovider.RequireClientCert, client.RootCAs
		strict := *server
		strict.RequirePQAuth = true
		p := su.NewPair(t, client, &strict)
		other := su.newServer(t, server)
		p.Decide = func(*tlsprovider.ClientHello) tlsprovider.Decision { return decision(other) }
		_, err := p.Run(t)
		RequireAlert(t, tlsprovider.AlertInsufficientSecurity, err)
	})
	t.Run("configuration", func(t *testing.T) {
		client, server := certKinds[2].configs(t)
		client.RequirePQAuth, client.InsecureSkipVerify, server.RequirePQAuth = true, true, true
		require.ErrorContains(t, refusal(su.Client.NewClient, client), "InsecureSkipVerify")
		require.ErrorContains(t, refusal(su.Server.NewServer, server), "ClientAuth")
	})
}

// resumedPQAuth checks PQAuth of resumed sessions, and that RequirePQAuth does not resume sessions of clients without it.
func (su *Suite) resumedPQAuth(t *testing.T) {
	for _, k := range []certKind{certKinds[0], certKinds[2]} {
		t.Run(k.name, func(t *testing.T) {
			client, server := k.configs(t)
			client.ClientStore = tlsprovider.NewClientStore(0, 0)
			ce, se := su.Endpoints(t, client, server)
			PairOf(t, ce, se, "server.test").MustRun(t)
			cs, _ := PairOf(t, ce, se, "server.test").MustRun(t)
			require.True(t, cs.Resumed)
			require.Equal(t, k.pq, cs.PQAuth)

			client.RequirePQAuth = true
			p := PairOf(t, su.newClient(t, client), se, "server.test")
			if k.pq {
				cs, _ := p.MustRun(t)
				require.False(t, cs.Resumed, "the session belongs to another configuration")
				p = PairOf(t, su.newClient(t, client), se, "server.test")
				cs, _ = p.MustRun(t)
				require.True(t, cs.Resumed && cs.PQAuth)
				return
			}
			_, err := p.Run(t)
			RequireAlert(t, tlsprovider.AlertInsufficientSecurity, err)
		})
	}
}
