package quic

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/tlsprovider"
)

// errSignTimeout is the error of a handshake whose Certificate.Signer did not answer in time.
var errSignTimeout = errors.New("quic: Certificate.Signer did not answer within Config.SignTimeout")

// errSignClosed is the error of a handshake that waits for a Signer when its Endpoint closes.
var errSignClosed = errors.New("quic: endpoint closed while Certificate.Signer was running")

// tlsPool runs the TLS jobs of an Endpoint. It has a bounded number of workers, which end when there is
// nothing to do, and a queue. Each connection has at most one job, so the queue holds no more jobs than
// there are connections. The Endpoint admits no clients while the pool is full.
//
// The application's code may block. It has its own limit (slow) and passes the worker's slot to another
// job, so handshakes that hang in a Signer or in GetTLSConfig only delay each other.
//
// A job's result is passed to the connection by Conn.handleTLSResult, which leaves packets to a sender. A
// connection with much to send therefore does not occupy a worker.
type tlsPool struct {
	workers int // the number that may run
	limit   int // number of waiting jobs at which no client is admitted
	slow    chan struct{}
	timeout time.Duration // maximum duration of a Signer call
	rand    io.Reader
	closed  <-chan struct{}
	active  *sync.WaitGroup // the Endpoint's wait group; counts workers and signers

	mu      sync.Mutex
	queue   []tlsTask
	running int
	waiting atomic.Int64 // len(queue), which can be read without mu
}

// A tlsTask is a job and its connection.
type tlsTask struct {
	conn *Conn
	job  *core.TLSJob
}

// full reports whether so many jobs wait that no new client should be admitted.
func (p *tlsPool) full() bool { return p.waiting.Load() >= int64(p.limit) }

// busy reports whether so many jobs wait that new clients must prove their address first.
func (p *tlsPool) busy() bool { return p.waiting.Load() >= int64(p.limit/2) }

func (p *tlsPool) submit(t tlsTask) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, t)
	p.waiting.Add(1)
	p.startWorker()
}

// startWorker starts a worker. mu is held.
func (p *tlsPool) startWorker() {
	if p.running < p.workers && len(p.queue) > 0 {
		p.running++
		p.active.Add(1)
		go p.work()
	}
}

// work runs jobs until none is left, or until a job returns from the application's code and needs the slot.
func (p *tlsPool) work() {
	defer p.active.Done()
	for {
		p.mu.Lock()
		if len(p.queue) == 0 || p.running > p.workers {
			p.running--
			if len(p.queue) == 0 {
				p.queue = nil
			}
			p.mu.Unlock()
			return
		}
		t := p.queue[0]
		p.queue[0] = tlsTask{}
		p.queue = p.queue[1:]
		p.waiting.Add(-1)
		p.mu.Unlock()
		p.run(t)
	}
}

// leave passes on the slot of a worker that ends outside work.
func (p *tlsPool) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	p.startWorker()
}

func (p *tlsPool) run(t tlsTask) {
	if !isClosed(p.closed) {
		returned := false
		defer func() {
			if !returned { // runtime.Goexit is ending the worker
				t.conn.handleTLSResult(t.job)
				p.leave()
			}
		}()
		t.job.Run()
		returned = true
		if req := t.job.Signing(); req != nil {
			p.active.Add(1)
			go p.sign(t, req)
			return
		}
	}
	// After Close, a job is returned without being run, and the connection frees what it holds.
	t.conn.handleTLSResult(t.job)
}

// sign runs a private key operation. A Signer that never returns keeps its goroutine, because Go cannot end
// it. The handshake, and its slot under the limit, are released at the deadline.
func (p *tlsPool) sign(t tlsTask, req *tlsprovider.SignRequest) {
	defer p.active.Done()
	timer := time.NewTimer(p.timeout)
	defer timer.Stop()
	select {
	case p.slow <- struct{}{}:
		defer func() { <-p.slow }()
		// The goroutine has a copy, so a late answer has no effect.
		own := *req
		done := make(chan struct{})
		go func() {
			defer close(done) // also after runtime.Goexit
			own.Run(p.rand)
		}()
		select {
		case <-done:
			*req = own
		case <-timer.C:
			req.Fail(errSignTimeout)
		case <-p.closed:
			req.Fail(errSignClosed)
		}
	case <-timer.C:
		req.Fail(errSignTimeout)
	case <-p.closed:
		req.Fail(errSignClosed)
	}
	p.submit(t)
}

// callUser calls a function of the application from within a job. Another job may use the worker's slot
// during the call and while the call waits for its turn.
func (p *tlsPool) callUser(f func()) {
	p.mu.Lock()
	p.running--
	p.startWorker()
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.running++ // may exceed workers; the next worker that finishes a job then ends
		p.mu.Unlock()
	}()
	select {
	case p.slow <- struct{}{}:
	case <-p.closed:
		return
	}
	defer func() { <-p.slow }()
	f()
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
