//go:build !linux

package udp

import (
	"net"
	"net/netip"

	"github.com/pqquic/pqquic/quic/internal/datagram"
)

// osConn is empty where the standard library's socket is all there is.
type osConn struct{}

func (*osConn) init(*net.UDPConn, netip.AddrPort) error { return nil }

func (*osConn) read(uc *net.UDPConn, t *datagram.Train) (int, error) {
	n, addr, err := uc.ReadFromUDPAddrPort(t.Slab)
	t.Path.Remote = unmap(addr)
	return n, err
}

func (o *osConn) write(uc *net.UDPConn, tx *datagram.Transmit) error { return writeMsg(uc, tx, o) }

// ReportErrors does nothing: only Linux reports ICMP messages on a socket that is not connected.
func (c *Conn) ReportErrors() {}

// NextError finds nothing.
func (c *Conn) NextError([]byte) (ICMPError, bool) { return ICMPError{}, false }

// writeMsg lets the runtime's poller wait for room.
func writeMsg(uc *net.UDPConn, tx *datagram.Transmit, _ *osConn) error {
	var first error
	for len(tx.Data) > 0 {
		if _, err := uc.WriteToUDPAddrPort(tx.First(), tx.Path.Remote); err != nil && first == nil {
			first = err
		}
		tx.Advance()
	}
	return first
}
