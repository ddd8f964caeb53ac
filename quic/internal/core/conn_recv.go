package core

import (
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// maxOpenTrain is the maximum number of packets in one call of the provider.
const maxOpenTrain = 64

// recvState is scratch space for received packets.
type recvState struct {
	descs   []tlsprovider.OpenDesc
	one     [1]tlsprovider.OpenDesc // the long header packet that is being opened
	tails   [][16]byte              // the last 16 bytes of each datagram, saved because opening overwrites them
	phase   uint64                  // key phase of the 1-RTT packet that is being processed
	other   otherPath               // where it came from, if not from the path in use
	zeroRTT bool                    // a 0-RTT packet is being processed
}

// HandleTrain processes a run of datagrams. It opens runs of 1-RTT packets in one call of the provider.
func (c *Conn) HandleTrain(now monotime.Time, t Train) {
	c.clamp(now)
	switch {
	case c.closing.state != stateOpen:
		c.dropN(DropClosedConn, t.Segments())
		return
	case t.Path.Remote != c.path.Remote || (c.ids.preferred || c.migrating()) && !samePath(&c.path, &t.Path):
		c.handleOtherPath(t)
		return
	}
	c.wake()
	c.active = c.now
	run := t // the train at the start of a run of 1-RTT packets
	c.recv.descs = c.recv.descs[:0]
	slab, off := t.Data, 0
	for len(t.Data) > 0 {
		d := t.Next()
		c.receivedDatagram(len(d))
		short := d[0]&0x80 == 0
		if short && c.mayOpenApp() {
			c.addShort(off, d)
			if len(c.recv.descs) == maxOpenTrain {
				c.openRun(slab, run.ECN)
			}
		} else {
			c.openRun(slab, run.ECN)
			c.handleDatagram(d, t.ECN)
		}
		off += len(d)
	}
	c.openRun(slab, run.ECN)
	if c.ext.rotation != nil {
		c.rotateIDs()
	}
	if c.trace != nil {
		c.traceChanges()
	}
}

// mayOpenApp reports whether 1-RTT packets may be opened.
//
// "A server MUST NOT process incoming 1-RTT protected packets before the TLS handshake is complete."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.7-4
// "[...] a client MUST NOT process incoming 1-RTT protected packets before the TLS handshake is
// complete."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.7-8
// "Endpoints in either role MUST NOT decrypt 1-RTT packets from their peer prior to completing the handshake."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.7-1
func (c *Conn) mayOpenApp() bool {
	return c.tls.complete && c.spaces[recovery.SpaceApp].open != nil
}

// addShort queues the 1-RTT packet d, which begins at off in the train, for openRun.
func (c *Conn) addShort(off int, d []byte) {
	if c.trace != nil {
		c.trace.packet = d
	}
	if reason := c.checkShort(d); reason != DropNone {
		c.drop(reason)
		return
	}
	i := len(c.recv.descs)
	c.recv.descs = append(c.recv.descs, tlsprovider.OpenDesc{
		Offset: uint32(off), Len: uint32(len(d)), PNOffset: 1 + uint32(c.ids.length),
	})
	if len(c.recv.tails) <= i {
		c.recv.tails = append(c.recv.tails, [16]byte{})
	}
	c.recv.tails[i] = [16]byte{}
	if len(d) >= minReset {
		copy(c.recv.tails[i][:], d[len(d)-16:])
	}
}

// checkShort returns why a 1-RTT packet must be dropped according to its header, or DropNone.
//
// "Endpoints MUST discard packets that are too small to be valid QUIC packets."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3-14
// "Packets containing a zero value for this bit are not valid packets in this version and MUST be discarded."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.3.1-4.4.1
func (c *Conn) checkShort(d []byte) DropReason {
	n := 1 + int(c.ids.length)
	if len(d) < n || !c.cfg.fixedBitValid(d[0]) {
		return DropMalformed
	}
	if !c.ids.accepts(c, d[1:n]) {
		return DropUnknownConnID
	}
	return DropNone
}

// openRun opens and processes the queued 1-RTT packets.
func (c *Conn) openRun(slab []byte, ecn ECN) {
	descs := c.recv.descs
	c.recv.descs = descs[:0]
	sp := c.spaces[recovery.SpaceApp]
	for i := 0; i < len(descs); {
		if c.closing.state != stateOpen {
			c.dropN(DropClosedConn, len(descs)-i)
			return
		}
		n := sp.open.Open(slab, descs[i:], int64(sp.acks.Largest()))
		if n <= 0 {
			panic("BUG: provider opened nothing")
		}
		for j := i; j < i+n; j++ {
			if c.closing.state != stateOpen {
				c.drop(DropClosedConn)
				continue
			}
			c.handleOpened(recovery.SpaceApp, slab, &descs[j], ecn, c.recv.tails[j])
		}
		i += n
	}
}

// handleOpened processes a packet that the provider has opened or failed to open.
//
// "Once an endpoint successfully receives a packet with a given packet number, it MUST discard all packets in the
// same packet number space with higher packet numbers if they cannot be successfully unprotected with either the same
// key, or [...] a subsequent packet protection key"
// https://www.rfc-editor.org/rfc/rfc9001#section-5.5-1
func (c *Conn) handleOpened(s recovery.Space, slab []byte, d *tlsprovider.OpenDesc, ecn ECN, tail [16]byte) {
	if c.trace != nil {
		c.trace.packet = slab[d.Offset:][:d.Len]
	}
	switch d.Status {
	case tlsprovider.OpenOK:
	case tlsprovider.OpenNextPhase:
		c.handleNextPhase(wire.PacketNumber(d.PacketNumber))
		if c.closing.state != stateOpen {
			return
		}
	default:
		if s == recovery.SpaceApp && c.isResetToken(tail) {
			c.HandleStatelessReset(c.now)
			return
		}
		c.failedOpen()
		return
	}
	if s == recovery.SpaceApp {
		c.recv.phase = c.keys.phaseOf(d.Phase)
	}
	pkt := slab[d.Offset : d.Offset+d.Len]
	c.handlePacket(s, wire.PacketNumber(d.PacketNumber), pkt,
		pkt[d.HeaderLen:d.HeaderLen+d.PayloadLen], ecn)
}

// handleKept processes a datagram that the Endpoint kept.
func (c *Conn) handleKept(d *ReceivedDatagram) {
	if c.closing.state != stateOpen {
		c.drop(DropClosedConn)
		return
	}
	c.receivedDatagram(len(d.Data))
	for i := range d.opened[:d.nOpened] {
		p := &d.opened[i]
		pkt := d.Data[p.offset:][:p.size]
		c.handlePacket(recovery.SpaceInitial, p.pn, pkt, p.payload(pkt), d.ECN)
		if c.closing.state != stateOpen {
			return
		}
	}
	c.handlePackets(d.Data[d.rest:], len(d.Data), d.ECN)
}

// receivedDatagram counts a datagram.
//
// "For the purposes of avoiding amplification prior to address validation, servers MUST count all of the payload
// bytes received in datagrams that are uniquely attributed to a single connection."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1-4
func (c *Conn) receivedDatagram(size int) {
	c.stats.DatagramsReceived++
	c.stats.BytesReceived += uint64(size)
	c.loss.Path().DatagramReceived(size)
}

// handleDatagram processes a datagram that starts with a long header or that arrived before the 1-RTT keys. If it starts
// with a long header and nothing in it can be opened, it may be a stateless reset. Those of this version have a short
// header, which addShort and handleOpened are for.
//
// "However, endpoints MUST treat any packet ending in a valid stateless reset token as a Stateless Reset, as other
// QUIC versions might allow the use of a long header."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3-15
// "However, the comparison MUST be performed when the first packet in an incoming datagram either cannot be
// associated with a connection or cannot be decrypted."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3.1-2
func (c *Conn) handleDatagram(d []byte, ecn ECN) {
	if d[0]&0x80 == 0 || len(d) < minReset || !c.ids.remote[0].hasToken {
		c.handlePackets(d, len(d), ecn)
		return
	}
	tail, opened := [16]byte(d[len(d)-16:]), c.stats.PacketsReceived
	c.handlePackets(d, len(d), ecn)
	if c.closing.state == stateOpen && c.stats.PacketsReceived == opened && c.isResetToken(tail) {
		c.HandleStatelessReset(c.now)
	}
}

// handlePackets processes the packets in d, which is the end of a datagram of the size whole.
//
// "Receivers MUST be able to process coalesced packets."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.2-2
// "The receiver of coalesced QUIC packets MUST individually process each QUIC packet and separately acknowledge them,
// as if they were received as the payload of different UDP datagrams."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.2-5
// "For example, if decryption fails (because the keys are not available or for any other reason), the receiver [...]
// MUST attempt to process the remaining packets."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.2-5
func (c *Conn) handlePackets(d []byte, whole int, ecn ECN) {
	var first wire.ConnID
	for n := 0; len(d) > 0 && c.closing.state == stateOpen; n++ {
		if c.trace != nil {
			c.trace.packet = d
		}
		if d[0]&0x80 == 0 {
			c.handleEarlyShort(d, ecn)
			return
		}
		h, size := parseLongHeader(d, c.cfg.GreaseFixedBit)
		if size < 0 {
			c.handleOddLong(d, n)
			return
		}
		// "Receivers SHOULD ignore any subsequent packets with a different Destination
		// Connection ID than the first packet in the datagram."
		// https://www.rfc-editor.org/rfc/rfc9000#section-12.2-4
		if n > 0 && h.DstID != first {
			c.drop(DropUnknownConnID)
			return
		}
		first = h.DstID
		if h.Type == wire.PacketInitial && c.side == tlsprovider.Server && whole < MinInitialSize {
			// "A server MUST discard an Initial packet that is carried in a UDP datagram with
			// a payload that is smaller than the smallest allowed maximum datagram size of
			// 1200 bytes."
			// https://www.rfc-editor.org/rfc/rfc9000#section-14.1-4
			// "Therefore, an endpoint MUST NOT close a connection when it receives a datagram that does not meet size
			// constraints; the endpoint MAY discard such datagrams."
			// https://www.rfc-editor.org/rfc/rfc9000#section-14-8
			c.drop(DropTooSmall)
			return
		}
		c.handleLong(h, d[:h.Len:h.Len], ecn)
		d = d[h.Len:]
	}
}

// handleOddLong handles long header packets without a packet number: Version Negotiation and Retry.
func (c *Conn) handleOddLong(d []byte, nth int) {
	inv, ok := wire.ParseInvariant(d, 0) // it has a long header
	if ok && nth == 0 && c.side == tlsprovider.Client {
		switch {
		case inv.Version == 0:
			c.handleVersionNegotiation(d)
			return
		case inv.Version == c.version && wire.LongPacketType(d[0], inv.Version) == wire.PacketRetry:
			c.handleRetry(d)
			return
		}
	}
	if ok {
		c.drop(DropUnexpectedPacket)
	} else {
		c.drop(DropMalformed)
	}
}

// handleEarlyShort handles a 1-RTT packet that is not part of a run. It keeps the packet if the handshake
// is not complete.
func (c *Conn) handleEarlyShort(d []byte, ecn ECN) {
	if reason := c.checkShort(d); reason != DropNone {
		c.drop(reason)
		return
	}
	if !c.mayOpenApp() {
		c.bufferEarly(recovery.SpaceApp, d, ecn)
		return
	}
	// The packet is coalesced with a long header packet.
	c.recv.descs = c.recv.descs[:0]
	c.addShort(0, d)
	c.openRun(d, ecn)
}

// handleLong handles an Initial, 0-RTT or Handshake packet.
//
// "If a client receives a packet that uses a different version than it initially selected, it MUST discard that
// packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.2.1-3
func (c *Conn) handleLong(h wire.LongHeader, pkt []byte, ecn ECN) {
	switch {
	case h.Version != c.version && !c.acceptsVersion(&h, pkt):
		c.drop(DropUnknownVersion)
		return
	case !c.ids.accepts(c, h.DstID.Bytes()):
		c.drop(DropUnknownConnID)
		return
	}
	var s recovery.Space
	switch h.Type {
	case wire.PacketInitial:
		s = recovery.SpaceInitial
	case wire.PacketHandshake:
		s = recovery.SpaceHandshake
	default:
		s = recovery.SpaceApp
	}
	// "[...] if subsequent Initial packets include a different Source Connection ID, they MUST be
	// discarded."
	// https://www.rfc-editor.org/rfc/rfc9000#section-7.2-8
	if c.ids.havePeer && h.SrcID != c.ids.peerFirst {
		if !(c.side == tlsprovider.Client && !c.ids.heardInitial) {
			c.drop(DropSourceConnID)
			return
		}
	}
	if h.Type == wire.Packet0RTT {
		c.handleZeroRTT(&h, pkt, ecn)
		return
	}
	sp := c.spaces[s]
	switch {
	case sp.discarded:
		c.handleLate(s)
		return
	case sp.open == nil:
		c.bufferEarly(s, pkt, ecn)
		return
	}
	c.recv.one[0] = tlsprovider.OpenDesc{Len: uint32(len(pkt)), PNOffset: uint32(h.PNOffset)}
	open := sp.open
	if h.Version != c.version {
		open = c.ext.versions.open // an Initial packet of the original version
	}
	open.Open(pkt, c.recv.one[:], int64(sp.acks.Largest()))
	d := &c.recv.one[0]
	if d.Status == tlsprovider.OpenOK && s == recovery.SpaceInitial && c.side == tlsprovider.Client {
		if len(h.Token) > 0 {
			// "[...] clients that receive an Initial packet with a non-zero Token Length
			// field MUST either discard the packet or generate a connection error [...]"
			// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.2-4.2.1
			c.drop(DropUnexpectedToken)
			return
		}
		if !c.ids.heardInitial {
			c.ids.heardInitial = true
			c.ids.setPeerFirst(h.SrcID)
		}
	}
	c.handleOpened(s, pkt, d, ecn, [16]byte{})
}

// handleLate handles a packet of a space whose keys are discarded. A client that still sends Handshake
// packets has not received our HANDSHAKE_DONE frame. The server sends it again, at most once a round trip,
// instead of waiting for its probe timeout, which backs off.
func (c *Conn) handleLate(s recovery.Space) {
	c.drop(DropKeysDiscarded)
	if c.side == tlsprovider.Client || s != recovery.SpaceHandshake || !c.tls.confirmed {
		return
	}
	if c.doneRepeatedAt.IsZero() || c.now.Sub(c.doneRepeatedAt) >= c.loss.Path().SmoothedRTT() {
		c.doneRepeatedAt = c.now
		if c.handshakeDone.IsSet() && !c.handshakeDone.IsReceived() {
			c.handshakeDone.SetUnsent()
		}
	}
}
