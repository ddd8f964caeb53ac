package s2n

import (
	"fmt"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/approved"
)

// checkCertificates returns an error for a certificate whose key is an ML-DSA key that the endpoint cannot use, or, in a
// FIPS variant, one that is not approved.
func (e *endpoint) checkCertificates(certs []tlsprovider.Certificate) error {
	p := e.p
	for i, c := range certs {
		if len(c.Chain) == 0 {
			continue // an error in all variants
		}
		if err := e.checkMLDSA(&c); err != nil {
			return fmt.Errorf("s2n: certificate %d: %w", i, err)
		}
		if !p.fips {
			continue
		}
		if err := p.module.Key(c.Chain[0]); err != nil {
			return fmt.Errorf("s2n: certificate %d: %w", i, err)
		}
	}
	return nil
}

// judge sets FIPS and FIPSDetail of the state. schemes are the signature schemes of both sides'
// CertificateVerify.
func (s *session) judge(schemes [2]tlsprovider.SignatureScheme) {
	p := s.ep.p
	if !p.fips {
		return
	}
	c := approved.Connection{Group: s.state.Group, Suite: s.state.CipherSuite, Schemes: schemes}
	if !s.state.Resumed && len(s.state.PeerChain) > 0 {
		c.PeerLeaf = s.state.PeerChain[0]
	}
	switch {
	case s.outside:
		c.Outside = "the signature was made by Certificate.Signer, outside of the module"
	case s.state.Resumed && s.ep.side == tlsprovider.Server:
		c.Outside = "the session was resumed from a ticket, which s2n-tls seals in a way that is not approved"
	}
	s.state.FIPS, s.state.FIPSDetail = p.module.Judge(c)
}
