// Package wire encodes and decodes what QUIC puts into datagrams: variable-length integers, packet
// headers, frames, transport parameters (RFC 8999, RFC 9000).
//
// Parsers take bytes of a peer's choosing. They never panic and never allocate in proportion to
// what a length field claims; those named Consume… return the number of bytes that they used, or -1
// for malformed input, and the caller knows which error that is. Byte slices in results are borrowed
// from the input.
package wire
