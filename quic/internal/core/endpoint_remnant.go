package core

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// A Remnant is what an Endpoint keeps of a closed connection in place of the Conn.
type Remnant struct {
	// Close is a datagram with a CONNECTION_CLOSE frame that is repeated, at a limited rate, if the peer
	// keeps sending. It is nil if the connection is draining.
	Close   []byte
	Expires monotime.Time
}

// maxRemnants is the maximum number of closed connections that the Endpoint remembers, and of refused
// clients. Those that expire first are forgotten first.
const maxRemnants = 8192

// remnantRound is what a remnant's deadline is rounded up to a multiple of, so that one timeout removes many. Without
// it, each short connection wakes the timer goroutine (the workload connect-1 of bench/peers).
const remnantRound = 50 * time.Millisecond

// repeatAfter is the time after which a packet to a closed connection is answered again, regardless of the
// number of packets.
const repeatAfter = 200 * time.Millisecond

// remnant is a closed connection, or a client that was refused.
type remnant struct {
	Remnant
	ids []wire.ConnID
	// initial is the key of a client that has not received anything. It is valid if hasInitial is set.
	initial    initialKey
	hasInitial bool
	received   int
	answered   monotime.Time
	at         int // index in an expiryHeap
}

func (r *remnant) deadline() monotime.Time { return r.Expires }
func (r *remnant) index() *int             { return &r.at }

// receiveRemnant answers a datagram for a closed connection.
//
// "An endpoint SHOULD limit the rate at which it generates packets in the closing state. For instance,
// an endpoint could wait for a progressively increasing number of received packets or amount of time before
// responding to received packets."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.2.1-3
// "To avoid being used for an amplification attack, such endpoints MUST limit the cumulative size of packets it sends
// to three times the cumulative size of the packets that are received and attributed to the connection."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.2.1-5
// "An endpoint in the closing state MUST either discard packets received from an unvalidated address or limit the
// cumulative size of packets it sends to an unvalidated address to three times the size of packets it receives from
// that address."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.2.1-7
func (e *Endpoint) receiveRemnant(p Path, d []byte, r *remnant, reply []byte) Routed {
	r.received++
	e.drops[DropClosedConn]++
	soon := r.received&(r.received-1) != 0 && e.now.Sub(r.answered) < repeatAfter
	if r.Close == nil || soon || len(r.Close) > 3*len(d) || len(r.Close) > len(reply) {
		return Routed{Kind: RouteDrop, Drop: DropClosedConn}
	}
	r.answered = e.now
	return e.reply(p, reply[:copy(reply, r.Close)])
}

// keepRemnant replaces a connection with its remnant.
func (e *Endpoint) keepRemnant(c *connEntry, r Remnant) {
	k := &remnant{Remnant: r, ids: append(c.ids, c.retired...), initial: c.initial, hasInitial: c.hasInitial}
	if r.Expires.IsZero() || len(k.ids) == 0 && !(e.cfg.ConnIDLen == 0 && k.hasInitial) {
		e.unroute(k)
		return
	}
	e.addRemnant(&e.closed, k)
}

// keepRefused remembers a client that was refused. Its packets are answered with b, or not at all if b is
// nil. Clients give up a handshake after some seconds.
func (e *Endpoint) keepRefused(in *Incoming, b []byte) {
	k := &remnant{Remnant: Remnant{Close: b, Expires: e.now.Add(8 * e.cfg.HelloTimeout)}, answered: e.now,
		initial: initialKey{in.DstID, in.Path.Remote}}
	_, taken := e.initials.get(k.initial)
	k.hasInitial = !taken
	if _, taken := e.ids.get(in.LocalID); !taken {
		k.ids = []wire.ConnID{in.LocalID}
	}
	e.addRemnant(&e.refused, k)
}

// addRemnant routes the packets of a closed connection to its remnant.
func (e *Endpoint) addRemnant(h *expiryHeap[*remnant], k *remnant) {
	if h.len() == e.maxRemnants {
		e.forgetRemnant(h, h.first())
	}
	for _, id := range k.ids {
		e.setID(id, idEntry{remnant: k})
	}
	if k.hasInitial {
		e.setInitial(k.initial, idEntry{remnant: k})
	}
	const round = monotime.Time(remnantRound)
	k.Expires = (k.Expires + round - 1) / round * round
	h.push(k)
}

func (e *Endpoint) forgetRemnant(h *expiryHeap[*remnant], k *remnant) {
	h.remove(k)
	e.unroute(k)
}

func (e *Endpoint) unroute(k *remnant) {
	for _, id := range k.ids {
		e.deleteID(id)
	}
	if k.hasInitial {
		e.deleteInitial(k.initial)
	}
}

func (e *Endpoint) expireRemnants() {
	for _, h := range []*expiryHeap[*remnant]{&e.closed, &e.refused} {
		for k, ok := h.expired(e.now); ok; k, ok = h.expired(e.now) {
			e.forgetRemnant(h, k)
		}
	}
}
