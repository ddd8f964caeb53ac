package interop

import (
	"context"
	"io"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A conn is a connection of any stack, with the methods that the cases need.
type conn interface {
	open(context.Context) (stream, error)
	accept(context.Context) (stream, error)
	// closeCode ends the connection with an application error code.
	closeCode(code uint64, reason string)
	// gone waits for the end and returns its error.
	gone(context.Context) error
	group() tlsprovider.Group
}

// A stream is a bidirectional stream of any stack.
type stream interface {
	io.ReadWriter
	closeWrite() error
}

// A stack dials and listens.
type stack interface {
	dial(ctx context.Context, addr string, o options) (conn, error)
	listen(o options) (listener, error)
}

type listener interface {
	addr() string
	accept(context.Context) (conn, error)
	// failed waits for a handshake that does not succeed and returns the server's error, or nil if the
	// stack does not report it.
	failed(context.Context) error
	close()
}

// options are the options of one side.
type options struct {
	groups  []tlsprovider.Group
	alpn    string
	noRoots bool // the client does not trust the server's certificate
	// via, on a client, routes its packets through a relay in front of the server.
	via   func(addr string) string
	retry bool // the server validates addresses
	// datagrams enables DATAGRAM frames.
	datagrams bool
	// resetAt enables RESET_STREAM_AT.
	resetAt bool
	// version2 leaves only QUIC version 2.
	version2 bool
	// moves is set if the client will move to another socket.
	moves bool
	// resetKey gives a server a fixed key for stateless resets.
	resetKey bool
}

// resetKey is the key for stateless resets.
var resetKey = [32]byte{7}
