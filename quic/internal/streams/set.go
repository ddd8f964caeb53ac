package streams

import (
	"runtime"
	"slices"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A Set contains all streams of a connection. Call Init first.
type Set struct {
	cfg  *Config
	side tlsprovider.Side
	now  monotime.Time // the latest time seen

	all     []*stream      // in a deterministic order; behind them, up to cap(all), freed ones for newStream
	streams map[ID]*stream // the same streams; nil while there are few
	recent  *stream        // the stream that was looked up last
	queues  [numQueues]queue
	prio    *priorities // in place of qResend and qFresh; nil until SetPriority is called

	local  [2]localType  // streams that we open; index 1 is unidirectional
	remote [2]remoteType // streams that the peer opens
	aborts abortLimiter
	stats  Stats

	// Receiving. recv includes what freed streams have received.
	recv      window
	recvShare *share
	readable  int64 // bytes that the application can read, of all streams
	// mixedUntil is when the limits of streams follow the windows again. See ahead.go.
	mixedUntil monotime.Time
	// overdraft is the memory that was taken when recvShare had no room and is not released. overdraftAt is
	// when the last packet was admitted to make the peer repeat what was lost.
	overdraft   int64
	overdraftAt monotime.Time

	// Sending.
	sendMax   int64 // the peer's limit
	sent      int64 // bytes sent for the first time, on all streams including freed ones
	blocked   recovery.SentVal
	blockedAt int64
	peerWindow
	sendShare share
	starvedAt monotime.Time // when starved streams check for room again; zero if there are none
	promised  int64         // room for starved streams that were woken and have not written yet

	datagramsSend, datagramsRecv int64 // bytes of datagrams in the shares

	// The following fields are small, and next to each other so that a connection fits its size class.
	unflushed   int32 // number of streams with something that is not acknowledged
	flushed     bool
	peerResetAt bool     // the peer accepts RESET_STREAM_AT
	hasWithheld bool     // there are streams that wait in releaseStreams
	isNear      bool     // the round-trip time is at most nearRTT
	bulkStreams int32    // number of streams for which isBulk is true
	turn        uint8    // the longest turn in the train that is sent, in units of turnUnit
	shortTurns  uint16   // turns of one frame that come next: see turn.go
	returned    loanList // loans that wait for PollReturned
}

// peerWindow contains the peer's initial limits for the streams of each type.
type peerWindow struct{ bidiLocal, bidiRemote, uni int64 }

// Init initializes a Set for one side of a connection. The Set keeps cfg.
func (s *Set) Init(cfg *Config, side tlsprovider.Side) {
	*s = Set{cfg: cfg, side: side}
	s.sendShare.b, s.recvShare = cfg.SendMemory, &share{b: cfg.RecvMemory}
	s.recv.init(cfg.ConnWindow, cfg.MaxConnWindow)
	s.remote[0].init(cfg.MaxBidi)
	s.remote[1].init(cfg.MaxUni)
	s.aborts.init(cfg.AbortRate)
}

// LocalParams sets our limits in p.
func (s *Set) LocalParams(p *wire.TransportParameters) {
	p.MaxData = uint64(s.cfg.ConnWindow)
	p.ResetStreamAt = s.cfg.ResetStreamAt
	w := uint64(s.cfg.RecvWindow)
	p.MaxStreamDataBidiLocal, p.MaxStreamDataBidiRemote, p.MaxStreamDataUni = w, w, w
	p.MaxStreamsBidi, p.MaxStreamsUni = uint64(s.remote[0].limit), uint64(s.remote[1].limit)
}

// SetPeerParams sets the peer's limits from p. Limits never decrease.
func (s *Set) SetPeerParams(p *wire.TransportParameters) {
	s.peerResetAt = p.ResetStreamAt
	s.peerWindow = peerWindow{
		bidiLocal:  int64(p.MaxStreamDataBidiLocal),
		bidiRemote: int64(p.MaxStreamDataBidiRemote),
		uni:        int64(p.MaxStreamDataUni),
	}
	for _, st := range s.all {
		st.send.max = max(st.send.max, s.firstMax(st.id))
	}
	s.local[0].raise(int64(p.MaxStreamsBidi))
	s.local[1].raise(int64(p.MaxStreamsUni))
	s.raiseSendMax(int64(p.MaxData))
	s.releaseStreams()
	for _, st := range s.all {
		s.schedule(st)
	}
}

// firstMax returns the peer's initial limit on the data of a stream.
func (s *Set) firstMax(id ID) int64 {
	switch {
	case id.Uni():
		return s.uni
	case id.Initiator() == s.side:
		return s.bidiRemote
	}
	return s.bidiLocal
}

// fewStreams is how many streams a Set finds without a map. An idle connection of HTTP/3 has up to six.
const fewStreams = 8

// add creates a stream.
func (s *Set) add(id ID) *stream {
	st := s.newStream()
	st.id, st.index, st.urgency = id, len(s.all), defaultUrgency
	st.recv.final = -1
	st.recv.wants = 1
	ours := id.Initiator() == s.side
	st.recv.done = id.Uni() && ours
	st.send.done = id.Uni() && !ours
	if !st.recv.done {
		st.recv.win.init(s.cfg.RecvWindow, s.cfg.MaxRecvWindow)
	}
	if !st.send.done {
		st.send.max = s.firstMax(id)
	}
	if s.streams == nil && len(s.all) == fewStreams {
		s.streams = make(map[ID]*stream, 2*fewStreams)
		for _, other := range s.all {
			s.streams[other.id] = other
		}
	}
	if s.streams != nil {
		s.streams[id] = st
	}
	s.all = append(s.all, st)
	s.noteOpened()
	return st
}

// maxSpares bounds the freed streams that a Set keeps until it rests.
const maxSpares = 128

// newStream returns an empty stream. It may use the memory of a freed one, so that short streams leave no garbage. Only the Set refers to
// streams: by all, streams and recent, which have no freed ones, and by the queues.
func (s *Set) newStream() *stream {
	n := len(s.all)
	if n == cap(s.all) {
		return new(stream)
	}
	st := s.all[:n+1][n]
	if st == nil || st.queued != 0 {
		return new(stream)
	}
	slots := st.recv.buf.chunks
	*st = stream{}
	st.recv.buf.chunks = slots
	return st
}

// find returns a stream, or nil.
func (s *Set) find(id ID) *stream {
	if s.recent != nil && s.recent.id == id {
		return s.recent
	}
	st := s.lookUp(id)
	if st != nil {
		s.recent = st
	}
	return st
}

// lookUp is find without recent.
func (s *Set) lookUp(id ID) *stream {
	if s.streams != nil {
		return s.streams[id]
	}
	for _, st := range s.all {
		if st.id == id {
			return st
		}
	}
	return nil
}

// maybeFree frees a stream if both of its halves are done.
func (s *Set) maybeFree(st *stream) {
	if !st.send.done || !st.recv.done || st.gone {
		return
	}
	s.free(st)
	delete(s.streams, st.id)
	last := s.all[len(s.all)-1]
	s.all[st.index], last.index = last, st.index
	// The callers may still use the stream, but none of them adds one.
	if s.all[len(s.all)-1] = st; len(s.all) > maxSpares {
		s.all[len(s.all)-1] = nil
	}
	s.all = s.all[:len(s.all)-1]
	if st.id.Initiator() != s.side {
		// The credit is returned only now, because our application may still work for a stream that the
		// peer has aborted.
		s.returnCredit(st)
	}
}

func (s *Set) free(st *stream) {
	st.gone = true
	st.send.buf.free(&s.returned)
	st.recv.buf.free()
	st.send.above.Release()
	st.send.lost.Release()
	st.recv.later.Release()
	s.chargeSend(st)
	s.chargeRecv(st)
	if s.recent == st {
		s.recent = nil
	}
}

// Close frees all memory. Afterwards there are no streams and none can be opened.
func (s *Set) Close() {
	for _, st := range s.all {
		s.free(st)
	}
	t := s.Stats()
	s.stats.LocalStreams, s.stats.PeerStreams = t.LocalStreams, t.PeerStreams
	*s = Set{cfg: s.cfg, side: s.side, stats: s.stats, recvShare: new(share), returned: s.returned}
}

// CloseSending frees all memory except for data that has arrived, which can still be read. It is called
// when the peer has closed the connection. Afterwards nothing is received or sent.
//
// The data counts towards the receive budget until it is read, until its stream is stopped, or until the
// garbage collector frees the Set: the application may never touch the connection again.
func (s *Set) CloseSending() {
	s.recv.max = s.recv.size
	s.starvedAt = 0
	s.unflushed, s.flushed = 0, false
	for i := len(s.all) - 1; i >= 0; i-- { // from the end, because freeing changes what follows
		st := s.all[i]
		st.send.buf.free(&s.returned)
		s.chargeSend(st)
		st.send = sendHalf{done: true}
		st.recv.win.max = st.recv.win.size
		s.maybeFree(st)
	}
	if s.recvShare.held > 0 {
		runtime.AddCleanup(s, (*share).release, s.recvShare)
	}
}

// HandleTimeout handles the timers that have expired. It is called at the time of NextTimeout.
func (s *Set) HandleTimeout(now monotime.Time) {
	s.setTime(now)
	s.pollStarved()
}

// NextTimeout returns when HandleTimeout must be called, or zero for never.
func (s *Set) NextTimeout() monotime.Time {
	t := s.aborts.next()
	if t.IsZero() || !s.starvedAt.IsZero() && s.starvedAt.Before(t) {
		t = s.starvedAt
	}
	return t
}

func (s *Set) setTime(now monotime.Time) {
	s.now = max(s.now, now)
	if s.aborts.isWithholding() {
		s.releaseWithheld()
	}
}

// Rest frees the memory that a connection with few streams does not need.
func (s *Set) Rest() {
	switch {
	case len(s.all) == 0:
		s.streams, s.all, s.recent, s.prio = nil, nil, nil, nil
	case len(s.all) <= fewStreams && (s.streams != nil || cap(s.all) > fewStreams):
		s.streams, s.all = nil, slices.Clone(s.all)
	}
	clear(s.all[len(s.all):cap(s.all)])
}
