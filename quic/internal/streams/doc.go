// Package streams holds all streams of one connection and its flow control (RFC 9000, 2 to 4).
//
// A [Set] is part of a connection's state: no locks, no clock, no goroutines. Received bytes are
// copied into pooled chunks, so that a small frame never pins the slab that it came in; written
// bytes are copied once and stay until they are acknowledged.
//
// What was sent is remembered as information, not as packets: a lost packet makes ranges of bytes,
// or the newest value of a limit, due again.
package streams
