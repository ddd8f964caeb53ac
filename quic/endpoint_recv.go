package quic

import (
	"errors"
	"time"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/udp"
)

// maxReadErrors is the number of failed reads in a row after which a socket counts as broken. Errors
// that come in from the network (ICMP) do not count. A kernel that is short of memory is given some
// seconds: after each failure in a row the pause is a millisecond longer, up to maxReadPause.
const (
	maxReadErrors = 100
	maxReadPause  = 50 * time.Millisecond
)

// receiveLoop reads until the socket is closed.
func (e *Endpoint) receiveLoop() {
	defer e.loops.Done()
	trains := make([]udp.Train, e.sock.BatchSize())
	for i := range trains {
		trains[i].Slab = make([]byte, e.sock.SlabSize())
	}
	reply := make([]byte, core.MaxDatagramSize)
	errorsInARow := 0
	for {
		n, err := e.sock.Read(trains)
		switch class := udp.Classify(err); class {
		case udp.ClassNone:
			errorsInARow = 0
		case udp.ClassClosed:
			e.fail(err)
			return
		case udp.ClassRefused, udp.ClassTooLarge:
		default:
			if errorsInARow++; errorsInARow == maxReadErrors {
				e.fail(err)
				return
			}
			time.Sleep(min(time.Duration(errorsInARow-1)*time.Millisecond, maxReadPause))
		}
		for i := range trains[:n] {
			e.receive(&trains[i], reply)
		}
	}
}

// receive routes a train, run by run, and lets each connection have its part.
func (e *Endpoint) receive(t *udp.Train, reply []byte) {
	train := core.Train{
		Path: core.Path(t.Path), ECN: core.ECN(t.ECN), Data: t.Data, SegmentSize: t.SegmentSize,
	}
	for len(train.Data) > 0 {
		now := e.clock.now()
		e.wantRetry = e.asksRetry(&train)
		e.mu.Lock()
		r := e.core.Receive(now, &train, reply)
		c := e.conns[r.Conn]
		e.setTimer()
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
			e.send(r.Reply)
		case core.RouteAdmit:
			e.admit(r.Incoming, reply)
		}
	}
}

// asksRetry asks the user's function, without a lock, about what may be the first packet of a client.
func (e *Endpoint) asksRetry(t *core.Train) bool {
	const longInitial, mask = 0x80, 0xb0 // RFC 9000, 17.2.2
	return e.cfg.RequireAddressValidation != nil && t.Data[0]&mask == longInitial &&
		e.cfg.RequireAddressValidation(t.Path.Remote)
}

// send sends a datagram of no connection. It is lost when the socket is full: its receiver asks again.
func (e *Endpoint) send(tx core.Transmit) {
	_ = e.sock.Write(&udp.Transmit{
		Data: tx.Data, SegmentSize: tx.SegmentSize, Path: udp.Path(tx.Path), ECN: udp.ECN(tx.ECN),
	})
}

// admit makes a connection of a complete ClientHello, or refuses it.
func (e *Endpoint) admit(in *core.Incoming, reply []byte) {
	cc, err := e.admission(in)
	if err == nil {
		err = e.accept(cc, in)
	}
	if err == nil {
		return
	}
	if !errors.Is(err, errRefused) {
		e.log.Debug("quic: client refused", "remote", in.Path.Remote, "err", err)
	}
	e.mu.Lock()
	tx, ok := e.core.Refuse(e.clock.now(), in, uint64(ConnectionRefused), reply)
	e.mu.Unlock()
	if errors.Is(err, ErrIgnore) {
		e.counters.ignored.Add(1)
		return
	}
	e.counters.refused.Add(1)
	if ok {
		e.send(tx)
	}
}

// errRefused is the reason of refusals that are ordinary under load.
var errRefused = errors.New("quic: refused")

// admission decides about a client before any TLS work.
func (e *Endpoint) admission(in *core.Incoming) (*core.Config, error) {
	e.mu.Lock()
	l, cc := e.listener, e.serverC
	e.mu.Unlock()
	switch {
	case l == nil, l.full():
		return nil, errRefused
	case e.pool.full():
		// The answer would cost what there is too little of; the client tries again.
		return nil, ErrIgnore
	case e.cfg.Accept == nil:
		return cc, nil
	}
	return cc, e.cfg.Accept(ClientInfo{
		RemoteAddr: in.Path.Remote, LocalAddr: in.Path.Local, AddrValidated: in.Validated,
		Version: Version(in.Version),
	})
}

// accept starts a connection. It reaches the Listener when its handshake is complete.
func (e *Endpoint) accept(cc *core.Config, in *core.Incoming) error {
	k, err := core.NewServerConn(e.clock.now(), cc, in)
	if err != nil {
		return err
	}
	c := newConn(e, k, e.cfg, true)
	if !e.add(c, in) {
		c.discard()
		return errRefused
	}
	c.mu.Lock()
	c.drive()
	return nil
}
