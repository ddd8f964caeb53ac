package fake

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/pqquic/pqquic/tlsprovider"
)

// Options are what a provider can be told. The zero value is a provider with post-quantum flights.
type Options struct {
	// Seed is where all randomness comes from.
	Seed uint64
	// Classical makes X25519, P-256 and P-384 the groups of a Config that names none.
	Classical bool
	// HelloRetry makes servers answer each first ClientHello with a HelloRetryRequest, rather
	// than only those that lack the chosen group's share.
	HelloRetry bool
	// ChainLen is the size in bytes of the chain that a server without Certificates presents;
	// 0 means 700, a self-signed P-256 certificate or so. Up to 1<<20.
	ChainLen int
	// Tickets is how many session tickets a server sends; 0 means 1, negative none.
	Tickets int
	// Signer makes servers without Certificates emit EventSign.
	Signer crypto.Signer
	// ConfidentialityLimit and IntegrityLimit are those of all keys; 0 means AES-128-GCM's.
	ConfidentialityLimit, IntegrityLimit uint64
	// Misuse hears of broken rules; nil means panic.
	Misuse func(error)
}

// A Provider is a tlsprovider.Provider whose objects can be counted.
type Provider struct {
	opts           Options
	random         atomic.Uint64
	live           atomic.Int64
	ticketsIgnored atomic.Int64
}

var _ tlsprovider.Provider = (*Provider)(nil)

// New makes a provider.
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

// Live is how many sessions and keys of this provider are not closed; it holds no memory of its own.
func (p *Provider) Live() (handles, bytes int64) { return p.live.Load(), 0 }

// TicketsIgnored returns the number of sessions on which IgnoreTickets was called after the handshake.
func (p *Provider) TicketsIgnored() int { return int(p.ticketsIgnored.Load()) }

func (p *Provider) made() { p.live.Add(1) }
func (p *Provider) gone() { p.live.Add(-1) }

// misuse reports a broken rule and returns it as an error for those that go on.
func (p *Provider) misuse(format string, args ...any) error {
	err := fmt.Errorf("fake: misuse: "+format, args...)
	if p.opts.Misuse == nil {
		panic(err)
	}
	p.opts.Misuse(err)
	return err
}

// next is a fresh random number.
func (p *Provider) next() uint64 { return mum(p.random.Add(m0), m1) }

// A guard finds two goroutines in one object.
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
		Tickets:          true, Exporters: true, Signers: true, ClientCertificates: true, DecisionEndpoint: true,
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

// scheme is ecdsa_secp256r1_sha256, which the sizes follow.
const scheme tlsprovider.SignatureScheme = 0x0403

type randReader struct{ p *Provider }

func (r randReader) Read(b []byte) (int, error) {
	fill(b, r.p.next())
	return len(b), nil
}

// Rand implements tlsprovider.Provider. What it returns follows from the seed.
func (p *Provider) Rand() io.Reader { return randReader{p} }

var errVersion = errors.New("fake: unknown QUIC version")

func knownVersion(v uint32) bool { return v == 1 || v == 0x6b3343cf }
