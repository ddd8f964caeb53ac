package core

import (
	"errors"
	"fmt"

	"github.com/pqquic/pqquic/quic/internal/wire"
)

// Why a connection ended without an error code of either side.
var (
	ErrIdleTimeout        = errors.New("idle timeout")
	ErrHandshakeTimeout   = errors.New("handshake timeout")
	ErrStatelessReset     = errors.New("stateless reset by peer")
	ErrVersionNegotiation = errors.New("no version in common with the peer")
)

// CloseError says why a connection ended: by a CONNECTION_CLOSE of either side, or, when Silent is
// set, without one.
type CloseError struct {
	Silent      error // one of the errors above; everything below is then empty
	Application bool
	Remote      bool
	Code        uint64
	FrameType   uint64
	Reason      string
	// Cause is the provider's error where TLS failed on our side.
	Cause error
	// Versions are the server's, with ErrVersionNegotiation.
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
