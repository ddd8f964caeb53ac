package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
)

// ErrWouldBlock means that the socket's send buffer is full. Give what is left of the Transmit to
// WriteWait, or to Write later.
var ErrWouldBlock = errors.New("udp: send buffer full")

// Class says what an error of a socket means for those who use it.
type Class uint8

const (
	// ClassNone is the class of nil.
	ClassNone Class = iota
	// ClassClosed: the socket is gone, for good.
	ClassClosed
	// ClassWouldBlock: try again when the socket can be written.
	ClassWouldBlock
	// ClassTooLarge: the datagram exceeds the path's or the buffer's size (EMSGSIZE).
	ClassTooLarge
	// ClassRefused: an ICMP message came back for some earlier datagram. It says nothing about
	// the socket, and since anybody can send ICMP, nothing about a connection.
	ClassRefused
	// ClassNoBuffers: the system is short of memory (ENOBUFS, ENOMEM); this datagram is lost.
	ClassNoBuffers
	// ClassOther: this datagram is lost (no route, forbidden by a filter …).
	ClassOther
)

// Classify finds the class of an error from Read, Write or WriteWait.
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

// An ICMPError is an ICMP message about a datagram that the socket has sent.
type ICMPError struct {
	Remote netip.AddrPort // that the datagram went to
	Err    error          // a syscall.Errno
	// Quoted is the start of the datagram, as far as the message quotes it. Anyone can send an ICMP
	// message, but only one who saw the datagram can quote it.
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
