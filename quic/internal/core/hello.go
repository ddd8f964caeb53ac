package core

import (
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// maxHelloBytes is the maximum size of the datagrams kept for one client until its ClientHello is complete.
// Datagrams are kept with their padding; post-quantum ClientHellos of a few kilobytes fit easily.
const maxHelloBytes = 16 << 10

// maxHelloEarly is the maximum size of the 0-RTT packets kept for one client until its ClientHello is complete. Those of
// all clients get a quarter of what ClientHellos may use. They have limits of their own, so that they do not take the
// place of the ClientHello.
const maxHelloEarly = 16 << 10

// maxHelloGaps bounds the number of gaps in a ClientHello, and so the cost of a CRYPTO frame. Chromium cuts
// a ClientHello into some dozens of shuffled pieces. A datagram of 1200 bytes has room for fewer than 300
// frames, so its cost is bounded too.
const maxHelloGaps = 128

// A hello is a client without a connection: its ClientHello is incomplete or waits for room. A post-quantum
// ClientHello takes at least two datagrams. No TLS session exists yet.
type hello struct {
	in      *Incoming
	key     initialKey
	state   helloState
	began   monotime.Time
	expires monotime.Time
	ackAt   monotime.Time // when an acknowledgement is due; zero means never
	bytes   int
	early   int                      // bytes of 0-RTT packets, which are not in bytes
	have    recovery.RangeSet[int64] // CRYPTO data received
	head    [4]byte                  // type and length of the handshake message
	acks    recovery.AckState
	listed  bool // the hello is in the helloTable
	at      int  // index in helloTable.byExpiry
}

type helloState uint8

const (
	helloIncomplete helloState = iota
	helloWaiting               // complete, and postponed
	// helloTaken means that the driver has the client again and has not decided yet. It uses the Incoming
	// outside of the Endpoint, on another goroutine perhaps, so what the client sends meanwhile is dropped.
	helloTaken
)

func (k *hello) deadline() monotime.Time { return k.expires }
func (k *hello) index() *int             { return &k.at }

// localKey returns the key that contains our connection ID.
func (k *hello) localKey() initialKey { return initialKey{k.in.LocalID, k.key.remote} }

// readFrames records the CRYPTO ranges of an Initial packet. It returns false if the packet cannot be part
// of a ClientHello.
func (k *hello) readFrames(b []byte) (eliciting, ok bool) {
	for len(b) > 0 {
		if b[0] == byte(wire.FramePadding) {
			n := 1
			for n < len(b) && b[n] == byte(wire.FramePadding) {
				n++
			}
			b = b[n:]
			continue
		}
		t, n := wire.ConsumeFrameType(b)
		if n < 0 || !wire.FrameAllowed(t, wire.PacketInitial) {
			return eliciting, false
		}
		eliciting = eliciting || wire.AckEliciting(t)
		switch t {
		case wire.FramePing:
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

// crypto records a CRYPTO frame. It returns false if a limit is exceeded.
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

// complete reports whether the whole ClientHello has arrived.
func (k *hello) complete() bool {
	if !k.have.Covers(0, 4) {
		return false
	}
	n := int64(k.head[1])<<16 | int64(k.head[2])<<8 | int64(k.head[3])
	return k.have.Covers(0, 4+n)
}
