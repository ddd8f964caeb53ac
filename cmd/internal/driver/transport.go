// Package driver executes the scripts of a scenario's servers and clients on a given transport.
//
// The semantics are those of s2n-netbench's drivers. Where those would wait forever or panic (a peer that
// closes early, a stream without a script), this package returns an error with the place in the scenario.
package driver

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/stats"
)

// A Transport makes connections for a client.
type Transport interface {
	// Dial connects and completes the handshake. The peer's certificate must be valid for name.
	Dial(ctx context.Context, addr, name string) (Conn, error)
	// Close waits for closing connections to finish and then releases all resources.
	Close() error
}

// A Listener accepts connections for a server.
type Listener interface {
	// Accept waits for a connection whose handshake is complete. A *HandshakeError concerns one client and
	// does not end the listener.
	Accept(ctx context.Context) (Conn, error)
	Addr() net.Addr
	Close() error
}

// A Conn is a connection with streams that have logical IDs.
type Conn interface {
	// OpenStream opens the stream with this logical ID. The peer learns the ID with the first bytes.
	OpenStream(ctx context.Context, id uint64, bidirectional bool) (Stream, error)
	// AcceptStream waits for a stream that the peer opens, of either kind.
	AcceptStream(ctx context.Context) (Stream, uint64, error)
	// Close delivers everything written and closes the connection. It may wait for the peer.
	Close() error
	// Abort closes the connection immediately.
	Abort(reason string)
	// Done is closed when the connection has ended.
	Done() <-chan struct{}
	// Info returns what the handshake negotiated.
	Info() Info
}

// A Stream carries bytes. An operation that its direction does not permit returns an error.
type Stream interface {
	io.Reader
	io.Writer
	// Flush sends the bytes that Write held back.
	Flush() error
	// CloseWrite ends our sending direction.
	CloseWrite() error
	// StopReading tells the peer that nothing more will be read. It does not wait.
	StopReading() error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Info describes what a handshake negotiated.
type Info struct {
	ServerName  string
	Group       string
	CipherSuite string
	Resumed     bool
	// HandshakeTime is the duration of the handshake; 0 if the transport does not know it.
	HandshakeTime time.Duration
}

func (i *Info) handshake(took time.Duration) stats.Handshake {
	return stats.Handshake{Took: took, Group: i.Group, CipherSuite: i.CipherSuite, Resumed: i.Resumed}
}

// A HandshakeError reports a client that a server could not accept.
type HandshakeError struct{ Err error }

func (e *HandshakeError) Error() string { return e.Err.Error() }
func (e *HandshakeError) Unwrap() error { return e.Err }

// A Classifier returns the class of a transport's error, or "" if it does not know the error.
type Classifier func(error) string

// A Stack is the transport that a driver runs on, with its provenance.
type Stack struct {
	Classify Classifier
	// Provenance is what the transport reports about itself.
	Provenance stats.Provenance
}
