// Package wire encodes and decodes the contents of datagrams: packet headers, frames and transport
// parameters (RFC 8999, RFC 9000). It checks the format of each element. Its users check the meaning, and
// whether the element is allowed at the time.
//
// Parsers process bytes that a peer chose. They never panic, and never allocate in proportion to a length
// field. Functions named Consume… return the number of bytes consumed, or -1 if the input is malformed; the
// caller knows which error that is. Byte slices in results are borrowed from the input and have no spare
// capacity, so an append copies them.
//
// The Consume functions of frames start at the frame type, which the caller has already read with
// ConsumeFrameType. The caller must only pass a frame of the function's type.
//
// Encoders append to a slice. They encode our own values, which must be in range: a panic that begins with
// "BUG" reports one that is not. Size methods return the length of the encoding.
package wire
