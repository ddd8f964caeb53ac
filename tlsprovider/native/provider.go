package native

import (
	"crypto/fips140"
	"crypto/rand"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pqquic/pqquic/tlsprovider"
)

// Name is the provider's.
const Name = "native"

// A Provider is the standard library's TLS. Use [New].
type Provider struct {
	live counters
}

// counters say what has not been closed.
type counters struct {
	keys, sessions atomic.Int64
}

var _ tlsprovider.Provider = (*Provider)(nil)

// New returns a provider. It has no state but counters, so that one is as good as another.
func New() *Provider { return new(Provider) }

// Live is how many sessions and keys are not closed. Their memory is the garbage collector's, so
// bytes is 0.
func (p *Provider) Live() (handles, bytes int64) {
	return p.live.keys.Load() + p.live.sessions.Load(), 0
}

// Name implements tlsprovider.Provider.
func (p *Provider) Name() string { return Name }

// Rand implements tlsprovider.Provider.
func (p *Provider) Rand() io.Reader { return rand.Reader }

// offered is what crypto/tls offers when it is not told what to.
var offered = sync.OnceValues(func() (*offer, error) { return offerOf(nil) })

// Capabilities implements tlsprovider.Provider. GODEBUG settings and FIPS 140-3 mode show in it.
func (p *Provider) Capabilities() tlsprovider.Capabilities {
	c := tlsprovider.Capabilities{
		Library: "crypto/tls " + runtime.Version(),
		FIPS: tlsprovider.FIPS{
			Enabled: fips140.Enabled(),
			// In this mode a failed self-test ends the process before main.
			SelfTest: fips140.Enabled(),
			Module:   "Go Cryptographic Module",
			Version:  fips140.Version(),
		},
		Tickets: true, Exporters: true, Signers: true, ClientCertificates: true, CertificatesByName: true,
		DecisionEndpoint: true, KeyLog: true, Version2: true, HandshakeDetails: true,
	}
	o, err := offered()
	if err != nil {
		return c // NewClient returns the error
	}
	for _, g := range tlsprovider.AllGroups() {
		if slices.Contains(o.groups, g) {
			c.Groups = append(c.Groups, g.Info())
		}
	}
	c.CipherSuites = slices.Clone(o.suites)
	c.SignatureSchemes = slices.Clone(o.schemes)
	return c
}
