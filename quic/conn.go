package quic

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A Conn is a QUIC connection. Its methods are safe for concurrent use.
type Conn struct {
	ep     *Endpoint
	ref    core.ConnRef
	cfg    *Config
	dialed *dialed // nil on a server
	server bool
	logged bool // the connection has a qlog
	// quickTLS means that TLS steps call no code that may block: see tls_here.go.
	quickTLS bool

	// mu guards the fields below. See docs/execution-contract.md for the order of locks.
	mu      sync.Mutex
	core    *core.Conn
	timer   timerItem
	life    lifetime
	upAt    monotime.Time // when the handshake was completed
	isUp    bool          // the handshake is complete
	isEarly bool          // streams can be used, although the handshake may not be complete
	closing bool          // Close waits for acknowledgements, and no new data is accepted
	over    bool          // the core has closed
	drained bool          // the core is drained, but the Endpoint has not been notified
	tls     *preparedTLS  // until the handshake is complete or the connection has ended
	// driving and queued are the connection's state between the core and the socket: see
	// conn_drive.go. inQueue belongs to the Endpoint's send queue.
	driving, queued bool
	inQueue         queueItem

	err error
	// override, if set, is the error that calls return after the connection has ended, instead of the
	// core's.
	override error
	sendErr  error // of the last train that was sent

	streams *streamTable
	// incoming contains the peer's streams that AcceptStream has not returned. Here and below, index 1 is
	// for unidirectional streams.
	incoming    [2][]StreamID
	accepting   [2]waitList
	opening     [2]waitList
	flushing    waitList
	waitingSent waitList
	exporting   waitList
	datagrams   *connDatagrams // nil until a call waits for datagrams
	handlers    *handlers      // nil until HandleStreams or WhenEnded
	paths       []*Path        // that AddPath has added and that have not ended
}

// newConn returns a connection whose context has the values of ctx.
func newConn(ctx context.Context, e *Endpoint, k *core.Conn, cfg *Config, server bool) *Conn {
	c := &Conn{ep: e, cfg: cfg, server: server, logged: k.Traced(), core: k, life: lifetime{ctx: ctx}}
	c.timer.conn, c.inQueue.conn = c, c
	return c
}

// ID returns the destination connection ID of the client's first packet, in hexadecimal. It identifies the
// connection in logs: both sides know it, it does not change, and it is the name of the connection's qlog.
func (c *Conn) ID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.core.OriginalDstID().String()
}

// LocalAddr returns the local address. If the socket is bound to all addresses, the IP of a connection that was dialed is
// unspecified until the first datagram has arrived, and for ever if the socket does not report it.
func (c *Conn) LocalAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	local := c.core.Path().Local
	if !local.IsValid() {
		return c.ep.Addr()
	}
	if d := c.dialed; d != nil && local.Addr().IsUnspecified() && d.local.Port() == local.Port() {
		local = d.local
	}
	return net.UDPAddrFromAddrPort(local)
}

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	return net.UDPAddrFromAddrPort(c.core.Path().Remote)
}

// ConnectionState describes a connection.
type ConnectionState struct {
	// TLS describes the TLS handshake. TLS.HandshakeDone is false until it is complete.
	TLS tlsprovider.State
	// Version is the QUIC version.
	Version Version
	// SendsDatagrams reports whether the peer accepts datagrams. ReceivesDatagrams reports whether this side
	// does: see Config.MaxDatagramFrameSize.
	SendsDatagrams, ReceivesDatagrams bool
	// SupportsResetAt reports whether the peer accepts RESET_STREAM_AT, which Stream.ResetAt needs.
	SupportsResetAt bool
	// Downgraded reports whether the key exchange is classical although this side offers post-quantum ones.
	Downgraded bool
	// Fallback reports whether this is the second connection of a Dial whose first one, with a post-quantum
	// ClientHello, got no answer: see Config.ClassicalFallback. It is Downgraded, too.
	Fallback bool
}

// ConnectionState returns what has been negotiated so far.
func (c *Conn) ConnectionState() ConnectionState {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := ConnectionState{
		TLS: c.core.State(), Version: Version(c.core.Version()),
		SupportsResetAt: c.core.PeerAcceptsResetAt(),
		SendsDatagrams:  c.core.PeerAcceptsDatagrams(), ReceivesDatagrams: c.cfg.MaxDatagramFrameSize > 0,
	}
	s.Downgraded, s.Fallback = c.downgraded(&s.TLS), c.isFallback()
	return s
}

// IsServer reports whether this side is the server.
func (c *Conn) IsServer() bool { return c.server }

// ExportKeyingMaterial derives n bytes from the handshake (RFC 8446, section 7.5). It waits while a session
// ticket is being processed.
func (c *Conn) ExportKeyingMaterial(label string, context []byte, n int) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.over:
			return nil, c.err
		case !c.isUp:
			return nil, ErrHandshake
		}
		out, err := c.core.Export(label, context, n)
		if !errors.Is(err, core.ErrTLSBusy) {
			return out, endError(err)
		}
		w, ctx := c.exporting.enter(), c.context()
		c.mu.Unlock()
		err = w.sleep(ctx)
		c.mu.Lock()
		if err != nil {
			return nil, err
		}
	}
}

// ErrKeyUpdate is returned by Conn.UpdateKeys if a key update is not permitted yet.
var ErrKeyUpdate = errors.New("quic: a key update is not permitted yet")

