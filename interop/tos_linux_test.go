package interop

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
)

// hasTOS reports whether the relay passes on the ECN fields of datagrams.
const hasTOS = true

// receiveTOS asks for the field of IPv4 that contains the ECN bits.
func receiveTOS(c *net.UDPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_RECVTOS, 1)
	}); err != nil {
		return err
	}
	return failed
}

// ecnField returns the ECN field of a received datagram.
func ecnField(oob []byte) byte {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return 0
	}
	for _, m := range messages {
		if m.Header.Level == syscall.IPPROTO_IP && m.Header.Type == syscall.IP_TOS && len(m.Data) > 0 {
			return m.Data[0] & 3
		}
	}
	return 0
}

// writeMarked sends a datagram with an ECN field. The network may lose it.
func writeMarked(c *net.UDPConn, b []byte, field byte, to netip.AddrPort) {
	oob := make([]byte, syscall.CmsgSpace(4))
	header := oob[:syscall.CmsgLen(0)]
	// The length has the size of a pointer, the level and the type have 32 bits.
	if size := len(header) - 8; size == 8 {
		binary.NativeEndian.PutUint64(header, uint64(syscall.CmsgLen(4)))
	} else {
		binary.NativeEndian.PutUint32(header, uint32(syscall.CmsgLen(4)))
	}
	binary.NativeEndian.PutUint32(header[len(header)-8:], syscall.IPPROTO_IP)
	binary.NativeEndian.PutUint32(header[len(header)-4:], syscall.IP_TOS)
	binary.NativeEndian.PutUint32(oob[len(header):], uint32(field))
	_, _, _ = c.WriteMsgUDPAddrPort(b, oob, to)
}
