package demo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/pqquic/pqquic/tlsprovider"
)

// The demonstration's certificate authority is made on first use and kept in the user's cache folder,
// readable only by the user, so that a client on the same machine verifies the server's chain in the normal
// way. It is valid for localhost for a month.
const (
	caLifetime   = 30 * 24 * time.Hour
	leafLifetime = 24 * time.Hour
)

// CAFile returns the path of the authority's file, which holds its certificate and then its key. Clients with a flag --ca
// accept it.
func CAFile() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("pqquic-%d", os.Getuid()))
	}
	dir = filepath.Join(dir, "pqquic")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return filepath.Join(dir, "demo-ca.pem"), nil
}

// authority is a certificate that signs others.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// DemoRoots returns the roots that verify a server without --cert on this machine.
func DemoRoots() (*tlsprovider.Roots, error) {
	file, err := CAFile()
	if err != nil {
		return nil, err
	}
	ca, err := readAuthority(file)
	if err != nil {
		return nil, fmt.Errorf("no demo certificate authority on this machine (%w): start the server of the demo first, or give --ca", err)
	}
	roots := new(tlsprovider.Roots)
	roots.AddDER(ca.cert.Raw)
	return roots, nil
}

// DemoCertificate makes a certificate for localhost, and for extraName if that is not empty.
func DemoCertificate(extraName string) (tlsprovider.Certificate, error) {
	file, err := CAFile()
	if err != nil {
		return tlsprovider.Certificate{}, err
	}
	ca, err := readAuthority(file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errExpired) {
		ca, err = makeAuthority(file)
	}
	if err != nil {
		return tlsprovider.Certificate{}, err
	}
	names := []string{"localhost"}
	if extraName != "" && extraName != "localhost" {
		names = append(names, extraName)
	}
	tmpl := template("pqquic demo", leafLifetime)
	tmpl.DNSNames = names
	tmpl.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tlsprovider.Certificate{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return tlsprovider.Certificate{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	return tlsprovider.Certificate{Chain: [][]byte{der}, KeyDER: keyDER}, err
}

func template(name string, lifetime time.Duration) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(lifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
}

// makeAuthority makes an authority and installs it atomically: of two servers that start at the same time,
// one wins, and both use its authority.
func makeAuthority(file string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := template("pqquic demo CA", caLifetime)
	tmpl.IsCA, tmpl.KeyUsage = true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	b = append(b, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...)
	tmp, err := os.CreateTemp(filepath.Dir(file), "demo-ca-*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.Write(b); err != nil {
		return nil, err
	}
	if err := tmp.Close(); err != nil {
		return nil, err
	}
	if old, err := readAuthority(file); err == nil {
		return old, nil
	}
	if err := os.Rename(tmp.Name(), file); err != nil {
		return nil, err
	}
	return readAuthority(file)
}

var errExpired = errors.New("the demo certificate authority has expired")

// readAuthority reads an authority that is valid for at least another day.
func readAuthority(file string) (*authority, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	c, err := tlsprovider.CertificateFromPEM(b, b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; delete it", file, err)
	}
	cert, err := x509.ParseCertificate(c.Chain[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w; delete it", file, err)
	}
	key, err := x509.ParsePKCS8PrivateKey(c.KeyDER)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; delete it", file, err)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: not an ECDSA key; delete it", file)
	}
	if time.Until(cert.NotAfter) < leafLifetime {
		return nil, errExpired
	}
	return &authority{cert, ec}, nil
}
