package sim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// certTemplate describes a certificate for ServerName that is its own authority.
func certTemplate() *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: ServerName}, DNSNames: []string{ServerName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

// testCert makes a certificate for ServerName, and the roots that verify it.
var testCert = sync.OnceValues(func() (tlsprovider.Certificate, *tlsprovider.Roots) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := certTemplate()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	roots := new(tlsprovider.Roots)
	roots.AddDER(der)
	return tlsprovider.Certificate{Chain: [][]byte{der}, KeyDER: keyDER}, roots
})

// tlsConfigs are those of a client and a server that trust each other.
func tlsConfigs(groups ...tlsprovider.Group) (client, server *tlsprovider.Config) {
	cert, roots := testCert()
	client = &tlsprovider.Config{NextProtos: []string{ALPN}, Roots: roots, Groups: groups}
	server = &tlsprovider.Config{NextProtos: []string{ALPN}, Certificates: []tlsprovider.Certificate{cert}, Groups: groups}
	return client, server
}

// options are those of a pair with one provider on both sides.
func options(seed uint64, p tlsprovider.Provider, groups ...tlsprovider.Group) Options {
	c, s := tlsConfigs(groups...)
	if _, ok := p.(*fake.Provider); ok {
		s.Certificates = nil // made by chance; the fake's own follows from its Options
	}
	return Options{
		Seed: seed, ClientProvider: p, ServerProvider: p, ClientTLS: c, ServerTLS: s,
		Client: &App{}, Server: func() *App { return &App{} },
		CheckAlways: replaying(),
	}
}

// run makes a pair and has it transfer everything.
func run(t *testing.T, o Options, limit time.Duration) (*Pair, *Conn) {
	t.Helper()
	p, err := NewPair(o)
	require.NoError(t, err)
	c, err := p.RunTransfers(limit)
	require.NoError(t, err)
	return p, c
}

// realProviders are those that this build has, by name.
func realProviders(t *testing.T) map[string]tlsprovider.Provider {
	t.Helper()
	out := map[string]tlsprovider.Provider{"native": native.New()}
	p, err := s2n.New()
	switch {
	case err == nil:
		out["s2n"] = p
	case os.Getenv("PQQUIC_REQUIRE_LINKED") != "":
		require.NoError(t, err)
	}
	return out
}
