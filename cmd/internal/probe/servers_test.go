package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/certs"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// An identity is a server's certificate and the authority that signs it.
type identity struct {
	cert  tlsprovider.Certificate
	tls   tls.Certificate
	roots *tlsprovider.Roots
}

// newIdentity makes a certificate for 127.0.0.1 and localhost.
func newIdentity(t *testing.T, root, leaf certs.Algorithm) *identity {
	t.Helper()
	v := certs.Validity{From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour)}
	ca, err := certs.NewRoot("root", root, v)
	require.NoError(t, err)
	l, err := ca.NewLeaf("leaf", []string{"localhost", "127.0.0.1"}, leaf, v)
	require.NoError(t, err)
	key, err := certs.MarshalKey(l.Key, certs.Seed)
	require.NoError(t, err)
	id := &identity{
		cert: tlsprovider.Certificate{Chain: l.Chain, KeyDER: key},
		tls:  tls.Certificate{Certificate: l.Chain, PrivateKey: l.Key},
	}
	if k, err := x509.ParsePKCS8PrivateKey(key); err == nil { // crypto/tls needs the types of the standard library
		id.tls.PrivateKey = k
	}
	id.roots, err = tlsprovider.RootsFromPEM(ca.ChainPEM())
	require.NoError(t, err)
	return id
}

func classicalIdentity(t *testing.T) *identity { return newIdentity(t, "ecdsa-p256", "ecdsa-p256") }

// needS2N returns the s2n provider.
func needS2N(t *testing.T) tlsprovider.Provider {
	t.Helper()
	p, err := s2n.New()
	if err != nil {
		require.Empty(t, os.Getenv("PQQUIC_REQUIRE_LINKED"), "%v", err)
		t.Skip(err)
	}
	return p
}

// serveQUIC starts a server and returns its address.
func serveQUIC(t *testing.T, p tlsprovider.Provider, id *identity, change func(*quic.Config)) string {
	t.Helper()
	cfg := &quic.Config{Provider: p, TLS: &tlsprovider.Config{
		NextProtos: []string{"h3"}, Certificates: []tlsprovider.Certificate{id.cert},
	}}
	if change != nil {
		change(cfg)
	}
	l, err := quic.Listen("udp", "127.0.0.1:0", cfg)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			if _, err := l.Accept(context.Background()); err != nil {
				return
			}
		}
	}()
	return l.Addr().String()
}

// serveTCP starts an HTTP server and returns its address.
func serveTCP(t *testing.T, id *identity, change func(*tls.Config)) string {
	t.Helper()
	cfg := &tls.Config{Certificates: []tls.Certificate{id.tls}, NextProtos: []string{"h2", "http/1.1"}}
	if change != nil {
		change(cfg)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &http.Server{TLSConfig: cfg, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}
	t.Cleanup(func() { s.Close() })
	go s.ServeTLS(l, "", "")
	return l.Addr().String()
}

func quicOptions(id *identity) *Options {
	return &Options{
		QUIC: true, Providers: Providers(), Roots: id.roots, ALPN: []string{"h3"}, Port: "443",
		HandshakeTimeout: 20 * time.Second, TicketTimeout: 20 * time.Second, Timeout: 2 * time.Minute,
	}
}

func tcpOptions(id *identity) *Options {
	o := quicOptions(id)
	o.QUIC, o.TCP, o.TCPALPN = false, true, []string{"h2", "http/1.1"}
	return o
}

// choose returns a server that chooses the group itself. pick gets the groups of the ClientHello, and those of its key
// shares.
func choose(pick func(groups, shares []tlsprovider.Group) tlsprovider.Group) func(*quic.Config) {
	return func(c *quic.Config) {
		base := *c.TLS
		c.GetTLSConfig = func(h *tlsprovider.ClientHello) (*tlsprovider.Config, error) {
			own := base
			own.Groups = []tlsprovider.Group{pick(h.Groups, h.KeyShares)}
			return &own, nil
		}
	}
}

func setGroups(groups ...tlsprovider.Group) func(*quic.Config) {
	return func(c *quic.Config) { c.TLS.Groups = groups }
}

func nativeProvider(*testing.T) tlsprovider.Provider { return native.New() }
