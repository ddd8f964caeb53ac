package streams

import (
	"errors"
	"fmt"

	"github.com/pqquic/pqquic/quic/internal/wire"
)

var (
	// ErrBlocked means that there is nothing to read or no room to write. An event follows when there is.
	ErrBlocked = errors.New("would block")
	// ErrTooLarge means that WriteChunk does not accept a chunk of this size now.
	ErrTooLarge = errors.New("the chunk is too large")
	// ErrLimit means that the peer's stream limit is reached. An event follows when it is raised.
	ErrLimit = errors.New("stream limit reached")
	// ErrClosed means that this direction of the stream has ended on our side or does not exist.
	ErrClosed = errors.New("stream is closed")
)

// An Error is a protocol violation by the peer, for which the connection must be closed.
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
