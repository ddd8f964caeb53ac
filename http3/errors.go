package http3

import (
	"errors"
	"fmt"
	"net"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/qpack"
	"github.com/pqquic/pqquic/quic"
)

// An ErrorCode says why a stream was reset or a connection was closed. Peers and extensions may use others than those below.
type ErrorCode uint64

// The error codes of RFC 9114, 8.1, RFC 9204, 6, and RFC 9297, 5.2.
const (
	ErrCodeNoError              ErrorCode = frame.NoError
	ErrCodeGeneralProtocolError ErrorCode = frame.GeneralProtocolError
	ErrCodeInternalError        ErrorCode = frame.InternalError
	ErrCodeStreamCreationError  ErrorCode = frame.StreamCreationError
	ErrCodeClosedCriticalStream ErrorCode = frame.ClosedCriticalStream
	ErrCodeFrameUnexpected      ErrorCode = frame.FrameUnexpected
	ErrCodeFrameError           ErrorCode = frame.FrameError
	ErrCodeExcessiveLoad        ErrorCode = frame.ExcessiveLoad
	ErrCodeIDError              ErrorCode = frame.IDError
	ErrCodeSettingsError        ErrorCode = frame.SettingsError
	ErrCodeMissingSettings      ErrorCode = frame.MissingSettings
	ErrCodeRequestRejected      ErrorCode = frame.RequestRejected
	ErrCodeRequestCanceled      ErrorCode = frame.RequestCancelled
	ErrCodeRequestIncomplete    ErrorCode = frame.RequestIncomplete
	ErrCodeMessageError         ErrorCode = frame.MessageError
	ErrCodeConnectError         ErrorCode = frame.ConnectError
	ErrCodeVersionFallback      ErrorCode = frame.VersionFallback
	ErrCodeDatagramError        ErrorCode = frame.DatagramError
	ErrCodeQPACKDecompression   ErrorCode = qpack.DecompressionFailed
	ErrCodeQPACKEncoderStream   ErrorCode = qpack.EncoderStreamError
	ErrCodeQPACKDecoderStream   ErrorCode = qpack.DecoderStreamError
)

var codeNames = map[ErrorCode]string{
	ErrCodeNoError:              "H3_NO_ERROR",
	ErrCodeGeneralProtocolError: "H3_GENERAL_PROTOCOL_ERROR",
	ErrCodeInternalError:        "H3_INTERNAL_ERROR",
	ErrCodeStreamCreationError:  "H3_STREAM_CREATION_ERROR",
	ErrCodeClosedCriticalStream: "H3_CLOSED_CRITICAL_STREAM",
	ErrCodeFrameUnexpected:      "H3_FRAME_UNEXPECTED",
	ErrCodeFrameError:           "H3_FRAME_ERROR",
	ErrCodeExcessiveLoad:        "H3_EXCESSIVE_LOAD",
	ErrCodeIDError:              "H3_ID_ERROR",
	ErrCodeSettingsError:        "H3_SETTINGS_ERROR",
	ErrCodeMissingSettings:      "H3_MISSING_SETTINGS",
	ErrCodeRequestRejected:      "H3_REQUEST_REJECTED",
	ErrCodeRequestCanceled:      "H3_REQUEST_CANCELLED",
	ErrCodeRequestIncomplete:    "H3_REQUEST_INCOMPLETE",
	ErrCodeMessageError:         "H3_MESSAGE_ERROR",
	ErrCodeConnectError:         "H3_CONNECT_ERROR",
	ErrCodeVersionFallback:      "H3_VERSION_FALLBACK",
	ErrCodeDatagramError:        "H3_DATAGRAM_ERROR",
	ErrCodeQPACKDecompression:   "QPACK_DECOMPRESSION_FAILED",
	ErrCodeQPACKEncoderStream:   "QPACK_ENCODER_STREAM_ERROR",
	ErrCodeQPACKDecoderStream:   "QPACK_DECODER_STREAM_ERROR",
}

// String returns the code's name in its RFC.
func (c ErrorCode) String() string {
	if name, ok := codeNames[c]; ok {
		return name
	}
	return fmt.Sprintf("H3 error %#x", uint64(c))
}

// isNoError reports whether a code of the peer means that there was no error.
//
// "[R]eceipt of an unknown error code MUST be treated as equivalent to H3_NO_ERROR."
// https://www.rfc-editor.org/rfc/rfc9114#section-8-5
func (c ErrorCode) isNoError() bool {
	_, isKnown := codeNames[c]
	return c == ErrCodeNoError || !isKnown
}

// An Error is the error of a request or of a connection that one of the sides has aborted with an error code. If it ended the
// connection, it unwraps to net.ErrClosed.
type Error struct {
	Code ErrorCode
	// Remote reports whether the peer has sent the code. Otherwise, this side has.
	Remote bool
	// Stream reports whether the error concerns one request, and not the whole connection.
	Stream bool
	// Reason describes the error. Do not trust the peer's.
	Reason string

	cause error // of package quic, or nil
}

func (e *Error) Error() string {
	who, what := "", "connection closed"
	if e.Stream {
		what = "request aborted"
	}
	if e.Remote {
		who = " by the peer"
	}
	s := fmt.Sprintf("http3: %s%s: %v", what, who, e.Code)
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

// Unwrap returns the error of package quic, if there is one, and net.ErrClosed for the error of a connection.
func (e *Error) Unwrap() []error {
	var out []error
	if e.cause != nil {
		out = append(out, e.cause)
	}
	if !e.Stream {
		out = append(out, net.ErrClosed)
	}
	return out
}

// streamErrorf returns the error of a request that this side aborts.
func streamErrorf(code ErrorCode, format string, args ...any) *Error {
	return &Error{Code: code, Stream: true, Reason: fmt.Sprintf(format, args...)}
}

// connErrorf returns the error of a connection that this side closes.
func connErrorf(code ErrorCode, format string, args ...any) *Error {
	return &Error{Code: code, Reason: fmt.Sprintf(format, args...)}
}

// fromPeer converts an error of package quic: if it has a code of the peer's application, the result is an *Error.
func fromPeer(err error) error {
	var se *quic.StreamError
	var ae *quic.ApplicationError
	switch {
	case errors.As(err, &se) && se.Remote:
		return &Error{Code: ErrorCode(se.Code), Remote: true, Stream: true, cause: err}
	case errors.As(err, &ae):
		return &Error{Code: ErrorCode(ae.Code), Remote: ae.Remote, Reason: ae.Reason, cause: err}
	}
	return err
}

// asError returns the *Error of a violation of the protocol, or nil for another error.
func asError(err error) *Error {
	var e *Error
	var fe *frame.Error
	var qe *qpack.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &fe):
		return connErrorf(ErrorCode(fe.Code), "%s", fe.Text)
	case errors.As(err, &qe):
		return &Error{Code: ErrorCode(qe.Code), Stream: qe.Stream, Reason: qe.Reason}
	}
	return nil
}
