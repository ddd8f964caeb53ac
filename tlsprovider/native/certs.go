package native

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/approved"
	"github.com/pqquic/pqquic/tlsprovider/internal/mldsa"
)

// certificates converts certs for crypto/tls. external reports whether one of them has a Signer.
func certificates(certs []tlsprovider.Certificate) (out []tls.Certificate, external bool, err error) {
	for i, c := range certs {
		t, err := certificate(c)
		if err != nil {
			return nil, false, fmt.Errorf("native: certificate %d: %w", i, err)
		}
		external = external || c.Signer != nil
		out = append(out, t)
	}
	return out, external, nil
}

func certificate(c tlsprovider.Certificate) (tls.Certificate, error) {
	t := tls.Certificate{
		Certificate: c.Chain, OCSPStaple: c.OCSPStaple, SignedCertificateTimestamps: c.SignedCertificateTimestamps,
	}
	for _, s := range c.SignatureSchemes {
		t.SupportedSignatureAlgorithms = append(t.SupportedSignatureAlgorithms, tls.SignatureScheme(s))
	}
	if len(c.Chain) == 0 {
		return t, errors.New("no certificate in Chain")
	}
	if err := c.CheckStaple(); err != nil {
		return t, err
	}
	leaf, err := x509.ParseCertificate(c.Chain[0])
	if err != nil {
		return t, err
	}
	t.Leaf = leaf
	if fips140.Enabled() {
		if err := approved.Go.Key(c.Chain[0]); err != nil {
			return t, err
		}
	}
	level, public := mldsa.Key(c.Chain[0])
	if level != 0 {
		if err := checkMLDSA(level); err != nil {
			return t, err
		}
	}
	signer := c.Signer
	switch {
	case c.Signer != nil && c.KeyDER != nil:
		return t, errors.New("KeyDER and Signer are both set: set one of them")
	case c.Signer == nil:
		if signer, err = parseKey(c.KeyDER); err != nil {
			return t, err
		}
	}
	pub, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return t, fmt.Errorf("crypto/tls does not know the certificate's public key type %T: %w", leaf.PublicKey,
			tlsprovider.ErrUnsupported)
	}
	if ec, ok := leaf.PublicKey.(*ecdsa.PublicKey); ok && ec.Curve == elliptic.P224() {
		return t, fmt.Errorf("the certificate has an ECDSA key on P-224, for which TLS 1.3 has no signature scheme: %w",
			tlsprovider.ErrUnsupported)
	}
	belongs := false
	if level != 0 { // a Signer may have a type of its own
		key, ok := signer.Public().(interface{ Bytes() []byte })
		belongs = ok && bytes.Equal(key.Bytes(), public)
	} else {
		belongs = pub.Equal(signer.Public())
	}
	if !belongs {
		return t, errors.New("the private key does not belong to the certificate")
	}
	t.PrivateKey = signer
	return t, nil
}

func parseKey(der []byte) (crypto.Signer, error) {
	if len(der) == 0 {
		return nil, errors.New("there is no private key: set KeyDER or Signer")
	}
	if level, seed := mldsa.PrivateKey(der); level != 0 {
		if seed == nil {
			return nil, fmt.Errorf("an %v private key without its seed: %w: crypto/mldsa needs the seed: use a file with it, or the s2n provider",
				level, tlsprovider.ErrUnsupported)
		}
		der = seed
	}
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if s, ok := k.(crypto.Signer); ok {
			return s, nil
		}
		return nil, fmt.Errorf("a private key of type %T does not sign", k)
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	return nil, errors.New("the private key is neither PKCS #8, SEC 1 nor PKCS #1, or crypto/tls does not support its type")
}

// pool converts r to an x509.CertPool. It returns nil for nil, which means the system's roots to crypto/tls.
func pool(r *tlsprovider.Roots) (*x509.CertPool, error) {
	if r == nil {
		return nil, nil
	}
	if len(r.DER()) == 0 {
		return nil, errors.New("the set is empty, so that no certificate would be trusted")
	}
	p := x509.NewCertPool()
	for i, der := range r.DER() {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", i, err)
		}
		p.AddCert(c)
	}
	return p, nil
}

// chooseClientCertificate chooses a certificate as crypto/tls does, with one difference: if no certificate was
// signed by an authority that the server names, it returns the first one rather than none, so that the server
// can report why it rejects the certificate.
func chooseClientCertificate(certs []tls.Certificate) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return func(cri *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		anyCA := *cri
		anyCA.AcceptableCAs = nil
		for _, info := range []*tls.CertificateRequestInfo{cri, &anyCA} {
			for i := range certs {
				if info.SupportsCertificate(&certs[i]) == nil {
					return &certs[i], nil
				}
			}
		}
		return new(tls.Certificate), nil
	}
}
