package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
)

// ErrWouldBlock means that the socket's send buffer is full. Pass the rest of the Transmit to WriteWait, or
// to Write at a later time.
var ErrWouldBlock = errors.New("udp: the send buffer is full")

// A Class describes what an error of a socket means for its user.
type Class uint8

const (
	// ClassNone is the class of nil.
	ClassNone Class = iota
	// ClassClosed means that the socket is closed.
	ClassClosed
	// ClassWouldBlock means that the operation can be repeated when the socket is writable.
	ClassWouldBlock
	// ClassTooLarge means that the datagram exceeds the size of the path or of the buffer (EMSGSIZE).
	ClassTooLarge
	// ClassRefused means that an ICMP message arrived for an earlier datagram. The socket remains usable.
	// Since anybody can send ICMP messages, connections are not affected either.
	ClassRefused
	// ClassNoBuffers means that the system is short of memory (ENOBUFS, ENOMEM). The datagram is lost.
	ClassNoBuffers
	// ClassOther means that the datagram is lost for another reason, such as a missing route or a filter.
	ClassOther
)

// Classify returns the class of an error from Read, Write or WriteWait.
func Classify(err error) Class {
	switch {
	case err == nil:
		return ClassNone
	case errors.Is(err, ErrWouldBlock), is(err, errsWouldBlock):
		return ClassWouldBlock
	case is(err, errsTooLarge):
		return ClassTooLarge
	case is(err, errsRefused):
		return ClassRefused
	case is(err, errsNoBuffers):
		return ClassNoBuffers
	case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrClosed), is(err, errsClosed):
		return ClassClosed
	}
	return ClassOther
}

// An ICMPError is an ICMP message about a datagram that the socket sent.
type ICMPError struct {
	Remote netip.AddrPort // the destination of the datagram
	Err    error          // a syscall.Errno
	// Payload is the largest UDP payload that a router forwards to Remote, if the message says that the
	// datagram was too large and reports the size, and 0 otherwise.
	Payload int
	// Quoted is the beginning of the datagram, as far as the message quotes it. Anyone can send an ICMP
	// message, but only someone who saw the datagram can quote it.
	Quoted []byte
}

func is(err error, targets []error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}
