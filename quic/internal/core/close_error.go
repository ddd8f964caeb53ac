package core

import (
	"errors"
	"fmt"

	"github.com/pqquic/pqquic/quic/internal/wire"
)

// The errors of a connection that ended without an error code from either side.
var (
	ErrIdleTimeout        = errors.New("idle timeout")
	ErrHandshakeTimeout   = errors.New("handshake timeout")
	ErrStatelessReset     = errors.New("stateless reset by peer")
	ErrVersionNegotiation = errors.New("no version in common with the peer")
	ErrNoPath             = errors.New("no validated network path to the peer is left")
	ErrConnIDInUse        = errors.New("the new connection ID belongs to another connection")
	ErrRemoteInUse        = errors.New("connection IDs are empty, and there is another connection to the same address")
)

// A CloseError describes how a connection ended: with a CONNECTION_CLOSE frame from either side, or without
// one if Silent is set.
type CloseError struct {
	Silent      error // one of the errors above; the other fields are then zero
	Application bool
	Remote      bool
	Code        uint64
	FrameType   uint64
	Reason      string
	// Cause is the provider's error if TLS failed on this side.
	Cause error
	// Versions are the versions that the server offered, for ErrVersionNegotiation.
	Versions []wire.Version
}

func (e *CloseError) Error() string {
	if e.Silent != nil {
		return e.Silent.Error()
	}
	from := "local"
	if e.Remote {
		from = "peer"
	}
	if e.Application {
		return fmt.Sprintf("application error 0x%x (%s): %q", e.Code, from, e.Reason)
	}
	return fmt.Sprintf("%v (%s): %q", wire.ErrorCode(e.Code), from, e.Reason)
}

func (e *CloseError) Unwrap() error {
	if e.Silent != nil {
		return e.Silent
	}
	return e.Cause
}
