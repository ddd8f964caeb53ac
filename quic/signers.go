package quic

import (
	"container/list"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/pqquic/pqquic/tlsprovider"
)

// errSignClosed is the error of a handshake that waits for a Signer when its Endpoint closes.
var errSignClosed = errors.New("quic: endpoint closed while Certificate.Signer was running")

// errSignGone is the error of a handshake whose connection ended before it was its turn.
var errSignGone = errors.New("quic: the connection ended before Certificate.Signer was called")

// signers decides when the Signers of an Endpoint's handshakes are called. A Signer may be slow, because a token in
// hardware makes few signatures a second, or never return, because the token is gone. Go cannot end such a call, so
// the calls are bounded, and not only the time for which a handshake waits:
//
//   - A call counts until it returns, also if its handshake has failed at the deadline. So handshakes do not leave a
//     goroutine each behind.
//   - One Signer has at most half of the calls, so one that never returns leaves room for the others.
//   - On a server, at most backlog handshakes wait for one Signer. That is half of the handshakes that a server may
//     have at a time, so a slow Signer does not keep other clients out.
type signers struct {
	most    int // Config.MaxSigners
	backlog int // Config.MaxHandshakes

	mu       sync.Mutex
	running  int // calls that have not returned
	stuck    int // those of them whose handshakes have given up
	timeouts uint64
	waiting  list.List // of *signTurn, in the order of their arrival
	loads    map[any]*signLoad
}

// A signLoad counts what belongs to one Signer. It exists while a count is not zero.
type signLoad struct {
	running int // calls that have not returned
	pending int // handshakes that wait for their turn or for the result of their call
}

// A signTurn is the turn of a handshake to call its Signer.
type signTurn struct {
	signer  any // the key of load
	load    *signLoad
	began   chan struct{} // closed when the call may begin
	running bool          // the call may begin, and has not returned
	called  bool          // the handshake has begun the call; only its goroutine uses this field
	left    bool          // the handshake has given up, or has its signature
	place   *list.Element // in signers.waiting, until the call may begin
}

// signerKey identifies a Signer. Signers of a type that cannot be compared share a key.
func signerKey(s any) any {
	if !reflect.ValueOf(s).Comparable() {
		return reflect.TypeOf(s)
	}
	return s
}

// join returns a turn for a handshake, or nil if too many clients of a server wait for this Signer.
func (s *signers) join(signer any, server bool) *signTurn {
	t := &signTurn{signer: signerKey(signer), began: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.load = s.loads[t.signer]; t.load == nil {
		if s.loads == nil {
			s.loads = make(map[any]*signLoad)
		}
		t.load = new(signLoad)
		s.loads[t.signer] = t.load
	}
	if server && t.load.pending >= s.backlog {
		return nil
	}
	t.load.pending++
	if !s.begin(t) {
		t.place = s.waiting.PushBack(t)
	}
	return t
}

// begin lets a call begin if the limits permit it. mu is held.
func (s *signers) begin(t *signTurn) bool {
	if s.running >= s.most || t.load.running >= (s.most+1)/2 {
		return false
	}
	s.running++
	t.load.running++
	t.running = true
	close(t.began)
	return true
}

// leave ends a handshake's turn. If its call has not returned, the call goes on without it. If it has not begun, nothing will make it,
// and its place is free: the turn may come just when the handshake's time is over.
func (s *signers) leave(t *signTurn, timeout bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.left = true
	t.load.pending--
	if t.place != nil {
		s.waiting.Remove(t.place)
	}
	switch {
	case t.running && t.called:
		s.stuck++
	case t.running: // the turn has come too late
		s.end(t)
	}
	if timeout {
		s.timeouts++
	}
	s.forget(t)
}

// returned is called when a call has returned.
func (s *signers) returned(t *signTurn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.left {
		s.stuck--
	}
	s.end(t)
	s.forget(t)
}

// end gives the place of a call to the next handshake that may have it. mu is held.
func (s *signers) end(t *signTurn) {
	s.running--
	t.load.running--
	t.running = false
	for e := s.waiting.Front(); e != nil; e = e.Next() {
		if next := e.Value.(*signTurn); s.begin(next) {
			s.waiting.Remove(e)
			next.place = nil
			return // no other has room, because only one call has returned
		}
	}
}

// forget frees the counts of a Signer if nothing belongs to it any more. mu is held.
func (s *signers) forget(t *signTurn) {
	if *t.load == (signLoad{}) {
		delete(s.loads, t.signer)
	}
}

// fillStats sets the fields of st that are about Signers.
func (s *signers) fillStats(st *EndpointStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.StuckSigners, st.SignTimeouts = s.stuck, s.timeouts
	for _, load := range s.loads {
		st.Signing += load.pending
	}
}

// sign makes the signature that a job waits for, and returns the job to the pool. It runs on a goroutine of its own.
func (p *tlsPool) sign(t tlsTask, req *tlsprovider.SignRequest) {
	defer p.active.Done()
	if err := p.callSigner(t, req); err != nil {
		req.Fail(err)
	}
	p.submit(t, false)
}

// callSigner waits for the handshake's turn and for its signature. It returns an error if req has no result.
func (p *tlsPool) callSigner(t tlsTask, req *tlsprovider.SignRequest) error {
	turn := p.signers.join(req.Signer(), t.conn.server)
	if turn == nil {
		return fmt.Errorf("quic: %d handshakes already wait for this Certificate.Signer, which is too slow or does not answer: "+
			"see Config.MaxHandshakes", p.signers.backlog)
	}
	timer := time.NewTimer(p.timeout)
	defer timer.Stop()
	timeout := false
	defer func() { p.signers.leave(turn, timeout) }()
	select {
	case <-turn.began:
	case <-timer.C:
		timeout = true
		return fmt.Errorf("quic: Certificate.Signer was busy with other handshakes for %v (Config.SignTimeout)", p.timeout)
	case <-p.closed:
		return errSignClosed
	}
	if t.conn.hasEnded() {
		return errSignGone
	}
	turn.called = true
	// The goroutine has a copy, so a late answer has no effect.
	own := *req
	done := make(chan struct{})
	go func() {
		defer close(done) // also after runtime.Goexit
		defer p.signers.returned(turn)
		own.Run(p.rand)
	}()
	select {
	case <-done:
		*req = own
		return nil
	case <-timer.C:
		timeout = true
		return fmt.Errorf("quic: Certificate.Signer did not answer within %v (Config.SignTimeout)", p.timeout)
	case <-p.closed:
		return errSignClosed
	}
}
