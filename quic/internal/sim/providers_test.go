package sim

import (
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// testCert is a certificate for ServerName.
var testCert = sync.OnceValue(func() *testcert.Certificate { return testcert.New(ServerName) })

// tlsConfigs returns the configurations of a client and a server that trust each other.
func tlsConfigs(groups ...tlsprovider.Group) (client, server *tlsprovider.Config) {
	cert := testCert()
	client = &tlsprovider.Config{NextProtos: []string{ALPN}, RootCAs: cert.Roots(), Groups: groups}
	server = &tlsprovider.Config{NextProtos: []string{ALPN}, Certificates: []tlsprovider.Certificate{cert.Provider()}, Groups: groups}
	return client, server
}

// options returns the Options of a pair with one provider on both sides.
func options(seed uint64, p tlsprovider.Provider, groups ...tlsprovider.Group) Options {
	c, s := tlsConfigs(groups...)
	if _, ok := p.(*fake.Provider); ok {
		s.Certificates = nil // a real certificate is random; the fake's follows from its Options
	}
	return Options{
		Seed: seed, ClientProvider: p, ServerProvider: p, ClientTLS: c, ServerTLS: s,
		Client: &App{}, Server: func() *App { return &App{} },
		CheckAlways: replaying(),
	}
}

// run runs the transfers of a new pair.
func run(t *testing.T, o Options, limit time.Duration) (*Pair, *Conn) {
	t.Helper()
	p, err := NewPair(o)
	require.NoError(t, err)
	c, err := p.RunTransfers(limit)
	require.NoError(t, err)
	return p, c
}

// realProviders returns the providers that this build has, by name.
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
