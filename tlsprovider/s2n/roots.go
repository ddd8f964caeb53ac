package s2n

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/pqquic/pqquic/cgo/s2n"
	"github.com/pqquic/pqquic/tlsprovider"
)

// rootFiles and rootDirs are the places where crypto/x509 looks for the system's roots, so that both providers
// trust the same roots. SSL_CERT_FILE and SSL_CERT_DIR replace them, as in crypto/x509. The paths compiled into
// AWS-LC do not exist.
var (
	rootFiles = []string{
		"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Gentoo
		"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL 6
		"/etc/ssl/ca-bundle.pem",                            // openSUSE
		"/etc/pki/tls/cacert.pem",                           // OpenELEC
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL 7
		"/etc/ssl/cert.pem",                                 // Alpine
	}
	rootDirs = []string{
		"/etc/ssl/certs",
		"/etc/pki/tls/certs",
	}
)

var systemRoots = sync.OnceValues(func() ([][]byte, error) {
	files, dirs := rootFiles, rootDirs
	if f := os.Getenv("SSL_CERT_FILE"); f != "" {
		files = []string{f}
	}
	if d := os.Getenv("SSL_CERT_DIR"); d != "" {
		dirs = strings.Split(d, ":")
	}
	return loadRoots(files, dirs)
})

// loadRoots returns the same certificates as crypto/x509: those of the first file that can be read, and those of
// all files in dirs.
func loadRoots(files, dirs []string) ([][]byte, error) {
	var set rootSet
	for _, name := range files {
		if b, err := os.ReadFile(name); err == nil {
			set.add(b)
			break
		}
	}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if b, err := os.ReadFile(filepath.Join(dir, e.Name())); err == nil {
				set.add(b)
			}
		}
	}
	if len(set.ders) == 0 {
		return nil, errors.New("s2n: the system has no trusted roots: install its ca-certificates, set SSL_CERT_FILE, or set Config.RootCAs")
	}
	return set.ders, nil
}

// A rootSet holds each certificate once.
type rootSet struct {
	ders [][]byte
	seen map[string]bool
}

// add adds the certificates of a PEM file. Like crypto/x509, it skips blocks with headers and certificates that
// do not parse.
func (s *rootSet) add(b []byte) {
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" || len(block.Headers) > 0 || s.seen[string(block.Bytes)] {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			continue
		}
		if s.seen == nil {
			s.seen = make(map[string]bool)
		}
		s.seen[string(block.Bytes)] = true
		s.ders = append(s.ders, block.Bytes)
	}
}

// addRoots adds roots to the trust anchors of cfg. name is the name of their field in Config.
func addRoots(cfg *s2n.Config, name string, roots *tlsprovider.Roots) error {
	if len(roots.DER()) == 0 {
		return fmt.Errorf("s2n: %s: the set is empty, so that no certificate would be trusted", name)
	}
	for i, der := range roots.DER() {
		if !isDERCertificate(der) {
			return fmt.Errorf("s2n: %s: certificate %d is not DER", name, i)
		}
		if err := cfg.AddRoot(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})); err != nil {
			return fmt.Errorf("s2n: %s: certificate %d: %w", name, i, err)
		}
	}
	return nil
}

// isRoot reports whether a certificate is one of the authorities that the endpoint trusts.
func (e *endpoint) isRoot(der []byte) bool {
	return slices.ContainsFunc(e.roots(), func(r []byte) bool { return bytes.Equal(r, der) })
}

// roots returns the authorities that the endpoint trusts.
func (e *endpoint) roots() (ders [][]byte) {
	switch {
	case e.side == tlsprovider.Server && e.cfg.ClientCAs != nil:
		ders = e.cfg.ClientCAs.DER()
	case e.side == tlsprovider.Client && e.cfg.RootCAs != nil:
		ders = e.cfg.RootCAs.DER()
	case e.side == tlsprovider.Client:
		ders, _ = systemRoots() // which NewClient has loaded
	}
	return ders
}

// addSystemRoots adds the system's roots to the trust anchors of cfg, except those that AWS-LC cannot parse.
func addSystemRoots(cfg *s2n.Config) error {
	ders, err := systemRoots()
	if err != nil {
		return err
	}
	added := 0
	for _, der := range ders {
		if cfg.AddRoot(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) == nil {
			added++
		}
	}
	if added == 0 {
		return errors.New("s2n: AWS-LC cannot parse any of the system's trusted roots: set SSL_CERT_FILE or Config.RootCAs")
	}
	return nil
}
