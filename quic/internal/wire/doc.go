// Package wire encodes and decodes what QUIC puts into datagrams: variable-length integers, packet
// headers, frames, transport parameters (RFC 8999, RFC 9000). It knows the form of a thing and what
// the form alone forbids; what a thing means, and when it may come, is for its users.
//
// Parsers take bytes of a peer's choosing. They never panic and never allocate in proportion to
// what a length field claims. Those named Consume… return the number of bytes that they used, or -1
// for malformed input, and the caller knows which error that is. Byte slices in results are borrowed
// from the input, and full: an append copies them.
//
// The frames' Consume functions start at the frame type, which ConsumeFrameType has looked at: the
// caller dispatches on it, and gives a function no type but its own.
//
// Encoders append to a slice and take our own values, which have to be in range: a panic that
// begins with "BUG" says that one was not. Size methods tell the length beforehand.
package wire
