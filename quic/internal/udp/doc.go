// Package udp is the socket layer: datagrams in and out, in batches.
//
// Its interface is shaped for segmentation offload. [Conn.Read] fills a number of [datagram.Train] values, each
// a slab with one or more datagrams of one path; [Conn.Write] takes a [datagram.Transmit], a slab that is cut
// into datagrams of one size. The implementation of today moves one datagram a system call; callers
// that honour [Conn.BatchSize], [Conn.SlabSize] and SegmentSize need no change for one that moves
// sixty-four.
//
// On Linux a *net.UDPConn tells the local address and the ECN codepoint of each datagram, and sends
// with both; it never blocks in Write. Elsewhere, and on any other net.PacketConn, the local address
// is the socket's, the codepoint is absent, and Write may block. A net.PacketConn that returns EAGAIN is
// taken at its word.
//
// # Concurrency
//
// Read has one caller at a time. Write and WriteWait are safe for concurrent use; datagrams of one
// Transmit leave in order, those of several in any.
package udp
