package tlstest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"math/big"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
)

// sessionsOfOtherCertificates checks that a server does not resume the sessions of other certificates than its own, whether
// its own were replaced or another server with the same TicketKeys has issued the ticket. A certificate that was renewed with
// the same key for the same names is no other one.
func (su *Suite) sessionsOfOtherCertificates(t *testing.T) {
	client, server, ca := Configs(t)
	key := NewAuthority(t).Key
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	issue := func(edit func(*x509.Certificate)) []tlsprovider.Certificate {
		return []tlsprovider.Certificate{{Chain: ca.Issue(t, key, edit), KeyDER: der}}
	}
	server.Certificates = issue(nil)
	for _, tt := range []struct {
		name  string
		certs []tlsprovider.Certificate
		want  bool
	}{
		{"the same key and names", issue(func(c *x509.Certificate) { c.SerialNumber = big.NewInt(3) }), true},
		{"another key", []tlsprovider.Certificate{ca.Leaf(t, nil)}, false},
		{"another name", issue(func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "other.test") }), false},
	} {
		for _, keys := range [][][]byte{nil, {bytes.Repeat([]byte{7}, 32)}} {
			server.TicketKeys = keys
			ce, se := su.Endpoints(t, client, server)
			PairOf(t, ce, se, "server.test").MustRun(t)
			require.NoError(t, se.SetCertificates(tt.certs))
			cs, _ := PairOf(t, ce, se, "server.test").MustRun(t)
			require.Equal(t, tt.want, cs.Resumed, "SetCertificates: %s", tt.name)
			if keys == nil {
				continue
			}
			fleet := *server
			fleet.Certificates = tt.certs
			other, err := su.Server.NewServer(&fleet)
			require.NoError(t, err)
			t.Cleanup(other.Close)
			_, first := su.Endpoints(t, client, server)
			require.NoError(t, ce.SetCertificates(nil)) // the client drops its tickets
			PairOf(t, ce, first, "server.test").MustRun(t)
			cs, _ = PairOf(t, ce, other, "server.test").MustRun(t)
			require.Equal(t, tt.want, cs.Resumed, "another server: %s", tt.name)
		}
	}
}

// A slowKey is a Signer whose Public blocks until open is closed.
type slowKey struct {
	*ecdsa.PrivateKey
	asked chan<- struct{}
	open  <-chan struct{}
}

func (k slowKey) Public() crypto.PublicKey {
	select {
	case k.asked <- struct{}{}:
	default:
	}
	<-k.open
	return k.PrivateKey.Public()
}

// changesOutsideOfLocks checks that handshakes do not wait while an endpoint prepares new certificates, and that a faulty
// change leaves the endpoint as it was.
func (su *Suite) changesOutsideOfLocks(t *testing.T) {
	client, server, ca := Configs(t)
	ce, se := su.Endpoints(t, client, server)
	key := NewAuthority(t).Key
	asked, open := make(chan struct{}, 1), make(chan struct{})
	fresh := tlsprovider.Certificate{Chain: ca.Issue(t, key, nil), Signer: slowKey{key, asked, open}}
	changed := make(chan error, 1)
	go func() { changed <- se.SetCertificates([]tlsprovider.Certificate{fresh}) }()
	select {
	case <-asked:
	case err := <-changed:
		t.Fatal("SetCertificates did not ask the Signer for its key: ", err)
	}
	cs, _ := PairOf(t, ce, se, "server.test").MustRun(t)
	require.Equal(t, server.Certificates[0].Chain, cs.PeerChain)
	close(open)
	require.NoError(t, <-changed)

	require.NoError(t, ce.SetCertificates(nil)) // the client drops its tickets
	require.Error(t, se.SetCertificates([]tlsprovider.Certificate{{Chain: fresh.Chain, KeyDER: server.Certificates[0].KeyDER}}))
	p := PairOf(t, ce, se, "server.test")
	cs, _ = p.MustRun(t)
	require.Equal(t, fresh.Chain, cs.PeerChain, "the key of the last change does not belong to its certificate")
}
