package http3

import (
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/pqquic/pqquic/quic"
)

// traceState returns the state of a connection for httptrace.ClientTrace.TLSHandshakeDone. qc may be nil.
func traceState(qc *quic.Conn) tls.ConnectionState {
	if qc == nil {
		return tls.ConnectionState{}
	}
	return *tlsState(qc)
}

// A tracedConn is the Conn of httptrace.GotConnInfo. It has addresses; what would disturb the connection fails.
type tracedConn struct{ qc *quic.Conn }

var errTracedConn = errors.New("http3: the connection of a trace only has addresses")

func (c tracedConn) LocalAddr() net.Addr              { return c.qc.LocalAddr() }
func (c tracedConn) RemoteAddr() net.Addr             { return c.qc.RemoteAddr() }
func (tracedConn) Read([]byte) (int, error)           { return 0, errTracedConn }
func (tracedConn) Write([]byte) (int, error)          { return 0, errTracedConn }
func (tracedConn) Close() error                       { return errTracedConn }
func (tracedConn) SetDeadline(time.Time) error        { return errTracedConn }
func (tracedConn) SetReadDeadline(time.Time) error    { return errTracedConn }
func (tracedConn) SetWriteDeadline(t time.Time) error { return errTracedConn }
