package core

import (
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A datagramBuilder builds a datagram: up to one packet for each space, coalesced. Packets are written in
// plain, each with room for its tag, and sealed at the end, when padding has found its place.
type datagramBuilder struct {
	c     *Conn
	b     []byte // the slab so far; the datagram starts at begin
	begin int
	limit int // in bytes of this datagram

	// The packet being built.
	space     recovery.Space
	hdr       int // offset of its header
	headerLen int
	pn        wire.PacketNumber
	payload   []byte // b with frames appended

	descs    [recovery.NumSpaces][]tlsprovider.SealDesc
	n        int
	initial  bool // an Initial packet is in it
	pad      bool // it has to be MinInitialSize long
	lastDesc *tlsprovider.SealDesc
	lastSent *recovery.SentPacket
}

// sentInfo is what is known of a packet when it is finished.
type sentInfo struct {
	eliciting bool
	padded    bool // it has PADDING, so it counts as in flight
	untracked bool // the connection ends with it
}

func newDatagram(c *Conn, b []byte, limit int) *datagramBuilder {
	d := &c.send.d
	*d = datagramBuilder{c: c, b: b, begin: len(b), limit: limit, descs: d.descs}
	for s := range d.descs {
		d.descs[s] = d.descs[s][:0]
	}
	return d
}

// next begins another datagram behind the one that is finished, in the same train.
func (d *datagramBuilder) next(limit int) {
	d.begin, d.limit = len(d.b), limit
	d.initial, d.pad, d.lastDesc, d.lastSent = false, false, nil, nil
	d.n = 0
}

// packets is the number of packets in the datagram.
func (d *datagramBuilder) packets() int { return d.n }

// size is the length of the datagram so far.
func (d *datagramBuilder) size() int { return len(d.b) - d.begin }

// minPacketRoom is the least room in which a packet is worth starting: header, a few frames, tag.
const minPacketRoom = 64

// start begins a packet; false if there is no room for one.
func (d *datagramBuilder) start(s recovery.Space) bool {
	c := d.c
	if d.limit-d.size() < minPacketRoom+len(c.ids.token) {
		return false
	}
	d.space, d.hdr = s, len(d.b)
	d.pn = c.loss.NextNumber(s)
	pnLen := c.packetNumberLen(s, d.pn)
	switch s {
	case recovery.SpaceApp:
		d.payload = wire.AppendShortHeader(d.b, c.ids.dst(), false, c.keys.sealPhase&1 == 1, d.pn, pnLen)
	default:
		var token []byte
		if s == recovery.SpaceInitial {
			token = c.ids.token
		}
		d.payload = wire.AppendLongHeader(d.b, packetTypeOf[s], c.version, c.ids.dst(), c.ids.src(), token, d.pn, pnLen)
	}
	d.headerLen = len(d.payload) - d.hdr
	return true
}

// packetNumberLen returns the length in which a packet number is sent. 1-RTT packets leave room for eight
// times as many packets as the rule of RFC 9000, 17.1, demands: a packet that is late by a round trip, in
// which the rate has grown, can still be opened.
//
// "An endpoint SHOULD use a large enough packet number encoding to allow the packet number to be recovered
// even if the packet arrives after packets that are sent afterwards."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.1-5
func (c *Conn) packetNumberLen(s recovery.Space, pn wire.PacketNumber) int {
	acked := c.loss.LargestAcked(s)
	if s == recovery.SpaceApp {
		acked = pn - 8*(pn-acked)
	}
	return wire.PacketNumberLen(pn, acked)
}

// room is the number of payload bytes that still fit.
func (d *datagramBuilder) room() int {
	return d.limit - (len(d.payload) - d.begin) - tlsprovider.TagLen
}

// empty: no frame was added.
func (d *datagramBuilder) empty() bool { return len(d.payload) == d.hdr+d.headerLen }

// finish ends the packet. The packet number is used up from here on.
func (d *datagramBuilder) finish(info sentInfo) {
	c := d.c
	// "[...] in sampling packet ciphertext for header protection, the Packet Number field is assumed
	// to be 4 bytes long [...]": with it, the sample must fit.
	// https://www.rfc-editor.org/rfc/rfc9001#section-5.4.2-2
	pnLen := c.packetNumberLen(d.space, d.pn)
	for len(d.payload)-d.hdr-d.headerLen+pnLen < 4 {
		d.payload = append(d.payload, 0)
		info.padded = true
	}
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
		d.initial = true
		d.pad = d.pad || info.eliciting || c.side == tlsprovider.Client
	}
	if info.untracked {
		return
	}
	p := c.loss.NewSent()
	p.Num, p.Time, p.Size = d.pn, c.now, len(d.b)-d.hdr
	p.AckEliciting, p.InFlight = info.eliciting, info.eliciting || info.padded
	p.Record = append(p.Record[:0], c.send.rec...)
	d.lastSent = p
	c.send.sent = append(c.send.sent, sentPacket{d.space, p})
	if d.space == recovery.SpaceApp {
		c.keys.sealedApp(d.pn)
	}
}

var zeroTag [tlsprovider.TagLen]byte

// end pads the datagram where it has to be and completes the headers.
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
	for s := range d.descs {
		train := d.descs[s]
		if len(train) == 0 {
			continue
		}
		if recovery.Space(s) != recovery.SpaceApp {
			for i := range train {
				p := &train[i]
				wire.PatchLength(d.b[p.Offset:], int(p.HeaderLen), int(p.PayloadLen)+tlsprovider.TagLen)
			}
		}
		if err := d.c.spaces[s].seal.Seal(d.b, train); err != nil {
			d.c.sealFailed(err)
			return false
		}
	}
	return true
}
