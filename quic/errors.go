package quic

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// A closedError is the error of something that is closed. It unwraps to net.ErrClosed and implements
// net.Error.
type closedError struct {
	text    string
	timeout bool
}

func (e *closedError) Error() string   { return "quic: " + e.text }
func (e *closedError) Unwrap() error   { return net.ErrClosed }
func (e *closedError) Timeout() bool   { return e.timeout }
func (e *closedError) Temporary() bool { return false }

// A socketError is one of the errors below, or a context's, that was caused by an error of the socket. It
// unwraps to both.
type socketError struct{ what, cause error }

func (e *socketError) Error() string   { return fmt.Sprintf("%v: socket failed: %v", e.what, e.cause) }
func (e *socketError) Unwrap() []error { return []error{e.what, e.cause} }
func (e *socketError) Timeout() bool {
	t, ok := e.what.(net.Error)
	return ok && t.Timeout()
}
func (e *socketError) Temporary() bool { return false }

// withSocketError adds the socket's error, if there is one, to a timeout.
func withSocketError(err, cause error) error {
	if cause == nil || err != ErrHandshakeTimeout && err != ErrIdleTimeout {
		return err
	}
	return &socketError{err, cause}
}

// The errors of connections, endpoints, listeners and streams that ended without an error code from either
// side. All unwrap to net.ErrClosed. Timeout returns true for ErrIdleTimeout and ErrHandshakeTimeout.
// Compare them with errors.Is, because they may wrap an error of the socket.
var (
	// ErrIdleTimeout means that nothing was received from the peer within the idle timeout.
	ErrIdleTimeout error = &closedError{text: "no packet from the peer within the idle timeout", timeout: true}
	// ErrHandshakeTimeout means that the handshake did not complete within Config.HandshakeTimeout.
	ErrHandshakeTimeout error = &closedError{text: "handshake timeout", timeout: true}
	// ErrStatelessReset means that the peer has lost the connection's state.
	ErrStatelessReset error = &closedError{text: "stateless reset by the peer"}
	// ErrNoPath means that the peer's address has changed, could not be validated, and the one before it is not usable
	// any more.
	ErrNoPath error = &closedError{text: "no validated network path to the peer is left"}
	// ErrEndpointClosed means that Endpoint.Close or Shutdown was called.
	ErrEndpointClosed error = &closedError{text: "endpoint closed"}
	// ErrListenerClosed means that Listener.Close was called.
	ErrListenerClosed error = &closedError{text: "listener closed"}
	// ErrWriteClosed means that the stream's sending side was closed by Close or CloseWrite.
	ErrWriteClosed error = &closedError{text: "write on a stream whose sending side is closed"}
	// ErrReadClosed means that the stream's receiving side was closed by Close.
	ErrReadClosed error = &closedError{text: "read on a stream after its Close, which ends both directions: use CloseWrite to end the sending side only"}
)

// The errors of connections that Dial could not begin.
var (
	errConnIDInUse = &closedError{text: "the new connection ID belongs to another connection: dial again"}
	errRemoteInUse = &closedError{text: "the Endpoint has another connection to this address, and empty connection IDs (Config.ConnIDLength) cannot tell them apart: dial from another Endpoint"}
)

// ErrIgnore can be returned by Config.Accept to drop a client without an answer. The client's handshake
// times out.
var ErrIgnore = errors.New("quic: client ignored")

// A RefusedError can be returned by Config.Accept to refuse a client and send it a reason, which is cut to
// 256 bytes. The text of other errors is not sent.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "quic: client refused: " + e.Reason }

// ErrStreamLimit is wrapped by the errors of calls that open a stream when the peer allows no more.
var ErrStreamLimit = errors.New("quic: the peer's limit on streams is reached")

// ErrHandshake is returned by calls that need a completed handshake.
var ErrHandshake = core.ErrHandshake

// TransportErrorCode is an error code of RFC 9000, section 20.1, or a TLS alert.
type TransportErrorCode uint64

const (
	NoError                 TransportErrorCode = 0x0
	InternalError           TransportErrorCode = 0x1
	ConnectionRefused       TransportErrorCode = 0x2
	FlowControlError        TransportErrorCode = 0x3
	StreamLimitError        TransportErrorCode = 0x4
	StreamStateError        TransportErrorCode = 0x5
	FinalSizeError          TransportErrorCode = 0x6
	FrameEncodingError      TransportErrorCode = 0x7
	TransportParameterError TransportErrorCode = 0x8
	ConnectionIDLimitError  TransportErrorCode = 0x9
	ProtocolViolation       TransportErrorCode = 0xa
	InvalidToken            TransportErrorCode = 0xb
	ApplicationErrorCode    TransportErrorCode = 0xc
	CryptoBufferExceeded    TransportErrorCode = 0xd
	KeyUpdateError          TransportErrorCode = 0xe
	AEADLimitReached        TransportErrorCode = 0xf
	NoViablePath            TransportErrorCode = 0x10
	// VersionNegotiationFailed is VERSION_NEGOTIATION_ERROR (RFC 9368): an attacker may have influenced the version.
	VersionNegotiationFailed TransportErrorCode = 0x11
)

