package native

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/mldsa"
)

// noMLDSA returns the error for a use of ML-DSA that crypto/tls does not support.
func noMLDSA(what string) error {
	return fmt.Errorf("%s: %w: crypto/tls of %s has no ML-DSA: build with Go 1.27 or newer, or use the s2n provider",
		what, tlsprovider.ErrUnsupported, runtime.Version())
}

// checkMLDSA returns an error for a certificate with an ML-DSA key that crypto/tls does not support.
func checkMLDSA(level mldsa.Level) error {
	o, err := offered()
	if err != nil {
		return err
	}
	if !slices.Contains(o.schemes, level.Scheme()) {
		return noMLDSA("the certificate has an " + level.String() + " key")
	}
	return nil
}

// checkRequirePQAuth returns an error if RequirePQAuth is set and cannot be met.
func (p *Provider) checkRequirePQAuth(cfg *tlsprovider.Config, side tlsprovider.Side) error {
	if err := cfg.CheckPQAuth(side); err != nil {
		return fmt.Errorf("native: %w", err)
	}
	if !cfg.RequirePQAuth {
		return nil
	}
	if caps := p.Capabilities(); !caps.PQAuth() {
		return noMLDSA("native: RequirePQAuth")
	}
	return nil
}

// checkPQAuth sets PQAuth of the state and enforces RequirePQAuth. crypto/tls keeps the peer's certificates with a
// session.
func (s *session) checkPQAuth(cs *tls.ConnectionState) error {
	why := errors.New("the peer's certificate was not verified")
	if len(cs.VerifiedChains) > 0 {
		scheme := s.state.SignatureScheme
		if cs.DidResume {
			level, _ := mldsa.Key(cs.PeerCertificates[0].Raw)
			scheme = level.Scheme() // that of the first handshake, because an ML-DSA key has one scheme
		}
		var chain [][]byte
		for _, c := range cs.PeerCertificates {
			chain = append(chain, c.Raw)
		}
		why = mldsa.Authenticated(scheme, chain, func(der []byte) bool {
			return s.e.isRoot(der) || isRoot(cs.VerifiedChains, der)
		})
	}
	s.state.PQAuth = why == nil
	if why == nil || !s.pqAuth || s.e.side == tlsprovider.Server && len(cs.PeerCertificates) == 0 {
		return nil
	}
	return &tlsprovider.Error{Alert: tlsprovider.AlertInsufficientSecurity,
		Err: fmt.Errorf("native: RequirePQAuth is set: %w", why)}
}

// isRoot reports whether a certificate is one of the authorities in Config.
func (e *endpoint) isRoot(der []byte) bool {
	roots := e.cfg.RootCAs
	if e.side == tlsprovider.Server {
		roots = e.cfg.ClientCAs
	}
	return roots != nil && slices.ContainsFunc(roots.DER(), func(r []byte) bool { return bytes.Equal(r, der) })
}

// isRoot reports whether a certificate is the root of a chain: the system's roots cannot be listed.
func isRoot(chains [][]*x509.Certificate, der []byte) bool {
	return slices.ContainsFunc(chains, func(c []*x509.Certificate) bool { return bytes.Equal(c[len(c)-1].Raw, der) })
}
