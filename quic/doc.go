// Package quic implements QUIC version 1 (RFC 9000, 9001, 9002) over a TLS 1.3 provider that can be
// exchanged: Go's crypto/tls by default, or s2n-tls over AWS-LC. Key exchange is post-quantum by
// default in both.
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
// Config.Provider selects another TLS provider. An [Endpoint] is the socket behind both: programs that dial
// often, or that dial and accept on one port, make their own with [NewEndpoint].
//
// A connection ends with [Conn.Close], which delivers what was written, or [Conn.CloseWithError], which
// does not wait. A stream ends with Close, or with CloseWrite for the sending direction only. A stream that is
// neither closed nor read to its end keeps counting against the peer's limit.
//
// # Errors
//
// Everything that is closed returns an error for which errors.Is(err, net.ErrClosed) holds. Its type or value
// is the reason: [*ApplicationError], [*TransportError], [*VersionNegotiationError], [ErrIdleTimeout],
// [ErrHandshakeTimeout], [ErrStatelessReset], [ErrEndpointClosed], [ErrListenerClosed]. A [*StreamError] is
// about one stream of a connection that stays open. Deadlines return os.ErrDeadlineExceeded, and a stream that
// the peer does not allow [ErrStreamLimit]. As in package net, a method Timeout reports whether time ran out.
//
// Errors are wrapped: use errors.Is and errors.As. The error of a Dial also names the address and says
// whether anything came back.
//
// # Observing
//
// [Endpoint.Stats] and [Conn.Stats] return counters: [HandshakeStats] counts failed handshakes by reason, and
// [DatagramDrops] what happened to datagrams of no connection. Config.Logger receives the few messages that an
// operator should see. A panic in a callback ends its handshake, not the process.
//
// # Concurrency
//
// All methods are safe for concurrent use. Concurrent Writes on one stream happen one after another,
// as do concurrent Reads. An Endpoint has two goroutines, and workers while handshakes are under way;
// connections have none.
//
// Functions in a Config are called without any lock held. Accept and RequireAddressValidation run on
// the goroutine that reads the socket, so they must not block, nor close the Endpoint. GetTLSConfig,
// VerifyPeer and a Certificate.Signer may block; Endpoint.Close waits for the first two.
//
// # Cancellation
//
// Calls that may wait take a context: Dial, Accept, OpenStream, AcceptStream, Shutdown. If it ends, they
// return an error that wraps its cause, and the call has no other effect. Reads and writes have deadlines
// instead, as a net.Conn has. [Conn.Context] ends with its connection, [Stream.Context] with the stream's
// sending direction.
//
// # Limitations
//
// There is no 0-RTT, no migration to another address, no unreliable datagrams, and no QUIC version 2.
// Packets carry 1200 bytes: the path's real size is not probed. [Dial] tries one address of a host.
// When a socket is closed right after a connection (always the case with a Conn from Dial), a lost
// CONNECTION_CLOSE is not repeated, and the peer learns of the end by its idle timeout.
package quic
