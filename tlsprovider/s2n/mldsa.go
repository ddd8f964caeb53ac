package s2n

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/mldsa"
)

// supported returns the signature schemes that s2n-tls can use. It offers ML-DSA even without support in libcrypto.
func (p *provider) supported(offered []tlsprovider.SignatureScheme) []tlsprovider.SignatureScheme {
	if p.info.MLDSA {
		return offered
	}
	return slices.DeleteFunc(slices.Clone(offered), tlsprovider.SignatureScheme.PostQuantum)
}

// noMLDSA returns the error for a use of ML-DSA that the linked libraries do not support.
func (p *provider) noMLDSA(what string) error {
	variant := awslc.Variant
	if variant == "" {
		variant = "default"
	}
	return fmt.Errorf("%s: %w: s2n-tls over %s (variant %s) has no ML-DSA: use the default variant or fips4, which `make build` makes",
		what, tlsprovider.ErrUnsupported, p.info.Crypto, variant)
}

// checkRequirePQAuth returns an error if RequirePQAuth is set and no post-quantum signature could be negotiated.
func (p *provider) checkRequirePQAuth(cfg *tlsprovider.Config, policy string, o *offer) error {
	switch {
	case !cfg.RequirePQAuth, slices.ContainsFunc(p.supported(o.SignatureSchemes), tlsprovider.SignatureScheme.PostQuantum):
		return nil
	case !p.info.MLDSA:
		return p.noMLDSA("s2n: RequirePQAuth")
	}
	return fmt.Errorf("s2n: RequirePQAuth is set, but policy %s has no post-quantum signatures: leave Policy empty, or set another", policy)
}

// checkMLDSA returns an error for a certificate with an ML-DSA key that handshakes could not use.
func (e *endpoint) checkMLDSA(c *tlsprovider.Certificate) error {
	level, public := mldsa.Key(c.Chain[0])
	if level == 0 {
		return nil
	}
	if !e.p.info.MLDSA {
		return e.p.noMLDSA("the certificate has an " + level.String() + " key")
	}
	o, err := probe(e.policy)
	if err != nil {
		return err
	}
	if !slices.Contains(o.SignatureSchemes, level.Scheme()) {
		return fmt.Errorf("the certificate has an %v key, but policy %s does not have the scheme %v: %w", level, e.policy,
			level.Scheme(), tlsprovider.ErrUnsupported)
	}
	if c.Signer == nil {
		return nil
	}
	if !e.p.info.MLDSAExternal {
		return fmt.Errorf("a Signer with an %v key: %w: the linked s2n-tls needs the private key in memory; `make build` makes one that does not",
			level, tlsprovider.ErrUnsupported)
	}
	key, ok := c.Signer.Public().(interface{ Bytes() []byte })
	if !ok || !bytes.Equal(key.Bytes(), public) {
		return errSignerKey
	}
	return nil
}
