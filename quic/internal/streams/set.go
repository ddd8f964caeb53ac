package streams

import (
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// Config is the flow control of one connection.
type Config struct {
	RecvWindow, MaxRecvWindow int64 // of a stream: at first, and as far as it may grow
	ConnWindow, MaxConnWindow int64 // of all streams together
	SendBuffer                int64 // bytes of a stream that are written and not acknowledged
	MaxBidi, MaxUni           int64 // streams that the peer may have open
	Budget                    *Budget
}

// A Set is all streams of one connection.
type Set struct {
	cfg  *Config
	side tlsprovider.Side

	streams map[ID]*stream
	order   []*stream // the same, so that iteration is deterministic
	local   [2]localKind
	remote  [2]remoteKind

	in      window // of the connection
	inTotal int64  // sum of the largest offsets received

	outMax    int64 // the peer's limit
	outTotal  int64 // sum of the offsets sent
	outBlock  recovery.SentVal
	blockedAt int64

	peer     peerLimits
	queue    []*stream // have something to send
	waiting  []*stream // have data and wait for outMax
	events   []Event
	unacked  int64 // bytes written and not acknowledged, FINs counting one
	wasDirty bool  // unacked was not zero when last looked at
}

// localKind is the streams of one kind that we open; index 1 is unidirectional.
type localKind struct {
	opened, max int64
	blocked     recovery.SentVal
	wanted      bool // Open failed: tell when it would not
}

// remoteKind is those that the peer opens.
type remoteKind struct {
	opened, accepted, closed int64
	max                      int64 // as the peer was told
	val                      recovery.SentVal
}

// Init prepares s.
func (s *Set) Init(cfg *Config, side tlsprovider.Side) {
	*s = Set{cfg: cfg, side: side, streams: make(map[ID]*stream)}
	s.in.init(cfg.ConnWindow, cfg.MaxConnWindow)
	s.remote[0].max, s.remote[1].max = cfg.MaxBidi, cfg.MaxUni
}

// LocalParams fills in what the peer has to know of our limits.
func (s *Set) LocalParams(p *wire.TransportParameters) {
	p.MaxData = uint64(s.cfg.ConnWindow)
	p.MaxStreamDataBidiLocal = uint64(s.cfg.RecvWindow)
	p.MaxStreamDataBidiRemote = uint64(s.cfg.RecvWindow)
	p.MaxStreamDataUni = uint64(s.cfg.RecvWindow)
	p.MaxStreamsBidi, p.MaxStreamsUni = uint64(s.cfg.MaxBidi), uint64(s.cfg.MaxUni)
}

// peerLimits are the peer's limits for the data of streams that begin.
type peerLimits struct{ bidiLocal, bidiRemote, uni int64 }

// SetPeerParams takes the peer's limits.
func (s *Set) SetPeerParams(p *wire.TransportParameters) {
	s.peer = peerLimits{int64(p.MaxStreamDataBidiLocal), int64(p.MaxStreamDataBidiRemote), int64(p.MaxStreamDataUni)}
	s.outMax = max(s.outMax, int64(p.MaxData))
	s.local[0].max, s.local[1].max = int64(p.MaxStreamsBidi), int64(p.MaxStreamsUni)
}

func kind(uni bool) int {
	if uni {
		return 1
	}
	return 0
}

// add makes the state of a stream.
func (s *Set) add(id ID) *stream {
	st := &stream{id: id, set: s, index: len(s.order)}
	mine := id.Initiator() == s.side
	if mine || !id.Uni() {
		st.send.open = true
		switch {
		case id.Uni():
			st.send.max = s.peer.uni
		case mine:
			st.send.max = s.peer.bidiRemote
		default:
			st.send.max = s.peer.bidiLocal
		}
	}
	if !mine || !id.Uni() {
		st.recv.open = true
		st.recv.final = -1
		st.recv.win.init(s.cfg.RecvWindow, s.cfg.MaxRecvWindow)
	}
	s.streams[id] = st
	s.order = append(s.order, st)
	return st
}

// forgetIfDone frees a stream of which both halves are over, and lets the peer open another.
func (s *Set) forgetIfDone(st *stream) {
	if st.send.open || st.recv.open || st.gone {
		return
	}
	st.gone = true
	st.release()
	delete(s.streams, st.id)
	last := s.order[len(s.order)-1]
	s.order[st.index] = last
	last.index = st.index
	s.order[len(s.order)-1] = nil
	s.order = s.order[:len(s.order)-1]
	if st.id.Initiator() == s.side {
		return
	}
	r := &s.remote[kind(st.id.Uni())]
	r.closed++
	limit := s.cfg.MaxBidi
	if st.id.Uni() {
		limit = s.cfg.MaxUni
	}
	// In steps, so that a peer that opens and closes streams pays for each update with a part of
	// a round trip.
	if next := r.closed + limit; next-r.max >= max(1, limit/4) {
		r.max = next
		r.val.Set()
	}
}

// Close frees everything.
func (s *Set) Close() {
	for _, st := range s.order {
		st.release()
		st.gone = true
	}
	s.in.release(s.cfg.Budget)
	*s = Set{cfg: s.cfg, side: s.side}
}
