// Package driver executes scenarios: the scripts of a server and of a client, on whatever transport
// they are given.
//
// The semantics are those of s2n-netbench's drivers. Where these would wait for ever or panic (a peer
// that closes early, a stream that no script is for) there is an error that says where in the scenario
// it happened.
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
	// Dial connects; the handshake is complete when it returns. name is what is asked for and
	// verified.
	Dial(ctx context.Context, addr, name string) (Conn, error)
	// Close waits until connections that were closed are gone, and then gives up what there is.
	Close() error
}

// A Listener accepts connections for a server.
type Listener interface {
	// Accept waits for a connection whose handshake is complete. A *HandshakeError is about one
	// client.
	Accept(ctx context.Context) (Conn, error)
	Addr() net.Addr
	Close() error
}

// A Conn is a connection with streams that have logical IDs.
type Conn interface {
	// OpenStream opens the stream of that logical ID, which the peer learns with the first bytes.
	OpenStream(ctx context.Context, id uint64, bidirectional bool) (Stream, error)
	// AcceptStream waits for a stream of the peer's, of either kind.
	AcceptStream(ctx context.Context) (Stream, uint64, error)
	// Close delivers what was written and closes. It may wait for the peer.
	Close() error
	// Abort closes at once.
	Abort(reason string)
	// Done is closed when the connection is over.
	Done() <-chan struct{}
	// Info says what was negotiated.
	Info() Info
}

// A Stream carries bytes. What cannot be done with it, because it has one direction, is an error.
type Stream interface {
	io.Reader
	io.Writer
	// Flush sends what Write kept back.
	Flush() error
	// CloseWrite ends our direction.
	CloseWrite() error
	// StopReading tells the peer that nothing more will be read, without waiting.
	StopReading() error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Info is what a handshake negotiated.
type Info struct {
	ServerName  string
	Group       string
	CipherSuite string
	Resumed     bool
	// HandshakeTime is how long it took, where the transport knows.
	HandshakeTime time.Duration
}

func (i *Info) handshake(took time.Duration) stats.Handshake {
	return stats.Handshake{Took: took, Group: i.Group, CipherSuite: i.CipherSuite, Resumed: i.Resumed}
}

// A HandshakeError is a client that a server could not accept.
type HandshakeError struct{ Err error }

func (e *HandshakeError) Error() string { return e.Err.Error() }
func (e *HandshakeError) Unwrap() error { return e.Err }

// A Classifier names the class of an error of a transport; empty if it knows none.
type Classifier func(error) string

// A Stack is what a driver runs on.
type Stack struct {
	Classify Classifier
	// Provenance is what the transport knows of itself.
	Provenance stats.Provenance
}
