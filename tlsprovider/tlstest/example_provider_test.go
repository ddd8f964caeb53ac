package tlstest_test

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// TestExampleProvider runs the conformance suite on the example of docs/writing-a-provider.md.
func TestExampleProvider(t *testing.T) {
	p := new(provider)
	tlstest.Run(t, p, func() (handles, bytes int64) { return p.live.Load(), 0 })
}

// A provider is a small TLS provider on crypto/tls. Its handshake is in example_session_test.go, and its
// packet protection in example_keys_test.go.
type provider struct {
	live atomic.Int64 // sessions and keys that are not closed
}

var _ tlsprovider.Provider = (*provider)(nil)

func (p *provider) Name() string { return "example" }

func (p *provider) Rand() io.Reader { return rand.Reader }

var exampleGroups = []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.P384, tlsprovider.P256}

// Capabilities names only the optional features that crypto/tls has on its own.
func (p *provider) Capabilities() tlsprovider.Capabilities {
	c := tlsprovider.Capabilities{
		Library:          "crypto/tls",
		CipherSuites:     []tlsprovider.CipherSuite{tlsprovider.AES128GCM, tlsprovider.AES256GCM, tlsprovider.ChaCha20Poly1305},
		SignatureSchemes: []tlsprovider.SignatureScheme{0x0403, 0x0503, 0x0804},
		VerifyPeer:       true, CertificatePurposes: true, SpecificAlerts: true,
	}
	for _, g := range exampleGroups {
		c.Groups = append(c.Groups, g.Info())
	}
	return c
}

func (p *provider) NewClient(cfg *tlsprovider.Config) (tlsprovider.Endpoint, error) {
	if len(cfg.Certificates) > 0 {
		return nil, fmt.Errorf("example: Certificates of a client: %w", tlsprovider.ErrUnsupported)
	}
	return p.newEndpoint(tlsprovider.Client, cfg)
}

func (p *provider) NewServer(cfg *tlsprovider.Config) (tlsprovider.Endpoint, error) {
	return p.newEndpoint(tlsprovider.Server, cfg)
}

// An endpoint is a checked configuration.
type endpoint struct {
	p    *provider
	side tlsprovider.Side
	cfg  *tlsprovider.Config
	tls  atomic.Pointer[tls.Config] // nil once closed
}

func (p *provider) newEndpoint(side tlsprovider.Side, cfg *tlsprovider.Config) (tlsprovider.Endpoint, error) {
	switch {
	case cfg.Policy != "", cfg.CipherSuites != nil, cfg.ClientAuth != tlsprovider.NoClientCert, cfg.KeyLogWriter != nil,
		cfg.DeferCertificates, cfg.TicketKeys != nil, cfg.TLS != nil, cfg.RequirePQAuth:
		return nil, fmt.Errorf("example: Policy, CipherSuites, ClientAuth, KeyLogWriter, DeferCertificates, TicketKeys, TLS and RequirePQAuth: %w",
			tlsprovider.ErrUnsupported)
	case len(cfg.NextProtos) == 0:
		return nil, errors.New("example: NextProtos is empty")
	}
	c := &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: cfg.NextProtos, InsecureSkipVerify: cfg.InsecureSkipVerify,
		SessionTicketsDisabled: true,
	}
	groups := cfg.Groups
	if groups == nil {
		groups = exampleGroups
	}
	for _, g := range groups {
		switch {
		case !slices.Contains(exampleGroups, g):
			return nil, fmt.Errorf("example: group %v: %w", g, tlsprovider.ErrUnsupported)
		case cfg.RequirePQ && !g.PostQuantum(): // crypto/tls does not negotiate what it does not have
		default:
			c.CurvePreferences = append(c.CurvePreferences, tls.CurveID(g))
		}
	}
	if len(c.CurvePreferences) == 0 {
		return nil, fmt.Errorf("example: no group of %v can be used (RequirePQ is %v)", groups, cfg.RequirePQ)
	}
	if cfg.RootCAs != nil {
		c.RootCAs = x509.NewCertPool()
		for _, der := range cfg.RootCAs.DER() {
			ca, err := x509.ParseCertificate(der)
			if err != nil {
				return nil, fmt.Errorf("example: RootCAs: %w", err)
			}
			c.RootCAs.AddCert(ca)
		}
	}
	e := &endpoint{p: p, side: side, cfg: cfg}
	e.tls.Store(c)
	if side == tlsprovider.Client {
		return e, nil
	}
	return e, e.SetCertificates(cfg.Certificates)
}

// SetCertificates replaces the one certificate of a server, or none of a client.
func (e *endpoint) SetCertificates(certs []tlsprovider.Certificate) error {
	old := e.tls.Load()
	switch {
	case old == nil:
		return errClosed
	case e.side == tlsprovider.Client && len(certs) == 0:
		return nil
	case e.side == tlsprovider.Client, len(certs) != 1, certs[0].Signer != nil, certs[0].OCSPStaple != nil:
		return fmt.Errorf("example: %d certificates, a Signer or an OCSPStaple: %w", len(certs), tlsprovider.ErrUnsupported)
	}
	key, err := privateKey(certs[0].KeyDER)
	if err != nil {
		return err
	}
	c := old.Clone()
	c.Certificates = []tls.Certificate{{Certificate: certs[0].Chain, PrivateKey: key}}
	if !e.tls.CompareAndSwap(old, c) {
		return errClosed // or changed by another goroutine at the same time
	}
	return nil
}

func privateKey(der []byte) (crypto.PrivateKey, error) {
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	return x509.ParsePKCS8PrivateKey(der)
}

func (e *endpoint) SetTicketKeys([][]byte) error {
	return fmt.Errorf("example: ticket keys: %w", tlsprovider.ErrUnsupported)
}

func (e *endpoint) Close() { e.tls.Store(nil) }

var errClosed = errors.New("example: closed")

// TestExampleAgainstNative runs the example and the native provider against each other.
func TestExampleAgainstNative(t *testing.T) {
	p, n := new(provider), native.New()
	live := func() (handles, bytes int64) {
		handles, _ = n.Live()
		return handles + p.live.Load(), 0
	}
	t.Run("native server", func(t *testing.T) { tlstest.RunPair(t, p, n, live) })
	t.Run("native client", func(t *testing.T) { tlstest.RunPair(t, n, p, live) })
}

// TestPageQuotesTheExample checks that the Go code in the page is code of the example.
func TestPageQuotesTheExample(t *testing.T) {
	page, err := os.ReadFile("../../docs/writing-a-provider.md")
	require.NoError(t, err)
	files, err := filepath.Glob("example_*_test.go")
	require.NoError(t, err)
	var code []byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		code = append(code, b...)
	}
	blocks := strings.Split(string(page), "```go\n")[1:]
	require.NotEmpty(t, blocks)
	for _, b := range blocks {
		block, _, _ := strings.Cut(b, "```")
		require.Contains(t, string(code), block)
	}
}
