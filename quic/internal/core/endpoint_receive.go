package core

import (
	"slices"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// A RouteKind is what the driver must do with a run of datagrams.
type RouteKind uint8

const (
	// RouteDrop means that the datagrams were dropped for the reason in Drop.
	RouteDrop RouteKind = iota
	// RouteConn means that Train belongs to Conn.
	RouteConn
	// RouteReset means that the peer of Conn has sent a stateless reset.
	RouteReset
	// RouteReply means that Reply must be sent.
	RouteReply
	// RouteAdmit means that Incoming may become a connection. The driver decides.
	RouteAdmit
)

// Routed is the result of Receive. Train and Reply are borrowed.
type Routed struct {
	Kind     RouteKind
	Conn     ConnRef
	Train    Train
	Reply    Transmit
	Incoming *Incoming
	Drop     DropReason
	// MaybeReset is set if the datagram may be a stateless reset for a connection of another Endpoint: see
	// FindReset. It is set for a limited number of datagrams a second.
	MaybeReset bool
}

// Receive removes the longest run of datagrams with one destination from the front of t. The driver calls
// it until t.Data is empty. v is the answer for the first datagram, if that is the first of a client. Replies
// are built in reply, which must have MaxUnknownSize bytes.
func (e *Endpoint) Receive(now monotime.Time, t *Train, v Validation, reply []byte) Routed {
	e.clamp(now)
	rest := *t
	d := t.Next()
	if len(d) == 0 || len(d) > MaxDatagramSize {
		return e.drop(DropMalformed)
	}
	entry, ok := e.find(t.Path, d)
	switch {
	case !ok:
		return e.receiveUnknown(t.Path, t.ECN, d, v, reply)
	case entry.remnant != nil:
		return e.receiveRemnant(t.Path, d, entry.remnant, reply)
	case entry.retired:
		return e.drop(DropRetiredConnID)
	}
	n := len(d)
	for len(t.Data) > 0 {
		ahead := *t
		next := ahead.Next()
		if !sameShortID(d, next, e.cfg.ConnIDLen) {
			if other, ok := e.find(t.Path, next); !ok || other != entry {
				break
			}
		}
		n += len(next)
		*t = ahead
	}
	rest.Data = rest.Data[:n:n]
	return Routed{Kind: RouteConn, Conn: entry.ref, Train: rest}
}

// sameShortID reports whether two datagrams are 1-RTT packets with the same connection ID, in which case
// find returns the same for both. This is true of almost all datagrams of a train.
func sameShortID(a, b []byte, idLen int) bool {
	n := 1 + idLen
	return len(a) >= n && len(b) >= n && a[0]&0x80 == 0 && b[0]&0x80 == 0 && string(a[1:n]) == string(b[1:n])
}

// find returns the destination of a datagram.
func (e *Endpoint) find(p Path, d []byte) (idEntry, bool) {
	inv, ok := wire.ParseInvariant(d, e.cfg.ConnIDLen)
	if !ok {
		return idEntry{}, false
	}
	id, ok := wire.MakeConnID(inv.DstID)
	if !ok {
		return idEntry{}, false
	}
	if entry, ok := e.ids.get(id); ok {
		return entry, true
	}
	if inv.Long && inv.Version != 0 || len(inv.DstID) == 0 {
		return e.initials.get(initialKey{id, p.Remote})
	}
	return idEntry{}, false
}

// receiveUnknown handles a datagram that belongs to no connection.
//
// "Servers MUST drop incoming packets under all other circumstances."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.2.2-7
// "An endpoint MUST NOT send a Version Negotiation packet in response to receiving a Version Negotiation packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-6.1-1
func (e *Endpoint) receiveUnknown(p Path, ecn ECN, d []byte, v Validation, reply []byte) Routed {
	// "However, the comparison MUST be performed when the first packet in an incoming datagram either cannot be
	// associated with a connection or cannot be decrypted."
	// https://www.rfc-editor.org/rfc/rfc9000#section-10.3.1-2
	if ref, ok := e.FindReset(p, d); ok {
		return Routed{Kind: RouteReset, Conn: ref}
	}
	if !e.cfg.AllowReflectionPorts && isReflectionPort(p.Remote) {
		return e.drop(DropReflectionPort)
	}
	if d[0]&0x80 == 0 {
		return e.receiveUnknownShort(p, d, reply)
	}
	inv, ok := wire.ParseInvariant(d, e.cfg.ConnIDLen)
	switch {
	case !ok, len(d) > MaxUnknownSize:
		return e.drop(DropMalformed)
	case !e.cfg.Accept || inv.Version == 0:
		return e.drop(DropNotAccepting)
	case !slices.Contains(e.cfg.Versions, inv.Version):
		return e.negotiateVersion(p, &inv, d, reply)
	}
	h, n := parseLongHeader(d, e.cfg.GreaseFixedBit)
	switch {
	case n < 0:
		return e.drop(DropMalformed)
	case h.Type != wire.PacketInitial:
		return e.receiveEarly(p, ecn, &h, d)
	case len(d) < MinInitialSize:
		// "A server MUST discard an Initial packet that is carried in a UDP datagram with a
		// payload that is smaller than the smallest allowed maximum datagram size of 1200 bytes."
		// https://www.rfc-editor.org/rfc/rfc9000#section-14.1-4
		return e.drop(DropTooSmall)
	case h.DstID.Len() < minClientDstID && !e.hellos.has(initialKey{h.DstID, p.Remote}):
		// A client that has received an acknowledgement of half its ClientHello sends to an ID of ours.
		//
		// "This Destination Connection ID MUST be at least 8 bytes in length."
		// https://www.rfc-editor.org/rfc/rfc9000#section-7.2-3
		return e.drop(DropShortConnID)
	}
	return e.receiveInitial(p, ecn, &h, d, v, reply)
}

// reply returns a Routed that sends b.
func (e *Endpoint) reply(p Path, b []byte) Routed {
	return Routed{Kind: RouteReply, Reply: Transmit{Path: p, ECN: datagram.NotECT, Data: b, SegmentSize: len(b)}}
}

// negotiateVersion answers a packet of an unknown version.
//
// "If a server receives a packet that indicates an unsupported version and if the packet is large
// enough to initiate a new connection for any supported version, the server SHOULD send a Version
// Negotiation packet".
// https://www.rfc-editor.org/rfc/rfc9000#section-5.2.2-1
func (e *Endpoint) negotiateVersion(p Path, inv *wire.Invariant, d, reply []byte) Routed {
	// "Servers MUST drop smaller packets that specify unsupported versions."
	// https://www.rfc-editor.org/rfc/rfc9000#section-5.2.2-1
	if len(d) < MinInitialSize {
		return e.drop(DropUnknownVersion)
	}
	if !e.attempts.take(e.now) {
		return e.drop(DropRateLimit)
	}
	e.drops[DropVersionAnswered]++
	var random [5]byte
	e.cfg.Rand(random[:])
	// A reserved version keeps clients from relying on a fixed list (RFC 9000, 6.3).
	versions := append([]wire.Version{greaseVersion([4]byte(random[1:]))}, e.cfg.Versions...)
	// "The server MUST include the value from the Source Connection ID field of the packet it receives in the
	// Destination Connection ID field."
	// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.1-7
	// "The value for Source Connection ID MUST be copied from the Destination Connection ID of the received packet,
	// which is initially randomly selected by a client."
	// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.1-7
	// "A server MUST NOT send more than one Version Negotiation packet in response to a single UDP datagram."
	// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.1-12
	b := wire.AppendVersionNegotiation(reply[:0], random[0]&0x3f, inv.SrcID, inv.DstID, versions...)
	return e.reply(p, b)
}
