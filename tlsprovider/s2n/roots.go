package s2n

import (
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/pqquic/pqquic/cgo/s2n"
	"github.com/pqquic/pqquic/tlsprovider"
)

// Where distributions keep the system's roots: what crypto/x509 looks at, because the paths that are
// compiled into AWS-LC exist nowhere. SSL_CERT_FILE and SSL_CERT_DIR replace them here as there.
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

// loadRoots returns the certificates of the first file that can be read, and, where there is none,
// of all files in dirs.
func loadRoots(files, dirs []string) ([][]byte, error) {
	for _, name := range files {
		if b, err := os.ReadFile(name); err == nil {
			if ders := pemCertificates(nil, b); len(ders) > 0 {
				return ders, nil
			}
		}
	}
	var ders [][]byte
	seen := make(map[string]bool)
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				continue
			}
			for _, der := range pemCertificates(nil, b) {
				if !seen[string(der)] {
					seen[string(der)] = true
					ders = append(ders, der)
				}
			}
		}
	}
	if len(ders) == 0 {
		return nil, errors.New("s2n: the system has no trusted roots: install its ca-certificates, set SSL_CERT_FILE, or set Config.RootCAs")
	}
	return ders, nil
}

func pemCertificates(ders [][]byte, b []byte) [][]byte {
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			ders = append(ders, block.Bytes)
		}
	}
	return ders
}

// addRoots adds roots to the trust anchors of cfg. name is their field of Config.
func addRoots(cfg *s2n.Config, name string, roots *tlsprovider.Roots) error {
	if len(roots.DER()) == 0 {
		return fmt.Errorf("s2n: %s: the set is empty: nothing would be trusted", name)
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

// addSystemRoots adds the system's roots to the trust anchors of cfg, but for those that AWS-LC cannot
// parse.
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
		return errors.New("s2n: AWS-LC can read none of the system's trusted roots: set SSL_CERT_FILE or Config.RootCAs")
	}
	return nil
}
