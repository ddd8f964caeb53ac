package core

import (
	"slices"

	"github.com/pqquic/pqquic/quic/internal/wire"
)

// maxRemnants bounds the closed connections that are remembered.
const maxRemnants = 8192

// remnant is a closed connection.
type remnant struct {
	Remnant
	ids      []wire.ConnID
	received int
}

// receiveRemnant answers a datagram for a closed connection.
//
// "An endpoint SHOULD limit the rate at which it generates packets in the closing state. For instance,
// an endpoint could wait for a progressively increasing number of received packets".
// https://www.rfc-editor.org/rfc/rfc9000#section-10.2.1-3
func (e *Endpoint) receiveRemnant(p Path, d []byte, r *remnant, reply []byte) Routed {
	r.received++
	e.drops[DropClosedConn]++
	if r.Close == nil || r.received&(r.received-1) != 0 || len(r.Close) > 3*len(d) || len(r.Close) > len(reply) {
		return Routed{Kind: RouteDrop, Drop: DropClosedConn}
	}
	return e.reply(p, reply[:copy(reply, r.Close)])
}

// keepRemnant replaces a connection by what is left of it.
func (e *Endpoint) keepRemnant(c *connEntry, r Remnant) {
	for _, id := range c.ids {
		delete(e.ids, id)
	}
	if r.Expires.IsZero() || len(c.ids) == 0 {
		return
	}
	if len(e.remnants) == maxRemnants {
		e.forgetRemnant(0)
	}
	k := &remnant{Remnant: r, ids: c.ids}
	for _, id := range k.ids {
		e.ids[id] = idEntry{remnant: k}
	}
	i, _ := slices.BinarySearchFunc(e.remnants, k, func(a, b *remnant) int { return int(a.Expires.Sub(b.Expires)) })
	e.remnants = slices.Insert(e.remnants, i, k)
}

func (e *Endpoint) forgetRemnant(i int) {
	for _, id := range e.remnants[i].ids {
		delete(e.ids, id)
	}
	e.remnants = slices.Delete(e.remnants, i, i+1)
}

func (e *Endpoint) expireRemnants() {
	n := 0
	for n < len(e.remnants) && due(e.remnants[n].Expires, e.now) {
		for _, id := range e.remnants[n].ids {
			delete(e.ids, id)
		}
		n++
	}
	e.remnants = slices.Delete(e.remnants, 0, n)
}
