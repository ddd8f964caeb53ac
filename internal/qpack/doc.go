// Package qpack compresses the fields of HTTP/3 messages (RFC 9204).
//
// An HTTP/3 connection has one Encoder and one Decoder. Both are state machines without I/O: the connection
// reads and writes the streams, and passes bytes to them and from them.
//
//	sender                                          receiver
//	Encoder.AppendSection       ── request stream ──▶  Decoder.Decode
//	Encoder.AppendInstructions  ── encoder stream ──▶  Decoder.HandleEncoderStream
//	Encoder.HandleDecoderStream ◀── decoder stream ──  Decoder.AppendInstructions
//
// # Concurrency
//
// The methods of an Encoder, and those of a Decoder, must not be called at the same time. An Encoder and a Decoder
// share nothing.
//
// # Memory
//
// Each holds at most one dynamic table. The size of a table is bounded by its capacity, which counts 32 bytes for each
// entry besides its name and value. docs/qpack.md describes what else they hold, and what the Encoder inserts.
package qpack

// A Field is one line of a field section.
type Field struct {
	Name, Value string

	// Sensitive reports whether the field has the 'N' bit: the value must not enter a dynamic table, here or at
	// the next hop. An intermediary that forwards a Field as Decode emitted it therefore obeys the rule of the RFC.
	Sensitive bool
}
