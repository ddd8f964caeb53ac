//go:build linux

package link

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Link connects two network namespaces.
type Link struct {
	ends [2]*End
	wait sync.WaitGroup
}

// An End is one of the two network namespaces of a link.
type End struct {
	addr      netip.Addr
	namespace *os.File
	device    *os.File
	mu        sync.Mutex
	shaper    *shaper // of packets that leave here; guarded by mu
	closed    bool    // guarded by mu
	err       error   // that ended the forwarding; guarded by mu
}

// New creates two network namespaces and a link between them, which works until Close.
func New(c Config) (*Link, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	l := new(Link)
	for i, addr := range []string{"10.0.0.1/24", "10.0.0.2/24"} {
		e, err := newEnd(netip.MustParsePrefix(addr), newShaper(c, uint64(i)))
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		l.ends[i] = e
	}
	for i, e := range l.ends {
		l.wait.Go(func() { e.forward(l.ends[1-i].device) })
	}
	return l, nil
}

func newEnd(addr netip.Prefix, s *shaper) (*End, error) {
	e := &End{addr: addr.Addr(), shaper: s}
	var err error
	e.namespace, err = newNamespace(func() (err error) {
		e.device, err = openTUN(addr, s.MTU)
		return err
	})
	return e, err
}

// Ends returns the two ends.
func (l *Link) Ends() (a, b *End) { return l.ends[0], l.ends[1] }

// Close removes the devices, and the namespaces as soon as no process and no socket is in them. It returns the error
// that ended the forwarding before, if there was one.
func (l *Link) Close() (err error) {
	for _, e := range l.ends {
		if e != nil {
			e.mu.Lock()
			e.closed = true
			e.mu.Unlock()
		}
	}
	for _, e := range l.ends {
		if e != nil {
			err = errors.Join(err, e.device.Close(), e.namespace.Close())
		}
	}
	l.wait.Wait()
	for _, e := range l.ends {
		if e != nil {
			err = errors.Join(err, e.err)
		}
	}
	return err
}

// Reseed makes both directions lose from now on the packets that a seed selects, as a new link does.
func (l *Link) Reseed(seed uint64) {
	for _, e := range l.ends {
		e.mu.Lock()
		e.shaper.reseed(seed)
		e.mu.Unlock()
	}
}

// Addr returns the address of this end.
func (e *End) Addr() netip.Addr { return e.addr }

// Do calls f on a thread in the namespace of this end. Sockets that f opens, and processes that it starts, are there.
func (e *End) Do(f func() error) error {
	return onThread(func() error { return unix.Setns(int(e.namespace.Fd()), unix.CLONE_NEWNET) }, f)
}

// Counts returns what happened to the packets that left this end.
func (e *End) Counts() Counts {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.shaper.Counts
}

// forward carries packets to a device until one of the devices is closed.
func (e *End) forward(to *os.File) {
	err := e.carry(to)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.err = fmt.Errorf("the link from %v: %w", e.addr, err)
	}
}

// carry waits in Read only, until the next packet is due, so that one goroutine does for a direction.
func (e *End) carry(to *os.File) error {
	buf := make([]byte, e.shaper.MTU)
	for {
		if err := e.deliver(to); err != nil {
			return err
		}
		n, err := e.device.Read(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
		case err != nil:
			return err
		case n > 0 && buf[0]>>4 == 4: // the kernel also sends IPv6 router solicitations
			packet := append([]byte(nil), buf[:n]...)
			e.mu.Lock()
			e.shaper.add(time.Now(), packet)
			e.mu.Unlock()
		}
	}
}

// deliver writes the packets that have arrived, and makes Read return when the next one does.
func (e *End) deliver(to *os.File) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	for packet := e.shaper.take(now); packet != nil; packet = e.shaper.take(now) {
		if _, err := to.Write(packet); err != nil {
			return err
		}
	}
	next, _ := e.shaper.next() // the zero time means no deadline
	return e.device.SetReadDeadline(next)
}
