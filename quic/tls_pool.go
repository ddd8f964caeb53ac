package quic

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// tlsPool runs the TLS jobs of an Endpoint. It has a queue and a bounded number of workers. A worker starts
// when there is a job and none is idle, and stays until the Endpoint closes, because waking a goroutine
// costs less than starting one whose stack must grow for each job. (The workload connect-32 of bench/peers
// shows the difference.) Each connection has at most one job, so the queue holds no more jobs than there are
// connections. The Endpoint admits no clients while the pool is full.
//
// The application's code may block. It has limits of its own (slow, signers) and passes the worker's slot to another
// job, so handshakes that hang in GetTLSConfig only delay each other, and so do those that hang in a Signer.
//
// A job's result is passed to the connection by Conn.handleTLSResult, which leaves packets to a sender. A
// connection with much to send therefore does not occupy a worker.
//
// A step takes hundreds of microseconds, in which Go's scheduler does not interrupt it. If steps ran on all processors,
// each packet of an established connection would wait for one. So while such connections exchange packets, one processor
// is kept free of steps: see reserve. (The workload isolation of bench/peers shows the difference.)
type tlsPool struct {
	workers int           // the number that may run if no processor is reserved
	limit   int           // number of waiting jobs at which no client is admitted
	slow    chan struct{} // callbacks of the application
	signers signers
	timeout time.Duration // for which a handshake waits for a Signer
	rand    io.Reader
	closed  <-chan struct{}
	active  *sync.WaitGroup // the Endpoint's wait group; counts workers and signers
	clock   clock

	reserved atomic.Int64 // the time of the last reserve, a monotime.Time

	mu      sync.Mutex
	work    sync.Cond // wakes an idle worker
	queue   []tlsTask
	few     [8]tlsTask   // the array of a short queue
	running int          // workers that are not idle and not in code of the application
	idle    int          // workers that wait for a job, at most as many as may run
	ending  bool         // workers end instead of waiting
	waiting atomic.Int64 // len(queue), which can be read without mu
}

func (p *tlsPool) init() {
	p.work.L = &p.mu
	p.queue = p.few[:0]
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

// A connection is established for reserve settledAfter after its handshake. Its packets then reserve a processor for
// reservedFor. Servers whose connections are all short use all processors for TLS.
const (
	settledAfter = time.Second
	reservedFor  = time.Second
)

// reserve keeps a processor free of TLS steps for some time.
func (p *tlsPool) reserve(now monotime.Time) {
	// All goroutines that receive share the variable, so it is not written for each packet.
	if last := monotime.Time(p.reserved.Load()); last.IsZero() || now.Sub(last) > reservedFor/8 {
		p.reserved.Store(int64(now))
	}
}

// most returns the number of workers that may run now.
func (p *tlsPool) most() int {
	last := monotime.Time(p.reserved.Load())
	if p.workers == 1 || last.IsZero() || p.clock.now().Sub(last) > reservedFor {
		return p.workers
	}
	return p.workers - 1
}

// submit queues a job. byWorker means that a worker calls it within a job. The worker takes the only job of the queue
// itself, which saves waking another one.
func (p *tlsPool) submit(t tlsTask, byWorker bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, t)
	p.waiting.Add(1)
	if !byWorker || len(p.queue) > 1 {
		p.startWorker()
	}
}

// enter takes the place of a worker for a goroutine that runs a job itself, if one is free and no job waits. The
// goroutine must call leave and active.Done.
func (p *tlsPool) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ending || p.running >= p.most() || len(p.queue) > 0 {
		return false
	}
	p.running++
	p.active.Add(1)
	return true
}

// startWorker wakes or starts a worker, if one may run and there is a job. mu is held.
func (p *tlsPool) startWorker() {
	if len(p.queue) == 0 || p.running >= p.most() {
		return
	}
	p.running++
	if p.idle > 0 {
		p.idle--
		p.work.Signal()
		return
	}
	p.active.Add(1)
	go p.runTasks()
}

// runTasks is the main function of a worker.
func (p *tlsPool) runTasks() {
	ended := false
	defer func() {
		if !ended { // runtime.Goexit
			p.leave()
		}
		p.active.Done()
	}()
	for {
		t, ok := p.next()
		if !ok {
			ended = true
			return
		}
		p.run(t)
	}
}

// next waits for a job. It returns false if the worker must end.
func (p *tlsPool) next() (t tlsTask, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// More workers than may run exist when one has returned from the application's code, or a processor is reserved.
	for len(p.queue) == 0 || p.running > p.most() {
		p.running--
		if p.ending || p.idle >= p.workers {
			return t, false
		}
		p.idle++
		p.work.Wait() // startWorker or end has counted this worker as running again
	}
	t = p.queue[0]
	p.queue[0] = tlsTask{}
	if p.queue = p.queue[1:]; len(p.queue) == 0 {
		p.queue = p.few[:0]
	}
	p.waiting.Add(-1)
	p.startWorker() // if a processor is no longer reserved
	return t, true
}

// end lets the workers end once there is no job.
func (p *tlsPool) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ending = true
	p.running += p.idle
	p.idle = 0
	p.work.Broadcast()
}

// leave passes on the place of a worker that ends outside next, or of a goroutine that has entered.
func (p *tlsPool) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	p.startWorker()
}

// run runs a job on a worker and returns the result to the connection.
func (p *tlsPool) run(t tlsTask) {
	done := true // also after runtime.Goexit, which ends the worker
	defer func() {
		if done {
			t.conn.handleTLSResult(t.job)
		}
	}()
	done = p.step(t)
}

// step runs a job. It reports whether there is a result, and false if the job waits for a signature.
func (p *tlsPool) step(t tlsTask) bool {
	if isClosed(p.closed) {
		return true // the job is returned without being run, and the connection frees what it holds
	}
	t.job.Run()
	req := t.job.Signing()
	if req == nil {
		return true
	}
	p.active.Add(1)
	go p.sign(t, req)
	return false
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
		p.running++ // may exceed workers; the next worker that finishes a job then takes no other
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
