// Package netconn carries protocols that are written for net.Conn and net.Listener over QUIC, such as those of net/rpc
// and HTTP/1.1. Each QUIC connection has one bidirectional stream, which the client opens.
//
// A server:
//
//	listener, err := netconn.Listen("udp", ":4433", cfg)
//	http.Serve(listener, handler)
//
// A client:
//
//	conn, err := netconn.Dial(ctx, "udp", "example.com:4433", cfg)
//	client := rpc.NewClient(conn)
//
// A connection costs a TLS handshake. Protocols with many short requests should use the streams of one connection
// instead: see package quic.
package netconn

import (
	"context"
	"errors"
	"net"

	"github.com/pqquic/pqquic/quic"
)

// A Conn is a QUIC connection with one stream. It implements net.Conn. The method Conn of the embedded Stream returns the
// QUIC connection.
//
// CloseWrite ends the sending direction, as in net.TCPConn: the peer reads io.EOF.
type Conn struct{ *quic.Stream }

var _ net.Conn = (*Conn)(nil)

// Dial connects to addr, "host:port", from a new socket, and opens the stream. See quic.Dial for network and ctx. The
// server may write first.
func Dial(ctx context.Context, network, addr string, cfg *quic.Config) (*Conn, error) {
	q, err := quic.Dial(ctx, network, addr, oneStream(cfg, -1))
	if err != nil {
		return nil, err
	}
	return Open(ctx, q)
}

// Open opens the stream of a connection that was dialed, for example from the socket of a quic.Endpoint. If it fails, it
// closes the connection.
func Open(ctx context.Context, q *quic.Conn) (*Conn, error) {
	s, err := q.OpenStream(ctx)
	if err == nil {
		err = s.Announce() // or a server that writes first would wait for the stream
	}
	if err != nil {
		return nil, errors.Join(err, q.CloseWithError(0, ""))
	}
	return &Conn{s}, nil
}

// oneStream returns cfg with the limits on the peer's streams, unless it has limits of its own.
func oneStream(cfg *quic.Config, bidi int64) *quic.Config {
	var c quic.Config
	if cfg != nil {
		c = *cfg
	}
	if c.MaxIncomingStreams == 0 {
		c.MaxIncomingStreams = bidi
	}
	if c.MaxIncomingUniStreams == 0 {
		c.MaxIncomingUniStreams = -1
	}
	return &c
}

// Close delivers what was written, and its end, and then closes the QUIC connection. Calls of Read and Write that wait
// return. Close waits until the peer has acknowledged everything, but at most for quic.Config.CloseTimeout: see
// quic.Conn.Close for its error. The peer can read what was delivered.
func (c *Conn) Close() error {
	// The error is that of a connection that has ended, which is no error of Close.
	_ = c.Stream.Close()
	return c.Conn().Close()
}
