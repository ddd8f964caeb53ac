// Package recovery is loss detection and congestion control (RFC 9002), and the other side of the
// same coin: what to acknowledge, and when (RFC 9000, 13.2).
//
// [Loss] follows the packets that were sent, [AckState] those that were received. Both are plain
// state machines: time is an argument, randomness is injected, nothing blocks, and nothing allocates
// once a connection has reached its size. Neither knows what a packet carries: a [SentPacket] has a
// record, bytes written by the sender and handed back to it with the packet's [Fate].
//
// [SentVal] and [RangeSet] are what that sender keeps its books with.
//
// None of the types may be used from two goroutines at once.
package recovery
