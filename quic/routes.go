package quic

import (
	"net/netip"
	"sync"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// numShards is the number of parts of routes, a power of two.
const numShards = 16

// routes finds the connection of a packet with a short header by its connection ID, without the Endpoint's lock,
// which is held while the first packets of a client are opened and while connections come and go. It has the connection IDs
// for which core.Endpoint.Receive returns RouteConn, and no others: the core reports each change
// (EndpointConfig.SetRoute) while the Endpoint's lock is held. Packets whose ID is not here are left to the core, and so
// are those with a long header, of which a connection receives few.
//
// If connection IDs are empty, it finds the connection by the packet's source (EndpointConfig.SetRemote): such an Endpoint
// only dials, and has one connection to each address. See core/endpoint_remotes.go.
//
// TestRoutesAgreeWithCore shows that both answer equally. The workload streams-32 of bench/peers shows what it saves.
type routes struct {
	idLen   int // the length of the connection IDs
	shards  [numShards]routeTable[wire.ConnID]
	remotes routeTable[netip.AddrPort] // if idLen is 0
}

// shard returns the table of the connection IDs with the same lowest bits in their last byte. IDs are random, so the tables
// are of about the same size.
func (r *routes) shard(id []byte) *routeTable[wire.ConnID] { return &r.shards[id[len(id)-1]%numShards] }

// set routes the packets to an ID, or removes the ID if c is nil.
func (r *routes) set(id wire.ConnID, c *Conn) { r.shard(id.Bytes()).set(id, c) }

// find returns the connection of an ID, or nil.
func (r *routes) find(id wire.ConnID) *Conn { return r.shard(id.Bytes()).find(id) }

// A routeTable finds connections by connection IDs or addresses.
type routeTable[K comparable] struct {
	mu    sync.Mutex // nothing is locked while it is held
	conns map[K]*Conn
}

func (t *routeTable[K]) set(key K, c *Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case c == nil:
		delete(t.conns, key)
	case t.conns == nil:
		t.conns = map[K]*Conn{key: c}
	default:
		t.conns[key] = c
	}
}

func (t *routeTable[K]) find(key K) *Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.conns[key]
}

// take removes the longest run of datagrams to one connection ID of a connection from the front of t. It returns nil if
// the first datagram is for the core. All datagrams of a train have the same source.
func (r *routes) take(t *datagram.Train) (*Conn, datagram.Train) {
	id := shortID(t.Data, t.SegmentSize, r.idLen)
	if id == nil {
		return nil, datagram.Train{}
	}
	var c *Conn
	if r.idLen == 0 {
		c = r.remotes.find(t.Path.Remote)
	} else {
		key, _ := wire.MakeConnID(id)
		c = r.shard(id).find(key)
	}
	if c == nil {
		return nil, datagram.Train{}
	}
	run, n := *t, 0
	for next := id; next != nil && string(next) == string(id); next = shortID(t.Data, t.SegmentSize, r.idLen) {
		n += len(t.Next())
	}
	run.Data = run.Data[:n:n]
	return c, run
}

// shortID returns the connection ID of the first of the datagrams in data, or nil if that does not have a short header or
// is too large for a connection.
func shortID(data []byte, segment, idLen int) []byte {
	n := 1 + idLen
	size := len(data)
	if segment > 0 {
		size = min(size, segment)
	}
	if size < n || size > core.MaxDatagramSize || data[0]&0x80 != 0 {
		return nil
	}
	return data[1:n]
}

// receiveEstablished removes a run of datagrams to one connection from the front of t and passes it on. It returns false
// if the first datagram is for the core.
func (e *Endpoint) receiveEstablished(t *datagram.Train) bool {
	c, run := e.routes.take(t)
	if c == nil {
		return false
	}
	c.handleTrain(e.clock.now(), run)
	return true
}
