package core

import (
	"net/netip"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// EndpointConfig is what an Endpoint needs from its driver.
type EndpointConfig struct {
	Provider tlsprovider.Provider
	// Accept is set if the Endpoint serves clients. Otherwise it only routes.
	Accept   bool
	Versions []wire.Version
	TokenKey tlsprovider.TokenKey
	ResetKey tlsprovider.ResetKey

	// SetRoute, if set, is called when a connection ID becomes one of a connection, and with ref 0 when it is
	// none any more. The driver can then find the connection of a packet with a short header itself: it
	// must route such a packet as Receive does.
	SetRoute func(id wire.ConnID, ref ConnRef)
	// SetRemote is like SetRoute for the packets from an address, if connection IDs are empty.
	SetRemote func(remote netip.AddrPort, ref ConnRef)

	// GreaseFixedBit is Config.GreaseFixedBit of the server's connections.
	GreaseFixedBit bool

	// AllowReflectionPorts is Config.AllowReflectionPorts of the server's connections.
	AllowReflectionPorts bool

	// NewConnID returns a new connection ID of ConnIDLen bytes, from 0 to wire.MaxConnIDLen. IDs should not repeat. An ID
	// that a connection of the Endpoint has is not used.
	//
	// "An endpoint that uses this design MUST either use the same connection ID length for all connections or encode the
	// length of the connection ID such that it can be recovered without state."
	// https://www.rfc-editor.org/rfc/rfc9000#section-10.3.2-4
	NewConnID func() (wire.ConnID, error)
	// ConnIDLen must not be 0 if Accept is set: see endpoint_remotes.go.
	ConnIDLen int
	// Rand fills b with random bytes.
	Rand func(b []byte)

	// MaxHandshakes is the number of incomplete handshakes beyond which clients must validate their address
	// with Retry. Beyond twice that number, connection attempts are dropped.
	MaxHandshakes int
	// HelloBytes bounds the total size of the datagrams that are kept for incomplete ClientHellos; 0 means
	// 16 MiB.
	HelloBytes int
	// HelloTimeout is how long an incomplete ClientHello is kept after its last datagram when there are
	// many of them, and four times that in total. When there are few, these are four and ten times
	// HelloTimeout. 0 means 3 s.
	HelloTimeout time.Duration
	// EarlyData is set if connections may accept early data. 0-RTT packets that arrive before the whole ClientHello are
	// then kept.
	EarlyData bool
	// RetryLifetime is how long the token of a Retry packet is valid; 0 means 10 s.
	RetryLifetime time.Duration
	// TokenLifetime is how long the token of a NEW_TOKEN frame is valid; 0 means that none is.
	TokenLifetime time.Duration
	// UseToken is called with a valid token of a NEW_TOKEN frame. It reports whether the token is used for the
	// first time, and remembers it until it expires. issued is a Unix time in nanoseconds. UseToken must be
	// set if TokenLifetime is not 0.
	UseToken func(id TokenID, issued int64) bool
	// Epoch is the Unix time, in nanoseconds, at which the monotonic clock was zero. Endpoints
	// that share a TokenKey have no other clock in common.
	Epoch int64
	// Shares is the number of Endpoints that serve one address together. Each gets an equal part of
	// MaxHandshakes, of HelloBytes and of the fixed limits. 0 means 1.
	Shares int
}

const (
	defaultHelloBytes    = 16 << 20
	defaultHelloTimeout  = 3 * time.Second
	defaultRetryLifetime = 10 * time.Second
)

// maxIDAttempts is how often a connection ID that is in use is replaced by another one before its use fails.
const maxIDAttempts = 16

// minClientDstID is the smallest length of the connection ID that a client chooses for its first packet.
//
// "This Destination Connection ID MUST be at least 8 bytes in length."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.2-3
const minClientDstID = 8

// An Endpoint serves a set of sockets. It finds the connection that a datagram belongs to and handles
// datagrams that belong to none. What peers without a connection can make it keep is bounded.
type Endpoint struct {
	cfg   EndpointConfig
	now   monotime.Time
	conns table[ConnRef, *connEntry]
	ids   table[wire.ConnID, idEntry]
	// initials finds servers' connections and their remnants by the connection ID that the client chose. If our own IDs
	// are empty, it finds clients' connections: see endpoint_remotes.go.
	initials table[initialKey, idEntry]
	// remotes has further addresses from which packets belong to a connection with empty IDs. It is nil until there is one.
	remotes map[ConnRef][]netip.AddrPort
	tokens  table[[16]byte, tokenEntry]

	hellos      helloTable
	nextAttempt monotime.Time // when postponed clients are next offered; zero means that there are none
	oldInitials []oldInitial  // ordered by time
	closed      expiryHeap[*remnant]
	refused     expiryHeap[*remnant]
	handshakes  int
	attempts    bucket
	resets      bucket
	questions   bucket // limits Routed.MaybeReset
	drops       DropCounts
	byToken     uint64     // clients whose address a token of a NEW_TOKEN frame validated
	outbox      []Transmit // for PollTransmit
	scratch     []byte
	opening     [1]tlsprovider.OpenDesc

	maxPostponed int // this Endpoint's part of the constant
	maxRemnants  int // the same; bounds closed and refused each
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
	retired []wire.ConnID // the connection IDs that the peer retired last
	tokens  [][16]byte
	// initial is the key of the client's first packets, before it knew a connection ID of ours, or of all packets if our
	// IDs are empty. It is valid if hasInitial is set.
	initial    initialKey
	hasInitial bool
	handshake  bool // counted in Endpoint.handshakes
}

// idEntry is the destination of packets to one of our connection IDs.
type idEntry struct {
	ref     ConnRef
	remnant *remnant
	retired bool // the peer has retired the connection ID, so packets to it were reordered
}

// setID routes the packets to a connection ID, and deleteID forgets it. All changes of Endpoint.ids are made here, so
// that the driver knows them.
func (e *Endpoint) setID(id wire.ConnID, entry idEntry) {
	e.ids.set(id, entry)
	if entry.remnant != nil || entry.retired {
		entry.ref = 0
	}
	if e.cfg.SetRoute != nil {
		e.cfg.SetRoute(id, entry.ref)
	}
}

func (e *Endpoint) deleteID(id wire.ConnID) {
	e.ids.delete(id)
	if e.cfg.SetRoute != nil {
		e.cfg.SetRoute(id, 0)
	}
}

// newConnID returns a connection ID for a new client. No connection has it, nor has another client with the same address. ok
// is false if NewConnID fails, or returns IDs that are in use again and again.
func (e *Endpoint) newConnID(remote netip.AddrPort) (id wire.ConnID, ok bool) {
	for range maxIDAttempts {
		id, err := e.cfg.NewConnID()
		if err != nil {
			return wire.ConnID{}, false
		}
		if old, used := e.ids.get(id); (!used || old.remnant != nil) && !e.hellos.has(initialKey{id, remote}) {
			return id, true
		}
	}
	return wire.ConnID{}, false
}

// initialKey identifies a peer that does not know a connection ID of ours, because we have not sent it one yet or because
// ours are empty.
type initialKey struct {
	id     wire.ConnID
	remote netip.AddrPort
}

type tokenEntry struct {
	ref    ConnRef
	remote netip.AddrPort
}

// NewEndpoint returns an Endpoint.
func NewEndpoint(cfg *EndpointConfig) *Endpoint {
	e := &Endpoint{
		cfg: *cfg, scratch: make([]byte, 0, MaxUnknownSize),
	}
	c := &e.cfg
	if c.HelloBytes <= 0 {
		c.HelloBytes = defaultHelloBytes
	}
	if c.HelloTimeout <= 0 {
		c.HelloTimeout = defaultHelloTimeout
	}
	if c.RetryLifetime <= 0 {
		c.RetryLifetime = defaultRetryLifetime
	}
	e.divideLimits(max(c.Shares, 1))
	return e
}

// divideLimits sets the part of each limit that this Endpoint has if n Endpoints share them. It is at least 1.
func (e *Endpoint) divideLimits(n int) {
	part := func(limit int) int { return max(limit/n, min(limit, 1)) }
	e.cfg.MaxHandshakes, e.cfg.HelloBytes = part(e.cfg.MaxHandshakes), part(e.cfg.HelloBytes)
	e.maxRemnants, e.maxPostponed = part(maxRemnants), part(maxPostponed)
	e.attempts = bucket{rate: attemptRate / float64(n), burst: attemptBurst / float64(n)}
	e.resets = bucket{rate: resetRate / float64(n), burst: max(resetBurst/float64(n), 1)}
	e.questions = e.resets
}

// Close frees what the Endpoint holds of the provider. The Endpoint must not be used afterwards.
func (e *Endpoint) Close() {
	for e.hellos.len() > 0 {
		k := e.hellos.byExpiry.first()
		e.hellos.remove(k)
		k.in.closeKeys()
	}
}

// SetAccept sets whether the Endpoint serves clients from now on. Otherwise it only routes.
func (e *Endpoint) SetAccept(accept bool) { e.cfg.Accept = accept }

// SetEarlyData changes EndpointConfig.EarlyData.
func (e *Endpoint) SetEarlyData(permitted bool) { e.cfg.EarlyData = permitted }

func (e *Endpoint) clamp(now monotime.Time) {
	if now.After(e.now) {
		e.now = now
	}
}

// Add registers a connection that was admitted from in or, if in is nil, dialed. HandleConnEvent adds its
// connection IDs.
func (e *Endpoint) Add(now monotime.Time, ref ConnRef, in *Incoming) {
	e.clamp(now)
	c := &connEntry{ref: ref}
	e.conns.set(ref, c)
	if in == nil {
		return
	}
	e.decided(in)
	c.initial, c.hasInitial = initialKey{in.DstID, in.Path.Remote}, true
	e.setInitial(c.initial, idEntry{ref: ref})
	c.handshake = true
	e.handshakes++
}

// NextTimeout returns when HandleTimeout must be called, or zero for never.
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

// HandleTimeout handles the timers that have expired. The driver then calls PollTransmit until it returns
// false, and NextPostponed while there is room for handshakes.
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

// PollTransmit returns a datagram to send that belongs to no connection. The caller owns its bytes.
func (e *Endpoint) PollTransmit() (Transmit, bool) {
	return pop(&e.outbox)
}

// bucket is a token bucket that limits the work that peers without a connection can cause.
type bucket struct {
	rate, burst float64 // tokens per second; capacity
	level       float64
	last        monotime.Time
}

// A connection attempt costs a few microseconds. A reset goes to an address that may be spoofed. To look for a
// connection in every other Endpoint takes the lock of each.
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
