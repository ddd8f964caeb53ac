// Package streams holds all streams of one connection, and its flow control (RFC 9000, 2 to 4).
//
// A [Set] has the same contract as a core.Conn, of which it is a part: no clock, no goroutines, no
// lock; one caller at a time. Frames of the peer come in by HandleFrame, frames for the peer leave
// by Append, and what became of a sent packet is told by ConsumeRecord, once for each entry that
// Append wrote into the packet's record. Between them are the application's calls. Nothing that is
// given to a Set is kept: bytes are copied, once, into pooled chunks.
//
// # Memory
//
// A chunk belongs to one stream and covers a fixed range of its offsets, so that what a stream
// buffers is bounded by what flow control lets the peer send, however it cuts and orders its frames.
// The first chunks of a stream are small. A stream exists until both of its halves are done, the
// application has learnt of it, and the peer has acknowledged all that we have to say about it;
// afterwards its number is all that is remembered.
package streams
