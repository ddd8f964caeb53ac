// Package udp is the socket layer. It receives and sends datagrams in batches.
//
// [Conn.Read] fills [datagram.Train] values, each with one or more datagrams of one path. [Conn.Write]
// sends a [datagram.Transmit], a slab that is cut into datagrams of one size. On Linux, both use
// segmentation offload: one system call transfers up to sixty-four datagrams. On other systems, or if the
// kernel or a network card refuses, each system call transfers one.
//
// On Linux, a *net.UDPConn reports the local address and the ECN codepoint of each train, sends with both,
// and never blocks in Write. On other systems, and for any other net.PacketConn, the local address is the
// socket's, there is no ECN codepoint, and Write may block. A net.PacketConn that returns EAGAIN is treated
// as non-blocking.
//
// # Concurrency
//
// Read must not be called concurrently. Write and WriteWait are safe for concurrent use. The datagrams of
// one Transmit are sent in order; those of concurrent calls may be interleaved.
package udp
