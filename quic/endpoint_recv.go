package quic

import (
	"errors"
	"log/slog"
	"runtime"
	"time"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/udp"
	"github.com/pqquic/pqquic/tlsprovider"
)

// maxReadErrors is the number of consecutive failed reads after which a socket is considered broken. Errors
// caused by the network (ICMP) do not count. A kernel that is short of memory gets some seconds to recover:
// the pause grows by a millisecond with each consecutive failure, up to maxReadPause.
const (
	maxReadErrors = 100
	maxReadPause  = 50 * time.Millisecond
)

// longTrain is the number of bytes of a train after which the receive goroutine yields its processor. While
// input keeps coming, it does not block, and Go's scheduler would let it run for 10 ms; the goroutines that it
// has woken, of every connection, would wait for that long. PingBesideBulk of bench/ shows it.
const longTrain = 4 << 10

// A socketReader reads a socket until it is closed: the Endpoint's, or that of a path.
type socketReader struct {
	ep   *Endpoint
	sock *udp.Conn
	path *Path // nil for the Endpoint's
}

// run serves all connections, so it does not send: see Conn.dispatch and sendQueue.reply.
func (r *socketReader) run() {
	ended := false
	defer func() {
		if !ended {
			// A callback has called runtime.Goexit, as testing.T.FailNow does. Only its datagram is lost.
			go r.run()
			return
		}
		r.ep.running.Done()
	}()
	trains := make([]datagram.Train, r.sock.BatchSize())
	for i := range trains {
		trains[i].Slab = make([]byte, r.sock.SlabSize())
	}
	reply := make([]byte, core.MaxUnknownSize)
	errorsInARow := 0
	for {
		n, err := r.sock.Read(trains)
		if err != nil && r.path == nil {
			r.ep.noteICMP() // the error may come from ICMP, and the message would stay in the receive buffer
		}
		switch class := udp.Classify(err); class {
		case udp.ClassNone:
			errorsInARow = 0
		case udp.ClassClosed:
			r.fail(err)
			ended = true
			return
		case udp.ClassRefused, udp.ClassTooLarge:
		default:
			if errorsInARow++; errorsInARow == maxReadErrors {
				r.fail(err)
				ended = true
				return
			}
			time.Sleep(min(time.Duration(errorsInARow-1)*time.Millisecond, maxReadPause))
		}
		for i := range trains[:n] {
			long := len(trains[i].Data) > longTrain
			r.receive(&trains[i], reply)
			if long {
				runtime.Gosched()
			}
		}
	}
}

// fail handles the end of the socket. A path that cannot be read is not answered any more, and its validation fails.
func (r *socketReader) fail(err error) {
	if r.path == nil {
		r.ep.fail(err)
	}
}

// receive handles a train. The socket of a path serves connections that exist. What belongs to none is dropped: an answer
// would come from the Endpoint's socket, and show that both addresses are one client's.
func (r *socketReader) receive(t *datagram.Train, reply []byte) {
	if r.path == nil {
		r.ep.receive(t, reply)
		return
	}
	for len(t.Data) > 0 {
		if r.ep.receiveEstablished(t) {
			continue
		}
		if c := r.ep.findReset(t.Path, t.Next()); c != nil {
			c.handleStatelessReset(r.ep.clock.now())
		}
	}
}

// receive routes a train, run by run, and passes each connection its part.
func (e *Endpoint) receive(t *datagram.Train, reply []byte) {
	for len(t.Data) > 0 {
		if e.receiveEstablished(t) || e.takeNonQUIC(t) || len(e.loops) > 1 && e.forward(t) {
			continue
		}
		e.route(t, e.validation(t), reply)
	}
}

// route removes a run of datagrams with one destination from the front of t and passes it on.
func (e *Endpoint) route(t *datagram.Train, v core.Validation, reply []byte) {
	now, data := e.clock.now(), t.Data
	e.mu.Lock()
	r := e.core.Receive(now, t, v, reply)
	c := e.conns[r.Conn]
	if len(t.Data) == 0 || r.Kind != core.RouteDrop {
		e.setTimer() // set once for both halves of a ClientHello
	}
	e.mu.Unlock()
	switch r.Kind {
	case core.RouteConn:
		if c != nil {
			c.handleTrain(now, r.Train)
		}
	case core.RouteReset:
		if c != nil {
			c.handleStatelessReset(now)
		}
	case core.RouteReply:
		if !r.MaybeReset || !e.resetElsewhere(t, data) {
			e.sends.reply(r.Reply)
		}
	case core.RouteAdmit:
		e.admit(r.Incoming, reply)
	case core.RouteDrop:
		if r.MaybeReset {
			e.resetElsewhere(t, data)
		}
	}
}

