package s2n

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/cgo/s2n"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/mldsa"
)

// addCertificates adds certs to cfg. It returns the Signers of the certificates by index; nil for those with a
// key in memory.
func addCertificates(cfg *s2n.Config, certs []tlsprovider.Certificate) ([]crypto.Signer, error) {
	if len(certs) > math.MaxUint16 {
		return nil, fmt.Errorf("s2n: %d certificates; the maximum is %d", len(certs), math.MaxUint16)
	}
	signers := make([]crypto.Signer, len(certs))
	for i, c := range certs {
		if err := addCertificate(cfg, c, uint16(i)); err != nil {
			return nil, fmt.Errorf("s2n: certificate %d: %w", i, err)
		}
		signers[i] = c.Signer
	}
	return signers, nil
}

// addCertificate adds a certificate to cfg. It converts the chain and the key to PEM, because s2n-tls does not
// accept DER.
func addCertificate(cfg *s2n.Config, c tlsprovider.Certificate, index uint16) error {
	switch {
	case len(c.Chain) == 0:
		return errors.New("no certificate in Chain")
	case awslc.Variant == historic && len(c.OCSPStaple) > 0:
		return fmt.Errorf("OCSPStaple: %w: the variant historic does not show staples: leave it nil", tlsprovider.ErrUnsupported)
	case c.SignedCertificateTimestamps != nil:
		return fmt.Errorf("SignedCertificateTimestamps: %w: they are not sent: leave it nil", tlsprovider.ErrUnsupported)
	case c.SignatureSchemes != nil:
		return fmt.Errorf("SignatureSchemes: %w: they belong to the Policy: leave it nil", tlsprovider.ErrUnsupported)
	}
	if err := c.CheckStaple(); err != nil {
		return err
	}
	var chain bytes.Buffer
	for _, der := range c.Chain {
		if err := pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			return err
		}
	}
	var key []byte
	switch {
	case c.KeyDER != nil && c.Signer != nil:
		return errors.New("KeyDER and Signer are both set: set one of them")
	case c.Signer != nil:
		if err := checkSigner(c); err != nil {
			return err
		}
	case c.KeyDER == nil:
		return errors.New("there is no private key: set KeyDER or Signer")
	default:
		kind, err := keyType(c.KeyDER)
		if err != nil {
			return err
		}
		key = pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: c.KeyDER})
		defer clear(key)
	}
	if err := checkKeyType(c.Chain[0]); err != nil {
		return err
	}
	err := cfg.AddCert(chain.Bytes(), key, index, c.OCSPStaple)
	var e *s2n.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e) && (e.Name == "S2N_ERR_KEY_MISMATCH" || e.Name == "S2N_ERR_VERIFY_SIGNATURE"): // historic
		return errors.New("the private key does not belong to the certificate")
	}
	return fmt.Errorf("s2n-tls does not accept the chain or its private key: %w", err)
}

// checkKeyType returns an error for a certificate whose key has no signature scheme in TLS 1.3 or in s2n-tls.
// s2n-tls accepts some of them, and then every handshake fails. Keys that crypto/x509 does not know are left to
// s2n-tls.
func checkKeyType(leaf []byte) error {
	c, err := x509.ParseCertificate(leaf)
	if err != nil {
		return nil
	}
	kind := c.PublicKeyAlgorithm.String()
	switch pub := c.PublicKey.(type) {
	case *ecdsa.PublicKey:
		switch pub.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
		kind += " on " + pub.Params().Name
	case ed25519.PublicKey:
	default:
		return nil
	}
	return fmt.Errorf("the certificate has an %s key: use RSA, or ECDSA on P-256, P-384 or P-521: %w",
		kind, tlsprovider.ErrUnsupported)
}

// keyType returns the PEM type of a private key. It distinguishes PKCS #8, PKCS #1 and SEC 1 by the field after
// the version.
func keyType(der []byte) (string, error) {
	s := cryptobyte.String(der)
	var seq cryptobyte.String
	var version int
	if !s.ReadASN1(&seq, cryptobyteasn1.SEQUENCE) || !s.Empty() || !seq.ReadASN1Integer(&version) {
		return "", errors.New("the private key is not DER")
	}
	switch {
	case seq.PeekASN1Tag(cryptobyteasn1.SEQUENCE):
		return "PRIVATE KEY", nil
	case seq.PeekASN1Tag(cryptobyteasn1.INTEGER):
		return "RSA PRIVATE KEY", nil
	case seq.PeekASN1Tag(cryptobyteasn1.OCTET_STRING):
		return "EC PRIVATE KEY", nil
	}
	return "", errors.New("the private key is neither PKCS #8, PKCS #1 nor SEC 1")
}

var errSignerKey = errors.New("the Signer's key does not belong to the certificate")

// checkSigner returns an error if the Signer's key does not match the certificate, or if its type is not
// supported.
func checkSigner(c tlsprovider.Certificate) error {
	leaf, err := x509.ParseCertificate(c.Chain[0])
	if err != nil {
		return err
	}
	if level, _ := mldsa.Key(c.Chain[0]); level != 0 {
		return nil // checkMLDSA has compared the keys
	}
	switch pub := c.Signer.Public().(type) {
	case *ecdsa.PublicKey:
		if !pub.Equal(leaf.PublicKey) {
			return errSignerKey
		}
	case *rsa.PublicKey:
		if !pub.Equal(leaf.PublicKey) {
			return errSignerKey
		}
	default:
		return fmt.Errorf("a key of type %T of a Signer: %w", pub, tlsprovider.ErrUnsupported)
	}
	return nil
}

// muLen is the length of µ, the hash that ML-DSA signs (FIPS 204, algorithm 7).
const muLen = 64

// signRequest returns the SignRequest for the data of an EventSign.
func signRequest(signer crypto.Signer, data []byte) (*tlsprovider.SignRequest, error) {
	alg, hash, digest := s2n.SignData(data)
	if alg == s2n.SigMLDSA {
		if len(digest) != muLen {
			return nil, fmt.Errorf("s2n: s2n-tls requested an ML-DSA signature of %d bytes", len(digest))
		}
		return tlsprovider.NewSignRequest(signer, bytes.Clone(digest), tlsprovider.MLDSAMu), nil
	}
	h, ok := map[uint8]crypto.Hash{
		s2n.HashSHA256: crypto.SHA256,
		s2n.HashSHA384: crypto.SHA384,
		s2n.HashSHA512: crypto.SHA512,
	}[hash]
	if !ok || len(digest) != h.Size() {
		return nil, fmt.Errorf("s2n: s2n-tls requested a signature with the unknown hash algorithm %d", hash)
	}
	digest = bytes.Clone(digest)
	switch alg {
	case s2n.SigECDSA:
		return tlsprovider.NewSignRequest(signer, digest, h), nil
	case s2n.SigRSAPSSRSAE, s2n.SigRSAPSSPSS:
		return tlsprovider.NewSignRequest(signer, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: h}), nil
	}
	return nil, fmt.Errorf("s2n: s2n-tls requested a signature with the unknown algorithm %d", alg)
}

// isDERCertificate reports whether der is exactly one DER SEQUENCE. s2n-tls ignores bytes after a certificate.
func isDERCertificate(der []byte) bool {
	s := cryptobyte.String(der)
	return s.SkipASN1(cryptobyteasn1.SEQUENCE) && s.Empty()
}
