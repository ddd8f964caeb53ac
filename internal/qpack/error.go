package qpack

import (
	"errors"
	"fmt"
)

// Codes of errors.
const (
	DecompressionFailed = 0x200 // QPACK_DECOMPRESSION_FAILED
	EncoderStreamError  = 0x201 // QPACK_ENCODER_STREAM_ERROR
	DecoderStreamError  = 0x202 // QPACK_DECODER_STREAM_ERROR
	ExcessiveLoad       = 0x107 // H3_EXCESSIVE_LOAD
)

// An Error describes how the peer violated the protocol. It ends the connection, unless Stream is set.
type Error struct {
	Code   uint64
	Stream bool // only the stream of the field section has to be reset; CancelStream must then be called
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("qpack: %s (error 0x%x)", e.Reason, e.Code) }

// ErrBlocked is returned by Decode if the field section needs entries of the dynamic table that have not arrived yet.
var ErrBlocked = errors.New("qpack: the field section waits for the encoder stream")

// sectionError describes an invalid field section.
func sectionError(format string, args ...any) error {
	return &Error{Code: DecompressionFailed, Reason: fmt.Sprintf(format, args...)}
}

// encoderStreamError describes an invalid instruction of the peer's encoder.
func encoderStreamError(format string, args ...any) error {
	return &Error{Code: EncoderStreamError, Reason: fmt.Sprintf(format, args...)}
}

// decoderStreamError describes an invalid instruction of the peer's decoder.
func decoderStreamError(format string, args ...any) error {
	return &Error{Code: DecoderStreamError, Reason: fmt.Sprintf(format, args...)}
}
