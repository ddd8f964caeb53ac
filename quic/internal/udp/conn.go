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

// socketBuffer is the size of the buffer that is requested for each direction. The system may grant less
// (net.core.rmem_max). 4 MB last 30 ms at 1 Gbit/s.
const socketBuffer = 4 << 20

// slabSize is enough for every datagram on a path of 9000 bytes. Larger ones are dropped.
const slabSize = 9000

// The environment variables that disable segmentation offload, for sending and for receiving, and reading the ECN
// field of what arrives, if they are not empty. They help to find out whether one of these causes a problem.
const (
	disableGSO = "PQQUIC_DISABLE_GSO"
	disableGRO = "PQQUIC_DISABLE_GRO"
	disableECN = "PQQUIC_DISABLE_ECN"
)

// A Conn is a socket. The methods Write and WriteWait are safe for concurrent use.
type Conn struct {
	pc    net.PacketConn
	udp   *net.UDPConn // nil if pc is of another type
	local netip.AddrPort
	os    osConn
}

// New returns a Conn that uses the socket pc, which Close closes. For a *net.UDPConn, New requests larger
// buffers, forbids fragmentation, and enables reporting of local addresses and ECN, and segmentation
// offload, as far as the system supports these. It is not an error if the system does not. What costs
// throughput is logged once for the socket. New fails for a connected *net.UDPConn.
func New(pc net.PacketConn, log *slog.Logger) (*Conn, error) {
	if uc, ok := pc.(*net.UDPConn); pc == nil || ok && uc == nil {
		return nil, errors.New("udp: no socket: the net.PacketConn is nil")
	}
	c := &Conn{pc: pc}
	local, err := AddrPort(pc.LocalAddr())
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

// LocalAddr returns the address that the socket is bound to, which may be unspecified.
func (c *Conn) LocalAddr() netip.AddrPort { return c.local }

// Close closes the socket. A waiting Read or WriteWait returns an error of ClassClosed.
func (c *Conn) Close() error { return c.pc.Close() }

// BatchSize returns the number of trains that one Read can fill.
func (c *Conn) BatchSize() int { return 1 }

// SlabSize returns the minimum length of a Train's Slab.
func (c *Conn) SlabSize() int { return c.os.slabSize() }

// DontFragment reports whether neither this host nor a router fragments the socket's datagrams, so that those
// that are too large for the path are lost.
func (c *Conn) DontFragment() bool { return c.udp != nil && c.os.dontFragment() }

// ReportsLocalAddr reports whether trains have the local address to which they were sent, and a Transmit is sent from its
// local address, if the socket is bound to all addresses of the host.
func (c *Conn) ReportsLocalAddr() bool { return c.udp != nil && c.os.reportsLocalAddr() }

// MaxSegments returns the maximum number of datagrams that one system call sends. A longer Transmit is
// split.
func (c *Conn) MaxSegments() int { return c.os.maxSegments() }

// Read waits for datagrams, fills trains from the front, and returns how many it filled. It can be called
// again after an error of any class but ClassClosed.
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

// readOne reads a train. It returns false if the train is empty or truncated.
func (c *Conn) readOne(t *datagram.Train) (bool, error) {
	t.Path, t.ECN, t.SegmentSize = datagram.Path{Local: c.local}, 0, 0
	var n int
	var err error
	if c.udp != nil {
		n, err = c.os.read(t)
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
	// A sender whose address is unknown cannot be answered, so its datagrams are dropped.
	t.Path.Remote, _ = AddrPort(addr)
	return n, nil
}

// Write sends the datagrams of tx and advances tx past those that it has handled. A datagram that the
// system refuses is lost. Write continues with the next one and returns the first such error. If the send
// buffer is full, Write stops and returns ErrWouldBlock; tx is then the rest.
func (c *Conn) Write(tx *datagram.Transmit) error {
	if c.udp == nil {
		return c.writeTo(tx, false)
	}
	return c.os.write(tx)
}

// WriteWait is like Write, but waits while the send buffer is full.
func (c *Conn) WriteWait(tx *datagram.Transmit) error {
	if c.udp == nil {
		return c.writeTo(tx, true)
	}
	return c.os.writeWait(tx)
}

// writeTo sends on sockets that are not a *net.UDPConn. Most of them block. One that does not may return an
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
			// A net.PacketConn cannot report when there is room again.
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

// retryWrite is how long WriteWait sleeps between attempts if it cannot wait for room in the send buffer.
const retryWrite = time.Millisecond

// AddrPort converts an address of a socket. IPv4-mapped addresses become IPv4 addresses.
func AddrPort(a net.Addr) (netip.AddrPort, error) {
	switch a := a.(type) {
	case *net.UDPAddr:
		return unmap(a.AddrPort()), nil
	case nil:
		return netip.AddrPort{}, errors.New("udp: the socket has no address")
	}
	ap, err := netip.ParseAddrPort(a.String())
	return unmap(ap), err
}

// unmap converts IPv4-mapped addresses to IPv4 addresses, so that equal addresses compare equal.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
