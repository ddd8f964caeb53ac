package core

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// maxInitialPackets is the maximum number of Initial packets of one datagram that the Endpoint tries to
// open. Clients send one, or two after a loss. Each attempt takes a token from the bucket of attempts.
const maxInitialPackets = 3

// helloAckDelay is how long an acknowledgement of part of a ClientHello waits for the rest. The rest
// usually arrives within microseconds, and the acknowledgement then travels with the server's first flight.
const helloAckDelay = 5 * time.Millisecond

// maxPostponed bounds the complete ClientHellos that wait for room in the TLS pool. They wait postponePause
// between two attempts and HelloTimeout in total.
const (
	maxPostponed  = 1024
	postponePause = 10 * time.Millisecond
)

// receiveInitial handles an Initial packet of a client that belongs to no connection.
func (e *Endpoint) receiveInitial(p Path, ecn ECN, h *wire.LongHeader, d []byte, v Validation, reply []byte) Routed {
	if !e.attempts.take(e.now) {
		return e.drop(DropRateLimit)
	}
	key := initialKey{h.DstID, p.Remote}
	k, known := e.hellos.byKey.get(key)
	if known && k.state == helloTaken {
		return e.drop(DropIncompleteHello)
	}
	if !known {
		in := &Incoming{Path: p, Version: h.Version, DstID: h.DstID, OriginalDstID: h.DstID, PeerID: h.SrcID}
		if r, done := e.admitAddress(in, h, d, v, reply); done {
			return r
		}
		k = &hello{in: in, key: key, began: e.now}
		in.hello = k
		k.acks.Init(recovery.SpaceInitial)
	}
	if h.SrcID != k.in.PeerID || len(k.in.Datagrams) > 0 && k.bytes+len(d) > maxHelloBytes ||
		e.hellos.bytes+len(d) > e.cfg.HelloBytes {
		return e.drop(DropHelloBytes)
	}
	had := k.have.Len()
	kept, reason := e.readInitials(k, d, ecn, known)
	if reason != DropNone {
		switch {
		case !known:
			k.in.closeKeys()
		case reason == DropBadHello:
			e.hellos.remove(k)
			k.in.closeKeys()
		}
		return e.drop(reason)
	}
	// A repetition of the same half needs no more room.
	if !known || k.have.Len() > had {
		e.keepDatagram(k, kept)
	}
	if !known {
		var ok bool
		if k.in.LocalID, ok = e.newConnID(p.Remote); !ok {
			k.in.closeKeys()
			return e.drop(DropNoConnID)
		}
	}
	if k.state == helloIncomplete && k.complete() {
		if known {
			e.hellos.remove(k)
		}
		return Routed{Kind: RouteAdmit, Incoming: k.in}
	}
	if !known {
		k.expires = e.helloExpiry(k)
		e.hellos.add(k)
	} else if k.state == helloIncomplete {
		e.hellos.setExpiry(k, e.helloExpiry(k))
	}
	if k.acks.HasUnacked() {
		e.hellos.scheduleAck(k, e.now.Add(helloAckDelay))
	}
	return e.drop(DropIncompleteHello)
}

// keepDatagram stores a copy of a datagram for the connection that may follow, which frees it by streams.FreeBuffer.
func (e *Endpoint) keepDatagram(k *hello, d ReceivedDatagram) {
	d.Data = append(streams.NewBuffer(len(d.Data)), d.Data...)
	k.in.Datagrams = append(k.in.Datagrams, d)
	k.bytes += len(d.Data)
	if k.listed {
		e.hellos.bytes += len(d.Data)
	}
}

// helloExpiry returns when the Endpoint gives up on a client that has just sent something. Under pressure
// this is after HelloTimeout. Otherwise, a client that probes every two seconds may lose several probes in
// a row, and a client that doubles its intervals may lose one.
func (e *Endpoint) helloExpiry(k *hello) monotime.Time {
	patience, most := 4*e.cfg.HelloTimeout, 10*e.cfg.HelloTimeout
	if e.hellos.bytes > e.cfg.HelloBytes/4 || e.handshakes+e.hellos.len() > e.cfg.MaxHandshakes/2 {
		patience, most = e.cfg.HelloTimeout, 4*e.cfg.HelloTimeout
	}
	return monotime.Min(e.now.Add(patience), k.began.Add(most))
}

// expireHello forgets a client. A client that has received an acknowledgement does not send the
// acknowledged data again, so its handshake cannot succeed any more; it receives a CONNECTION_CLOSE frame.
// So does a client whose ClientHello was postponed.
func (e *Endpoint) expireHello(k *hello) {
	if k.state == helloTaken { // the driver decides
		e.hellos.setExpiry(k, e.now.Add(e.cfg.HelloTimeout))
		return
	}
	e.drop(DropHelloTimeout)
	e.hellos.remove(k)
	if k.in.Sent > 0 || k.state != helloIncomplete {
		if b, ok := e.refuse(k.in, wire.ConnectionRefused, "", make([]byte, 128)); ok {
			e.outbox = append(e.outbox, e.reply(k.in.Path, b).Reply)
		}
	}
	k.in.closeKeys()
}

// receiveEarly keeps a datagram with a 0-RTT packet that overtook a part of the ClientHello.
func (e *Endpoint) receiveEarly(p Path, ecn ECN, h *wire.LongHeader, d []byte) Routed {
	k, _ := e.hellos.byKey.get(initialKey{h.DstID, p.Remote})
	switch {
	case k == nil, h.Type != wire.Packet0RTT, !e.cfg.EarlyData:
		return e.drop(DropUnknownConnID)
	case k.state == helloTaken:
		return e.drop(DropIncompleteHello)
	case k.early+len(d) > maxHelloEarly || e.hellos.early+len(d) > e.cfg.HelloBytes/4:
		return e.drop(DropHelloBytes)
	}
	k.in.Datagrams = append(k.in.Datagrams, ReceivedDatagram{Data: append([]byte(nil), d...), ECN: ecn})
	k.early += len(d)
	e.hellos.early += len(d)
	return e.drop(DropIncompleteHello)
}

