package wire

import (
	"fmt"

	"github.com/pqquic/pqquic/tlsprovider"
)

// An ErrorCode is a transport error code (RFC 9000, section 20.1).
type ErrorCode uint64

// The error codes of QUIC version 1.
const (
	NoError                 ErrorCode = 0x00
	InternalError           ErrorCode = 0x01
	ConnectionRefused       ErrorCode = 0x02
	FlowControlError        ErrorCode = 0x03
	StreamLimitError        ErrorCode = 0x04
	StreamStateError        ErrorCode = 0x05
	FinalSizeError          ErrorCode = 0x06
	FrameEncodingError      ErrorCode = 0x07
	TransportParameterError ErrorCode = 0x08
	ConnectionIDLimitError  ErrorCode = 0x09
	ProtocolViolation       ErrorCode = 0x0a
	InvalidToken            ErrorCode = 0x0b
	ApplicationError        ErrorCode = 0x0c
	CryptoBufferExceeded    ErrorCode = 0x0d
	KeyUpdateError          ErrorCode = 0x0e
	AEADLimitReached        ErrorCode = 0x0f
	NoViablePath            ErrorCode = 0x10
	VersionNegotiationError ErrorCode = 0x11 // RFC 9368
	// CryptoError is the first of 256 codes: the TLS alert is added to it (RFC 9001, section 4.8).
	CryptoError ErrorCode = 0x100
)

var errorNames = [...]string{
	"NO_ERROR", "INTERNAL_ERROR", "CONNECTION_REFUSED", "FLOW_CONTROL_ERROR", "STREAM_LIMIT_ERROR",
	"STREAM_STATE_ERROR", "FINAL_SIZE_ERROR", "FRAME_ENCODING_ERROR", "TRANSPORT_PARAMETER_ERROR",
	"CONNECTION_ID_LIMIT_ERROR", "PROTOCOL_VIOLATION", "INVALID_TOKEN", "APPLICATION_ERROR",
	"CRYPTO_BUFFER_EXCEEDED", "KEY_UPDATE_ERROR", "AEAD_LIMIT_REACHED", "NO_VIABLE_PATH",
	"VERSION_NEGOTIATION_ERROR",
}

// String returns the name in the RFC. For a CRYPTO_ERROR, it includes the TLS alert.
func (c ErrorCode) String() string {
	switch {
	case c < ErrorCode(len(errorNames)):
		return errorNames[c]
	case c&^0xff == CryptoError:
		return fmt.Sprintf("CRYPTO_ERROR (%s)", tlsprovider.Alert(c&0xff))
	}
	return fmt.Sprintf("error 0x%x", uint64(c))
}
