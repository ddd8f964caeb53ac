package streams

import (
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// Rewind makes everything due again that was sent, because the peer has processed nothing of it: a client calls it when
// the server has rejected its early data or answered with Retry. Nothing must have been acknowledged.
func (s *Set) Rewind() {
	s.sent = 0
	again := func(v *recovery.SentVal) {
		if v.IsSent() {
			v.SetUnsent()
		}
	}
	again(&s.recv.update)
	s.blocked.Clear()
	for k := range s.local {
		again(&s.local[k].blocked)
		again(&s.remote[k].update)
	}
	for _, st := range s.all {
		h, r := &st.send, &st.recv
		h.lost.Clear()
		h.sent, h.probed, h.probeOldest = 0, 0, false
		if h.resetting {
			h.end, h.acked = 0, 0 // the final size
		}
		again(&h.finVal)
		again(&h.reset)
		h.blocked.Clear()
		again(&r.stop)
		again(&r.win.update)
		s.schedule(st)
	}
}

// ReplacePeerParams sets the peer's limits from p, also where they are lower, after Rewind. Streams beyond the new limits
// send nothing until the peer allows them. p is nil if the new limits are not known yet.
func (s *Set) ReplacePeerParams(p *wire.TransportParameters) {
	if p == nil {
		p = new(wire.TransportParameters)
	}
	s.sendMax = 0
	for k := range s.local {
		s.local[k].max = 0
	}
	for _, st := range s.all {
		st.withheld = st.id.Initiator() == s.side
		st.send.max = 0
	}
	s.hasWithheld = true
	s.SetPeerParams(p)
	s.wakeStalled()
}

// releaseStreams lets the streams send that the peer has allowed since ReplacePeerParams.
func (s *Set) releaseStreams() {
	if !s.hasWithheld {
		return
	}
	s.hasWithheld = false
	for _, st := range s.all {
		if !st.withheld {
			continue
		}
		l := &s.local[typeIndex(st.id.Uni())]
		if st.id.Num() >= l.max {
			s.hasWithheld = true
			if !l.blocked.IsSet() {
				l.blocked.Set()
			}
			continue
		}
		st.withheld = false
		s.schedule(st)
	}
}
