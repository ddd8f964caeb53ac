package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// Classes of failures that do not depend on the transport. The others are "tls alert NAME",
// "transport error NAME" and what a transport adds.
const (
	ClassDial       = "dial" // no socket, no address, nothing that answers
	ClassHandshake  = "handshake timeout"
	ClassTLS        = "tls"
	ClassVersion    = "version"
	ClassRefused    = "refused"
	ClassIdle       = "idle timeout"
	ClassReset      = "stream reset"
	ClassPeerClosed = "peer closed"
	ClassScript     = "script"   // the peer did what no script of ours is for
	ClassOverload   = "overload" // more connections at a time than permitted
	ClassCanceled   = "canceled"
	ClassOther      = "other"
)

// A ScriptError says that the scenario cannot go on as it is.
type ScriptError struct{ Text string }

func (e *ScriptError) Error() string { return e.Text }

func scriptError(format string, args ...any) error { return &ScriptError{fmt.Sprintf(format, args...)} }

// Error is a failure with the place in the scenario.
type Error struct {
	Where string // "clients[0].connections[0].ops[2].send"
	Err   error
}

func (e *Error) Error() string { return e.Where + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// in puts the place in front of an error.
func in(where string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return &Error{where + e.Where, e.Err}
	}
	return &Error{where, err}
}

// Class is the class of a failure.
func (s *Stack) Class(err error) string {
	var script *ScriptError
	var op *net.OpError
	switch {
	case errors.As(err, &script):
		return ClassScript
	case errors.Is(err, errPeerClosed):
		return ClassPeerClosed
	case errors.Is(err, errOverload):
		return ClassOverload
	case errors.Is(err, context.Canceled):
		return ClassCanceled
	}
	if s.Classify != nil {
		if class := s.Classify(err); class != "" {
			return class
		}
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return ClassRefused
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return ClassHandshake
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return ClassPeerClosed
	case errors.As(err, &op) && op.Op == "dial", errors.As(err, new(*net.DNSError)), errors.As(err, new(*net.AddrError)):
		return ClassDial
	}
	return ClassOther
}

// errPeerClosed: the peer closed the connection, with nothing to complain about, before the script was
// done.
var errPeerClosed = errors.New("the peer closed the connection")

// errOverload: an arrival for which there was no room.
var errOverload = errors.New("too many connections at a time")
