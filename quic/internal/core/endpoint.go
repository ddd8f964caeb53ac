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
	// Accept is set if clients are served. An Endpoint that does not accept only routes.
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

// An Endpoint serves one set of sockets. It finds the connection that a datagram belongs to, and handles
// datagrams that belong to none. What peers without a connection can make it keep is bounded.
type Endpoint struct {
	cfg   EndpointConfig
	now   monotime.Time
	conns map[ConnRef]*connEntry
	ids   map[wire.ConnID]idEntry
	// initials finds servers' connections, and what is left of them, by the ID that the client chose.
	initials map[initialKey]idEntry
	tokens   map[[16]byte]tokenEntry

	hellos      helloTable
	nextAttempt monotime.Time // when postponed clients are looked at; zero: there are none
	oldInitials []oldInitial  // in the order of time
	closed      expiryHeap[*remnant]
	refused     expiryHeap[*remnant]
	handshakes  int
	attempts    bucket
	resets      bucket
	drops       DropCounts
	outbox      []Transmit // for PollTransmit
	scratch     []byte
	opening     [1]tlsprovider.OpenDesc
}

// oldInitial is an entry of Endpoint.initials whose handshake is complete.
type oldInitial struct {
	c     *connEntry
	until monotime.Time
}

// connEntry is what an Endpoint knows about a connection.
type connEntry struct {
	ref     ConnRef
	ids     []wire.ConnID
	retired []wire.ConnID // the last that the peer retired
	tokens  [][16]byte
	// initial is where the client sent before it knew an ID of ours; valid if hasInitial.
	initial    initialKey
	hasInitial bool
	handshake  bool // it is counted in Endpoint.handshakes
}

// idEntry is where packets to one of our connection IDs go.
type idEntry struct {
	ref     ConnRef
	remnant *remnant
	retired bool // the peer has retired the ID: what still comes to it was reordered
}

// initialKey identifies a client that does not know a connection ID of ours yet.
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
		initials: make(map[initialKey]idEntry), tokens: make(map[[16]byte]tokenEntry),
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

// Close frees what the Endpoint holds of the provider. It must not be used afterwards.
func (e *Endpoint) Close() {
	for e.hellos.len() > 0 {
		k := e.hellos.byExpiry.first()
		e.hellos.remove(k)
		k.in.closeKeys()
	}
}

// SetAccept sets whether clients are served from now on. An Endpoint that does not accept only routes.
func (e *Endpoint) SetAccept(accept bool) { e.cfg.Accept = accept }

func (e *Endpoint) clamp(now monotime.Time) {
	if now.After(e.now) {
		e.now = now
	}
}

// Add registers a connection that was admitted, or one that we dialed if in is nil. HandleConnEvent adds its
// connection IDs.
func (e *Endpoint) Add(now monotime.Time, ref ConnRef, in *Incoming) {
	e.clamp(now)
	c := &connEntry{ref: ref}
	e.conns[ref] = c
	if in == nil {
		return
	}
	e.decided(in)
	c.initial, c.hasInitial = initialKey{in.DstID, in.Path.Remote}, true
	e.initials[c.initial] = idEntry{ref: ref}
	c.handshake = true
	e.handshakes++
}

// NextTimeout returns when HandleTimeout is to be called; zero is never.
func (e *Endpoint) NextTimeout() monotime.Time {
	t := monotime.Min(e.hellos.byExpiry.next(), e.nextAttempt)
	t = monotime.Min(t, monotime.Min(e.closed.next(), e.refused.next()))
	if k := e.hellos.nextAck(); k != nil {
		t = monotime.Min(t, k.ackAt)
	}
	if len(e.oldInitials) > 0 {
		t = monotime.Min(t, e.oldInitials[0].until)
	}
	return t
}

// HandleTimeout does what is due. The driver then calls PollTransmit until it returns false, and
// NextPostponed while there is room for handshakes.
func (e *Endpoint) HandleTimeout(now monotime.Time) {
	e.clamp(now)
	for k, ok := e.hellos.byExpiry.expired(e.now); ok; k, ok = e.hellos.byExpiry.expired(e.now) {
		e.expireHello(k)
	}
	e.sendHelloAcks()
	e.expireInitials()
	e.expireRemnants()
	if due(e.nextAttempt, e.now) {
		e.nextAttempt = 0
		if e.hellos.waiting > 0 {
			e.nextAttempt = e.now.Add(postponePause)
		}
	}
}

// PollTransmit returns a datagram of no connection to be sent. The caller owns its bytes.
func (e *Endpoint) PollTransmit() (Transmit, bool) {
	if len(e.outbox) == 0 {
		return Transmit{}, false
	}
	tx := e.outbox[0]
	e.outbox = e.outbox[1:]
	if len(e.outbox) == 0 {
		e.outbox = nil
	}
	return tx, true
}

// bucket is a token bucket that limits the work that peers without a connection can cause.
type bucket struct {
	rate, burst float64 // a second
	level       float64
	last        monotime.Time
}

// An attempt costs a few microseconds. A reset goes to an address that may be forged.
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
