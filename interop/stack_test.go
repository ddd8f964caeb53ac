package interop

import (
	"context"
	"io"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A conn is a connection of any stack, as far as the cases need one.
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
	// failed waits for a handshake that does not succeed and returns the server's error; nil where
	// the stack keeps it to itself.
	failed(context.Context) error
	close()
}

// options are those of one side.
type options struct {
	groups  []tlsprovider.Group
	alpn    string
	noRoots bool // a client that does not trust the server's certificate
	// via, of a client, leads its packets over something that stands before the server.
	via   func(addr string) string
	retry bool // a server that validates addresses
}
