package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// writeCertificates writes priv.key, cert.pem and ca.pem to a directory: a chain of length certificates below an
// authority, the leaf first. With length 9, the leaf has 20 additional names of 250 characters, as in the runner's test
// case amplificationlimit.
func writeCertificates(dir string, length int) error {
	var parent *x509.Certificate
	var parentKey *ecdsa.PrivateKey
	var chain []byte
	for i := range length + 1 {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: fmt.Sprintf("interop %d", i)},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
			BasicConstraintsValid: true, IsCA: i < length, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		}
		if i == length {
			template.KeyUsage = x509.KeyUsageDigitalSignature
			template.DNSNames = []string{"server", "server4", "server6", "server46"}
			if length > 1 {
				template.DNSNames = append(template.DNSNames, longNames()...)
			}
		}
		if parent == nil {
			parent, parentKey = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
		if err != nil {
			return err
		}
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		if i == 0 {
			err = os.WriteFile(filepath.Join(dir, "ca.pem"), block, 0o644)
		} else {
			chain = append(block, chain...)
		}
		if err != nil {
			return err
		}
		if parent, err = x509.ParseCertificate(der); err != nil {
			return err
		}
		parentKey = key
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(parentKey)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), chain, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "priv.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o644)
}

func longNames() (names []string) {
	for range 20 {
		b := make([]byte, 125)
		_, _ = rand.Read(b) // never fails
		names = append(names, hex.EncodeToString(b))
	}
	return names
}
