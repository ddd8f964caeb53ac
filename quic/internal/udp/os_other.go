//go:build !linux

package udp

import (
	"log/slog"
	"net"
	"net/netip"

	"github.com/pqquic/pqquic/quic/internal/datagram"
)

// osConn is empty where the standard library's socket has all that is supported.
type osConn struct{ udp *net.UDPConn }

func (o *osConn) init(uc *net.UDPConn, _ netip.AddrPort, _ *slog.Logger) error {
	o.udp = uc
	return nil
}

func (*osConn) slabSize() int    { return slabSize }
func (*osConn) maxSegments() int { return 1 }

// dontFragment returns false: datagrams larger than every path carries are not sent on these systems.
func (*osConn) dontFragment() bool { return false }

func (*osConn) reportsLocalAddr() bool { return false }

func (o *osConn) read(t *datagram.Train) (int, error) {
	n, addr, err := o.udp.ReadFromUDPAddrPort(t.Slab)
	t.Path.Remote = unmap(addr)
	return n, err
}

func (o *osConn) write(tx *datagram.Transmit) error { return o.writeWait(tx) }

// ReportErrors does nothing, because only Linux reports ICMP messages on unconnected sockets.
func (c *Conn) ReportErrors(func()) {}

// NextError always reports that there is no message.
func (c *Conn) NextError([]byte) (ICMPError, bool) { return ICMPError{}, false }

// writeWait sends a Transmit. If the send buffer is full, the runtime's poller waits for room.
func (o *osConn) writeWait(tx *datagram.Transmit) error {
	var first error
	for len(tx.Data) > 0 {
		if _, err := o.udp.WriteToUDPAddrPort(tx.First(), tx.Path.Remote); err != nil && first == nil {
			first = err
		}
		tx.Advance()
	}
	return first
}
