package streams

import (
	"errors"
	"fmt"

	"github.com/pqquic/pqquic/quic/internal/wire"
)

var (
	// ErrBlocked: nothing to read, or no room to write, at the moment.
	ErrBlocked = errors.New("would block")
	// ErrLimit: the peer does not allow another stream at the moment.
	ErrLimit = errors.New("stream limit reached")
	// ErrClosed: this half of the stream has ended on our side, or never existed.
	ErrClosed = errors.New("stream is closed")
)

// ResetError is what Read returns when the peer abandoned the stream.
type ResetError struct{ Code uint64 }

func (e *ResetError) Error() string { return fmt.Sprintf("stream reset by peer, code %d", e.Code) }

// StoppedError is what Write returns when the peer wants no more.
type StoppedError struct{ Code uint64 }

func (e *StoppedError) Error() string { return fmt.Sprintf("stream stopped by peer, code %d", e.Code) }

// Error is a violation by the peer that ends the connection.
type Error struct {
	Code   wire.ErrorCode
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("%v: %s", e.Code, e.Reason) }
