package quic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/udp"
	"github.com/pqquic/pqquic/tlsprovider"
)

// An Endpoint is a socket with its QUIC connections, dialed and accepted. Its methods are safe for
// concurrent use.
type Endpoint struct {
	// With Config.Loops, an Endpoint is one of several, each with a socket and connections of its own. The
	// application has the first of them. See docs/several-loops.md.
	*common
	index int   // of this loop in common.loops
	inbox inbox // datagrams from other loops

	sock *udp.Conn
	// handshakeSock receives packets with long headers if Config.SeparateHandshakes is set. Nothing is sent on it.
	handshakeSock *udp.Conn

	timers timers
	sends  sendQueue
	routes routes // the connections of packets with a short header

	// mu guards the fields below. It is never held together with a Conn's mu: see docs/execution-contract.md.
	mu      sync.Mutex
	core    *core.Endpoint
	timer   timerItem
	conns   map[core.ConnRef]*Conn
	ended   TrafficStats // of connections that are gone
	lastRef core.ConnRef
	noMore  bool     // no connection may be added
	empty   waitList // Shutdown waits here for conns to become empty
	// tokenStore keeps the tokens of dialed connections whose Config has no TokenStore. Dial makes it.
	tokenStore tlsprovider.ClientStore
}

// common is what the loops of an Endpoint share. Most Endpoints have one loop.
type common struct {
	cfg   *Config // with defaults filled in
	clock clock
	log   *slog.Logger
	loops []*Endpoint // does not change
	ids   loopIDs     // used if there are several loops

	pool                   tlsPool
	tls                    tlsConfigs
	serving                atomic.Pointer[serving] // for accepted connections; nil before Listen
	resetKey               tlsprovider.ResetKey
	tokens                 tokenKeys
	usedTokens             usedOnce
	usedTickets            usedOnce // for early data
	ticketIssuer           [8]byte
	sendMemory, recvMemory *streams.Budget // shared by all connections
	numConns               atomic.Int64    // number of connections of all loops

	counters   counters
	faults     faultLog
	handshakes handshakeCounts
	returns    returnQueue

	listener atomic.Pointer[Listener]
	// autoClose is set if Listen or Dial made the Endpoint. It then closes once its Listener and its
	// connections are closed.
	autoClose atomic.Bool

	qlogs   qlogs
	nonQUIC nonQUIC

	closed    chan struct{}  // closed when Close begins
	done      chan struct{}  // closed when Close has finished
	running   sync.WaitGroup // the receive and timer goroutines
	active    sync.WaitGroup // TLS workers and signers, and other goroutines that hold connections
	closeOnce sync.Once
	draining  atomic.Pointer[ApplicationError] // set by Shutdown: the error that ends idle connections
}

// NewEndpoint returns an Endpoint on a socket, for dialing and, after Endpoint.Listen, for accepting. The
// Endpoint owns the socket and closes it. An unconnected *net.UDPConn works best. Any other net.PacketConn
// works if its addresses are IP addresses with ports. cfg may be nil. If NewEndpoint returns an error, the
// socket stays open.
func NewEndpoint(pc net.PacketConn, cfg *Config) (*Endpoint, error) {
	full, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if full.SeparateHandshakes {
		return nil, errors.New("quic: Config.SeparateHandshakes is set, but NewEndpoint has one socket: use Listen")
	}
	if full.Loops > 1 {
		return nil, fmt.Errorf("quic: Config.Loops is %d, but NewEndpoint has one socket: use Listen, which opens a socket for each loop", full.Loops)
	}
	return newEndpoint(sockets{loops: []net.PacketConn{pc}}, full)
}

// sockets are those of an Endpoint.
type sockets struct {
	loops      []net.PacketConn // one for each loop
	ids        loopIDs          // if there are several loops
	handshakes net.PacketConn   // see Config.SeparateHandshakes; or nil
}

func (s *sockets) close() {
	for _, pc := range s.loops {
		pc.Close()
	}
	if s.handshakes != nil {
		s.handshakes.Close()
	}
}

