package http3

import (
	"context"
	"crypto/tls"
	"math"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/quic"
)

// A serverConn is a connection of a Server.
type serverConn struct {
	conn
	srv    *Server
	ctx    context.Context // of which requests have the values
	remote string
	tls    atomic.Pointer[tls.ConnectionState] // nil until a request needs it

	reqs requests

	// The last IDs of the client's GOAWAY and MAX_PUSH_ID frames. The goroutine of the control stream uses them.
	goAway, maxPush uint64
	hasGoAway       bool
}

// requests is the state of a connection's requests.
type requests struct {
	mu     sync.Mutex
	active int           // number of requests in progress
	next   quic.StreamID // the request after the last one that was begun
	// limit is the ID of the last GOAWAY frame: requests from it on are rejected.
	limit    quic.StreamID
	idle     *time.Timer // ends a connection without requests; nil if there is no limit
	isClosed bool
	done     chan struct{} // closed when the last request has ended after the second GOAWAY; nil before

	// isAware is set if the client has sent a priority. waiting has the priorities of requests that have not begun.
	isAware bool
	waiting map[quic.StreamID]Priority
}

// noLimit is the ID of the first GOAWAY frame of a graceful shutdown.
//
// "An endpoint that is attempting to gracefully shut down a connection can send a GOAWAY frame with a value set to the maximum
// possible value (2^62-4 for servers, 2^62-1 for clients)."
// https://www.rfc-editor.org/rfc/rfc9114#section-5.2-8
const noLimit quic.StreamID = 1<<62 - 4

func newServerConn(srv *Server, qc *quic.Conn) (*serverConn, error) {
	sc := &serverConn{srv: srv, remote: qc.RemoteAddr().String()}
	sc.conn.init(qc, srv.connConfig(), sc)
	sc.reqs.limit = math.MaxInt64
	sc.ctx = (*connContext)(sc)
	if srv.ConnContext != nil {
		if err := sc.deriveContext(); err != nil {
			return nil, err
		}
	}
	if d := srv.idleTimeout(); d > 0 {
		sc.reqs.idle = time.AfterFunc(d, sc.closeIdle)
	}
	return sc, nil
}

// deriveContext calls ConnContext. If it panics, this is logged and only the connection ends.
func (sc *serverConn) deriveContext() (err error) {
	defer func() {
		if p := recover(); p != nil {
			sc.recovered(p)
			err = connErrorf(ErrCodeInternalError, "ConnContext has panicked")
		}
	}()
	if sc.ctx = sc.srv.ConnContext(sc.ctx, sc.qc); sc.ctx == nil {
		return connErrorf(ErrCodeInternalError, "ConnContext has returned nil")
	}
	return nil
}

// A connContext is the context that the requests of a connection inherit from, unless ConnContext derives another one. It is the
// connection itself, so that an idle connection holds nothing for it. It has no end.
type connContext serverConn

// Deadline implements context.Context.
func (*connContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (*connContext) Done() <-chan struct{} { return nil }

// Err implements context.Context.
func (*connContext) Err() error { return nil }

// Value implements context.Context.
func (c *connContext) Value(key any) any {
	switch key {
	case ServerContextKey:
		return c.srv
	case http.LocalAddrContextKey:
		return c.qc.LocalAddr()
	case connContextKey:
		return c.qc
	}
	return nil
}

// begin notes a new request, and reports whether it may be served.
func (sc *serverConn) begin(id quic.StreamID) (p Priority, hasPriority, ok bool) {
	r := &sc.reqs
	r.mu.Lock()
	defer r.mu.Unlock()
	// "Requests or pushes with the indicated identifier or greater are rejected (Section 4.1.1) by the sender of the GOAWAY."
	// https://www.rfc-editor.org/rfc/rfc9114#section-5.2-1
	if id >= r.limit || r.isClosed {
		return p, false, false
	}
	r.next = max(r.next, id+4)
	if r.active++; r.active == 1 && r.idle != nil {
		r.idle.Stop()
	}
	if r.waiting != nil {
		p, hasPriority = r.waiting[id]
		delete(r.waiting, id)
	}
	return p, hasPriority, true
}

// end notes the end of a request.
func (sc *serverConn) end() {
	r := &sc.reqs
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.active--; r.active > 0 {
		return
	}
	if r.idle != nil && !r.isClosed {
		r.idle.Reset(sc.srv.idleTimeout())
	}
	if r.done != nil && !r.isClosed {
		r.isClosed = true
		close(r.done)
	}
}

// stopIdle stops the timer of IdleTimeout for good. A timer that runs keeps the connection in memory.
func (sc *serverConn) stopIdle() {
	r := &sc.reqs
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isClosed = true; r.idle != nil {
		r.idle.Stop()
	}
}

// closeIdle ends a connection on which there was no request for IdleTimeout.
func (sc *serverConn) closeIdle() {
	r := &sc.reqs
	r.mu.Lock()
	isIdle := r.active == 0 && !r.isClosed
	r.isClosed = r.isClosed || isIdle
	next := r.next
	r.mu.Unlock()
	if !isIdle {
		return
	}
	// "When either endpoint chooses to close the HTTP/3 connection, the terminating endpoint SHOULD first send a GOAWAY frame"
	// https://www.rfc-editor.org/rfc/rfc9114#section-3.3-5
	_ = sc.sendGoAway(next) // the connection ends anyway
	_ = sc.qc.CloseWithError(uint64(ErrCodeNoError), "idle")
}

func (sc *serverConn) sendGoAway(id quic.StreamID) error {
	return sc.sendFrame(frame.AppendInt(nil, frame.GoAway, uint64(id)))
}

// shutdown sends GOAWAY twice, waits for the requests in progress, and closes the connection.
//
// "After allowing time for any in-flight requests or pushes to arrive, the endpoint can send another GOAWAY frame indicating
// which requests or pushes it might accept before the end of the connection. This ensures that a connection can be cleanly shut
// down without losing requests."
// https://www.rfc-editor.org/rfc/rfc9114#section-5.2-8
func (sc *serverConn) shutdown(ctx context.Context) {
	if err := sc.announceShutdown(); err != nil {
		return
	}
	timer := time.NewTimer(sc.roundTrip())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-sc.qc.Context().Done():
		return
	}
	done, next := sc.refuseMore()
	if err := sc.sendGoAway(next); err != nil {
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
		return
	case <-sc.qc.Context().Done():
		return
	}
	_ = sc.qc.Flush(ctx) // what is not acknowledged by then is lost
	if ctx.Err() == nil {
		// "An endpoint that completes a graceful shutdown SHOULD use the H3_NO_ERROR error code when closing the connection."
		// https://www.rfc-editor.org/rfc/rfc9114#section-5.2-11
		_ = sc.qc.CloseWithError(uint64(ErrCodeNoError), "")
	}
}

