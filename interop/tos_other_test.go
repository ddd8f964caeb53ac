//go:build !linux

package interop

import (
	"net"
	"net/netip"
)

// hasTOS reports whether the relay passes on the ECN fields of datagrams.
const hasTOS = false

func receiveTOS(*net.UDPConn) error { return nil }

func ecnField([]byte) byte { return 0 }

func writeMarked(c *net.UDPConn, b []byte, _ byte, to netip.AddrPort) {
	_, _ = c.WriteToUDPAddrPort(b, to)
}
