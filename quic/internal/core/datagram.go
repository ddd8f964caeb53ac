package core

import (
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A datagramBuilder builds a datagram of up to one packet for each space. It writes packets in plaintext,
// each with room for its tag, and seals them at the end, when the size of the padding is known.
type datagramBuilder struct {
	c     *Conn
	dst   wire.ConnID // the peer's connection ID
	b     []byte      // the train so far; the datagram starts at begin
	begin int
	limit int // maximum size of this datagram
	ecn   ECN // of the train

	// The packet being built.
	space     recovery.Space
	hdr       int // offset of the header
	headerLen int
	pn        wire.PacketNumber
	pnLen     int
	payload   []byte // b with the frames appended

	descs    [recovery.NumSpaces][]tlsprovider.SealDesc
	n        int
	initial  bool // the datagram contains an Initial packet
	pad      bool // the datagram must be padded to MinInitialSize
	lastDesc *tlsprovider.SealDesc
	lastSent *recovery.SentPacket
}

// sentInfo describes a packet that is complete.
type sentInfo struct {
	eliciting bool
	padded    bool // the packet contains PADDING and so counts as in flight
	untracked bool // not passed to loss detection, because the connection ends with the packet
}

// "Senders MUST NOT coalesce QUIC packets with different connection IDs into a single UDP datagram."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.2-4
func newDatagram(c *Conn, b []byte, limit int) *datagramBuilder {
	c.wake()
	c.send.sent = c.send.sent[:0]
	d := &c.send.d
	*d = datagramBuilder{c: c, dst: c.ids.dst(), b: b, begin: len(b), limit: limit, descs: d.descs}
	for s := range d.descs {
		d.descs[s] = d.descs[s][:0]
	}
	return d
}

// next begins another datagram behind the finished one in the same train.
func (d *datagramBuilder) next(limit int) {
	d.begin, d.limit = len(d.b), limit
	d.initial, d.pad, d.lastDesc, d.lastSent = false, false, nil, nil
	d.n = 0
}

// packets returns the number of packets in the datagram.
func (d *datagramBuilder) packets() int { return d.n }

// size returns the length of the datagram so far.
func (d *datagramBuilder) size() int { return len(d.b) - d.begin }

// minPacketRoom is the minimum room for starting a packet: a header, a few frames and the tag.
const minPacketRoom = 64

// start begins a packet. It returns false if there is no room for one.
func (d *datagramBuilder) start(s recovery.Space) bool {
	c := d.c
	if d.limit-d.size() < minPacketRoom+len(c.ids.token) {
		return false
	}
	d.space, d.hdr = s, len(d.b)
	d.pn = c.loss.NextNumber(s)
	d.pnLen = c.packetNumberLen(s, d.pn)
	switch {
	case s == recovery.SpaceApp && !c.sendsZeroRTT():
		spin := c.ext.spin != nil && c.ext.spin.next(d.dst)
		d.payload = wire.AppendShortHeader(d.b, d.dst, spin, c.keys.sealPhase&1 == 1, d.pn, d.pnLen)
	default:
		var token []byte
		if s == recovery.SpaceInitial {
			token = c.ids.token
		}
		d.payload = wire.AppendLongHeader(d.b, d.packetType(s), c.packetVersion(d.packetType(s)), d.dst, c.ids.src(), token, d.pn, d.pnLen)
	}
	if n := c.ext.fixedBit; n != nil && n.next() {
		d.payload[d.hdr] &^= wire.FixedBit
	}
	d.headerLen = len(d.payload) - d.hdr
	return true
}

// packetNumberLen returns the length in which to encode a packet number. In 1-RTT packets it allows for
// eight times as many packets in flight as RFC 9000, section 17.1, requires. A packet that is late by a
// round trip, during which the rate has grown, can then still be opened.
//
// "An endpoint SHOULD use a large enough packet number encoding to allow the packet number to be recovered
// even if the packet arrives after packets that are sent afterwards."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.1-4
func (c *Conn) packetNumberLen(s recovery.Space, pn wire.PacketNumber) int {
	acked := c.loss.LargestAcked(s)
	if s == recovery.SpaceApp {
		acked = pn - 8*(pn-acked)
	}
	return wire.PacketNumberLen(pn, acked)
}

// packetType returns the type of the long header packets that are sent in a space.
func (d *datagramBuilder) packetType(s recovery.Space) wire.PacketType {
	if s == recovery.SpaceApp {
		return wire.Packet0RTT
	}
	return packetTypeOf[s]
}

// room returns the number of payload bytes that still fit.
func (d *datagramBuilder) room() int {
	return d.limit - (len(d.payload) - d.begin) - tlsprovider.TagLen
}

// empty reports whether the packet has no frames.
func (d *datagramBuilder) empty() bool { return len(d.payload) == d.hdr+d.headerLen }

// finish completes the packet, which uses up its packet number.
func (d *datagramBuilder) finish(info sentInfo) {
	c := d.c
	// "[...] in sampling packet ciphertext for header protection, the Packet Number field is assumed
	// to be 4 bytes long [...]": with it, the sample must fit.
	// https://www.rfc-editor.org/rfc/rfc9001#section-5.4.2-2
	for len(d.payload)-d.hdr-d.headerLen+d.pnLen < 4 {
		d.payload = append(d.payload, 0)
		info.padded = true
	}
	// "Subsequent packets sent in the same packet number space MUST increase the packet number by at least one."
	// https://www.rfc-editor.org/rfc/rfc9000#section-12.3-8
	// "A QUIC endpoint MUST NOT reuse a packet number within the same packet number space in one connection."
	// https://www.rfc-editor.org/rfc/rfc9000#section-12.3-10
	d.b = d.payload
	n := len(d.b) - d.hdr - d.headerLen
	d.descs[d.space] = append(d.descs[d.space], tlsprovider.SealDesc{
		Offset: uint32(d.hdr), HeaderLen: uint32(d.headerLen), PayloadLen: uint32(n), PacketNumber: uint64(d.pn),
	})
	d.lastDesc = &d.descs[d.space][len(d.descs[d.space])-1]
	d.b = append(d.b, zeroTag[:]...)
	d.n++
	if d.space == recovery.SpaceInitial {
		// "A client MUST expand the payload of all UDP datagrams carrying Initial packets to
		// at least the smallest allowed maximum datagram size of 1200 bytes [...] Similarly,
		// a server MUST expand the payload of all UDP datagrams carrying ack-eliciting
		// Initial packets"
		// https://www.rfc-editor.org/rfc/rfc9000#section-14.1-1
		// "Clients MUST ensure that UDP datagrams containing Initial packets have UDP payloads of at least 1200
		// bytes, adding PADDING frames as necessary."
		// https://www.rfc-editor.org/rfc/rfc9000#section-8.1-5
		// "First, the packet containing a ClientHello MUST be padded to a minimum size."
		// https://www.rfc-editor.org/rfc/rfc9001#section-9.3-2
		d.initial = true
		d.pad = d.pad || info.eliciting || c.side == tlsprovider.Client
	}
	if info.untracked {
		return
	}
	p := c.loss.NewSent()
	p.Num, p.Time, p.Size = d.pn, c.now, len(d.b)-d.hdr
	p.ECN = d.ecn
	p.AckEliciting, p.InFlight = info.eliciting, info.eliciting || info.padded
	p.Record = append(p.Record[:0], c.send.rec...)
	d.lastSent = p
	c.send.sent = append(c.send.sent, sentPacket{d.space, p})
	switch {
	case d.space != recovery.SpaceApp:
	case c.sendsZeroRTT():
		c.zero.lastSent = d.pn
	default:
		c.keys.sealedApp(d.pn)
	}
}

var zeroTag [tlsprovider.TagLen]byte

// end pads the datagram if necessary and completes the headers.
func (d *datagramBuilder) end() {
	if d.n == 0 {
		return
	}
	if d.pad && d.size() < MinInitialSize {
		grow := MinInitialSize - d.size()
		d.b = append(d.b, make([]byte, grow)...)
		d.lastDesc.PayloadLen += uint32(grow)
		if d.lastSent != nil {
			d.lastSent.Size += grow
			d.lastSent.InFlight = true
		}
	}
}

// seal completes the headers and seals every packet of the slab.
func (d *datagramBuilder) seal() bool {
	d.end()
	if d.c.trace != nil {
		d.c.traceSent(d)
	}
	for s := range d.descs {
		train := d.descs[s]
		if len(train) == 0 {
			continue
		}
		seal := d.c.spaces[s].seal
		zero := recovery.Space(s) == recovery.SpaceApp && d.c.sendsZeroRTT()
		if zero {
			seal = d.c.zero.seal
		}
		if recovery.Space(s) != recovery.SpaceApp || zero {
			for i := range train {
				p := &train[i]
				wire.PatchLength(d.b[p.Offset:], int(p.HeaderLen), int(p.PayloadLen)+tlsprovider.TagLen)
			}
		}
		if err := seal.Seal(d.b, train); err != nil {
			d.c.sealFailed(err)
			return false
		}
	}
	return true
}