// announceShutdown sends the first GOAWAY frame, unless an earlier shutdown has sent the second one.
//
// "An endpoint MAY send multiple GOAWAY frames indicating different identifiers, but the identifier in each frame MUST NOT be
// greater than the identifier in any previous frame"
// https://www.rfc-editor.org/rfc/rfc9114#section-5.2-7
func (sc *serverConn) announceShutdown() error {
	sc.reqs.mu.Lock()
	defer sc.reqs.mu.Unlock() // so that the second frame of another shutdown does not come before
	if sc.reqs.done != nil {
		return nil
	}
	return sc.sendGoAway(noLimit)
}

// roundTrip returns how long requests that the client has sent before it received GOAWAY may take to arrive.
func (sc *serverConn) roundTrip() time.Duration {
	stats := sc.qc.Stats()
	return 2*stats.SmoothedRTT + 4*stats.RTTVariance + 25*time.Millisecond
}

// refuseMore fixes the requests that are served, and returns a channel that is closed when they have ended.
func (sc *serverConn) refuseMore() (done <-chan struct{}, next quic.StreamID) {
	r := &sc.reqs
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done == nil {
		r.done = make(chan struct{})
		r.limit = r.next
		if r.active == 0 {
			r.isClosed = true
			close(r.done)
		}
	}
	return r.done, r.limit
}

// handleStream implements connOwner.
func (sc *serverConn) handleStream(qs *quic.Stream) {
	_ = growStack(uint64(qs.ID()))
	p, hasPriority, ok := sc.begin(qs.ID())
	if !ok {
		// "When the server cancels a request without performing any application processing, the request is considered "rejected".
		// The server SHOULD abort its response stream with the error code H3_REQUEST_REJECTED."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.1.1-3
		_ = qs.Reset(uint64(ErrCodeRequestRejected))       // fails only if the connection has ended
		_ = qs.StopSending(uint64(ErrCodeRequestRejected)) // as above
		sc.cancelSection(qs.ID())
		return
	}
	if sc.srv.StreamHijacker != nil && sc.hijack(qs) {
		return
	}
	x := &exchange{sc: sc, priority: p, hasPriority: hasPriority}
	x.init(&sc.conn, qs, x)
	x.w.x = x
	defer func() { // also if the handler calls runtime.Goexit
		if x.w.isHijacked { // the request lasts until its response has ended
			context.AfterFunc(qs.Context(), func() { sc.endStream(qs.ID()) })
			return
		}
		sc.endStream(qs.ID())
	}()
	x.serve()
}

// growStack makes the stack of a new goroutine large enough for most requests. Otherwise it grows inside of readRequest, where the
// runtime must adjust the frames of many functions, which took 9 % of the server's CPU time in the benchmark h3-requests-1.
//
//go:noinline
func growStack(i uint64) byte {
	var room [4 << 10]byte
	return room[i%uint64(len(room))]
}

