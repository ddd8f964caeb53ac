package tlsprovider

import (
	"crypto/x509"
	"fmt"
)

// A PeerDetails is for providers. It is what Config.VerifyPeer can read in addition to State.PeerChain. Other connections do
// not keep it, because it is large.
type PeerDetails struct {
	// VerifiedChains holds, in DER, the result of State.VerifiedChains.
	VerifiedChains [][][]byte
	// OCSPStaple is the result of State.OCSPStaple.
	OCSPStaple []byte
}

// SetPeerDetails is for providers. They call it before [Config.RunVerifyPeer], if Config.VerifyPeer is set.
func (s *State) SetPeerDetails(d PeerDetails) { s.details = &d }

// VerifiedChains returns the paths from the peer's certificate to a trusted root that the provider has verified. Each begins
// with the peer's certificate and ends with a certificate of Config.RootCAs, Config.ClientCAs or the system's roots. The native
// provider returns every path, and the s2n provider the one that it found first: if an authority has several certificates
// (cross-signing), the others are not examined.
//
// There is none if Config.VerifyPeer is nil, if the peer was not verified, and in a resumed session of a client. A server gets
// those of the original session. The error is as in PeerCertificates. See docs/revocation.md.
func (s State) VerifiedChains() ([][]*x509.Certificate, error) {
	if s.details == nil {
		return nil, nil
	}
	var out [][]*x509.Certificate
	for _, ders := range s.details.VerifiedChains {
		chain, err := parseAll(ders)
		if err != nil {
			return nil, err
		}
		out = append(out, chain)
	}
	return out, nil
}

// OCSPStaple returns the OCSP response that the peer sent with its certificate, in DER, or nil if there was none. No provider
// verifies it: Config.VerifyPeer can, as the example of package tlsprovider shows. It is available when VerifiedChains is, and
// also if Config.InsecureSkipVerify is set.
func (s State) OCSPStaple() []byte {
	if s.details == nil {
		return nil
	}
	return s.details.OCSPStaple
}

func parseAll(ders [][]byte) ([]*x509.Certificate, error) {
	out := make([]*x509.Certificate, 0, len(ders))
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// maxStaple is the maximum length of an OCSP response in a status_request extension: that of an extension, without the type and
// the length of the response.
const maxStaple = 1<<16 - 1 - 4

// CheckStaple is for providers. It returns an error if OCSPStaple is too long to be sent.
func (c *Certificate) CheckStaple() error {
	if len(c.OCSPStaple) > maxStaple {
		return fmt.Errorf("OCSPStaple has %d bytes; the maximum is %d", len(c.OCSPStaple), maxStaple)
	}
	return nil
}
