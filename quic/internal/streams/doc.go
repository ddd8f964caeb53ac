// Package streams implements the streams of a connection and its flow control (RFC 9000, sections 2 to 4).
//
// A [Set] has the same contract as a core.Conn, of which it is a part: it has no clock, goroutines or lock,
// and is not safe for concurrent use. HandleFrame processes frames from the peer, and Append builds frames
// for the peer. ConsumeRecord processes the fate of a sent packet. It is called once for each entry that
// Append wrote into the packet's record. Between these calls, the application may call its methods. A Set
// does not retain its arguments: it copies data, once, into pooled chunks. The exceptions are WriteChunk and
// Lend, which take data without copying it.
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
