package quic

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// minConnIDLifetime keeps the cost of the rotation of connection IDs small: some 100 bytes in each direction.
const minConnIDLifetime = time.Minute

// maxConnIDAttempts is how often a connection ID that is in use is replaced before its use fails.
const maxConnIDAttempts = 16

var (
	errEmptyIDsFallback = errors.New("quic: Config.ClassicalFallback makes a second connection to the same address, and the Endpoint's empty connection IDs (Config.ConnIDLength) could not tell them apart: use another Endpoint")
	errEmptyIDsListen   = errors.New("quic: Config.ConnIDLength is negative: a server needs connection IDs, because the addresses of its clients change and can be spoofed. Only an Endpoint that dials can do without")
	errConnIDsInUse     = fmt.Errorf("quic: %d new connection IDs in a row belong to other connections: Config.GenerateConnID repeats itself, or Config.ConnIDLength is too small for this many connections", maxConnIDAttempts)
)

// connIDLen returns the length of connection IDs.
func (c *Config) connIDLen() int { return max(c.ConnIDLength, 0) }

// validateConnIDs checks the fields that concern connection IDs.
func (c *Config) validateConnIDs() error {
	n := c.ConnIDLength
	switch {
	case n > wire.MaxConnIDLen:
		return fmt.Errorf("quic: Config.ConnIDLength is %d; it must be at most %d", n, wire.MaxConnIDLen)
	case c.ConnIDLifetime < 0 || c.ConnIDLifetime > 0 && c.ConnIDLifetime < minConnIDLifetime:
		return fmt.Errorf("quic: Config.ConnIDLifetime is %v; it must be 0 or at least %v", c.ConnIDLifetime, minConnIDLifetime)
	case n > 0 && c.Loops > 1 && n < namingBytes:
		return fmt.Errorf("quic: Config.ConnIDLength is %d; with several loops it must be at least %d, because connection IDs name their loop", n, namingBytes)
	case n > 0 && c.Loops > 1 && n == namingBytes && c.GenerateConnID != nil:
		return fmt.Errorf("quic: Config.ConnIDLength is %d; with several loops it must be larger, because the last %d bytes name the loop and GenerateConnID writes the others", n, namingBytes)
	case n > 0:
		return nil
	}
	for _, f := range []struct {
		name  string
		isSet bool
	}{
		{"GenerateConnID", c.GenerateConnID != nil}, {"ConnIDLifetime", c.ConnIDLifetime > 0},
		{"RotateHandshakeConnID", c.RotateHandshakeConnID}, {"Loops", c.Loops > 1},
		{"ClassicalFallback, which makes a second connection to the same address,", c.ClassicalFallback > 0},
	} {
		if f.isSet {
			return fmt.Errorf("quic: Config.ConnIDLength is negative, and %s is set: empty connection IDs do not permit it", f.name)
		}
	}
	return nil
}

// newConnID returns a new connection ID. It is called with the lock of the Endpoint or of a connection held.
func (e *Endpoint) newConnID() (wire.ConnID, error) {
	n := e.cfg.connIDLen()
	if n == core.ConnIDLen && e.cfg.GenerateConnID == nil {
		return e.randomConnID(n), nil // which does not repeat
	}
	for range maxConnIDAttempts {
		id := e.randomConnID(n)
		if e.cfg.GenerateConnID != nil {
			var err error
			if id, err = e.generateConnID(id); err != nil {
				return id, err
			}
		}
		if n == 0 || e.routes.find(id) == nil {
			return id, nil
		}
	}
	e.noConnID(errConnIDsInUse)
	return wire.ConnID{}, errConnIDsInUse
}

// randomConnID returns a random connection ID. If there are several loops, it names this one.
func (e *Endpoint) randomConnID(n int) wire.ConnID {
	var b [wire.MaxConnIDLen]byte
	e.fillRandom(b[:n])
	if len(e.loops) > 1 {
		e.ids.name(b[:n], e.index)
	}
	id, _ := wire.MakeConnID(b[:n])
	return id
}

// generateConnID calls Config.GenerateConnID for a random connection ID.
func (e *Endpoint) generateConnID(random wire.ConnID) (wire.ConnID, error) {
	b := random.AppendTo(nil)
	n := len(b)
	if len(e.loops) > 1 {
		n -= namingBytes
	}
	err := tlsprovider.Guard("Config.GenerateConnID", func() error { return e.cfg.GenerateConnID(b[:n:n]) })
	if err != nil {
		err = fmt.Errorf("quic: Config.GenerateConnID: %w", err)
		e.noConnID(err)
		return wire.ConnID{}, err
	}
	id, _ := wire.MakeConnID(b)
	return id, nil
}

// noConnID logs that there is no connection ID. A lock is held, so the message is written by another goroutine.
func (e *Endpoint) noConnID(err error) {
	if errors.As(err, new(*tlsprovider.PanicError)) {
		e.counters.panics.Add(1)
	}
	go e.logFault(faultConnID, slog.LevelError, "quic: no connection ID: new connections fail, and others cannot migrate", "err", err)
}