// readInitials opens the Initial packets of a datagram, in a copy, and records what they contain. The
// caller has paid for the first attempt. The copy, which is valid until the next call, is for the connection,
// so that the packets need not be opened again.
func (e *Endpoint) readInitials(k *hello, d []byte, ecn ECN, known bool) (ReceivedDatagram, DropReason) {
	kept := ReceivedDatagram{Data: append(e.scratch[:0], d...), ECN: ecn}
	opened := false
	var first wire.ConnID
	for i := 0; i < maxInitialPackets && kept.rest < len(d); i++ {
		h, n := parseLongHeader(d[kept.rest:], e.cfg.GreaseFixedBit)
		if n < 0 || h.Type != wire.PacketInitial {
			break
		}
		if i == 0 {
			first = h.DstID
		} else if h.DstID != first {
			kept.rest = len(d) // as in Conn.handlePackets
			break
		} else if !e.attempts.take(e.now) {
			break
		}
		p := openedInitial{offset: uint16(kept.rest), size: uint16(h.Len)}
		pkt := kept.Data[kept.rest:][:h.Len:h.Len]
		kept.rest += h.Len
		if h.Version != k.in.Version || h.SrcID != k.in.PeerID || !e.openInitial(k, pkt, h.PNOffset, known || opened, &p) {
			continue
		}
		opened = true
		if !k.acks.ShouldProcess(p.pn) {
			continue
		}
		eliciting, ok := k.readFrames(p.payload(pkt))
		if !ok {
			return kept, DropBadHello
		}
		k.acks.Receive(e.now, p.pn, eliciting, ecn)
		kept.opened[kept.nOpened] = p
		kept.nOpened++
	}
	if !opened {
		return kept, DropUndecryptable
	}
	return kept, DropNone
}

// payload returns the plaintext of the packet pkt.
func (p *openedInitial) payload(pkt []byte) []byte { return pkt[p.headerLen:][:p.payloadLen] }

// openInitial opens one packet in place. Until a packet of a client has authenticated, no keys outlive the
// call. Afterwards the keys are kept, so that they are derived only once.
func (e *Endpoint) openInitial(k *hello, pkt []byte, pnOffset int, authentic bool, out *openedInitial) bool {
	if !authentic {
		id := k.in.DstID
		p, ok := e.cfg.Provider.OpenInitial(uint32(k.in.Version), id.Bytes(), pkt, pnOffset)
		out.pn = wire.PacketNumber(p.PacketNumber)
		out.headerLen, out.payloadLen = uint16(p.HeaderLen), uint16(p.PayloadLen)
		return ok
	}
	if !e.deriveKeys(k.in) {
		return false
	}
	p := &e.opening[0]
	*p = tlsprovider.OpenDesc{Len: uint32(len(pkt)), PNOffset: uint32(pnOffset)}
	k.in.keys.Opener.Open(pkt, e.opening[:], int64(k.acks.Largest()))
	out.pn = wire.PacketNumber(p.PacketNumber)
	out.headerLen, out.payloadLen = uint16(p.HeaderLen), uint16(p.PayloadLen)
	return p.Status == tlsprovider.OpenOK
}

// deriveKeys derives a client's Initial keys if they do not exist.
func (e *Endpoint) deriveKeys(in *Incoming) bool {
	if in.keys.Sealer == nil {
		id := in.DstID
		keys, err := e.cfg.Provider.InitialKeys(uint32(in.Version), id.Bytes(), tlsprovider.Server)
		if err != nil {
			return false
		}
		in.keys = keys
	}
	return true
}

// sendHelloAcks sends the acknowledgements that are due. An acknowledgement of half a ClientHello gives the
// client a round-trip time and makes it send the other half again.
func (e *Endpoint) sendHelloAcks() {
	for k := e.hellos.nextAck(); k != nil && due(k.ackAt, e.now); k = e.hellos.nextAck() {
		k.ackAt = 0
		if b, ok := e.helloAck(k); ok {
			e.outbox = append(e.outbox, e.reply(k.in.Path, b).Reply)
		}
	}
}

func (e *Endpoint) helloAck(k *hello) ([]byte, bool) {
	frame := k.acks.AppendAck(nil, e.now, 512)
	b, ok := e.sealInitial(k.in, k.in.NextInitial, frame, nil)
	if !ok || k.in.Sent+len(b) > 3*k.bytes {
		return nil, false
	}
	k.in.Sent += len(b)
	k.in.NextInitial++
	k.acks.SentAck()
	return b, true
}

// sealInitial appends an Initial packet for a client to b.
func (e *Endpoint) sealInitial(in *Incoming, pn wire.PacketNumber, frames, b []byte) ([]byte, bool) {
	if !e.deriveKeys(in) {
		return nil, false
	}
	const pnLen = 4
	b = wire.AppendLongHeader(b[:0], wire.PacketInitial, in.Version, in.PeerID, in.LocalID, nil, pn, pnLen)
	headerLen := len(b)
	b = append(b, frames...)
	payload := len(b) - headerLen
	b = append(b, zeroTag[:]...)
	wire.PatchLength(b, headerLen, payload+tlsprovider.TagLen)
	train := []tlsprovider.SealDesc{{HeaderLen: uint32(headerLen), PayloadLen: uint32(payload), PacketNumber: uint64(pn)}}
	return b, in.keys.Sealer.Seal(b, train) == nil
}
