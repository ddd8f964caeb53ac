package core

import (
	"crypto/subtle"
	"slices"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// maxLocalIDs is the maximum number of connection IDs that the peer can use, even if it would accept more. A spare one
// is issued whenever the peer has used all of them: at first there are two, because each one costs bytes in the first
// flight after the handshake.
const maxLocalIDs = 4

// maxRetiring is the maximum number of RETIRE_CONNECTION_ID frames that wait to be sent or acknowledged.
const maxRetiring = 4 * activeConnIDLimit

// idState holds the connection IDs of both sides. local[0] and remote[0] exist from the start.
type idState struct {
	originalDst wire.ConnID // the destination of the client's first packet
	retrySrc    wire.ConnID
	retried     bool
	peerFirst   wire.ConnID // the source of the peer's first packet, which the handshake authenticates
	havePeer    bool        // peerFirst is set
	// heardInitial is set when a client has opened an Initial packet of the server. The packet's source
	// connection ID is final. Before that, peerFirst may be the source of a Retry.
	heardInitial bool
	token        []byte // on a client, the token of its Initial packets

	local     []localID // in the order of their sequence numbers
	nextLocal uint64
	announced uint64 // the largest sequence number sent in a NEW_CONNECTION_ID frame
	limit     uint8  // the most that the peer takes, at most maxLocalIDs; 0 if ours are empty
	length    uint8  // of ours, in bytes
	stay      bool   // the peer has sent disable_active_migration
	// preferred is set on a server that has sent preferred_address: packets may arrive at another local address.
	preferred    bool
	versionTries uint8 // packets of another version that a client has tried to open

	// remote has the peer's connection IDs. The first one is that of the path in use.
	remote      []remoteID
	retirePrior uint64 // the largest Retire Prior To value received
	retiring    []retiringID
}

type localID struct {
	seq  uint64
	id   wire.ConnID
	sent recovery.SentVal // the NEW_CONNECTION_ID frame
	used bool             // the peer has sent packets to it
}

type remoteID struct {
	seq      uint64
	id       wire.ConnID
	token    [16]byte
	hasToken bool
}

type retiringID struct {
	seq  uint64
	sent recovery.SentVal
}

func (s *idState) initClient(c *Conn) error {
	var dst [minClientDstID]byte
	c.cfg.Rand(dst[:])
	s.originalDst, _ = wire.MakeConnID(dst[:])
	// "The client MUST include the token in all Initial packets it sends, unless a Retry replaces the token with
	// a newer one."
	// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.3-2
	s.token = c.cfg.Token
	id, err := c.cfg.NewConnID()
	if err != nil {
		return err
	}
	s.addFirst(c, id)
	s.remote = append(s.remote, remoteID{id: s.originalDst})
	return nil
}

// "A server MUST set the Destination Connection ID it uses for sending packets based on the first received Initial
// packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.2-8
func (s *idState) initServer(c *Conn, in *Incoming) error {
	s.originalDst = in.OriginalDstID
	s.retrySrc, s.retried = in.RetrySrcID, in.Retried
	s.addFirst(c, in.LocalID)
	s.peerFirst, s.havePeer = in.PeerID, true
	if s.preferred = c.cfg.PreferredIPv4.IsValid() || c.cfg.PreferredIPv6.IsValid(); s.preferred {
		l, err := s.addNew(c)
		if err != nil {
			return err
		}
		s.announced = l.seq
	}
	s.remote = append(s.remote, remoteID{id: in.PeerID})
	return nil
}

// addFirst adds our connection ID of the handshake, whose length the others have, too.
func (s *idState) addFirst(c *Conn, id wire.ConnID) {
	s.addLocal(c, id).used = true
	s.length = uint8(id.Len())
	if s.length > 0 && (c.cfg.ConnIDLifetime > 0 || c.cfg.RotateHandshakeIDs) {
		r := &idRotation{due: c.now}
		if !c.cfg.RotateHandshakeIDs {
			r.schedule(c)
		}
		c.extend().rotation = r
	}
}

// addNew adds a connection ID that NewConnID returns. It fails if NewConnID does, or returns IDs that this connection has.
//
// "As a trivial example, this means the same connection ID MUST NOT be issued more than once on the same connection."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.1-4
func (s *idState) addNew(c *Conn) (*localID, error) {
	for range maxIDAttempts {
		id, err := c.cfg.NewConnID()
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(s.local, func(l localID) bool { return l.id == id }) {
			return s.addLocal(c, id), nil
		}
	}
	return nil, ErrConnIDInUse
}

// "The sequence number on each newly issued connection ID MUST increase by 1."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1-2
func (s *idState) addLocal(c *Conn, id wire.ConnID) *localID {
	s.local = append(s.local, localID{seq: s.nextLocal, id: id})
	s.nextLocal++
	c.events.addEndpoint(EndpointEvent{Kind: AddConnID, ConnID: id, Path: c.path})
	return &s.local[len(s.local)-1]
}

// dst returns the connection ID to send to.
func (s *idState) dst() wire.ConnID { return s.remote[0].id }

// src returns the source connection ID of our long headers.
func (s *idState) src() wire.ConnID { return s.local[0].id }

// accepts reports whether id, the destination of a packet, is one of our connection IDs.
//
// "When an endpoint issues a connection ID, it MUST accept packets that carry this connection ID for the duration of
// the connection or until its peer invalidates the connection ID via a RETIRE_CONNECTION_ID frame (Section 19.16)."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1-3
func (s *idState) accepts(c *Conn, id []byte) bool {
	for i := range s.local {
		if s.local[i].id.Is(id) {
			if !s.local[i].used {
				c.localIDUsed(i)
			}
			return true
		}
	}
	// The client knows a connection ID of ours once it has sent a Handshake packet.
	return c.side == tlsprovider.Server && !c.spaces[recovery.SpaceInitial].discarded &&
		(s.originalDst.Is(id) || s.retried && s.retrySrc.Is(id))
}

// setPeerFirst stores the connection ID that the server chose in its first Initial or Retry packet.
//
// "A client MUST change the Destination Connection ID it uses for sending packets in response to only the first
// received Initial or Retry packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.2-8
// "Until a packet is received from the server, the client MUST use the same Destination Connection ID value on all
// packets in this connection."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.2-3
// "The client MUST use the value from the Source Connection ID field of the Retry packet in the Destination
// Connection ID field of subsequent packets that it sends."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.1-2
func (s *idState) setPeerFirst(id wire.ConnID) {
	s.peerFirst, s.havePeer = id, true
	s.remote[0].id = id
}

func (s *idState) setFirstToken(c *Conn, token [16]byte) {
	for i := range s.remote {
		if s.remote[i].seq == 0 {
			s.remote[i].token, s.remote[i].hasToken = token, true
			c.events.addEndpoint(EndpointEvent{Kind: AddResetToken, Token: token, Path: c.path})
		}
	}
}

// issue issues a connection ID if the peer has used all of them and takes another one.
//
// "An endpoint SHOULD ensure that its peer has a sufficient number of available and unused connection IDs. [...] An
// endpoint MUST NOT provide more connection IDs than the peer's limit."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1-4
func (s *idState) issue(c *Conn) { s.issueSpares(c, 1) }

// issueSpares issues connection IDs until the peer has not used n of them, or takes no more.
func (s *idState) issueSpares(c *Conn, n int) {
	active := 0
	for i := range s.local {
		if s.local[i].seq >= c.ext.rotation.retirePrior() {
			active++
			if !s.local[i].used {
				n--
			}
		}
	}
	for ; n > 0 && active < int(s.limit) && s.issueOne(c); n-- {
		active++
	}
}

// issueOne issues a connection ID. It returns false if there is none. The peer then has fewer for now.
func (s *idState) issueOne(c *Conn) bool {
	l, err := s.addNew(c)
	if err != nil {
		return false
	}
	l.sent.Set()
	return true
}

// localIDUsed handles the first packet to the connection ID local[i]. Only the peer knows the ID, so the packet need
// not have authenticated.
func (c *Conn) localIDUsed(i int) {
	if c.recv.other.set {
		c.recv.other.unused = i // it is used if the packet authenticates
		return
	}
	c.ids.local[i].used = true
	c.ids.issue(c)
}

// handleNewConnID handles a NEW_CONNECTION_ID frame.
func (c *Conn) handleNewConnID(f wire.NewConnectionID) {
	s := &c.ids
	// "An endpoint that is sending packets with a zero-length Destination Connection ID MUST treat receipt of a
	// NEW_CONNECTION_ID frame as a connection error of type PROTOCOL_VIOLATION."
	// https://www.rfc-editor.org/rfc/rfc9000#section-19.15-6
	if s.dst().Len() == 0 {
		c.abortf(wire.ProtocolViolation, wire.FrameNewConnectionID, "NEW_CONNECTION_ID received although connection IDs are empty")
		return
	}
	for i := range s.remote {
		r := &s.remote[i]
		if r.seq == f.Seq || r.id == f.ConnID {
			// "Receipt of the same frame multiple times MUST NOT be treated as a
			// connection error."
			// https://www.rfc-editor.org/rfc/rfc9000#section-19.15-7
			if r.seq != f.Seq || r.id != f.ConnID || r.hasToken && r.token != f.ResetToken {
				c.abortf(wire.ProtocolViolation, wire.FrameNewConnectionID, "conflicting NEW_CONNECTION_ID")
			}
			return
		}
	}
	if c.mig != nil && !c.mig.seen.add(f.Seq) {
		return // we have retired it
	}
	// "A receiver MUST ignore any Retire Prior To fields that do not increase the largest received Retire Prior To
	// value."
	// https://www.rfc-editor.org/rfc/rfc9000#section-19.15-10
	if f.RetirePriorTo > s.retirePrior {
		s.retirePrior = f.RetirePriorTo
		c.retireBelow(f.RetirePriorTo)
	}
	// "An endpoint that receives a NEW_CONNECTION_ID frame with a sequence number smaller than the Retire Prior To
	// field of a previously received NEW_CONNECTION_ID frame MUST send a corresponding RETIRE_CONNECTION_ID frame
	// that retires the newly received connection ID, unless it has already done so for that sequence number."
	// https://www.rfc-editor.org/rfc/rfc9000#section-19.15-11
	if f.Seq < s.retirePrior {
		c.retire(f.Seq)
	} else {
		s.remote = append(s.remote, remoteID{seq: f.Seq, id: f.ConnID, token: f.ResetToken, hasToken: true})
	}
	switch {
	case len(s.remote) == 0:
		c.abortf(wire.ProtocolViolation, wire.FrameNewConnectionID, "the peer retired every connection ID")
	// "After processing a NEW_CONNECTION_ID frame and adding and retiring active connection IDs, if the number of
	// active connection IDs exceeds the value advertised in its active_connection_id_limit transport parameter, an
	// endpoint MUST close the connection with an error of type CONNECTION_ID_LIMIT_ERROR."
	// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1-5
	case len(s.remote) > activeConnIDLimit:
		c.abortf(wire.ConnectionIDLimitError, wire.FrameNewConnectionID, "too many connection IDs")
	// "An endpoint MUST NOT forget a connection ID without retiring it, though it MAY choose to treat having
	// connection IDs in need of retirement that exceed this limit as a connection error of type
	// CONNECTION_ID_LIMIT_ERROR."
	// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.2-6
	case len(s.retiring) > maxRetiring:
		c.abortf(wire.ConnectionIDLimitError, wire.FrameNewConnectionID, "too many retired connection IDs")
	default:
		c.assignIDs()
		c.announceToken()
	}
}

// retireBelow retires the peer's connection IDs with sequence numbers below seq.
//
// "Upon receipt of an increased Retire Prior To field, the peer MUST stop using the corresponding connection IDs and
// retire them with RETIRE_CONNECTION_ID frames before adding the newly provided connection ID to the set of active
// connection IDs."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.2-5
func (c *Conn) retireBelow(seq uint64) {
	s := &c.ids
	kept := s.remote[:0]
	for _, r := range s.remote {
		if r.seq >= seq {
			kept = append(kept, r)
			continue
		}
		if r.hasToken {
			c.events.addEndpoint(EndpointEvent{Kind: RemoveResetToken, Token: r.token, Path: c.path})
		}
		c.retire(r.seq)
	}
	s.remote = kept
}

func (c *Conn) retire(seq uint64) {
	for i := range c.ids.retiring {
		if c.ids.retiring[i].seq == seq {
			return
		}
	}
	r := retiringID{seq: seq}
	r.sent.Set()
	c.ids.retiring = append(c.ids.retiring, r)
}

// announceToken passes the stateless reset token of the connection ID in use to the Endpoint.
func (c *Conn) announceToken() {
	if r := &c.ids.remote[0]; r.hasToken {
		c.events.addEndpoint(EndpointEvent{Kind: AddResetToken, Token: r.token, Path: c.path})
	}
}

// handleRetireConnID handles a RETIRE_CONNECTION_ID frame. dst is the destination of the packet that
// carried it. If our connection IDs are empty, that is the only one.
//
// "An endpoint that provides a zero-length connection ID MUST treat receipt of a RETIRE_CONNECTION_ID frame as a
// connection error of type PROTOCOL_VIOLATION."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.16-9
func (c *Conn) handleRetireConnID(f wire.RetireConnectionID, dst []byte) {
	s := &c.ids
	if f.Seq > s.announced {
		// "Receipt of a RETIRE_CONNECTION_ID frame containing a sequence number greater than any
		// previously sent to the peer MUST be treated as a connection error of type
		// PROTOCOL_VIOLATION."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.16-7
		c.abortf(wire.ProtocolViolation, wire.FrameRetireConnectionID, "the peer retired a connection ID that was never issued")
		return
	}
	for i := range s.local {
		if s.local[i].seq != f.Seq {
			continue
		}
		if s.local[i].id.Is(dst) {
			// "The sequence number [...] MUST NOT refer to the Destination Connection ID
			// field of the packet in which the frame is contained."
			// https://www.rfc-editor.org/rfc/rfc9000#section-19.16-8
			c.abortf(wire.ProtocolViolation, wire.FrameRetireConnectionID, "the peer retired the connection ID that the packet was sent to")
			return
		}
		if len(s.local) == 1 && !s.issueOne(c) { // a server that the client still sends to by an ID of its own choice
			c.abortf(wire.InternalError, wire.FrameRetireConnectionID, "no connection ID is left")
			return
		}
		c.events.addEndpoint(EndpointEvent{Kind: RetireConnID, ConnID: s.local[i].id, Path: c.path})
		s.local = append(s.local[:i], s.local[i+1:]...)
		s.issue(c)
		return
	}
}

// hasPending reports whether appendIDFrames has a frame to send.
func (s *idState) hasPending() bool {
	for i := range s.local {
		if s.local[i].sent.ShouldSend(false) {
			return true
		}
	}
	for i := range s.retiring {
		if s.retiring[i].sent.ShouldSend(false) {
			return true
		}
	}
	return false
}

// appendIDFrames appends the NEW_CONNECTION_ID and RETIRE_CONNECTION_ID frames that are due.
func (c *Conn) appendIDFrames(b []byte, room int, pn wire.PacketNumber, rec []byte, probe bool) ([]byte, []byte) {
	limit := len(b) + room
	b, rec = c.appendNewIDs(b, room, pn, rec, probe)
	for i := range c.ids.retiring {
		r := &c.ids.retiring[i]
		if !r.sent.ShouldSend(probe) {
			continue
		}
		f := wire.RetireConnectionID{Seq: r.seq}
		if len(b)+f.Size() > limit {
			return b, rec
		}
		b, rec = f.Append(b), appendRecord1(rec, recRetireConnID, r.seq)
		r.sent.SetSent(pn)
	}
	return b, rec
}

// appendNewIDs appends the NEW_CONNECTION_ID frames that are due.
func (c *Conn) appendNewIDs(b []byte, room int, pn wire.PacketNumber, rec []byte, probe bool) ([]byte, []byte) {
	limit := len(b) + room
	for i := range c.ids.local {
		l := &c.ids.local[i]
		if !l.sent.ShouldSend(probe) {
			continue
		}
		f := wire.NewConnectionID{Seq: l.seq, RetirePriorTo: min(c.ext.rotation.retirePrior(), l.seq),
			ConnID: l.id, ResetToken: c.resetToken(l.id)}
		if len(b)+f.Size() > limit {
			break
		}
		b, rec = f.Append(b), appendRecord1(rec, recNewConnID, l.seq)
		l.sent.SetSent(pn)
		c.ids.announced = max(c.ids.announced, l.seq)
	}
	return b, rec
}

func (s *idState) newIDFate(seq uint64, pn wire.PacketNumber, fate recovery.Fate) {
	for i := range s.local {
		if s.local[i].seq == seq {
			s.local[i].sent.AckOrLoss(pn, fate)
		}
	}
}

func (s *idState) retireFate(seq uint64, pn wire.PacketNumber, fate recovery.Fate) {
	for i := range s.retiring {
		if s.retiring[i].seq != seq {
			continue
		}
		if fate == recovery.Acked {
			s.retiring = append(s.retiring[:i], s.retiring[i+1:]...)
		} else {
			s.retiring[i].sent.AckOrLoss(pn, fate)
		}
		return
	}
}

// isResetToken reports whether tail is the stateless reset token of the connection ID that is used on the path from
// which a datagram came. It compares in constant time because tail comes from the network.
//
// "An endpoint MUST NOT check for any stateless reset tokens associated with connection IDs it has not
// used or for connection IDs that have been retired."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3.1-3
// "When comparing a datagram to stateless reset token values, endpoints MUST perform the comparison without leaking
// information about the value of the token."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3.1-4
func (c *Conn) isResetToken(tail [16]byte) bool {
	r := &c.ids.remote[0]
	if o := &c.recv.other; o.set {
		if o.path == nil {
			return false
		}
		r = c.ids.findRemote(o.path.dst)
	}
	return r.hasToken && subtle.ConstantTimeCompare(r.token[:], tail[:]) == 1
}
