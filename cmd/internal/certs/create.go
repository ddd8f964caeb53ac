package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // SHA-384
	"crypto/x509"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Create makes a certificate, like x509.CreateCertificate, for keys of every algorithm. key is the key of the
// certificate and issuer the one that signs it. For a self-signed certificate parent is template.
func Create(template, parent *x509.Certificate, key, issuer crypto.Signer) ([]byte, error) {
	keyPQ, isPQ := key.(*mldsa)
	issuerPQ, signsPQ := issuer.(*mldsa)
	if !isPQ && !signsPQ {
		return x509.CreateCertificate(rand.Reader, template, parent, key.Public(), issuer)
	}
	// crypto/x509 encodes a certificate with other keys. Then the keys and the signature are replaced.
	standIn, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	public, signer := key.Public(), issuer
	if isPQ {
		public = standIn.Public()
	}
	if signsPQ {
		signer = standIn
	}
	t, p := *template, *parent
	if len(t.SubjectKeyId) == 0 && t.IsCA {
		if t.SubjectKeyId, err = keyID(key); err != nil {
			return nil, err
		}
	}
	if template == parent {
		p = t
	}
	p.PublicKey = nil // of issuer
	t.SignatureAlgorithm, _ = signatureOf(signer)
	der, err := x509.CreateCertificate(rand.Reader, &t, &p, public, signer)
	if err != nil {
		return nil, err
	}
	tbs, algorithm, err := replaceKeys(der, keyPQ, issuerPQ)
	if err != nil {
		return nil, err
	}
	return sign(tbs, algorithm, issuer)
}

var errParse = errors.New("certs: crypto/x509 has made a certificate in another form than expected")

// replaceKeys returns the part of a certificate that is signed, with the key of the subject and the algorithm of the
// signature replaced unless they are nil, and the algorithm in DER.
func replaceKeys(der []byte, key, issuer *mldsa) (tbs, algorithm []byte, err error) {
	in := cryptobyte.String(der)
	var cert, list, before, signature, names, spki cryptobyte.String
	if !in.ReadASN1(&cert, cryptobyteasn1.SEQUENCE) || !cert.ReadASN1(&list, cryptobyteasn1.SEQUENCE) {
		return nil, nil, errParse
	}
	var out cryptobyte.Builder
	out.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for range 2 { // version, serialNumber
			if !list.ReadAnyASN1Element(&before, nil) {
				b.SetError(errParse)
				return
			}
			b.AddBytes(before)
		}
		if !list.ReadASN1Element(&signature, cryptobyteasn1.SEQUENCE) {
			b.SetError(errParse)
			return
		}
		algorithm = signature
		if issuer != nil {
			algorithm = issuer.algorithm()
		}
		b.AddBytes(algorithm)
		for range 3 { // issuer, validity, subject
			if !list.ReadASN1Element(&names, cryptobyteasn1.SEQUENCE) {
				b.SetError(errParse)
				return
			}
			b.AddBytes(names)
		}
		if !list.ReadASN1Element(&spki, cryptobyteasn1.SEQUENCE) {
			b.SetError(errParse)
			return
		}
		if key != nil {
			spki = key.publicKeyInfo()
		}
		b.AddBytes(spki)
		b.AddBytes(list) // extensions
	})
	tbs, err = out.Bytes()
	return tbs, algorithm, err
}

// algorithm returns the AlgorithmIdentifier, which has no parameters (RFC 9881, section 2).
func (k *mldsa) algorithm() []byte {
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(k.oid()) })
	return b.BytesOrPanic()
}

func (k *mldsa) publicKeyInfo() []byte {
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(k.algorithm())
		b.AddASN1BitString(k.public)
	})
	return b.BytesOrPanic()
}

// keyID returns a subject key identifier.
func keyID(key crypto.Signer) ([]byte, error) {
	public := []byte(nil)
	if k, ok := key.(*mldsa); ok {
		public = k.publicKeyInfo()
	} else {
		var err error
		if public, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
			return nil, err
		}
	}
	sum := sha256.Sum256(public)
	return sum[:20], nil
}

// signatureOf returns the algorithm that an issuer signs with and its hash function, 0 for none.
func signatureOf(issuer crypto.Signer) (x509.SignatureAlgorithm, crypto.Hash) {
	switch k := issuer.Public().(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P384() {
			return x509.ECDSAWithSHA384, crypto.SHA384
		}
		return x509.ECDSAWithSHA256, crypto.SHA256
	case *rsa.PublicKey:
		return x509.SHA256WithRSA, crypto.SHA256
	case ed25519.PublicKey:
		return x509.PureEd25519, 0
	}
	return 0, 0 // ML-DSA
}

// sign returns a certificate.
func sign(tbs, algorithm []byte, issuer crypto.Signer) ([]byte, error) {
	signed := tbs
	_, hash := signatureOf(issuer)
	if hash != 0 {
		h := hash.New()
		h.Write(tbs)
		signed = h.Sum(nil)
	}
	sig, err := issuer.Sign(rand.Reader, signed, hash)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes(algorithm)
		b.AddASN1BitString(sig)
	})
	return b.Bytes()
}