// admit makes a connection from a complete ClientHello, or refuses it.
func (e *Endpoint) admit(in *core.Incoming, reply []byte) {
	a, err := e.admission(in)
	if err == nil {
		err = e.accept(a, in)
	}
	if err == nil {
		return
	}
	if !errors.Is(err, errRefused) && !errors.Is(err, errBusy) {
		e.log.Debug("quic: client refused", "remote", in.Path.Remote, "err", err)
	}
	code, reason := ConnectionRefused, ""
	var panicked *tlsprovider.PanicError
	var refused *RefusedError
	switch {
	case errors.As(err, &panicked):
		code = InternalError
	case errors.As(err, &refused):
		reason = refused.Reason
	}
	e.mu.Lock()
	now := e.clock.now()
	if errors.Is(err, ErrIgnore) {
		e.core.Ignore(now, in)
		e.setTimer()
		e.mu.Unlock()
		e.counters.ignored.Add(1)
		return
	}
	if errors.Is(err, errBusy) && e.core.Postpone(now, in) {
		e.setTimer()
		e.mu.Unlock()
		e.counters.postponed.Add(1)
		return
	}
	tx, ok := e.core.Refuse(now, in, uint64(code), reason, reply)
	e.setTimer()
	e.mu.Unlock()
	e.counters.refused.Add(1)
	if ok {
		e.sends.reply(tx)
	}
}

// errRefused and errBusy are ordinary under load and are not logged.
var (
	errRefused = errors.New("quic: refused")
	errBusy    = errors.New("quic: too many handshakes wait for TLS")
)

// admitPostponed admits clients that have waited for the TLS pool while it has room. It is called by the
// timer goroutine.
func (e *Endpoint) admitPostponed() {
	for !e.pool.full() {
		e.mu.Lock()
		in := e.core.NextPostponed(e.clock.now())
		e.mu.Unlock()
		if in == nil {
			return
		}
		e.admit(in, make([]byte, core.MaxUnknownSize)) // this is rare
	}
}

// admission decides whether to admit a client before any TLS work.
func (e *Endpoint) admission(in *core.Incoming) (a admitted, err error) {
	l, isFull := e.listener.Load(), e.numConns.Load() >= int64(e.cfg.MaxConns)
	switch {
	case isFull:
		e.counters.tooMany.Add(1)
		return a, errRefused
	case l == nil:
		return a, errRefused
	case l.full():
		e.counters.backlogFull.Add(1)
		e.logFault(faultBacklog, slog.LevelWarn, "quic: clients are refused because connections wait for Listener.Accept",
			"backlog", e.cfg.AcceptBacklog)
		return a, errRefused
	case e.pool.full():
		return a, errBusy
	}
	a, ok := e.current()
	if !ok {
		return a, errRefused
	}
	return e.consult(in, a)
}

// accept starts a connection. It is delivered to the Listener when its handshake is complete, or earlier if it can be
// used earlier.
func (e *Endpoint) accept(a admitted, in *core.Incoming) error {
	ctx, err := e.connContext(in)
	if err != nil {
		a.tls.Close()
		return err
	}
	k, err := core.NewServerConn(e.clock.now(), a.cc, in)
	if err != nil {
		a.tls.Close()
		return err
	}
	c := newConn(ctx, e, k, a.cfg, true)
	c.tls = a.tls
	c.notify(ConnBegun)
	if e.add(c, in) != nil {
		c.discard()
		return errRefused
	}
	c.quickTLS = e.cfg.GetTLSConfig == nil && e.cfg.AcceptEarlyData == nil && isQuick(a.cfg.TLS, tlsprovider.Server)
	c.mu.Lock()
	c.advance(e.clock.now())
	return nil
}
