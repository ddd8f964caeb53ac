package udp

import (
	"os"

	"golang.org/x/sys/unix"
)

// groSlab is the size of the longest train that the kernel returns.
const groSlab = 64 << 10

// enableGRO enables the receiving of trains (UDP_GRO, Linux 5.0): one system call returns datagrams of the
// same length that arrived one after another with the same addresses and codepoint. A control message
// contains their length. Without UDP_GRO, each read returns one datagram.
func enableGRO(fd int) bool {
	return os.Getenv(disableGRO) == "" && unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1) == nil
}
