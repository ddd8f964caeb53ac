package udp

import (
	"syscall"

	"golang.org/x/sys/windows"
)

var (
	errsWouldBlock = []error{windows.WSAEWOULDBLOCK, syscall.EAGAIN}
	errsTooLarge   = []error{windows.WSAEMSGSIZE}
	errsRefused    = []error{
		windows.WSAECONNRESET, windows.WSAECONNREFUSED, windows.WSAEHOSTUNREACH,
		windows.WSAENETUNREACH, windows.WSAENETRESET,
	}
	errsNoBuffers = []error{windows.WSAENOBUFS}
	errsClosed    = []error{windows.WSAENOTSOCK}
)
