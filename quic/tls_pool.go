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

// errSignClosed fails one that waits for a Signer while its Endpoint closes.
var errSignClosed = errors.New("quic: endpoint closed while Certificate.Signer was at work")

// tlsPool runs the TLS jobs of an Endpoint: a bounded number of workers, which end when there is
// nothing to do, and a queue. Each connection has at most one job, so the queue holds no more jobs
// than there are connections; the Endpoint admits no more of them while full says so.
//
// Foreign code that may block has its own limit (slow) and gives the worker's place to another job:
// handshakes that hang in a Signer or a GetTLSConfig stop only one another.
type tlsPool struct {
	workers int // how many may run
	limit   int // jobs in the queue from which on no client is admitted
	slow    chan struct{}
	timeout time.Duration // of one Signer call
	rand    io.Reader
	closed  <-chan struct{}
	active  *sync.WaitGroup // of the Endpoint: workers and signers

	mu      sync.Mutex
	queue   []tlsTask
	running int
	waiting atomic.Int64 // len(queue), to be read without mu
}

// A tlsTask is a job and the connection that it goes back to.
type tlsTask struct {
	conn *Conn
	job  *core.TLSJob
}

// full says that there is more work than the pool gets done soon.
func (p *tlsPool) full() bool { return p.waiting.Load() >= int64(p.limit) }

// busy says that clients should prove their address before more work is done for them.
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

// work runs jobs until none is left or its place is needed by one that comes back from foreign code.
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

func (p *tlsPool) run(t tlsTask) {
	if !isClosed(p.closed) {
		t.job.Run()
		if req := t.job.Signing(); req != nil {
			p.active.Add(1)
			go p.sign(t, req)
			return
		}
	}
	// After Close a job goes back as it is: the connection frees what it holds.
	t.conn.handleTLSResult(t.job)
}

// sign runs a private key operation. A Signer that never returns keeps its goroutine, for Go cannot
// end it; the handshake and the place under the limit are freed by the deadline.
func (p *tlsPool) sign(t tlsTask, req *tlsprovider.SignRequest) {
	defer p.active.Done()
	timer := time.NewTimer(p.timeout)
	defer timer.Stop()
	select {
	case p.slow <- struct{}{}:
		defer func() { <-p.slow }()
		// The copy belongs to the goroutine, so that a late answer meets nobody.
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

// foreign calls a user's function from within a job, without holding the worker's place meanwhile, nor
// while it waits for its turn.
func (p *tlsPool) foreign(f func()) {
	p.mu.Lock()
	p.running--
	p.startWorker()
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.running++ // one too many for a moment: the next worker that finishes a job ends
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
