package quic

import (
	"errors"
	"log/slog"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A ConnEvent is an event in the life of a connection, for Config.OnConn.
type ConnEvent int

const (
	// ConnBegun means that a client has dialed or a server has admitted a client.
	ConnBegun ConnEvent = iota
	// ConnEstablished means that the handshake is complete.
	ConnEstablished
	// ConnEnded means that the connection has ended. The cause of Conn.Context says why.
	ConnEnded
)

// String returns the name of the event.
func (e ConnEvent) String() string {
	switch e {
	case ConnBegun:
		return "begun"
	case ConnEstablished:
		return "established"
	case ConnEnded:
		return "ended"
	}
	return "unknown event"
}

// notify calls Config.OnConn. No lock is held.
func (c *Conn) notify(ev ConnEvent) {
	if c.cfg.OnConn == nil {
		return
	}
	err := tlsprovider.Guard("Config.OnConn", func() error {
		c.cfg.OnConn(c, ev)
		return nil
	})
	var p *tlsprovider.PanicError
	if errors.As(err, &p) {
		c.ep.logFault(faultPanic, slog.LevelError, "quic: panic in a callback",
			"callback", p.Callback, "value", p.Value, "stack", string(p.Stack))
	}
}
