// Package recovery is loss detection and congestion control (RFC 9002), and the receiver's counterpart:
// which packets to acknowledge, and when (RFC 9000, 13.2).
//
// [Loss] follows the packets that were sent, [AckState] those that were received. Both are plain
// state machines: time is an argument, randomness is injected, nothing blocks, and nothing allocates
// once a connection has reached its size. Neither knows what a packet carries: a [SentPacket] has a
// record, bytes written by the sender and handed back to it with the packet's [Fate].
//
// A Loss has the packet number spaces and the sent packets. What belongs to a network path is in a
// [Path]: the round-trip time, the congestion [Controller], the pacer, the bytes in flight. Each sent
// packet points to the path that it left on; see docs/recovery-paths.md.
//
// [SentVal] and [RangeSet] are what the sender of frames keeps account with.
//
// No value of these types may be used by two goroutines at once.
package recovery
