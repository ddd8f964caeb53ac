package core

import (
	"net/netip"
	"slices"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// Paths
//
// The path in use is that of Conn.path, Conn.loss.Path() and the first connection ID of idState.remote, which are all
// that most connections ever need. While there are other paths, or the path in use is not validated, the connection has
// a migration, which lists all paths. docs/migration.md describes the design and the attacks that it withstands.

const (
	// maxPaths is the maximum number of paths: the one in use, the last one that was validated, and two others.
	maxPaths = 4
	// maxOtherResponses bounds the PATH_RESPONSE frames that wait to be sent on a path that is not in use.
	maxOtherResponses = 2
	// pathLinger is how long a server keeps a path that is not in use after the last packet has arrived from it, and a client
	// the path to another address of its server.
	pathLinger = 30 * time.Second
)

// A migration is what a connection needs while it has several paths. The second group of fields is kept afterwards.
type migration struct {
	paths  []*netPath // nil if there is one path, which is validated
	active *netPath   // the path in use
	// fallback is the validated path that was in use before, until the one in use has been validated.
	fallback *netPath
	largest  wire.PacketNumber // of packets with other than probing frames
	movedBy  wire.PacketNumber // the packet that has changed the path in use
	// contested is set when packets have arrived from two addresses: see duplicateArrived.
	contested bool
	// unassigned is set while a packet is processed that has retired the connection IDs of paths that are not in use.
	unassigned bool

	preferred       netip.AddrPort // the server's preferred address, on a client, until the handshake is confirmed
	current         uint32         // the id of the path in use
	lastID          uint32         // the largest id of a path
	seen            seqWindow      // the sequence numbers of the peer's connection IDs that were received
	changes, failed uint64         // see Stats
}

// migrating reports whether there are several paths, or one that is not validated.
func (c *Conn) migrating() bool { return c.mig != nil && c.mig.paths != nil }

// A netPath is one network path: a pair of addresses.
type netPath struct {
	id    uint32 // of a path that the application has added
	addrs Path
	// rec is nil until something is sent on the path. Paths that differ only in the peer's port may share it.
	rec       *recovery.Path
	dst       uint64 // sequence number of the peer's connection ID that is used on the path
	amp       recovery.Amplification
	validated bool // the peer has shown that it receives what is sent here
	check     validation
	responses [][8]byte // PATH_RESPONSE frames that wait to be sent
	// wanted is the number of the last packet that would have made the path the one in use, or NoPacket. The connection waits
	// because the server's address differs, or because of a contest.
	wanted wire.PacketNumber
	auto   bool          // a client switches to the path when it is validated
	until  monotime.Time // when the path is given up if it is not in use; zero means never
}

// An otherPath describes where the packet that is being processed came from, if not from the path in use.
type otherPath struct {
	set    bool
	addrs  Path
	path   *netPath // nil if it is not known
	size   int      // of the datagram
	unused int      // index of the connection ID that the packet is the first one for, or -1
}

// samePath reports whether a packet that arrived on path b belongs to path a. A local address without an IP
// address fits all addresses of the host, and an invalid one fits everything.
func samePath(a, b *Path) bool {
	if a.Remote != b.Remote {
		return false
	}
	if !a.Local.IsValid() || !b.Local.IsValid() || a.Local == b.Local {
		return true
	}
	return a.Local.Port() == b.Local.Port() && (a.Local.Addr().IsUnspecified() || b.Local.Addr().IsUnspecified())
}

// knownPath returns the path with the given addresses, or nil.
func (c *Conn) knownPath(addrs *Path) *netPath {
	if !c.migrating() {
		return nil
	}
	for _, p := range c.mig.paths {
		if samePath(&p.addrs, addrs) {
			return p
		}
	}
	return nil
}

// knowsServer reports whether a client expects packets from an address of its server.
func (c *Conn) knowsServer(remote netip.AddrPort) bool {
	if !c.migrating() {
		return remote == c.path.Remote
	}
	for _, p := range c.mig.paths {
		if p.addrs.Remote == remote {
			return true
		}
	}
	return false
}

// handleOtherPath processes a train that has not arrived on the path in use.
func (c *Conn) handleOtherPath(t Train) {
	if !c.tls.confirmed && c.side == tlsprovider.Server {
		c.handleMovedHandshake(t)
		return
	}
	if !c.tls.confirmed || c.side == tlsprovider.Client && !c.knowsServer(t.Path.Remote) {
		// "If a client receives packets from an unknown server address, the client MUST discard these packets."
		// https://www.rfc-editor.org/rfc/rfc9000#section-9-6
		c.dropN(DropWrongPath, t.Segments())
		return
	}
	if c.side == tlsprovider.Server && !c.mayFollow(t.Path.Remote) {
		c.dropN(DropWrongPath, t.Segments())
		return
	}
	c.wake()
	for len(t.Data) > 0 && c.closing.state == stateOpen {
		d := t.Next()
		switch {
		case samePath(&c.path, &t.Path): // since the packet before
			c.active = c.now
			c.receivedDatagram(len(d))
			c.handleDatagram(d, t.ECN)
		default:
			c.stats.DatagramsReceived++
			c.stats.BytesReceived += uint64(len(d))
			c.recv.other = otherPath{set: true, addrs: t.Path, path: c.knownPath(&t.Path), size: len(d), unused: -1}
			if p := c.recv.other.path; p != nil {
				p.amp.DatagramReceived(len(d))
			}
			if d = c.skipLong(d); len(d) > 0 {
				c.handleEarlyShort(d, t.ECN)
			}
			c.recv.other = otherPath{}
		}
	}
}

// handleMovedHandshake processes the Handshake packets of a client that a NAT has given another address before its
// handshake is complete. Such a packet is the client's, because nobody else has its keys. The server does not answer to the
// new address: it cannot validate it before there are 1-RTT packets, and what has arrived from there does not count for the
// old one. But once the client's Finished message has arrived this way, the handshake is confirmed, and the client's 1-RTT
// packets move the connection as usual. If the address changes before the client has the server's flight, its ClientHello
// comes from the new address again and begins a new connection.
//
// "The design of QUIC relies on endpoints retaining a stable address for the duration of the handshake."
// https://www.rfc-editor.org/rfc/rfc9000#section-9-2
// "Not all changes of peer address are intentional, or active, migrations. The peer could experience NAT rebinding".
// https://www.rfc-editor.org/rfc/rfc9000#section-9-4
func (c *Conn) handleMovedHandshake(t Train) {
	for len(t.Data) > 0 && c.closing.state == stateOpen {
		d := t.Next()
		c.stats.DatagramsReceived++
		c.stats.BytesReceived += uint64(len(d))
		for len(d) > 0 {
			h, n := parseLongHeader(d, c.cfg.GreaseFixedBit)
			if n < 0 || h.Type != wire.PacketHandshake || h.Version != c.version {
				c.drop(DropWrongPath)
			} else {
				c.handleLong(h, d[:h.Len:h.Len], t.ECN)
			}
			if n < 0 {
				break
			}
			d = d[h.Len:]
		}
	}
}

// skipLong drops the packets with long headers at the beginning of a datagram and returns the rest. A client whose handshake is
// not confirmed, because it has not received HANDSHAKE_DONE, sends Handshake and 1-RTT packets together.
func (c *Conn) skipLong(d []byte) []byte {
	for len(d) > 0 && d[0]&0x80 != 0 {
		c.drop(DropWrongPath)
		h, n := parseLongHeader(d, c.cfg.GreaseFixedBit)
		if n < 0 {
			return nil
		}
		d = d[h.Len:]
	}
	return d
}

// arriveElsewhere handles a packet that has authenticated and that did not arrive on the path in use, before its frames
// are processed.
//
// "An endpoint MUST perform path validation (Section 8.2) if it detects any change to a peer's address, unless it has
// previously validated that address."
// https://www.rfc-editor.org/rfc/rfc9000#section-9-4
// "An endpoint MAY send data to an unvalidated peer address, but it MUST protect against potential attacks as
// described in Sections 9.3.1 and 9.3.2."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.3-4
// "If packets received at the server's preferred address have a different source address than observed from the
// client during the handshake, the server MUST protect against potential attacks as described in Sections 9.3.1 and
// 9.3.2."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.6.3-3
func (c *Conn) arriveElsewhere() {
	o := &c.recv.other
	c.active = c.now
	if o.path == nil && c.side == tlsprovider.Server {
		if o.path = c.addPath(o.addrs, o.unused >= 0); o.path == nil {
			return
		}
		o.path.amp.DatagramReceived(o.size)
		// "Servers SHOULD initiate path validation to the client's new address upon receiving a probe packet from a
		// different address".
		// https://www.rfc-editor.org/rfc/rfc9000#section-9.6.3-4
		c.validate(o.path)
	}
	if o.unused >= 0 {
		c.ids.local[o.unused].used = true
		c.ids.issue(c)
	}
	switch {
	case c.side == tlsprovider.Server:
		o.path.until = c.now.Add(pathLinger)
	case o.path != nil && !o.path.until.IsZero() && o.path.addrs.Remote != c.path.Remote:
		// The server goes on sending from the address of the handshake, which the client has left for its preferred one.
		o.path.until = c.now.Add(pathLinger)
	}
}

// addPath returns a new path. newID is set if it needs a connection ID of its own. It returns nil if the peer has not
// provided one.
//
// "If the recipient has no unused connection IDs from the peer, it will not be able to send anything on the new path
// until the peer provides one".
// https://www.rfc-editor.org/rfc/rfc9000#section-9.3-2
func (c *Conn) addPath(addrs Path, newID bool) *netPath {
	dst := c.ids.remote[0].seq
	if newID && c.ids.dst().Len() > 0 {
		var ok bool
		if dst, ok = c.unusedForPath(); !ok {
			return nil
		}
	}
	c.beginMigration()
	c.makeRoom()
	p := &netPath{addrs: addrs, dst: dst, wanted: wire.NoPacket}
	c.mig.paths = append(c.mig.paths, p)
	return p
}

// beginMigration lists the path in use, which the handshake has validated.
func (c *Conn) beginMigration() {
	if c.migrating() {
		return
	}
	c.newMigration()
	p := &netPath{id: c.mig.current, addrs: c.path, rec: c.loss.Path(), dst: c.ids.remote[0].seq, validated: true}
	c.mig.paths, c.mig.active, c.mig.fallback, c.mig.contested = []*netPath{p}, p, nil, false
	c.mig.movedBy = wire.NoPacket
	c.mig.largest = c.spaces[recovery.SpaceApp].acks.Largest()
}

func (c *Conn) newMigration() {
	if c.mig != nil {
		return
	}
	c.mig = new(migration)
	for i := range c.ids.remote {
		c.mig.seen.add(c.ids.remote[i].seq)
	}
}

// makeRoom removes a path if there is no room for another one: the oldest one that is neither in use nor needed in case
// the path in use fails.
func (c *Conn) makeRoom() {
	m := c.mig
	if len(m.paths) < maxPaths {
		return
	}
	for _, p := range m.paths {
		if p != m.active && p != m.fallback {
			c.removePath(p)
			return
		}
	}
}

// followPeer sends to the path on which a packet has arrived if it shows that the peer has moved there.
//
// "An endpoint only changes the address to which it sends packets in response to the highest-numbered non-probing
// packet. This ensures that an endpoint does not send packets to an old peer address in the case that it receives
// reordered packets."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.3-3
func (c *Conn) followPeer(pn wire.PacketNumber, probing bool) {
	m := c.mig
	if probing || pn <= m.largest {
		return
	}
	m.largest = pn
	p := c.recv.other.path
	switch {
	case p == nil || p == m.active || c.side == tlsprovider.Client:
	case p.addrs.Local != m.active.addrs.Local && !p.validated:
		// "The server MUST send non-probing packets from its original address until it receives a non-probing packet
		// from the client at its preferred address and until the server has validated the new path."
		// https://www.rfc-editor.org/rfc/rfc9000#section-9.6.2-2
		p.wanted = pn
	case m.contested && p.dst == m.active.dst:
		p.wanted = pn
		c.validate(m.active)
	default:
		m.movedBy, m.contested = pn, false
		c.switchPath(p)
	}
}

// duplicateArrived handles a packet that was received before. If it is the packet that has moved the connection to the
// path in use, or a later one, and now arrives on the previous path, an attacker has sent a copy of it from another
// address, which was faster (RFC 9000, 9.3.2 and 9.3.3). The connection returns to the previous path. While that path
// answers challenges, the connection does not follow the peer to another address with the same connection ID, as it
// would after a NAT rebinding.
//
// "An endpoint could also use heuristics to improve detection of this style of attack. For instance, NAT rebinding is improbable
// if packets were recently received on the old path [...]. Endpoints can also look for duplicated packets. Conversely, a change
// in connection ID is more likely to indicate an intentional migration rather than an attack."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.3.3-7
func (c *Conn) duplicateArrived(pn wire.PacketNumber) {
	m, p := c.mig, c.recv.other.path
	if p != nil && p == m.fallback && pn >= m.movedBy && p.dst == m.active.dst && c.side == tlsprovider.Server {
		m.contested = true
		m.active.until = c.now.Add(pathLinger)
		c.switchPath(p)
	}
}

// loseContest handles the failure of the path in use to answer challenges. The connection follows the peer to the other
// address if that has been validated, and otherwise with the next packet from there.
func (c *Conn) loseContest() {
	m := c.mig
	m.contested = false
	for _, p := range m.paths {
		if p.validated && p.wanted == m.largest {
			m.active.validated = false // there is no way back
			m.movedBy = m.largest
			c.switchPath(p)
			return
		}
	}
}

// switchPath makes p the path in use.
func (c *Conn) switchPath(p *netPath) {
	m := c.mig
	old := m.active
	m.changes++
	if onlyPortDiffers(&old.addrs, &p.addrs) && p.rec != old.rec {
		// "Because port-only changes are commonly the result of NAT rebinding or other middlebox activity, the
		// endpoint MAY instead retain its congestion control state and round-trip estimate in those cases".
		// https://www.rfc-editor.org/rfc/rfc9000#section-9.4-2
		c.dropRecovery(p)
		p.rec = old.rec
	}
	old.amp = c.loss.Use(c.now, c.recoveryOf(p), p.amp)
	m.active, c.path, m.current = p, p.addrs, p.id
	old.responses = c.pathResponses[:min(len(c.pathResponses), maxOtherResponses)]
	c.pathResponses, p.responses = p.responses, nil
	c.ids.useRemote(p.dst)
	c.announceToken()
	if f := m.fallback; f != nil && f != p {
		f.until = c.now.Add(pathLinger)
	}
	switch {
	case m.contested:
		m.fallback = nil // the other path stays, and its validation goes on
	case !old.validated:
		// "After changing the address to which it sends non-probing packets, an endpoint can abandon any path
		// validation for other addresses."
		// https://www.rfc-editor.org/rfc/rfc9000#section-9.3-5
		c.removePath(old)
	case c.side == tlsprovider.Client:
		m.fallback = old
	default:
		// "In response to an apparent migration, endpoints MUST validate the previously active path using a
		// PATH_CHALLENGE frame."
		// https://www.rfc-editor.org/rfc/rfc9000#section-9.3.3-4
		m.fallback = old
		c.validate(old)
	}
	if p == m.fallback {
		m.fallback = nil
	}
	if !p.validated {
		c.validate(p)
	}
}

// onlyPortDiffers reports whether two paths have the same IP addresses.
func onlyPortDiffers(a, b *Path) bool {
	return a.Remote.Addr() == b.Remote.Addr() && a.Local.Addr() == b.Local.Addr()
}

// recoveryOf returns the measurements of a path. They start with the first packet sent on it.
func (c *Conn) recoveryOf(p *netPath) *recovery.Path {
	if p.rec == nil {
		limit := c.loss.Path().MTULimit()
		p.rec = c.loss.AddPath(c.now, c.cfg.NewController)
		c.enableMTUSearch(p.rec, p.addrs.Remote.Addr(), limit)
	}
	return p.rec
}

// dropRecovery forgets the measurements of a path unless another path shares them.
func (c *Conn) dropRecovery(p *netPath) {
	rec := p.rec
	p.rec = nil
	if rec == nil || slices.ContainsFunc(c.mig.paths, func(o *netPath) bool { return o.rec == rec }) {
		return
	}
	c.loss.RemovePath(c.now, rec, c.onFate)
}

// removePath gives up a path that is not in use. What was sent on it and is not acknowledged counts as lost.
func (c *Conn) removePath(p *netPath) {
	m := c.mig
	m.paths = slices.DeleteFunc(m.paths, func(o *netPath) bool { return o == p })
	if m.fallback == p {
		m.fallback = nil
	}
	if c.recv.other.path == p {
		c.recv.other.path = nil
	}
	c.dropRecovery(p)
	c.releaseRemote(p.dst)
	c.unrouteRemote(p.addrs.Remote)
	if p.id != 0 {
		c.events.add(Event{Kind: EventPathGone, Path: p.id})
	}
}

// endMigration drops the list of paths if there is only one, which is validated, and which may be challenged again at
// any time. It is called after everything that may have removed a path, when nothing refers to the list.
func (c *Conn) endMigration() {
	if m := c.mig; len(m.paths) == 1 && m.active.validated && !m.active.check.running() && !c.now.Before(c.challengeAt(m.active)) {
		m.paths, m.active, m.fallback = nil, nil, nil
	}
}
