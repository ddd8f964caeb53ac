package quic

import (
	"context"
	"errors"
	"fmt"

	"github.com/pqquic/pqquic/quic/internal/core"
)

// Datagrams
//
// A datagram (RFC 9221) arrives whole or not at all, and datagrams may arrive in another order. They are subject to
// congestion control, so they wait in a queue if the network is slow. docs/datagrams.md lists everything that can
// drop one, and the counter of each.

var (
	// ErrDatagramsUnsupported is returned by calls that send a datagram if the peer accepts none: its
	// Config.MaxDatagramFrameSize, or that of another implementation, is 0.
	ErrDatagramsUnsupported = errors.New("quic: the peer does not accept datagrams")
	// ErrDatagramQueueFull is returned by Conn.SendDatagram if Config.DatagramSendQueue datagrams wait to be sent,
	// or if Config.MaxSendMemory has no room.
	ErrDatagramQueueFull = errors.New("quic: the queue of datagrams to send is full")
)

// A DatagramTooLargeError is the error of sending a datagram that is larger than Conn.MaxDatagramSize.
type DatagramTooLargeError struct {
	Size int // of the datagram
	Max  int // the largest possible size when the call was made
}

func (e *DatagramTooLargeError) Error() string {
	return fmt.Sprintf("quic: the datagram has %d bytes; the largest that can be sent now has %d", e.Size, e.Max)
}

// connDatagrams contains the goroutines that wait for datagrams. A Conn's mu guards it.
type connDatagrams struct {
	receiving, sending waitList
}

// MaxDatagramSize returns the size in bytes of the largest datagram that can be sent now. It is 0 if the peer
// accepts no datagrams, before the handshake is complete, and when the connection has ended. The size grows when
// the path turns out to carry larger packets (see Config.DisablePathMTUDiscovery), and shrinks if it no longer does.
func (c *Conn) MaxDatagramSize() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isUp {
		return 0
	}
	return c.core.MaxDatagram()
}

// SendDatagram queues a copy of p to be sent as one datagram. It does not block. The error is a
// *DatagramTooLargeError if p is larger than MaxDatagramSize, ErrDatagramQueueFull, ErrDatagramsUnsupported,
// ErrHandshake, or the connection's error. Without an error, the datagram is sent unless the connection ends before
// or the path's MTU shrinks below its size (ConnStats.Datagrams.SendTooLarge). Whether it arrives is not known.
func (c *Conn) SendDatagram(p []byte) error {
	c.mu.Lock()
	err := c.sendDatagram(p)
	c.leave()
	return err
}

// SendDatagramWait is like SendDatagram but waits while the queue is full. If ctx ends first, it returns an error
// that wraps ErrDatagramQueueFull and the cause of ctx.
func (c *Conn) SendDatagramWait(ctx context.Context, p []byte) error {
	for {
		c.mu.Lock()
		err := c.sendDatagram(p)
		if err != ErrDatagramQueueFull {
			c.leave()
			return err
		}
		list := &c.waitingDatagrams().sending
		w := list.enter()
		c.leave()
		if err := w.sleep(ctx); err != nil {
			c.mu.Lock()
			list.leave(w)
			c.mu.Unlock()
			return fmt.Errorf("%w: %w", ErrDatagramQueueFull, err)
		}
	}
}

// sendDatagram queues a datagram. mu is held.
func (c *Conn) sendDatagram(p []byte) error {
	switch {
	case c.over:
		return c.err
	case c.closing:
		return errClosing
	}
	err := c.core.SendDatagram(c.ep.clock.now(), p)
	var tooLarge *core.DatagramTooLargeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &tooLarge):
		return &DatagramTooLargeError{Size: tooLarge.Size, Max: tooLarge.Max}
	case errors.Is(err, core.ErrDatagramQueueFull):
		return ErrDatagramQueueFull
	case errors.Is(err, core.ErrDatagramsUnsupported):
		return ErrDatagramsUnsupported
	}
	return endError(err)
}

// ReceiveDatagram returns the next datagram from the peer, and waits for one if none has arrived. The caller owns
// the result. Datagrams that arrived before the peer closed the connection can still be received.
//
// At most Config.DatagramReceiveQueue datagrams wait for ReceiveDatagram. When one more arrives, the oldest is
// dropped.
func (c *Conn) ReceiveDatagram(ctx context.Context) ([]byte, error) {
	for {
		c.mu.Lock()
		if p, ok := c.core.ReceiveDatagram(); ok {
			c.mu.Unlock()
			return p, nil
		}
		if c.over {
			err := c.err
			c.mu.Unlock()
			return nil, err
		}
		list := &c.waitingDatagrams().receiving
		w := list.enter()
		c.mu.Unlock()
		if err := w.sleep(ctx); err != nil {
			c.mu.Lock()
			list.leave(w)
			c.mu.Unlock()
			return nil, err
		}
	}
}

// waitingDatagrams returns the goroutines that wait for datagrams. mu is held.
func (c *Conn) waitingDatagrams() *connDatagrams {
	if c.datagrams == nil {
		c.datagrams = new(connDatagrams)
	}
	return c.datagrams
}

// wakeDatagrams adds the goroutines that wait for a core event about datagrams to w. mu is held.
func (c *Conn) wakeDatagrams(kind core.EventKind, w *wakeSet) {
	switch {
	case c.datagrams == nil:
	case kind == core.EventDatagram:
		c.datagrams.receiving.addAll(w)
	default:
		c.datagrams.sending.addAll(w)
	}
}
