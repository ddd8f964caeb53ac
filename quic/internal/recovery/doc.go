// Package recovery implements loss detection and congestion control (RFC 9002), and the receiving side:
// which packets to acknowledge, and when (RFC 9000, section 13.2).
//
// [Loss] tracks the packets that were sent, and [AckState] the packets that were received. Both are plain
// state machines: time is an argument, randomness is injected, nothing blocks, and nothing allocates once a
// connection has reached its size. Neither knows what a packet contains: a [SentPacket] has a record, which
// the sender writes and gets back with the packet's [Fate].
//
// A Loss has the packet number spaces and the sent packets. The state of a network path is in a [Path]: the
// round-trip time, the congestion [Controller], the pacer, the bytes in flight. Each sent packet points to
// the path on which it was sent; see docs/recovery-paths.md.
//
// [SentVal] and [RangeSet] help the sender of frames to keep track of what was delivered.
//
// None of these types is safe for concurrent use.
package recovery
