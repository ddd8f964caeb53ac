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

// Name is the name of the provider.
const Name = "native"

// A Provider implements tlsprovider.Provider with crypto/tls. It is made by [New].
type Provider struct {
	live counters
}

// counters counts the sessions and keys that are not closed.
type counters struct {
	keys, sessions atomic.Int64
}

var _ tlsprovider.Provider = (*Provider)(nil)

// New returns a provider. Its only state are the counters of Live.
func New() *Provider { return new(Provider) }

// Live returns the number of sessions and keys that are not closed. bytes is 0, because the garbage collector
// manages their memory.
func (p *Provider) Live() (handles, bytes int64) {
	return p.live.keys.Load() + p.live.sessions.Load(), 0
}

// Name implements tlsprovider.Provider.
func (p *Provider) Name() string { return Name }

// Rand implements tlsprovider.Provider.
func (p *Provider) Rand() io.Reader { return rand.Reader }

// namedGroups returns the groups that crypto/tls offers if it is asked to. It does not offer all of them by default.
var namedGroups = sync.OnceValue(func() (out []tlsprovider.GroupInfo) {
	for _, g := range tlsprovider.AllGroups() {
		if _, err := chooseGroups([]tlsprovider.Group{g}); err == nil {
			out = append(out, g.Info())
		}
	}
	return out
})

// offered returns what crypto/tls offers by default.
var offered = sync.OnceValues(func() (*offer, error) { return offerOf(nil) })

// Capabilities implements tlsprovider.Provider. The result depends on GODEBUG settings and FIPS 140-3 mode.
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
		ZeroRTT: true, Tickets: true, SavedTickets: true, Exporters: true, VerifyPeer: true, Signers: true, ClientCertificates: true, CertificatesByName: true,
		CertificatePurposes: true, SpecificAlerts: true, OCSPStaples: true,
		DecisionEndpoint: true, KeyLog: true, Version2: true, HandshakeDetails: true,
	}
	o, err := offered()
	if err != nil {
		return c // NewClient returns the error
	}
	c.Groups = slices.Clone(namedGroups())
	c.CipherSuites = slices.Clone(o.suites)
	c.SignatureSchemes = slices.Clone(o.schemes)
	return c
}
