package scenario

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// VerifyChain verifies a server's chain (leaf first) against authorities in PEM, and its name. In
// contrast to crypto/x509 it takes names with labels that begin with a hyphen, which the IDs of
// scenarios may.
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
		return fmt.Errorf("the certificate is for %s, not for %s", strings.Join(chain[0].DNSNames, ", "), name)
	}
	return nil
}

// UnusualName reports whether crypto/x509 takes the name for none.
func UnusualName(name string) bool {
	return strings.HasPrefix(name, "-") || strings.Contains(name, ".-")
}
