//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
)

// tlsTCP is TLS 1.3 over TCP with crypto/tls, which a Go program can use instead of QUIC. A connection has one
// stream.
const tlsTCP = "tls-tcp"

type tcpEndpoint struct {
	net.Listener // of a server
	tls          *tls.Config
}

func openTLSTCP(s *settings) (endpoint, error) {
	var e tcpEndpoint
	var err error
	if e.tls, err = s.tlsConfig(); err != nil {
		return nil, err
	}
	if s.server() {
		e.Listener, err = net.Listen("tcp4", net.JoinHostPort(s.bind, "0"))
	}
	return e, err
}

func (e tcpEndpoint) addr() string {
	if e.Listener == nil {
		return ""
	}
	return e.Addr().String()
}

// buffers returns nothing: the kernel adapts the buffers of TCP.
func (e tcpEndpoint) buffers() (receive, send string) { return "adaptive", "adaptive" }

func (e tcpEndpoint) accept() (connection, error) {
	c, err := e.Accept()
	if err != nil {
		return nil, err
	}
	return &tcpConn{Conn: tls.Server(c, e.tls), server: true}, nil
}

func (e tcpEndpoint) dial(ctx context.Context, addr string) (connection, error) {
	c, err := (&tls.Dialer{Config: e.tls}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &tcpConn{Conn: c.(*tls.Conn)}, nil
}

func (e tcpEndpoint) refusals() (refused, validated int64) { return -1, -1 }

func (e tcpEndpoint) close() {
	if e.Listener != nil {
		e.Close()
	}
}

type tcpConn struct {
	*tls.Conn
	server bool
	opened atomic.Bool
}

// openStream returns the connection as its only stream.
func (c *tcpConn) openStream() (stream, error) {
	if c.opened.Swap(true) {
		return nil, errors.New("a TCP connection has one stream")
	}
	return c, nil
}

func (c *tcpConn) acceptStream() (stream, error) { return c.openStream() }

// CloseWrite ends our direction. The server, which ends last, also closes the connection.
func (c *tcpConn) CloseWrite() error {
	err := c.Conn.CloseWrite()
	if c.server {
		err = errors.Join(err, c.Close())
	}
	return err
}

func (c *tcpConn) abort() { c.Close() }

func (c *tcpConn) negotiated() (group, suite string) {
	state := c.ConnectionState()
	return state.CurveID.String(), tls.CipherSuiteName(state.CipherSuite)
}
