package tlsprovider_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// Every setting that a session depends on changes the binding, and no two of these changes are alike.
func TestBindings(t *testing.T) {
	roots := func(ders ...string) *tlsprovider.Roots {
		r := new(tlsprovider.Roots)
		for _, der := range ders {
			r.AddDER([]byte(der))
		}
		return r
	}
	verify := func(*tlsprovider.State) error { return nil }
	common := []tlsprovider.Config{
		{}, {NextProtos: []string{"a"}}, {NextProtos: []string{"a", "b"}}, {NextProtos: []string{"b", "a"}}, {NextProtos: []string{`a" "b`}},
		{RequirePQ: true}, {RequirePQAuth: true}, {Groups: []tlsprovider.Group{tlsprovider.X25519}}, {Policy: "policy"},
		{CipherSuites: []tlsprovider.CipherSuite{0x1301}}, {VerifyPeer: verify},
	}
	client := append([]tlsprovider.Config{
		{TLS: &tls.Config{RootCAs: x509.NewCertPool()}}, {TLS: &tls.Config{RootCAs: x509.NewCertPool()}},
		{TLS: &tls.Config{RootCAs: x509.NewCertPool()}, RootCAs: roots("only these count")},
		{VerifyPeer: func(*tlsprovider.State) error { return errors.New("not this one") }},
		{TLS: &tls.Config{VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error { return nil }}},
		{TLS: &tls.Config{VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error { return errors.New("not this one") }}},
		{TLS: &tls.Config{VerifyConnection: func(tls.ConnectionState) error { return nil }}},
		{InsecureSkipVerify: true}, {RootCAs: roots()}, {RootCAs: roots("a")}, {RootCAs: roots("ab")}, {RootCAs: roots("a", "b")},
		{Certificates: []tlsprovider.Certificate{{Chain: [][]byte{{1}}}}},
		{Certificates: []tlsprovider.Certificate{{Chain: [][]byte{{1}, {2}}}}},
		{Certificates: []tlsprovider.Certificate{{Chain: [][]byte{{1}}}, {Chain: [][]byte{{2}}}}},
	}, common...)
	server := append([]tlsprovider.Config{
		{ClientAuth: tlsprovider.RequireClientCert}, {ClientCAs: roots("a")}, {ClientCAs: roots("b")},
		{Certificates: []tlsprovider.Certificate{{Chain: [][]byte{{1}}}}},
		{Certificates: []tlsprovider.Certificate{{Chain: [][]byte{{1}}}, {Chain: [][]byte{{2}}}}},
	}, common...)
	for _, side := range []struct {
		configs []tlsprovider.Config
		binding func(*tlsprovider.Config) [32]byte
	}{{client, (*tlsprovider.Config).ClientBinding}, {server, (*tlsprovider.Config).ServerBinding}} {
		seen := make(map[[32]byte]int)
		for i := range side.configs {
			b := side.binding(&side.configs[i])
			copied := side.configs[i]
			require.Equal(t, b, side.binding(&copied))
			other, dup := seen[b]
			require.False(t, dup, "configurations %d and %d", i, other)
			seen[b] = i
		}
	}
	a := tlsprovider.SessionKey("native", 1, [32]byte{1}, "server.test")
	for _, b := range []string{
		tlsprovider.SessionKey("s2n", 1, [32]byte{1}, "server.test"), tlsprovider.SessionKey("native", 2, [32]byte{1}, "server.test"),
		tlsprovider.SessionKey("native", 1, [32]byte{2}, "server.test"), tlsprovider.SessionKey("native", 1, [32]byte{1}, "server"),
	} {
		require.NotEqual(t, a, b)
	}
}
