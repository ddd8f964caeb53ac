// Package udp is the socket layer: datagrams in and out, in batches.
//
// [Conn.Read] fills a number of [datagram.Train] values, each a slab with one or more datagrams of one path;
// [Conn.Write] takes a [datagram.Transmit], a slab that is cut into datagrams of one size. On Linux, both use
// segmentation offload: up to sixty-four datagrams move in one system call. Elsewhere, and where the kernel or
// a network card refuses, each system call moves one.
//
// On Linux, a *net.UDPConn reports the local address and the ECN codepoint of each train, sends with
// both, and never blocks in Write. Elsewhere, and on any other net.PacketConn, the local address is the
// socket's, there is no codepoint, and Write may block. A net.PacketConn that returns EAGAIN is treated
// as one that does not block.
//
// # Concurrency
//
// Read has one caller at a time. Write and WriteWait are safe for concurrent use; datagrams of one
// Transmit leave in order, those of several in any.
package udp
