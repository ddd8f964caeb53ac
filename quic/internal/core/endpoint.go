package core

import (
	"net/netip"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// EndpointConfig is what an Endpoint needs from outside.
type EndpointConfig struct {
	Provider tlsprovider.Provider
	// Accept: clients are served. Without it, an Endpoint only routes.
	Accept   bool
	Versions []wire.Version
	TokenKey tlsprovider.TokenKey
	ResetKey tlsprovider.ResetKey

	// NewConnID makes connection IDs of ConnIDLen bytes, Rand fills bytes with random ones.
	NewConnID func() wire.ConnID
	Rand      func([]byte)

	// MaxHandshakes is how many unfinished handshakes there may be before addresses have to be
	// validated by Retry; beyond twice as many, attempts are dropped.
	MaxHandshakes int
	// HelloBytes bounds the datagrams that are kept for incomplete ClientHellos, in all; 0 means
	// 16 MiB.
	HelloBytes int
	// HelloTimeout is how long an incomplete ClientHello is kept after its last datagram when there
	// are many, and four times that in all; when there are few, it is four and ten times that. 0
	// means 3 s.
	HelloTimeout time.Duration
	// RequireRetry, if set, asks for address validation by Retry whatever the load.
	RequireRetry func(netip.AddrPort) bool
	// TokenLifetime is how long a Retry token is valid; 0 means 10 s.
	TokenLifetime time.Duration
	// Epoch is the Unix time, in nanoseconds, at which the monotonic clock was zero. Endpoints
	// that share a TokenKey have no other clock in common.
	Epoch int64
}

const (
	defaultHelloBytes    = 16 << 20
	defaultHelloTimeout  = 3 * time.Second
	defaultTokenLifetime = 10 * time.Second
)

// An Endpoint serves one set of sockets: it knows to which connection a datagram belongs, and deals
// with those that belong to none. What strangers can make it keep is bounded.
type Endpoint struct {
	cfg   EndpointConfig
	now   monotime.Time
	conns map[ConnRef]*connEntry
	ids   map[wire.ConnID]idEntry
	// initials finds connections, and initial ClientHellos, by the ID that a client chose.
	initials map[initialKey]ConnRef
	tokens   map[[16]byte]tokenEntry

	hellos     helloTable
	remnants   []*remnant // the oldest first
	handshakes int
	attempts   bucket
	resets     bucket
	drops      DropCounts
	scratch    []byte
}

// connEntry is what an Endpoint knows of a connection.
type connEntry struct {
	ids       []wire.ConnID
	tokens    [][16]byte
	initial   initialKey
	server    bool
	finishing bool // the handshake is over
}

// idEntry is where packets to one of our connection IDs go.
type idEntry struct {
	ref     ConnRef
	remnant *remnant
}

// initialKey identifies a client that has not got a connection ID of ours yet.
type initialKey struct {
	id     wire.ConnID
	remote netip.AddrPort
}

type tokenEntry struct {
	ref    ConnRef
	remote netip.AddrPort
}

// NewEndpoint makes an Endpoint.
func NewEndpoint(cfg *EndpointConfig) *Endpoint {
	e := &Endpoint{
		cfg: *cfg, conns: make(map[ConnRef]*connEntry), ids: make(map[wire.ConnID]idEntry),
		initials: make(map[initialKey]ConnRef), tokens: make(map[[16]byte]tokenEntry),
		attempts: bucket{rate: attemptRate, burst: attemptBurst},
		resets:   bucket{rate: resetRate, burst: resetBurst},
		scratch:  make([]byte, 0, MaxDatagramSize),
	}
	c := &e.cfg
	if c.HelloBytes <= 0 {
		c.HelloBytes = defaultHelloBytes
	}
	if c.HelloTimeout <= 0 {
		c.HelloTimeout = defaultHelloTimeout
	}
	if c.TokenLifetime <= 0 {
		c.TokenLifetime = defaultTokenLifetime
	}
	e.hellos.init()
	return e
}

func (e *Endpoint) clamp(now monotime.Time) {
	if now.After(e.now) {
		e.now = now
	}
}

// Add registers a connection: one that was admitted, or, with in nil, a client's. Its connection IDs
// come by HandleConnEvent.
func (e *Endpoint) Add(now monotime.Time, ref ConnRef, in *Incoming) {
	e.clamp(now)
	c := &connEntry{}
	e.conns[ref] = c
	if in == nil {
		c.finishing = true
		return
	}
	c.server = true
	c.initial = initialKey{in.DstID, in.Path.Remote}
	e.initials[c.initial] = ref
	e.handshakes++
}

// NextTimeout is when HandleTimeout wants to be called; zero is never.
func (e *Endpoint) NextTimeout() monotime.Time {
	t := e.hellos.next()
	if len(e.remnants) > 0 {
		t = monotime.Min(t, e.remnants[0].Expires)
	}
	return t
}

// HandleTimeout forgets what has expired.
func (e *Endpoint) HandleTimeout(now monotime.Time) {
	e.clamp(now)
	for h := e.hellos.expired(e.now); h != nil; h = e.hellos.expired(e.now) {
		e.expireHello(h)
	}
	e.expireRemnants()
}

// bucket is a token bucket against work that strangers can cause.
type bucket struct {
	rate, burst float64 // a second
	level       float64
	last        monotime.Time
}

// Attempts cost an OpenInitial each, about two microseconds; resets go to addresses that may be
// somebody else's.
const (
	attemptRate, attemptBurst = 100_000, 10_000
	resetRate, resetBurst     = 1_000, 100
)

func (b *bucket) take(now monotime.Time) bool {
	if b.last.IsZero() {
		b.level = b.burst
	} else {
		b.level = min(b.burst, b.level+b.rate*now.Sub(b.last).Seconds())
	}
	b.last = now
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}
