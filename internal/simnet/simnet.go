// Package simnet is an in-memory datagram network for tests of packages quic and http3 on the fake clock of
// testing/synctest. Its sockets are net.PacketConns. Datagrams are delivered in order after a latency. They
// are lost if a test drops them or a receiver's queue is full. (Package core has its own simulator with
// virtual time and without goroutines.)
package simnet

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// maxQueue is the maximum number of datagrams that wait for one receiver.
const maxQueue = 4096

// A Net connects sockets. It must be created inside the synctest bubble that uses it.
type Net struct {
	// Latency is the time that a datagram takes.
	Latency time.Duration

	mu    sync.Mutex
	socks map[netip.AddrPort]*Sock
	drop  func(from, to netip.AddrPort, datagram []byte) bool
	full  func(from netip.AddrPort) bool
}

// SetDrop sets the function that reports whether to lose a datagram; nil loses none. It is called with the
// Net's lock held and must not retain the bytes.
func (n *Net) SetDrop(f func(from, to netip.AddrPort, datagram []byte) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop = f
}

// SetFull sets the function that reports whether a socket's send buffer is full, so that WriteTo returns
// EAGAIN; nil means never. It is called with the Net's lock held.
func (n *Net) SetFull(f func(from netip.AddrPort) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.full = f
}

// Listen returns a new socket with the given address.
func (n *Net) Listen(addr string) *Sock {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.socks == nil {
		n.socks = make(map[netip.AddrPort]*Sock)
	}
	s := &Sock{
		net: n, addr: netip.MustParseAddrPort(addr),
		arrived: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	if n.socks[s.addr] != nil {
		panic("simnet: address in use: " + addr)
	}
	n.socks[s.addr] = s
	return s
}

// Open returns the number of open sockets.
func (n *Net) Open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.socks)
}

// A Sock is a net.PacketConn.
type Sock struct {
	net  *Net
	addr netip.AddrPort

	queue   []datagram // guarded by net.mu
	arrived chan struct{}
	closed  chan struct{}
	once    sync.Once
}

type datagram struct {
	from netip.AddrPort
	data []byte
	at   time.Time
}

var errDeadline = errors.New("simnet: no deadlines")

// ReadFrom waits for the next datagram.
func (s *Sock) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		s.net.mu.Lock()
		var next datagram
		if len(s.queue) > 0 {
			next = s.queue[0]
		}
		wait := time.Until(next.at)
		if next.data != nil && wait <= 0 {
			s.queue = s.queue[1:]
		}
		s.net.mu.Unlock()
		switch {
		case next.data == nil:
			select {
			case <-s.arrived:
			case <-s.closed:
				return 0, nil, net.ErrClosed
			}
		case wait > 0:
			select {
			case <-time.After(wait):
			case <-s.closed:
				return 0, nil, net.ErrClosed
			}
		default:
			return copy(p, next.data), net.UDPAddrFromAddrPort(next.from), nil
		}
	}
}

// WriteTo sends a datagram. It is lost if no socket has the address.
func (s *Sock) WriteTo(p []byte, to net.Addr) (int, error) {
	select {
	case <-s.closed:
		return 0, net.ErrClosed
	default:
	}
	dst, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, os.ErrInvalid
	}
	ap := dst.AddrPort()
	ap = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	n := s.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.full != nil && n.full(s.addr) {
		return 0, syscall.EAGAIN
	}
	if n.drop != nil && n.drop(s.addr, ap, p) {
		return len(p), nil
	}
	if peer := n.socks[ap]; peer != nil && len(peer.queue) < maxQueue {
		d := datagram{from: s.addr, data: append([]byte{}, p...), at: time.Now().Add(n.Latency)}
		peer.queue = append(peer.queue, d)
		select {
		case peer.arrived <- struct{}{}:
		default:
		}
	}
	return len(p), nil
}

// Close closes the socket and ends a waiting ReadFrom.
func (s *Sock) Close() error {
	s.once.Do(func() {
		s.net.mu.Lock()
		delete(s.net.socks, s.addr)
		s.net.mu.Unlock()
		close(s.closed)
	})
	return nil
}

// LocalAddr returns the address that was passed to Listen.
func (s *Sock) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(s.addr) }

// SetDeadline is not supported, because package quic does not use it.
func (s *Sock) SetDeadline(time.Time) error { return errDeadline }

// SetReadDeadline is not supported.
func (s *Sock) SetReadDeadline(time.Time) error { return errDeadline }

// SetWriteDeadline is not supported.
func (s *Sock) SetWriteDeadline(time.Time) error { return errDeadline }
