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

// Classes of failures that do not depend on the transport. The other classes are "tls alert NAME",
// "transport error NAME" and those that a transport defines.
const (
	ClassDial       = "dial" // no socket, no address or no answer
	ClassHandshake  = "handshake timeout"
	ClassTLS        = "tls"
	ClassVersion    = "version"
	ClassRefused    = "refused"
	ClassIdle       = "idle timeout"
	ClassReset      = "stream reset"
	ClassPeerClosed = "peer closed"
	ClassScript     = "script"   // the peer did something that the script does not provide for
	ClassOverload   = "overload" // more concurrent connections than permitted
	ClassCanceled   = "canceled"
	ClassOther      = "other"
)

// A ScriptError reports that the scenario cannot continue.
type ScriptError struct{ Text string }

func (e *ScriptError) Error() string { return e.Text }

func scriptError(format string, args ...any) error { return &ScriptError{fmt.Sprintf(format, args...)} }

// Error is a failure with its place in the scenario.
type Error struct {
	Where string // "clients[0].connections[0].ops[2].send"
	Err   error
}

func (e *Error) Error() string { return e.Where + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// in prefixes an error with its place in the scenario.
func in(where string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return &Error{where + e.Where, e.Err}
	}
	return &Error{where, err}
}

// Class returns the class of a failure.
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

// errPeerClosed reports that the peer closed the connection without an error before the script was done.
var errPeerClosed = errors.New("the peer closed the connection")

// errOverload reports that --max-in-flight connections were already open when a connection was due.
var errOverload = errors.New("too many concurrent connections")
