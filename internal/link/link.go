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
	index     int
	addr      netip.Addr
	addr6     netip.Addr // the zero Addr if the kernel has no IPv6
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
	for i := range l.ends {
		e, err := newEnd(i, newShaper(c, uint64(i)))
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

func newEnd(i int, s *shaper) (*End, error) {
	addr := netip.MustParsePrefix([]string{"10.0.0.1/24", "10.0.0.2/24"}[i])
	addr6 := netip.MustParsePrefix([]string{"fd00::1/64", "fd00::2/64"}[i])
	e := &End{index: i, addr: addr.Addr(), shaper: s}
	var err error
	e.namespace, err = newNamespace(func() (err error) {
		if err := enableLoopback(); err != nil {
			return err
		}
		e.device, err = openTUN(addr, s.MTU)
		if err == nil && addIPv6(addr6) == nil {
			e.addr6 = addr6.Addr()
		}
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

// Addr returns the IPv4 address of this end.
func (e *End) Addr() netip.Addr { return e.addr }

// Addr6 returns the IPv6 address of this end. It is the zero Addr if the kernel has no IPv6.
func (e *End) Addr6() netip.Addr { return e.addr6 }

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
		case unicast(buf[:n]):
			packet, now := append([]byte(nil), buf[:n]...), time.Now()
			if e.shaper.Sent != nil {
				e.shaper.Sent(e.index, now, packet)
			}
			e.mu.Lock()
			e.shaper.add(now, packet)
			e.mu.Unlock()
		}
	}
}

// unicast reports whether an IP packet is for one host. The kernel also sends multicasts, to find routers.
func unicast(packet []byte) bool {
	const ipv6DestinationAt = 24
	if len(packet) == 0 || packet[0]>>4 != 6 {
		return len(packet) > 0 && packet[0]>>4 == 4
	}
	return len(packet) > ipv6DestinationAt && packet[ipv6DestinationAt] != 0xff
}

// deliver writes the packets that have arrived, and makes Read return when the next one does.
func (e *End) deliver(to *os.File) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	for packet := e.shaper.take(now); packet != nil; packet = e.shaper.take(now) {
		if e.shaper.Arrived != nil && !e.shaper.Arrived(e.index, now, packet) {
			continue
		}
		if _, err := to.Write(packet); err != nil {
			return err
		}
	}
	next, _ := e.shaper.next() // the zero time means no deadline
	return e.device.SetReadDeadline(next)
}
