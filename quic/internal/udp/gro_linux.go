package udp

import (
	"os"

	"golang.org/x/sys/unix"
)

// groSlab holds the longest train that the kernel returns.
const groSlab = 64 << 10

// enableGRO asks for trains (UDP_GRO, Linux 5.0): datagrams of one length that arrived one after another
// with the same addresses and codepoint come in one system call, with their length in a control message.
// Without it, each read returns one datagram.
func enableGRO(fd int) bool {
	return os.Getenv(disableGRO) == "" && unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1) == nil
}
