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

// errSignTimeout fails a handshake whose Certificate.Signer does not answer.
var errSignTimeout = errors.New("quic: Certificate.Signer did not answer within Config.SignTimeout")

// errSignClosed fails a handshake that waits for a Signer when its Endpoint closes.
var errSignClosed = errors.New("quic: endpoint closed while Certificate.Signer was at work")

// tlsPool runs the TLS jobs of an Endpoint: a bounded number of workers, which end when there is
// nothing to do, and a queue. Each connection has at most one job, so the queue holds no more jobs
// than there are connections; the Endpoint admits no more clients while the pool is full.
//
// The user's code may block. It has a limit of its own (slow) and gives the worker's place to another
// job: handshakes that hang in a Signer or in GetTLSConfig stop only one another.
//
// A job's result goes to the connection by Conn.handleTLSResult, which leaves packets to a sender: a
// worker is never kept by a connection that has much to send.
type tlsPool struct {
	workers int // the number that may run
	limit   int // the number of waiting jobs at which no client is admitted
	slow    chan struct{}
	timeout time.Duration // of one Signer call
	rand    io.Reader
	closed  <-chan struct{}
	active  *sync.WaitGroup // of the Endpoint: workers and signers

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

// full reports whether so much work waits that clients must not be admitted.
func (p *tlsPool) full() bool { return p.waiting.Load() >= int64(p.limit) }

// busy reports whether clients must prove their address before more work is done for them.
func (p *tlsPool) busy() bool { return p.waiting.Load() >= int64(p.limit/2) }

func (p *tlsPool) submit(t tlsTask) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, t)
	p.waiting.Add(1)
	p.startWorker()
}

// startWorker is called with mu held.
func (p *tlsPool) startWorker() {
	if p.running < p.workers && len(p.queue) > 0 {
		p.running++
		p.active.Add(1)
		go p.work()
	}
}

// work runs jobs until none is left, or until a job returns from the user's code and needs the place.
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

// leave gives the place of a worker that ends outside of work to another one.
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
			if !returned { // runtime.Goexit ends the worker
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
	// After Close a job is returned without being run: the connection frees what it holds.
	t.conn.handleTLSResult(t.job)
}

// sign runs a private key operation. A Signer that never returns keeps its goroutine, because Go cannot
// end it; the handshake, and the place under the limit, are freed at the deadline.
func (p *tlsPool) sign(t tlsTask, req *tlsprovider.SignRequest) {
	defer p.active.Done()
	timer := time.NewTimer(p.timeout)
	defer timer.Stop()
	select {
	case p.slow <- struct{}{}:
		defer func() { <-p.slow }()
		// The goroutine has a copy, so that a late answer changes nothing.
		own := *req
		done := make(chan struct{})
		go func() {
			own.Run(p.rand)
			close(done)
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

// callUser calls a user's function from within a job. The worker's place is free meanwhile, and while
// the call waits for its turn.
func (p *tlsPool) callUser(f func()) {
	p.mu.Lock()
	p.running--
	p.startWorker()
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.running++ // may exceed workers: the next worker that finishes a job ends
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