// newEndpoint returns an Endpoint on the sockets, which it closes unless it fails.
func newEndpoint(pcs sockets, full *Config) (*Endpoint, error) {
	g := &common{
		cfg: full, clock: newClock(), log: full.Logger, ids: pcs.ids,
		sendMemory: streams.NewBudget(full.MaxSendMemory),
		recvMemory: streams.NewBudget(full.MaxReceiveMemory),
		closed:     make(chan struct{}), done: make(chan struct{}),
	}
	g.nonQUIC.limit = full.NonQUICQueue
	g.tls.init(full)
	workers := runtime.GOMAXPROCS(0)
	g.pool = tlsPool{
		workers: workers, limit: 256 * workers, slow: make(chan struct{}, full.MaxSigners),
		signers: signers{most: full.MaxSigners, backlog: full.MaxHandshakes},
		timeout: full.SignTimeout, rand: full.Provider.Rand(), closed: g.closed, active: &g.active,
		clock: g.clock,
	}
	g.pool.init()
	for i, pc := range pcs.loops {
		sock, err := udp.New(pc, full.Logger)
		if err != nil {
			return nil, fmt.Errorf("quic: %w", err)
		}
		e := &Endpoint{common: g, index: i, sock: sock, conns: make(map[core.ConnRef]*Conn)}
		e.timers.wake = make(waker, 1)
		e.routes.idLen = full.connIDLen()
		e.inbox.init(len(pcs.loops))
		e.sends.init(sock, workers, len(pcs.loops))
		g.loops = append(g.loops, e)
	}
	if pcs.handshakes != nil {
		sock, err := udp.New(pcs.handshakes, full.Logger)
		if err != nil {
			return nil, fmt.Errorf("quic: %w", err)
		}
		g.loops[0].handshakeSock = sock
	}
	if err := g.initKeys(); err != nil {
		return nil, err
	}
	for _, e := range g.loops { // before any of them runs, because it uses the others
		e.core = core.NewEndpoint(e.coreConfig())
	}
	for _, e := range g.loops {
		g.running.Add(2)
		go (&socketReader{ep: e, sock: e.sock}).run()
		go e.timerLoop(nil)
		if e.handshakeSock != nil {
			g.running.Add(1)
			go (&socketReader{ep: e, sock: e.handshakeSock}).run()
		}
		if len(pcs.loops) > 1 {
			g.running.Add(1)
			go e.inboxLoop()
		}
	}
	return g.loops[0], nil
}

func (g *common) initKeys() (err error) {
	secret := g.cfg.ResetSecret
	if secret == nil {
		secret = make([]byte, minSecret)
		defer clear(secret)
		if _, err := io.ReadFull(g.cfg.Provider.Rand(), secret); err != nil {
			return fmt.Errorf("quic: random generator: %w", err)
		}
	}
	if g.resetKey, err = g.cfg.Provider.NewResetKey(secret); err != nil {
		return fmt.Errorf("quic: reset key: %w", err)
	}
	g.tokens.provider, g.tokens.clock = g.cfg.Provider, g.clock
	if err := g.tokens.set(g.cfg.TokenSecrets); err != nil {
		g.closeKeys()
		return err
	}
	if _, err := io.ReadFull(g.cfg.Provider.Rand(), g.ticketIssuer[:]); err != nil {
		g.closeKeys()
		return fmt.Errorf("quic: random generator: %w", err)
	}
	g.usedTickets = usedOnce{lifetime: earlyDataWindow + maxClockSkew, limit: usedLimit}
	g.usedTokens = usedOnce{lifetime: g.cfg.tokenLifetime() + maxClockSkew, limit: usedLimit}
	return nil
}

func (g *common) closeKeys() {
	g.resetKey.Close()
	g.tokens.Close()
}

// Listen starts accepting connections. Config.TLS must have a certificate, or Config.GetTLSConfig must be
// set. An Endpoint has at most one Listener at a time.
func (e *Endpoint) Listen() (*Listener, error) {
	if e.cfg.connIDLen() == 0 {
		return nil, errEmptyIDsListen
	}
	l := newListener(e)
	if !e.listener.CompareAndSwap(nil, l) {
		return nil, errors.New("quic: the endpoint is already listening")
	}
	err := e.serve()
	for i := 0; err == nil && i < len(e.loops); i++ {
		err = e.loops[i].accepts()
	}
	if err != nil {
		l.stop(err)
		return nil, err
	}
	return l, nil
}

