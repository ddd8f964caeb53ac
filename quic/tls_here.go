package quic

import (
	"runtime"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A TLS step normally runs on a worker (tls_pool.go), and a sender sends what it produces. That wakes two goroutines,
// and often two threads, for each step. In two cases the goroutine at hand runs the step itself, and then sends one
// train, as a large Write does:
//
//   - in Dial, which would only wait for the step;
//   - on the receive goroutine, if the Endpoint has no other connection, so that the step delays no other connection's packets. A
//     client that Dial made always has one connection; a server has one while a single client uses it.
//
// The goroutine takes the place of a worker, so no more steps run at a time than workers may. Steps that may call code
// of the application always run on a worker, because that code may block. The workload connect-1 of bench/peers shows
// the difference.

// isQuick reports whether the steps of a handshake with cfg call no code that may block: of the application, or of a
// system that verifies certificates itself and may look up a revocation over the network.
func isQuick(cfg *tlsprovider.Config, side tlsprovider.Side) bool {
	if cfg.TLS != nil || cfg.VerifyPeer != nil || cfg.KeyLogWriter != nil || cfg.Time != nil {
		return false
	}
	if _, ours := cfg.ClientStore.(*tlsprovider.ClientCache); cfg.ClientStore != nil && !ours {
		return false
	}
	systemVerifies := runtime.GOOS == "windows" || runtime.GOOS == "darwin" || runtime.GOOS == "ios"
	return side == tlsprovider.Server || cfg.RootCAs != nil || !systemVerifies
}

// advance is dispatch for the receive goroutine. During the handshake of the Endpoint's only connection it runs TLS
// steps and sends what they produce. It is called with mu held and returns without it.
func (c *Conn) advance(now monotime.Time) {
	if c.quickTLS && !c.isUp && c.ep.numConns.Load() == 1 {
		c.driveAs(&outcome{runsTLS: true})
		return
	}
	c.dispatch(now, false)
}

// runHere runs a job and gives its result to the core. It returns false, without running the job, if no worker's place
// is free. It is called with driving set and without mu.
func (c *Conn) runHere(job *core.TLSJob) bool {
	p := &c.ep.pool
	if !p.enter() {
		return false
	}
	returned, done := false, true
	defer func() {
		p.leave()
		if done {
			c.mu.Lock()
			c.core.HandleTLSResult(c.ep.clock.now(), job)
			if returned {
				c.mu.Unlock()
			} else {
				c.stopDriving(&outcome{}, true) // runtime.Goexit ends this goroutine, and a sender drives
			}
		}
		p.active.Done()
	}()
	done = p.step(tlsTask{c, job})
	returned = true
	return true
}
