package quic

import (
	"net/netip"
	"sync"

	"github.com/pqquic/pqquic/quic/internal/datagram"
)

// remoteRoutes finds the connection of a packet with a short header by the packet's source, because the Endpoint's
// connection IDs are empty. Such an Endpoint only dials, and has one connection to each address: see
// core/endpoint_remotes.go.
type remoteRoutes struct {
	mu    sync.Mutex // nothing is locked while it is held
	conns map[netip.AddrPort]*Conn
}

// set routes the packets from an address, or removes the address if c is nil.
func (r *remoteRoutes) set(remote netip.AddrPort, c *Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case c == nil:
		delete(r.conns, remote)
	case r.conns == nil:
		r.conns = map[netip.AddrPort]*Conn{remote: c}
	default:
		r.conns[remote] = c
	}
}

// find returns the connection of an address, or nil.
func (r *remoteRoutes) find(remote netip.AddrPort) *Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conns[remote]
}

// take is routes.take: all datagrams of a train come from one address.
func (r *remoteRoutes) take(t *datagram.Train) (*Conn, datagram.Train) {
	if shortID(t.Data, t.SegmentSize, 0) == nil {
		return nil, datagram.Train{}
	}
	c := r.find(t.Path.Remote)
	if c == nil {
		return nil, datagram.Train{}
	}
	run, n := *t, 0
	for shortID(t.Data, t.SegmentSize, 0) != nil {
		n += len(t.Next())
	}
	run.Data = run.Data[:n:n]
	return c, run
}
