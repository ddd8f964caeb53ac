package quic

import "sync/atomic"

// EndpointStats are the counters of an Endpoint.
type EndpointStats struct {
	Conns    int    // connections there are now, in any state
	Accepted uint64 // connections that reached the Listener
	Refused  uint64 // clients turned away: by Config.Accept, for a full backlog, or without a Listener
	Ignored  uint64 // clients dropped in silence: by ErrIgnore, or because TLS work piled up
	// Drops counts datagrams that belonged to no connection, by reason.
	Drops map[string]uint64
}

// counters are the Endpoint's own part of its stats.
type counters struct{ accepted, refused, ignored atomic.Uint64 }

// Stats returns the counters as they are now.
func (e *Endpoint) Stats() EndpointStats {
	s := EndpointStats{
		Accepted: e.counters.accepted.Load(), Refused: e.counters.refused.Load(),
		Ignored: e.counters.ignored.Load(), Drops: make(map[string]uint64),
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s.Conns = len(e.conns)
	for reason, n := range e.core.Drops {
		s.Drops[reason.String()] = n
	}
	return s
}