// UpdateKeys changes the keys that protect the connection's packets. Connections do so by themselves as often as the
// cipher requires, and after Config.KeyUpdateInterval packets. UpdateKeys is for applications with rules of their own,
// such as new keys every hour.
//
// It returns ErrKeyUpdate before the peer is known to have completed the handshake. After an update, it does so until the
// peer has acknowledged a packet with the new keys and has answered with its own, and three probe timeouts have passed
// since then, which is less than a second on most networks (RFC 9001, section 6).
func (c *Conn) UpdateKeys() error {
	c.mu.Lock()
	var err error
	switch {
	case c.over:
		err = c.err
	case !c.isUp:
		err = ErrHandshake
	case !c.core.UpdateKeys():
		err = ErrKeyUpdate
	}
	c.leave()
	return err
}

// Ping sends a PING frame, which the peer acknowledges. It does not wait for that. It shows a peer that is about to reach
// its idle timeout that the connection is in use, lets ConnStats learn the round-trip time of a connection that was
// silent, and finds out whether the peer is still there: if not, the connection ends after MaxIdleTimeout. The frame
// leaves with what was written before. Config.KeepAlivePeriod sends PING frames by itself.
//
// Ping returns ErrHandshake before the handshake is complete, and the reason why the connection has ended after that.
func (c *Conn) Ping() error {
	c.mu.Lock()
	var err error
	switch {
	case c.over:
		err = c.err
	case !c.isUp:
		err = ErrHandshake
	default:
		c.core.Ping()
	}
	c.leave()
	return err
}

// SetKeepAlivePeriod replaces Config.KeepAlivePeriod for this connection, for example while it has something to wait for.
// 0 means never. A connection that has a period of its own has about half a kilobyte more.
func (c *Conn) SetKeepAlivePeriod(period time.Duration) error {
	c.mu.Lock()
	var err error
	switch {
	case c.over:
		err = c.err
	case period < 0:
		err = fmt.Errorf("quic: SetKeepAlivePeriod(%v): the period is negative", period)
	default:
		c.core.SetKeepAlive(c.ep.clock.now(), period)
	}
	c.leave()
	return err
}

// The inputs of the core. The goroutines that call these functions do not send: see dispatch.

func (c *Conn) handleTrain(now monotime.Time, t datagram.Train) {
	c.mu.Lock()
	if c.dialed != nil {
		c.dialed.local = t.Path.Local
	}
	c.core.HandleTrain(now, t)
	if c.isUp && now.Sub(c.upAt) > settledAfter {
		c.ep.pool.reserve(now)
	}
	c.advance(now)
}

func (c *Conn) handleStatelessReset(now monotime.Time) {
	c.mu.Lock()
	c.core.HandleStatelessReset(now)
	c.dispatch(now, false)
}

func (c *Conn) handleTimeout(now monotime.Time) {
	c.mu.Lock()
	c.timer.last = 0
	c.core.HandleTimeout(now)
	if c.dialed != nil && c.dialed.unanswered != nil {
		c.dialed.unanswered.check(c)
	}
	if c.core.Resting() {
		c.streams = c.streams.rest()
	}
	c.dispatch(now, true)
}

// handleTLSResult is called by a TLS worker.
func (c *Conn) handleTLSResult(j *core.TLSJob) {
	now := c.ep.clock.now()
	c.mu.Lock()
	c.core.HandleTLSResult(now, j)
	c.dispatchAs(now, &outcome{byWorker: true})
}

// hasEnded reports whether the connection has ended.
func (c *Conn) hasEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}

// handleStreamEvent adds the goroutines that wait for a change of streams to w.
func (c *Conn) handleStreamEvent(ev streams.Event, w *wakeSet) {
	id := StreamID(ev.ID)
	switch ev.Kind {
	case streams.EventOpened:
		i := uniIndex(id.Unidirectional())
		for {
			id, ok := c.core.AcceptStream(i == 1)
			if !ok {
				break
			}
			c.incoming[i] = append(c.incoming[i], StreamID(id))
		}
		c.accepting[i].addAll(w)
		c.startHandlers(i)
	case streams.EventCanOpenBidi:
		c.opening[0].addAll(w)
	case streams.EventCanOpenUni:
		c.opening[1].addAll(w)
	case streams.EventFlushed:
		c.flushing.addAll(w)
	case streams.EventReadable:
		if s := c.streams.get(id); s != nil {
			w.add(s.recv.ready)
			s.recv.startReadable()
		}
	case streams.EventWritable:
		if s := c.streams.get(id); s != nil {
			w.add(s.send.ready)
		}
	case streams.EventReset:
		if s := c.streams.get(id); s != nil && s.recv.whenReset != nil {
			_, _ = s.tryPeek(0) // finishes the direction with the error
			s.recv.startReset()
		}
	case streams.EventStopped:
		if s := c.streams.get(id); s != nil && !s.send.isDone {
			s.send.finish(&StreamError{ID: id, Code: ev.Code, Remote: true})
			s.send.wasStopped = true
			s.send.startStopped()
			c.forgetIfDone(s)
			w.add(s.send.ready)
		}
	}
}

func uniIndex(uni bool) int {
	if uni {
		return 1
	}
	return 0
}

// wakeAll adds every goroutine that waits for anything of the connection to w.
func (c *Conn) wakeAll(w *wakeSet) {
	for i := range 2 {
		c.accepting[i].addAll(w)
		c.opening[i].addAll(w)
	}
	c.flushing.addAll(w)
	c.wakeDatagrams(core.EventDatagram, w)
	c.wakeDatagrams(core.EventDatagramRoom, w)
	for s := range c.streams.all() {
		w.add(s.recv.ready)
		w.add(s.send.ready)
		s.recv.startReadable()
	}
}
