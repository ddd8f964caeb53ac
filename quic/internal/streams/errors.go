package streams

import (
	"errors"
	"fmt"

	"github.com/pqquic/pqquic/quic/internal/wire"
)

var (
	// ErrBlocked: nothing to read, or no room to write; an event comes when there is.
	ErrBlocked = errors.New("would block")
	// ErrLimit: the peer does not allow another stream; an event comes when it does.
	ErrLimit = errors.New("stream limit reached")
	// ErrClosed: this direction of the stream has ended on our side, or never existed.
	ErrClosed = errors.New("stream is closed")
)

// Error is a violation of the protocol by the peer, for which the connection is closed.
type Error struct {
	Code   wire.ErrorCode
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("%v: %s", e.Code, e.Reason) }

// ResetError is returned by Read after the peer has reset the stream.
type ResetError struct{ Code uint64 }

func (e *ResetError) Error() string {
	return fmt.Sprintf("stream reset by peer with code 0x%x", e.Code)
}

// StoppedError is returned by Write and CloseWrite after the peer has asked us to stop sending.
type StoppedError struct{ Code uint64 }

func (e *StoppedError) Error() string {
	return fmt.Sprintf("stream stopped by peer with code 0x%x", e.Code)
}