// recovered logs what recover has returned, and the stack of the goroutine. It is nil after runtime.Goexit.
func (sc *serverConn) recovered(p any) {
	if p == nil {
		return
	}
	stack := make([]byte, 64<<10)
	stack = stack[:runtime.Stack(stack, false)]
	sc.srv.logf("http3: panic serving %v: %v\n%s", sc.remote, p, stack)
}

// hijack reports whether StreamHijacker has taken a stream. If it panics, the stream is aborted.
func (sc *serverConn) hijack(qs *quic.Stream) (isTaken bool) {
	_ = qs.SetReadDeadline(sc.srv.headerDeadline()) // never fails
	typ, err := peekType(qs)
	if err != nil {
		return false // the request's goroutine gets the same error
	}
	_ = qs.SetReadDeadline(time.Time{})
	if _, known := frame.Limit(typ); known || frame.IsReserved(typ) {
		return false
	}
	hasReturned := false
	defer func() {
		if !hasReturned {
			sc.recovered(recover())
			_ = qs.Reset(uint64(ErrCodeInternalError))       // fails only if the connection has ended
			_ = qs.StopSending(uint64(ErrCodeInternalError)) // as above
			isTaken = true
		}
		if isTaken { // the stream counts as a request until it has ended
			context.AfterFunc(qs.Context(), sc.end)
		}
	}()
	isTaken = sc.srv.StreamHijacker(typ, sc.qc, qs)
	hasReturned = true
	return isTaken
}

// endStream ends a request.
func (sc *serverConn) endStream(id quic.StreamID) {
	sc.closeDatagrams(id)
	sc.end()
}

// handleUniStream implements connOwner. If UniStreamHijacker panics, the client is asked to stop sending.
func (sc *serverConn) handleUniStream(typ uint64, s *quic.ReceiveStream) (isTaken bool) {
	if sc.srv.UniStreamHijacker == nil {
		return false
	}
	hasReturned := false
	defer func() {
		if !hasReturned {
			sc.recovered(recover())
			_ = s.StopSending(uint64(ErrCodeInternalError)) // fails only if the connection has ended
			isTaken = true
		}
	}()
	isTaken = sc.srv.UniStreamHijacker(typ, sc.qc, s)
	hasReturned = true
	return isTaken
}

// handleSettings implements connOwner.
func (sc *serverConn) handleSettings(*frame.List) error { return nil }

// handleFrame implements connOwner.
func (sc *serverConn) handleFrame(typ uint64, payload []byte) error {
	switch typ {
	case frame.GoAway, frame.MaxPushID:
		return sc.handlePushID(typ, payload)
	case frame.CancelPush:
		// "If a server receives a CANCEL_PUSH frame for a push ID that has not yet been mentioned by a PUSH_PROMISE frame, this
		// MUST be treated as a connection error of type H3_ID_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.3-8
		id, err := frame.ParseInt(payload)
		if err == nil {
			err = connErrorf(ErrCodeIDError, "CANCEL_PUSH for push %d, which was not promised", id)
		}
		return err
	case frame.PriorityUpdateRequest, frame.PriorityUpdatePush:
		return sc.handlePriorityUpdate(typ, payload)
	}
	return nil
}

// handlePushID handles GOAWAY and MAX_PUSH_ID. This server does not push, so only the rules for the sequence of IDs matter.
func (sc *serverConn) handlePushID(typ uint64, payload []byte) error {
	id, err := frame.ParseInt(payload)
	switch {
	case err != nil:
		return err
	case typ == frame.GoAway && sc.hasGoAway && id > sc.goAway:
		// "Receiving a GOAWAY containing a larger identifier than previously received MUST be treated as a connection error of type
		// H3_ID_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9114#section-5.2-7
		return connErrorf(ErrCodeIDError, "GOAWAY with ID %d after one with %d", id, sc.goAway)
	case typ == frame.MaxPushID && id < sc.maxPush:
		// "receipt of a MAX_PUSH_ID frame that contains a smaller value than previously received MUST be treated as a connection
		// error of type H3_ID_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.7-6
		return connErrorf(ErrCodeIDError, "MAX_PUSH_ID with ID %d after one with %d", id, sc.maxPush)
	case typ == frame.GoAway:
		sc.goAway, sc.hasGoAway = id, true
	default:
		sc.maxPush = id
	}
	return sc.countJunk()
}

// handshakeDone reports whether the client has proved that it is no replay.
func (sc *serverConn) handshakeDone() bool {
	select {
	case <-sc.qc.HandshakeComplete():
		return true
	default:
		return false
	}
}

// tlsState returns what Request.TLS points to. Requests share it, except before the handshake is complete.
func (sc *serverConn) tlsState() *tls.ConnectionState {
	if t := sc.tls.Load(); t != nil {
		return t
	}
	t := tlsState(sc.qc)
	if t.HandshakeComplete {
		sc.tls.CompareAndSwap(nil, t)
	}
	return t
}
