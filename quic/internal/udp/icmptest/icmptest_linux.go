// Package icmptest forges ICMP messages for tests.
package icmptest

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// Destination is the address whose path MTU tests change. The kernel remembers the MTU for ten minutes, which would
// disturb other programs that use 127.0.0.1.
const Destination = "127.0.0.77"

// SendTooBig sends the IPv4 message "fragmentation needed" to from. It is about a datagram from one address to another
// that begins with payload. SendTooBig skips the test if the process does not have CAP_NET_RAW.
func SendTooBig(t testing.TB, from, to netip.AddrPort, mtu uint16, payload []byte) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
	if err != nil {
		t.Skipf("needs CAP_NET_RAW: %v", err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, tooBig(from, to, mtu, payload), 0, &unix.SockaddrInet4{Addr: from.Addr().As4()}); err != nil {
		t.Fatalf("sending an ICMP message to %s: %v", from.Addr(), err)
	}
}

// tooBig returns the message: RFC 1191, section 4.
func tooBig(from, to netip.AddrPort, mtu uint16, payload []byte) []byte {
	b := []byte{3, 4, 0, 0, 0, 0, byte(mtu >> 8), byte(mtu)}
	b = append(b, 0x45, 0, 0x23, 0x28, 0, 0, 0x40, 0, 64, unix.IPPROTO_UDP, 0, 0)
	b = append(append(b, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, from.Port()), to.Port())
	b = append(append(b, 0x23, 0x14, 0, 0), payload...)
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(b[2:], ^uint16(sum>>16+sum))
	return b
}
