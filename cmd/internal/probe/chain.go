package probe

import (
	"crypto/x509"
	"strings"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/inspect"
)

// A Certificate describes a certificate of a server's chain.
type Certificate struct {
	Subject  string    `json:"subject"`
	Issuer   string    `json:"issuer"`
	DNSNames []string  `json:"dns_names,omitempty"`
	NotAfter time.Time `json:"not_after"`
	// PublicKey and SignatureAlgorithm name algorithms. The signature is the one that the issuer has made.
	PublicKey          string `json:"public_key"`
	SignatureAlgorithm string `json:"signature_algorithm"`
	// PQKey and PQSignature report whether they are post-quantum.
	PQKey       bool `json:"pq_key"`
	PQSignature bool `json:"pq_signature"`
	// Bytes is the size of the certificate in DER.
	Bytes int    `json:"bytes"`
	Error string `json:"error,omitempty"` // why the certificate cannot be parsed
}

func describeChain(chain [][]byte) []Certificate {
	out := make([]Certificate, 0, len(chain))
	for _, der := range chain {
		cert := Certificate{Bytes: len(der)}
		if c, err := x509.ParseCertificate(der); err != nil {
			cert.Error = err.Error()
		} else {
			cert.Subject, cert.Issuer, cert.NotAfter = c.Subject.String(), c.Issuer.String(), c.NotAfter
			cert.DNSNames = c.DNSNames
			cert.PublicKey, cert.SignatureAlgorithm, cert.PQKey = inspect.Algorithms(c)
			cert.PQSignature = isPQSignature(c)
		}
		out = append(out, cert)
	}
	return out
}

func isPQSignature(c *x509.Certificate) bool {
	_, signature, _ := inspect.Algorithms(c)
	return strings.HasPrefix(signature, "ML-DSA-") || strings.HasPrefix(signature, "SLH-DSA-")
}