// Alert returns the TLS alert in the code if it is a CRYPTO_ERROR (0x100 to 0x1ff).
func (c TransportErrorCode) Alert() (alert uint8, ok bool) {
	return uint8(c), c >= 0x100 && c <= 0x1ff
}

// String returns the code's name in RFC 9000, or the alert's name.
func (c TransportErrorCode) String() string { return wire.ErrorCode(c).String() }

// TransportError is the error of a connection that QUIC or TLS ended. It unwraps to net.ErrClosed and, if
// TLS failed on this side, to the provider's error.
type TransportError struct {
	Code TransportErrorCode
	// FrameType is the type of the frame that caused the error, or 0 if it is not known.
	FrameType uint64
	// Reason is the text that was sent with the code. Do not trust the peer's.
	Reason string
	// Remote reports whether the peer closed the connection.
	Remote bool

	err error
}

func (e *TransportError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "quic: connection closed %s: %s (0x%x)", by(e.Remote), e.Code, uint64(e.Code))
	// A TLS alert is not caused by the CRYPTO frame that carried the message.
	if _, alert := e.Code.Alert(); e.FrameType != 0 && !alert {
		if wire.FrameKnown(e.FrameType) {
			fmt.Fprintf(&b, " for a frame of type %s", wire.FrameName(e.FrameType))
		} else {
			fmt.Fprintf(&b, " for a frame of type 0x%x", e.FrameType)
		}
	}
	switch {
	case e.err != nil:
		fmt.Fprintf(&b, ": %v", e.err)
	case e.Reason != "" && e.Reason != e.Code.String():
		fmt.Fprintf(&b, ": %q", e.Reason)
	}
	return b.String()
}

func (e *TransportError) Unwrap() []error {
	if e.err != nil {
		return []error{net.ErrClosed, e.err}
	}
	return []error{net.ErrClosed}
}

// ApplicationError is the error of a connection that an application closed with Close (code 0) or
// CloseWithError. It unwraps to net.ErrClosed.
type ApplicationError struct {
	Code uint64
	// Reason is the text that was sent with the code. Do not trust the peer's.
	Reason string
	// Remote reports whether the peer closed the connection.
	Remote bool
}

func (e *ApplicationError) Error() string {
	s := fmt.Sprintf("quic: connection closed %s: application code 0x%x", by(e.Remote), e.Code)
	if e.Reason != "" {
		s += fmt.Sprintf(": %q", e.Reason)
	}
	return s
}

func (e *ApplicationError) Unwrap() error { return net.ErrClosed }

// StreamError is the error of a stream that was aborted. The connection stays open.
type StreamError struct {
	ID   StreamID
	Code uint64
	// Remote reports whether the peer aborted the stream, with RESET_STREAM (Read fails) or STOP_SENDING
	// (Write fails). Otherwise Reset or StopSending was called.
	Remote bool
}

func (e *StreamError) Error() string {
	return fmt.Sprintf("quic: stream %d aborted %s: code 0x%x", e.ID, by(e.Remote), e.Code)
}

// VersionNegotiationError is the error of a Dial to a server that supports none of our QUIC versions, and of a connection
// with early data to a server that does not support its version. It unwraps to net.ErrClosed.
type VersionNegotiationError struct {
	// Theirs are the versions that the server listed in a packet that is not authenticated.
	Theirs []Version
}

func (e *VersionNegotiationError) Error() string {
	return fmt.Sprintf("quic: the server does not support the QUIC version of the connection, only %v: see Config.Versions", e.Theirs)
}

func (e *VersionNegotiationError) Unwrap() error { return net.ErrClosed }

func by(remote bool) string {
	if remote {
		return "by the peer"
	}
	return "locally"
}

// endError converts an error of a call of the core. If building a packet has ended the connection, calls can
// return the core's error before the driver has processed the end.
func endError(err error) error {
	var ended *core.CloseError
	if errors.As(err, &ended) {
		return closeError(ended)
	}
	return err
}

// closeError converts the core's error of a connection that has ended.
func closeError(e *core.CloseError) error {
	switch {
	case e == nil:
		return &TransportError{Code: InternalError, Reason: "closed without a cause"}
	case errors.Is(e.Silent, core.ErrIdleTimeout):
		return ErrIdleTimeout
	case errors.Is(e.Silent, core.ErrHandshakeTimeout):
		return ErrHandshakeTimeout
	case errors.Is(e.Silent, core.ErrStatelessReset):
		return ErrStatelessReset
	case errors.Is(e.Silent, core.ErrNoPath):
		return ErrNoPath
	case errors.Is(e.Silent, core.ErrConnIDInUse):
		return errConnIDInUse
	case errors.Is(e.Silent, core.ErrRemoteInUse):
		return errRemoteInUse
	case errors.Is(e.Silent, core.ErrVersionNegotiation):
		v := &VersionNegotiationError{}
		for _, version := range e.Versions {
			v.Theirs = append(v.Theirs, Version(version))
		}
		return v
	case e.Application:
		return &ApplicationError{Code: e.Code, Reason: e.Reason, Remote: e.Remote}
	}
	return &TransportError{
		Code: TransportErrorCode(e.Code), FrameType: e.FrameType, Reason: e.Reason, Remote: e.Remote,
		err: e.Cause,
	}
}
