package fake

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/pqquic/pqquic/tlsprovider"
)

// Options configure a provider. With the zero value its flights have post-quantum sizes.
type Options struct {
	// Seed is the seed of all random values.
	Seed uint64
	// Classical makes X25519, P-256 and P-384 the groups of a Config that names none.
	Classical bool
	// HelloRetry makes servers answer each first ClientHello with a HelloRetryRequest, and not
	// only those without a key share of the selected group.
	HelloRetry bool
	// ChainLen is the size in bytes of the chain that a server without Certificates presents;
	// 0 means 700, about the size of a self-signed P-256 certificate. The maximum is 1<<20.
	ChainLen int
	// Tickets is the number of session tickets that a server sends. 0 means 1, and a negative
	// number none.
	Tickets int
	// Signer makes servers without Certificates emit EventSign.
	Signer crypto.Signer
	// ConfidentialityLimit and IntegrityLimit are the limits of all keys. 0 means those of
	// AES-128-GCM.
	ConfidentialityLimit, IntegrityLimit uint64
	// Misuse is called if the caller breaks a rule. Nil means panic.
	Misuse func(error)
}

// A Provider is a tlsprovider.Provider that counts its objects.
type Provider struct {
	opts           Options
	random         atomic.Uint64
	live           atomic.Int64
	ticketsIgnored atomic.Int64
}

var _ tlsprovider.Provider = (*Provider)(nil)

// New returns a provider.
func New(o Options) *Provider {
	if o.ChainLen == 0 {
		o.ChainLen = 700
	}
	if o.Tickets == 0 {
		o.Tickets = 1
	}
	if o.ConfidentialityLimit == 0 {
		o.ConfidentialityLimit = 1 << 23
	}
	if o.IntegrityLimit == 0 {
		o.IntegrityLimit = 1 << 52
	}
	p := &Provider{opts: o}
	p.random.Store(mum(o.Seed, m2))
	return p
}

// Live returns the number of sessions and keys of this provider that are not closed. bytes is 0.
func (p *Provider) Live() (handles, bytes int64) { return p.live.Load(), 0 }

// TicketsIgnored returns the number of sessions on which IgnoreTickets was called after the handshake.
func (p *Provider) TicketsIgnored() int { return int(p.ticketsIgnored.Load()) }

func (p *Provider) made() { p.live.Add(1) }
func (p *Provider) gone() { p.live.Add(-1) }

// misuse reports a broken rule and returns it as an error.
func (p *Provider) misuse(format string, args ...any) error {
	err := fmt.Errorf("fake: misuse: "+format, args...)
	if p.opts.Misuse == nil {
		panic(err)
	}
	p.opts.Misuse(err)
	return err
}

// next returns a random number.
func (p *Provider) next() uint64 { return mum(p.random.Add(m0), m1) }

// A guard detects concurrent calls of an object.
type guard struct{ busy atomic.Bool }

func (g *guard) enter(p *Provider, what string) {
	if !g.busy.CompareAndSwap(false, true) {
		_ = p.misuse("two calls at once on a %s", what)
	}
}

func (g *guard) leave() { g.busy.Store(false) }

// Name implements tlsprovider.Provider.
func (p *Provider) Name() string { return "fake" }

// Capabilities implements tlsprovider.Provider.
func (p *Provider) Capabilities() tlsprovider.Capabilities {
	return tlsprovider.Capabilities{
		Library:          "fake, no cryptography",
		Groups:           allGroups(),
		CipherSuites:     allSuites(),
		SignatureSchemes: []tlsprovider.SignatureScheme{scheme},
		Tickets:          true, Exporters: true, VerifyPeer: true, SpecificAlerts: true, Signers: true, ClientCertificates: true, DecisionEndpoint: true,
		KeyLog: true, Version2: true, HandshakeDetails: true,
	}
}

func allGroups() (out []tlsprovider.GroupInfo) {
	for _, g := range []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.SecP256r1MLKEM768,
		tlsprovider.SecP384r1MLKEM1024, tlsprovider.X25519, tlsprovider.P256, tlsprovider.P384} {
		out = append(out, g.Info())
	}
	return out
}

func allSuites() []tlsprovider.CipherSuite {
	return []tlsprovider.CipherSuite{tlsprovider.AES128GCM, tlsprovider.AES256GCM, tlsprovider.ChaCha20Poly1305}
}

// scheme is ecdsa_secp256r1_sha256. The fake's signatures have its size.
const scheme tlsprovider.SignatureScheme = 0x0403

type randReader struct{ p *Provider }

func (r randReader) Read(b []byte) (int, error) {
	fill(b, r.p.next())
	return len(b), nil
}

// Rand implements tlsprovider.Provider. Its output depends only on the seed and the order of calls.
func (p *Provider) Rand() io.Reader { return randReader{p} }

var errVersion = errors.New("fake: unknown QUIC version")

func knownVersion(v uint32) bool { return v == 1 || v == 0x6b3343cf }
