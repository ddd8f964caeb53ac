// Package qlog configures the logs of connections in the format qlog, which qvis and other tools read.
//
// A log has an event for each packet that is sent, received, dropped or lost, with its frames, and for each
// change of the keys, the metrics of congestion control, the timers, the path and the state of a connection.
// It has the sizes of the data of streams and of the handshake, but not the data, and no keys and no tokens.
// It has the addresses of the peers.
//
// If quic.Config.Qlog is nil, the environment variable QLOGDIR names the directory for the logs of all
// connections; without it, nothing is logged. Otherwise:
//
//	cfg := &quic.Config{Qlog: &qlog.Config{Open: qlog.Dir("/var/log/qlog")}}
//
// Logs are written in the background. Endpoint.Close, and Conn.Close of a client, wait until the logs are
// written, but at most a second.
package qlog

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Config says where the logs of connections go and in which form. It must not be changed once it is in use.
type Config struct {
	// Open returns the writer of a connection's log. It is called on a goroutine of its own, as are the
	// writer's methods, so they may block. The writer is closed at the end of the log. If Open or the writer
	// returns an error, the rest of the log is dropped, and quic.Config.Logger gets a warning. A nil Open
	// means that nothing is logged, whatever QLOGDIR is. A panic in Open or the writer ends the program.
	Open func(Conn) (io.WriteCloser, error)
	// Select, if set, reports whether a connection is logged. It is called when the connection begins, and
	// must not block. If it panics, the connection is not logged.
	Select func(Conn) bool
	// Schema is the form of the events.
	Schema Schema
	// EventSchemas are the URIs of the schemas of the events that the program adds with quic.Conn.LogEvent. The beginning of a
	// log names them beside those of the transport.
	EventSchemas []string
	// Buffer is the number of bytes of a log that may wait for its writer. Events beyond it are dropped, and
	// an event of the type loglevel:warning says how many. 0 means 1 MiB.
	Buffer int
}

// Conn describes a connection whose log begins.
type Conn struct {
	// ID is the destination connection ID of the client's first packet, which both sides know.
	ID []byte
	// Server reports whether this side is the server.
	Server bool
}

// FileName returns the usual name of a log file: the ID in hexadecimal, the side, and the extension sqlog.
func (c Conn) FileName() string {
	side := "client"
	if c.Server {
		side = "server"
	}
	return hex.EncodeToString(c.ID) + "_" + side + ".sqlog"
}

// A Schema is the form of the events in a log.
type Schema int

const (
	// Compatible uses the names of events that quic-go writes and qvis draws, such as transport:packet_sent.
	Compatible Schema = iota
	// Draft follows the working group's drafts qlog main schema and QUIC event definitions, whose events are
	// all in the namespace quic, such as quic:packet_sent.
	Draft
)

// Dir returns a function for Config.Open that creates a file in a directory for each connection. It creates
// the directory if it does not exist. The file has the name that Conn.FileName returns or, if there is one
// of that name, because a client has used an ID again, the same name with a random number. Only the user
// who runs the program can read the files.
func Dir(dir string) func(Conn) (io.WriteCloser, error) {
	return func(c Conn) (io.WriteCloser, error) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("qlog: %w", err)
		}
		name := c.FileName()
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			f, err = os.CreateTemp(dir, strings.TrimSuffix(name, ".sqlog")+"-*.sqlog")
		}
		if err != nil {
			return nil, fmt.Errorf("qlog: %w", err)
		}
		return f, nil
	}
}

// FromEnvironment returns a Config for the directory that the environment variable QLOGDIR names, or nil if
// it is not set.
func FromEnvironment() *Config {
	if dir := os.Getenv("QLOGDIR"); dir != "" {
		return &Config{Open: Dir(dir)}
	}
	return nil
}
