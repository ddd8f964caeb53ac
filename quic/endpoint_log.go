package quic

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A fault is a kind of message that clients can cause. Each kind is logged at most once per logInterval.
type fault int

const (
	faultPanic        fault = iota // of a callback or the provider
	faultLocal                     // a handshake failed on this side with internal_error
	faultRejected                  // clients reject the server's certificate
	faultTickets                   // a new server configuration does not have the previous ticket keys
	faultBacklog                   // clients are refused because the backlog is full
	faultClientConfig              // GetConfigForClient returned an invalid configuration
	faultQlog                      // the log of a connection cannot be written
	faultConnID                    // no connection ID could be generated
	numFaults
)

// logInterval is the minimum time between two messages of one kind.
const logInterval = 10 * time.Second

// faultLog limits the rate at which faults are logged and counts those that it suppresses.
type faultLog struct {
	mu    sync.Mutex
	kinds [numFaults]struct {
		last       monotime.Time
		suppressed int
	}
}

// take reports whether a message of a kind may be logged now and how many were suppressed before it.
func (l *faultLog) take(now monotime.Time, f fault) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := &l.kinds[f]
	if !k.last.IsZero() && now.Sub(k.last) < logInterval {
		k.suppressed++
		return 0, false
	}
	suppressed, k.suppressed, k.last = k.suppressed, 0, now
	return suppressed, true
}

// logFault logs a fault unless one of the same kind was logged within logInterval. No lock is held.
func (e *Endpoint) logFault(f fault, level slog.Level, msg string, args ...any) {
	if !e.log.Enabled(context.Background(), level) {
		return
	}
	suppressed, ok := e.faults.take(e.clock.now(), f)
	if !ok {
		return
	}
	if suppressed > 0 {
		args = append(args, "suppressed", suppressed)
	}
	e.log.Log(context.Background(), level, msg, args...)
}

// notePanic counts and logs a panic that ended a handshake. No lock is held.
func (e *Endpoint) notePanic(remote any, err error) {
	var p *tlsprovider.PanicError
	if !errors.As(err, &p) {
		return
	}
	e.counters.panics.Add(1)
	e.logFault(faultPanic, slog.LevelError, "quic: panic in a handshake",
		"remote", remote, "callback", p.Callback, "value", p.Value, "stack", string(p.Stack))
}

// controllerPanicked counts and logs a panic of a program's congestion controller. The connection goes on with CUBIC,
// and its lock is held, so the message is written by another goroutine.
func (e *Endpoint) controllerPanicked(p *tlsprovider.PanicError) {
	e.counters.panics.Add(1)
	go e.logFault(faultPanic, slog.LevelError, "quic: panic in a congestion controller; the path goes on with CUBIC",
		"callback", p.Callback, "value", p.Value, "stack", string(p.Stack))
}
