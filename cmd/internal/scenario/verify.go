package scenario

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// VerifyChain verifies a server's chain (leaf first) and name against authorities in PEM. Unlike
// crypto/x509 it accepts names with labels that begin with a hyphen, which scenario IDs may have.
func VerifyChain(chain []*x509.Certificate, authorities, name string) error {
	if len(chain) == 0 {
		return errors.New("the server sent no certificate")
	}
	opt := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
	opt.Roots.AppendCertsFromPEM([]byte(authorities))
	for _, c := range chain[1:] {
		opt.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(opt); err != nil {
		return err
	}
	_, parent, _ := strings.Cut(name, ".")
	if !slices.Contains(chain[0].DNSNames, name) && !slices.Contains(chain[0].DNSNames, "*."+parent) {
		return fmt.Errorf("the certificate is valid for %s, not for %s", strings.Join(chain[0].DNSNames, ", "), name)
	}
	return nil
}

// UnusualName reports whether crypto/x509 rejects the name.
func UnusualName(name string) bool {
	return strings.HasPrefix(name, "-") || strings.Contains(name, ".-")
}
