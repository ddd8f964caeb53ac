// Package quic implements QUIC versions 1 (RFC 9000, 9001, 9002) and 2 (RFC 9369) over an exchangeable TLS 1.3
// provider: Go's crypto/tls by default, or s2n-tls over AWS-LC. Key exchange is post-quantum by default in both.
//
// # Usage
//
// A client:
//
//	conn, err := quic.Dial(ctx, "udp", "example.com:4433", &quic.Config{
//		TLS: &tlsprovider.Config{NextProtos: []string{"my-protocol"}},
//	})
//	stream, err := conn.OpenStream(ctx)
//	stream.Write([]byte("hello"))
//	stream.CloseWrite()
//	reply, err := io.ReadAll(stream)
//	conn.Close()
//
// A server:
//
//	cert, err := tlsprovider.LoadCertificate("cert.pem", "key.pem")
//	listener, err := quic.Listen("udp", ":4433", &quic.Config{
//		TLS: &tlsprovider.Config{
//			NextProtos:   []string{"my-protocol"},
//			Certificates: []tlsprovider.Certificate{cert},
//		},
//	})
//	for {
//		conn, err := listener.Accept(ctx)
//		go serve(conn) // conn.AcceptStream …
//	}
//
// Config.Provider selects another TLS provider. An [Endpoint] is a socket and its connections. Programs
// that dial often, or that dial and accept on the same port, create one with [NewEndpoint].
//
// A connection ends with [Conn.Close], which delivers what was written, or [Conn.CloseWithError], which
// does not wait. A stream ends with Close, or with CloseWrite for the sending direction only. A stream that
// is neither closed nor read to its end continues to count against the peer's limit.
//
// [Conn.SendDatagram] and [Conn.ReceiveDatagram] exchange datagrams, which may be lost (RFC 9221), if
// Config.MaxDatagramFrameSize of the receiving side enables them.
//
// Config.CongestionControl chooses how fast connections send: see package congestion. [Conn.AddPath] adds a
// path to which a client can move its connection, for example on another network.
//
// # Errors
//
// Calls on something that is closed return an error for which errors.Is(err, net.ErrClosed) is true. The
// type or value of the error is the reason: [*ApplicationError], [*TransportError],
// [*VersionNegotiationError], [ErrIdleTimeout], [ErrHandshakeTimeout], [ErrStatelessReset],
// [ErrEndpointClosed], [ErrListenerClosed]. A [*StreamError] concerns one stream of a connection that stays
// open. Deadlines return os.ErrDeadlineExceeded. If the peer allows no further stream, the error is
// [ErrStreamLimit]. As in package net, a method Timeout reports whether an error is a timeout.
//
// Errors are wrapped: use errors.Is and errors.As. The error of a Dial also names the address and reports
// whether anything was received.
//
// # Observing
//
// [Endpoint.Stats] and [Conn.Stats] return counters: [HandshakeStats] counts failed handshakes by reason,
// and [DatagramDrops] counts datagrams that belonged to no connection. Config.Logger receives the few
// messages that an operator should see, and Config.Qlog the events of connections. A panic in a function of a Config
// ends at most its connection, but not the process. (One in the writer of a qlog, which has a goroutine of its own,
// does.)
//
// # Concurrency
//
// All methods are safe for concurrent use. Concurrent Writes on a stream are performed one after another,
// and so are concurrent Reads. An Endpoint has three goroutines, which read, send and fire timers, further
// ones while there is much to send, and workers while handshakes are in progress. Connections have no
// goroutines. With Config.Loops, each loop has these three and one for packets from other loops. With
// Config.SeparateHandshakes, there is one more, which reads the second socket.
//
// Functions in a Config are called without holding a lock. (A congestion controller is called with its connection's.)
// Accept, GetConfigForClient and RequireAddressValidation run on the goroutine that reads the socket, so they must
// neither block nor close the Endpoint. GetTLSConfig, VerifyPeer and a Certificate.Signer may block. Endpoint.Close
// waits for GetTLSConfig and VerifyPeer. The release functions of Stream.WriteNoCopy have a goroutine of their own, and
// delay only each other.
//
// # Cancellation
//
// Calls that may wait take a context: Dial, Accept, OpenStream, AcceptStream, Shutdown. If the context
// ends, they return an error that wraps its cause and have no other effect. Reads and writes have deadlines
// instead, as in net.Conn. [Conn.Context] ends with the connection, and [Stream.Context] with the stream's
// sending direction.
//
// # Limitations
//
// Path MTU discovery and ECN work on Linux only; elsewhere, datagrams have at most 1200 bytes. If a socket is closed
// right after a connection (always the case for a Conn from Dial), a lost CONNECTION_CLOSE is not repeated, and the peer
// detects the end of the connection by its idle timeout.
package quic
