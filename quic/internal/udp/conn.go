package udp

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/pqquic/pqquic/quic/internal/datagram"
)

// socketBuffer is what is asked of the system for each direction. It may grant less
// (net.core.rmem_max); 4 MB are 30 ms of 1 Gbit/s.
const socketBuffer = 4 << 20

// slabSize holds every datagram that QUIC over Ethernet uses. Larger ones are dropped.
const slabSize = 2048

// Environment variables that turn segmentation offload off, for sending and for receiving, if they are
// not empty. They help to find out whether a problem has to do with it.
const (
	disableGSO = "PQQUIC_DISABLE_GSO"
	disableGRO = "PQQUIC_DISABLE_GRO"
)

// Conn is a socket. Its methods Write and WriteWait are safe for concurrent use.
type Conn struct {
	pc    net.PacketConn
	udp   *net.UDPConn // nil when pc is something else
	local netip.AddrPort
	os    osConn
}

// New takes over a socket; Close closes it. For a *net.UDPConn it asks for larger buffers, forbids
// fragmentation, and turns on local addresses, ECN and segmentation offload, as far as the system can.
// What the system lacks is no error; what costs throughput is logged, once for the socket. A connected
// *net.UDPConn is an error.
func New(pc net.PacketConn, log *slog.Logger) (*Conn, error) {
	if uc, ok := pc.(*net.UDPConn); pc == nil || ok && uc == nil {
		return nil, errors.New("udp: no socket: the net.PacketConn is nil")
	}
	c := &Conn{pc: pc}
	local, err := addrPort(pc.LocalAddr())
	if err != nil {
		return nil, fmt.Errorf("udp: local address: %w", err)
	}
	c.local = local
	uc, ok := pc.(*net.UDPConn)
	if !ok {
		return c, nil
	}
	if uc.RemoteAddr() != nil {
		return nil, errors.New("udp: the socket is connected; use net.ListenUDP")
	}
	c.udp = uc
	// Smaller buffers cost throughput, not correctness.
	_ = uc.SetReadBuffer(socketBuffer)
	_ = uc.SetWriteBuffer(socketBuffer)
	if err := c.os.init(uc, local, log); err != nil {
		return nil, fmt.Errorf("udp: %w", err)
	}
	return c, nil
}

// LocalAddr is the address that the socket is bound to, possibly an unspecified one.
func (c *Conn) LocalAddr() netip.AddrPort { return c.local }

// Close closes the socket; a Read or WriteWait that hangs in it returns an error of ClassClosed.
func (c *Conn) Close() error { return c.pc.Close() }

// BatchSize is the number of trains that one Read can fill.
func (c *Conn) BatchSize() int { return 1 }

// SlabSize is the least length of a Train's Slab.
func (c *Conn) SlabSize() int { return c.os.slabSize() }

// MaxSegments is the largest number of datagrams that leave in one system call. A longer Transmit is cut.
func (c *Conn) MaxSegments() int { return c.os.maxSegments() }

// Read waits for datagrams and fills trains from the front. It returns how many. After an error of
// any class but ClassClosed it can be called again.
func (c *Conn) Read(trains []datagram.Train) (int, error) {
	if len(trains) == 0 {
		return 0, nil
	}
	for {
		t := &trains[0]
		ok, err := c.readOne(t)
		if err != nil {
			return 0, err
		}
		if ok {
			return 1, nil
		}
	}
}

// readOne reads a train. It returns false for one that is of no use: empty or truncated.
func (c *Conn) readOne(t *datagram.Train) (bool, error) {
	t.Path, t.ECN, t.SegmentSize = datagram.Path{Local: c.local}, 0, 0
	var n int
	var err error
	if c.udp != nil {
		n, err = c.os.read(c.udp, t)
	} else {
		n, err = c.readFrom(t)
	}
	if err != nil {
		return false, err
	}
	t.Data = t.Slab[:n]
	if t.SegmentSize <= 0 {
		t.SegmentSize = n
	}
	return n > 0 && t.Path.Remote.IsValid(), nil
}

func (c *Conn) readFrom(t *datagram.Train) (int, error) {
	n, addr, err := c.pc.ReadFrom(t.Slab)
	if err != nil {
		return 0, err
	}
	// A sender that cannot be named cannot be answered: its datagrams are dropped.
	t.Path.Remote, _ = addrPort(addr)
	return n, nil
}

// Write sends every datagram of tx and advances tx past those that it dealt with. A datagram that the
// system refuses is lost and the next one is tried; the first such error is returned. When the
// buffer is full, Write stops and returns ErrWouldBlock; tx is then what is left.
func (c *Conn) Write(tx *datagram.Transmit) error {
	if c.udp == nil {
		return c.writeTo(tx, false)
	}
	return c.os.write(tx)
}

// WriteWait is Write, but waits while the buffer is full.
func (c *Conn) WriteWait(tx *datagram.Transmit) error {
	if c.udp == nil {
		return c.writeTo(tx, true)
	}
	return c.os.writeWait(tx)
}

// writeTo is for sockets that are no *net.UDPConn. Most block; one that has no room may say so by an
// error of ClassWouldBlock.
func (c *Conn) writeTo(tx *datagram.Transmit, wait bool) error {
	addr := net.UDPAddrFromAddrPort(tx.Path.Remote)
	var first error
	for len(tx.Data) > 0 {
		_, err := c.pc.WriteTo(tx.First(), addr)
		if Classify(err) == ClassWouldBlock {
			if !wait {
				return ErrWouldBlock
			}
			// A net.PacketConn has no way to tell when there is room again.
			time.Sleep(retryWrite)
			continue
		}
		if err != nil && first == nil {
			first = err
		}
		tx.Advance()
	}
	return first
}

// retryWrite is how long WriteWait waits before it tries again where it cannot wait for room.
const retryWrite = time.Millisecond

// addrPort converts the addresses that sockets give.
func addrPort(a net.Addr) (netip.AddrPort, error) {
	switch a := a.(type) {
	case *net.UDPAddr:
		return unmap(a.AddrPort()), nil
	case nil:
		return netip.AddrPort{}, errors.New("socket without an address")
	}
	ap, err := netip.ParseAddrPort(a.String())
	return unmap(ap), err
}

// unmap gives IPv4 addresses the one form in which they compare equal.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
