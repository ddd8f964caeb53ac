package core

import (
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// maxHelloBytes is how much of one client is kept before its ClientHello is complete: datagrams as
// they came, so post-quantum ClientHellos of a few kilobytes fit with room to spare.
const maxHelloBytes = 16 << 10

// maxHelloGaps bounds the holes in a ClientHello; frames of one byte in any order stay below.
const maxHelloGaps = 2048

// hello is a client whose ClientHello is incomplete. Post-quantum ones always come in two datagrams
// at least, so every client passes through here; no TLS session exists yet.
type hello struct {
	in      *Incoming
	key     initialKey
	began   monotime.Time
	expires monotime.Time
	bytes   int
	have    recovery.RangeSet[int64] // CRYPTO offsets
	head    [4]byte                  // type and length of the message
	acks    recovery.AckState
	sealer  tlsprovider.Keys // made when there is something to acknowledge
	at      int              // index in helloTable.byExpiry
}

// key2 is the key with our connection ID.
func (k *hello) key2() initialKey { return initialKey{k.in.LocalID, k.key.remote} }

// receiveInitial deals with a client's Initial for no connection of ours.
func (e *Endpoint) receiveInitial(p Path, ecn ECN, h *wire.LongHeader, d, reply []byte) Routed {
	key := initialKey{h.DstID, p.Remote}
	k, known := e.hellos.byKey[key]
	if !known {
		if !e.attempts.take(e.now) {
			return e.drop(DropRateLimit)
		}
		in := &Incoming{Path: p, Version: h.Version, DstID: h.DstID, OriginalDstID: h.DstID, PeerID: h.SrcID}
		if r, done := e.admitAddress(in, h, d, reply); done {
			return r
		}
		k = &hello{in: in, key: key, began: e.now}
		k.acks.Init(recovery.SpaceInitial)
	}
	if h.SrcID != k.in.PeerID || len(k.in.Datagrams) > 0 && k.bytes+len(d) > maxHelloBytes ||
		e.hellos.bytes+len(d) > e.cfg.HelloBytes {
		return e.drop(DropHelloBytes)
	}
	had := k.have.Len()
	if why := e.readInitials(k, d, ecn); why != DropNone {
		if why == DropBadHello && known {
			e.hellos.remove(k)
		}
		return e.drop(why)
	}
	if !known {
		k.in.LocalID = e.cfg.NewConnID()
		e.hellos.add(k)
	}
	e.hellos.setExpiry(k, e.helloExpiry(k))
	// The same half again takes no room from the other.
	if !known || k.have.Len() > had {
		k.in.Datagrams = append(k.in.Datagrams, ReceivedDatagram{append([]byte(nil), d...), ecn})
		k.bytes += len(d)
		e.hellos.bytes += len(d)
	}
	if k.complete() {
		e.hellos.remove(k)
		return Routed{Kind: RouteAdmit, Incoming: k.in}
	}
	return e.acknowledgeHello(k, p, reply)
}

// helloExpiry is how long a client that has just been heard is waited for. Under pressure that is
// HelloTimeout; else clients that probe every two seconds may lose several probes in a row, and those
// whose intervals double, one.
func (e *Endpoint) helloExpiry(k *hello) monotime.Time {
	patience, most := 4*e.cfg.HelloTimeout, 10*e.cfg.HelloTimeout
	if e.hellos.bytes > e.cfg.HelloBytes/4 || e.handshakes+e.hellos.len() > e.cfg.MaxHandshakes/2 {
		patience, most = e.cfg.HelloTimeout, 4*e.cfg.HelloTimeout
	}
	return monotime.Min(e.now.Add(patience), k.began.Add(most))
}

// expireHello forgets a client. One that has heard an acknowledgement will never send again what was in
// it: its handshake cannot succeed any more, and it is told so if it goes on.
func (e *Endpoint) expireHello(k *hello) {
	e.drop(DropHelloTimeout)
	e.hellos.remove(k)
	if k.in.Sent == 0 {
		return
	}
	if b, ok := e.refusal(k.in, wire.ConnectionRefused, make([]byte, 128)); ok {
		e.keepRemnant(&connEntry{ids: []wire.ConnID{k.in.LocalID}},
			Remnant{Close: b, Expires: e.now.Add(8 * e.cfg.HelloTimeout)})
	}
}

// receiveEarly keeps a packet of another type that belongs to an incomplete ClientHello: 0-RTT that
// overtook its second half, say.
func (e *Endpoint) receiveEarly(p Path, ecn ECN, h *wire.LongHeader, d []byte) Routed {
	k := e.hellos.byKey[initialKey{h.DstID, p.Remote}]
	switch {
	case k == nil:
		return e.drop(DropUnknownConnID)
	case k.bytes+len(d) > maxHelloBytes || e.hellos.bytes+len(d) > e.cfg.HelloBytes:
		return e.drop(DropHelloBytes)
	}
	k.in.Datagrams = append(k.in.Datagrams, ReceivedDatagram{append([]byte(nil), d...), ecn})
	k.bytes += len(d)
	e.hellos.bytes += len(d)
	return e.drop(DropIncompleteHello)
}

// readInitials opens the Initial packets of a datagram, in a copy, and notes what they carry.
func (e *Endpoint) readInitials(k *hello, d []byte, ecn ECN) DropReason {
	opened := false
	for len(d) > 0 {
		h, n := wire.ParseLongHeader(d)
		if n < 0 || h.Type != wire.PacketInitial || h.DstID != k.in.DstID && h.DstID != k.in.LocalID {
			break
		}
		pkt := append(e.scratch[:0], d[:h.Len]...)
		d = d[h.Len:]
		id := k.in.DstID
		got, ok := e.cfg.Provider.OpenInitial(uint32(k.in.Version), id.Bytes(), pkt, h.PNOffset)
		if !ok {
			continue
		}
		opened = true
		pn := wire.PacketNumber(got.PacketNumber)
		if !k.acks.ShouldProcess(pn) {
			continue
		}
		eliciting, ok := k.readFrames(pkt[got.HeaderLen : got.HeaderLen+got.PayloadLen])
		if !ok {
			return DropBadHello
		}
		k.acks.Receive(e.now, pn, eliciting, ecn)
	}
	if !opened {
		return DropUndecryptable
	}
	return DropNone
}

// readFrames notes the CRYPTO ranges of an Initial packet; false if it is no ClientHello's.
func (k *hello) readFrames(b []byte) (eliciting, ok bool) {
	for len(b) > 0 {
		t, n := wire.ConsumeFrameType(b)
		if n < 0 || !wire.FrameAllowed(t, wire.PacketInitial) {
			return eliciting, false
		}
		eliciting = eliciting || wire.AckEliciting(t)
		switch t {
		case wire.FramePadding, wire.FramePing:
			n = 1
		case wire.FrameAck, wire.FrameAckECN:
			_, n = wire.ConsumeAck(b)
		case wire.FrameCrypto:
			var f wire.Crypto
			if f, n = wire.ConsumeCrypto(b); n > 0 && !k.crypto(f) {
				return eliciting, false
			}
		default: // CONNECTION_CLOSE: the client has given up
			return eliciting, false
		}
		if n < 0 {
			return eliciting, false
		}
		b = b[n:]
	}
	return eliciting, true
}

// crypto notes a CRYPTO frame.
func (k *hello) crypto(f wire.Crypto) bool {
	start, end := int64(f.Offset), int64(f.Offset)+int64(len(f.Data))
	if end > maxInitialCrypto {
		return false
	}
	if start < int64(len(k.head)) {
		copy(k.head[start:], f.Data)
	}
	k.have.Add(start, end)
	const clientHello = 1
	return k.have.NumRanges() <= maxHelloGaps && (!k.have.Contains(0) || k.head[0] == clientHello)
}

// complete reports whether the whole ClientHello is there.
func (k *hello) complete() bool {
	if !k.have.Covers(0, 4) {
		return false
	}
	n := int64(k.head[1])<<16 | int64(k.head[2])<<8 | int64(k.head[3])
	return k.have.Covers(0, 4+n)
}

// acknowledgeHello tells the client at once which half has arrived, so that it has a round-trip time
// and sends only the other half again.
func (e *Endpoint) acknowledgeHello(k *hello, p Path, reply []byte) Routed {
	e.drops[DropIncompleteHello]++
	if !k.acks.HasUnacked() {
		return Routed{Kind: RouteDrop, Drop: DropIncompleteHello}
	}
	frame := k.acks.AppendAck(nil, e.now, 512)
	b, ok := e.sealWith(&k.sealer, k.in, k.in.NextInitial, frame, reply)
	if !ok || k.in.Sent+len(b) > 3*k.bytes {
		return Routed{Kind: RouteDrop, Drop: DropIncompleteHello}
	}
	k.in.Sent += len(b)
	k.in.NextInitial++
	k.acks.SentAck()
	return e.reply(p, b)
}

// sealInitial seals an Initial packet to a client, with keys for this one packet.
func (e *Endpoint) sealInitial(in *Incoming, pn wire.PacketNumber, frames, reply []byte) ([]byte, bool) {
	var keys tlsprovider.Keys
	defer func() { keys.Close() }()
	return e.sealWith(&keys, in, pn, frames, reply)
}

// sealWith seals an Initial packet to a client, making the keys if there are none.
func (e *Endpoint) sealWith(keys *tlsprovider.Keys, in *Incoming, pn wire.PacketNumber, frames, reply []byte) ([]byte, bool) {
	if keys.Sealer == nil {
		id := in.DstID
		made, err := e.cfg.Provider.InitialKeys(uint32(in.Version), id.Bytes(), tlsprovider.Server)
		if err != nil {
			return nil, false
		}
		*keys = made
	}
	const pnLen = 4
	b := wire.AppendLongHeader(reply[:0], wire.PacketInitial, in.Version, in.PeerID, in.LocalID, nil, pn, pnLen)
	headerLen := len(b)
	b = append(b, frames...)
	payload := len(b) - headerLen
	b = append(b, zeroTag[:]...)
	wire.PatchLength(b, headerLen, payload+tlsprovider.TagLen)
	train := []tlsprovider.SealDesc{{HeaderLen: uint32(headerLen), PayloadLen: uint32(payload), PacketNumber: uint64(pn)}}
	return b, keys.Sealer.Seal(b, train) == nil
}
