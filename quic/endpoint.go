package quic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
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
	cfg   *Config // with defaults filled in
	sock  *udp.Conn
	clock clock
	log   *slog.Logger

	timers timers
	pool   tlsPool
	sends  sendQueue

	sendMemory, recvMemory *streams.Budget // shared by all connections

	counters counters
	faults   faultLog

	handshakes handshakeCounts
	// wantRetry is the result of RequireAddressValidation for the datagram that is being received. It
	// belongs to the receive goroutine.
	wantRetry bool

	resetKey tlsprovider.ResetKey
	tokenKey tlsprovider.TokenKey
	tls      tlsConfigs

	closed    chan struct{}  // closed when Close begins
	done      chan struct{}  // closed when Close has finished
	loops     sync.WaitGroup // the receive and timer goroutines
	active    sync.WaitGroup // TLS workers and signers, and other goroutines that hold connections
	closeOnce sync.Once
	draining  atomic.Pointer[ApplicationError] // set by Shutdown: the error that ends idle connections

	// mu guards the fields below. It is never held together with a Conn's mu: see docs/execution-contract.md.
	mu       sync.Mutex
	core     *core.Endpoint
	timer    timerItem
	conns    map[core.ConnRef]*Conn
	lastRef  core.ConnRef
	listener *Listener
	serverC  *core.Config // for accepted connections; set by Listen
	noMore   bool         // no connection may be added
	empty    waitList     // Shutdown waits here for conns to become empty
	// autoClose is set if Listen or Dial made the Endpoint. It then closes once its Listener and its
	// connections are closed.
	autoClose bool
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
	sock, err := udp.New(pc, full.Logger)
	if err != nil {
		return nil, fmt.Errorf("quic: %w", err)
	}
	e := &Endpoint{
		cfg: full, sock: sock, clock: newClock(), log: full.Logger,
		sendMemory: streams.NewBudget(full.MaxSendMemory),
		recvMemory: streams.NewBudget(full.MaxReceiveMemory),
		closed:     make(chan struct{}), done: make(chan struct{}),
		conns: make(map[core.ConnRef]*Conn),
	}
	e.tls.init(full)
	e.timers.wake = make(waker, 1)
	workers := runtime.GOMAXPROCS(0)
	e.sends.init(sock, workers)
	e.pool = tlsPool{
		workers: workers, limit: 256 * workers, slow: make(chan struct{}, full.MaxSigners),
		timeout: full.SignTimeout, rand: full.Provider.Rand(), closed: e.closed, active: &e.active,
	}
	if err := e.initKeys(); err != nil {
		return nil, err
	}
	e.core = core.NewEndpoint(e.coreConfig())
	e.loops.Add(2)
	go e.receiveLoop()
	go e.timerLoop(nil)
	return e, nil
}

func (e *Endpoint) initKeys() (err error) {
	var random [2 * minSecret]byte
	defer clear(random[:])
	unused := random[:]
	secret := func(given []byte) ([]byte, error) {
		if given != nil {
			return given, nil
		}
		b := unused[:minSecret:minSecret]
		unused = unused[minSecret:]
		_, err := io.ReadFull(e.cfg.Provider.Rand(), b)
		return b, err
	}
	s, err := secret(e.cfg.ResetSecret)
	if err != nil {
		return fmt.Errorf("quic: random generator: %w", err)
	}
	if e.resetKey, err = e.cfg.Provider.NewResetKey(s); err != nil {
		return fmt.Errorf("quic: reset key: %w", err)
	}
	if s, err = secret(e.cfg.TokenSecret); err == nil {
		e.tokenKey, err = e.cfg.Provider.NewTokenKey(s)
	}
	if err != nil {
		e.resetKey.Close()
		return fmt.Errorf("quic: token key: %w", err)
	}
	return nil
}

// Listen starts accepting connections. Config.TLS must have a certificate, or Config.GetTLSConfig must be
// set. An Endpoint has at most one Listener at a time.
func (e *Endpoint) Listen() (*Listener, error) {
	cc, err := e.serverConfig()
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.noMore:
		return nil, ErrEndpointClosed
	case e.listener != nil:
		return nil, errors.New("quic: the endpoint is already listening")
	}
	e.serverC = cc
	e.core.SetAccept(true) // permanently: clients that arrive after Listener.Close are refused
	e.listener = newListener(e)
	return e.listener, nil
}

// Addr returns the local address of the socket.
func (e *Endpoint) Addr() net.Addr { return net.UDPAddrFromAddrPort(e.sock.LocalAddr()) }

// add assigns a ConnRef to a connection and registers it. It fails if the Endpoint is closing or has too
// many connections.
func (e *Endpoint) add(c *Conn, in *core.Incoming) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.noMore:
		return ErrEndpointClosed
	case len(e.conns) >= e.cfg.MaxConns:
		return fmt.Errorf("quic: the endpoint has %d connections, as many as Config.MaxConns allows", len(e.conns))
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
	e.mu.Lock()
	delete(e.conns, c.ref)
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
	e.core.HandleTimeout(now)
	for tx, ok := e.core.PollTransmit(); ok; tx, ok = e.core.PollTransmit() {
		e.sends.reply(tx)
	}
	e.setTimer()
	e.mu.Unlock()
	var reply [core.MaxUnknownSize]byte
	e.admitPostponed(reply[:])
}

// setTimer sets the Endpoint's timer. It is called with mu held after anything that may change the
// deadline.
func (e *Endpoint) setTimer() { e.timers.set(&e.timer, e.core.NextTimeout()) }

// applyEvents passes events of a connection to the core's Endpoint.
func (e *Endpoint) applyEvents(c *Conn, evs []core.EndpointEvent) {
	if len(evs) == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.clock.now()
	for _, ev := range evs {
		e.core.HandleConnEvent(now, c.ref, ev)
	}
	e.setTimer()
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
