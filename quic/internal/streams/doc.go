// Package streams implements the streams of a connection and its flow control (RFC 9000, sections 2 to 4).
//
// A [Set] has the same contract as a core.Conn, of which it is a part: no clock, no goroutines, no
// lock; one caller at a time. Frames from the peer go to HandleFrame, frames for the peer come from
// Append, and ConsumeRecord takes the fate of a sent packet, once for each entry that Append wrote
// into the packet's record. The application's calls are between them. A Set keeps nothing that it is
// given: it copies bytes, once, into pooled chunks.
//
// # Memory
//
// Each chunk belongs to one stream. Written data is kept in a list of segments (sendBuffer) until it is
// acknowledged. Received data is kept in chunks that cover fixed ranges of offsets (recvBuffer), so that
// flow control bounds their memory, however the peer splits and orders its frames. The first chunks of a
// stream are small.
//
// A stream exists until both of its halves are done, the application knows about it, and the peer has
// acknowledged everything that we send about it. Afterwards only its number is remembered.
package streams
