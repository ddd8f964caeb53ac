//go:build !windows

package udp

import "syscall"

var (
	errsWouldBlock = []error{syscall.EAGAIN}
	errsTooLarge   = []error{syscall.EMSGSIZE}
	errsRefused    = []error{
		syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ECONNRESET,
		// What the rarer ICMP messages become. Linux adds ENONET.
		syscall.EACCES, syscall.EHOSTDOWN, syscall.ENOPROTOOPT, syscall.EOPNOTSUPP, syscall.EPROTO,
	}
	errsNoBuffers = []error{syscall.ENOBUFS, syscall.ENOMEM}
	errsClosed    = []error{syscall.EBADF, syscall.ENOTSOCK}
)