// accepts lets a loop accept connections for the Listener.
func (e *Endpoint) accepts() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.noMore {
		return ErrEndpointClosed
	}
	e.core.SetAccept(true) // permanently: clients that arrive after Listener.Close are refused
	return nil
}

// Addr returns the local address of the socket.
func (e *Endpoint) Addr() net.Addr { return net.UDPAddrFromAddrPort(e.sock.LocalAddr()) }

// add assigns a ConnRef to a connection and registers it. It fails if the Endpoint is closing or has too
// many connections.
func (e *Endpoint) add(c *Conn, in *core.Incoming) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.noMore {
		return ErrEndpointClosed
	}
	if n := e.numConns.Add(1); n > int64(e.cfg.MaxConns) {
		e.numConns.Add(-1)
		return fmt.Errorf("quic: the endpoint has %d connections, as many as Config.MaxConns allows", n-1)
	}
	e.lastRef++
	c.ref = e.lastRef
	e.conns[c.ref] = c
	e.core.Add(e.clock.now(), c.ref, in)
	e.setTimer()
	return nil
}

// remove removes a connection that is drained.
func (e *Endpoint) remove(c *Conn) {
	e.timers.set(&c.timer, 0)
	var w wakeSet
	stats := c.Stats()
	e.mu.Lock()
	delete(e.conns, c.ref)
	e.ended.Add(&stats.TrafficStats)
	e.numConns.Add(-1)
	if len(e.conns) == 0 {
		e.empty.addAll(&w)
	}
	unused := e.unused()
	e.mu.Unlock()
	w.wake()
	if unused {
		// Close runs on its own goroutine because it may wait for this one.
		go e.Close()
	}
}

// handleTimeout is called by the timer goroutine when the Endpoint's own deadline passes.
func (e *Endpoint) handleTimeout(now monotime.Time) {
	e.mu.Lock()
	e.timer.last = 0
	e.core.HandleTimeout(now)
	for tx, ok := e.core.PollTransmit(); ok; tx, ok = e.core.PollTransmit() {
		e.sends.reply(tx)
	}
	e.setTimer()
	e.mu.Unlock()
	e.admitPostponed()
}

// setTimer sets the Endpoint's timer. It is called with mu held after anything that may change the
// deadline.
func (e *Endpoint) setTimer() { e.timers.update(&e.timer, e.core.NextTimeout()) }

// applyEvents passes events of a connection to the core's Endpoint. It returns those with connection IDs of other
// connections.
func (e *Endpoint) applyEvents(c *Conn, evs []core.EndpointEvent) (conflicts []core.EndpointEvent) {
	if len(evs) == 0 {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.clock.now()
	for _, ev := range evs {
		if ev.Kind == core.AddConnID && ev.ConnID.Len() == 0 {
			e.releaseRemote(now, ev.Path.Remote)
		}
		if !e.core.HandleConnEvent(now, c.ref, ev) {
			conflicts = append(conflicts, ev)
		}
	}
	e.setTimer()
	return conflicts
}

// releaseRemote ends the routing of packets from an address to a connection that has ended for the application, but whose
// end the core's Endpoint does not know yet, so that the next Dial to the same address succeeds. mu is held.
func (e *Endpoint) releaseRemote(now monotime.Time, remote netip.AddrPort) {
	ref := e.core.RemoteOwner(remote)
	if c := e.conns[ref]; c != nil && c.life.ended.Load() {
		e.core.HandleConnEvent(now, ref, core.EndpointEvent{Kind: core.ConnClosed})
	}
}

// logs reports whether messages about connections are logged.
func (e *Endpoint) logs() bool { return e.log.Enabled(context.Background(), slog.LevelDebug) }

// fillRandom fills b with random bytes.
func (e *Endpoint) fillRandom(b []byte) {
	if _, err := io.ReadFull(e.pool.rand, b); err != nil {
		// Nothing that follows would be secure without randomness.
		panic("quic: the provider's random generator failed: " + err.Error())
	}
}
