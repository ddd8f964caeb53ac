package core

import (
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// The limits of the packets that are kept until their keys arrive, the oldest ones first. A reordered
// flight fits within them; a flood does not.
const (
	maxEarlyPackets = 32
	maxEarlyBytes   = 32 << 10

	// 0-RTT packets have limits of their own, so that they do not take the place of Handshake packets. A client sends
	// an initial congestion window of them at once.
	maxZeroRTTPackets = 32
	maxZeroRTTBytes   = 32 << 10
)

// earlyState holds packets that arrived before their keys.
type earlyState struct {
	packets []earlyPacket
	// Of the 0-RTT packets among them, and of the others.
	zeroRTT, others held
}

// held counts packets that are kept.
type held struct{ packets, bytes int }

// add counts a packet if there is room for it.
func (h *held) add(size int, limit held) bool {
	if h.packets >= limit.packets || h.bytes+size > limit.bytes {
		return false
	}
	h.packets++
	h.bytes += size
	return true
}

type earlyPacket struct {
	space   recovery.Space
	zeroRTT bool
	ecn     ECN
	data    []byte
}

// bufferEarly keeps a packet until its keys arrive.
func (c *Conn) bufferEarly(s recovery.Space, pkt []byte, ecn ECN) {
	if c.early == nil {
		c.early = new(earlyState)
	}
	c.keepEarly(&c.early.others, held{maxEarlyPackets, maxEarlyBytes}, earlyPacket{space: s, ecn: ecn, data: pkt})
}

// bufferZeroRTT keeps a 0-RTT packet until its keys arrive or the early data are rejected.
func (c *Conn) bufferZeroRTT(pkt []byte, ecn ECN) {
	if c.early == nil {
		c.early = new(earlyState)
	}
	c.keepEarly(&c.early.zeroRTT, held{maxZeroRTTPackets, maxZeroRTTBytes},
		earlyPacket{space: recovery.SpaceApp, zeroRTT: true, ecn: ecn, data: pkt})
}

func (c *Conn) keepEarly(count *held, limit held, p earlyPacket) {
	if !count.add(len(p.data), limit) {
		c.drop(DropKeysUnavailable)
		return
	}
	if c.trace != nil {
		t := packetTypeOf[p.space]
		if p.zeroRTT {
			t = wire.Packet0RTT
		}
		c.traced(TraceEvent{Kind: TracePacketBuffered, Type: t, Size: len(p.data)})
	}
	p.data = append([]byte(nil), p.data...)
	c.early.packets = append(c.early.packets, p)
}

// waits reports whether a packet must still wait for its keys.
func (c *Conn) waits(p *earlyPacket) bool {
	if p.zeroRTT {
		return c.awaitsEarlyKeys()
	}
	return c.spaces[p.space].open == nil || p.space == recovery.SpaceApp && !c.mayOpenApp()
}

// replayEarly processes the packets whose keys have arrived. The keys of a space always arrive before the
// space is discarded, so no packet waits forever.
func (c *Conn) replayEarly() {
	if c.early == nil {
		return
	}
	var ready, waiting []earlyPacket
	for _, p := range c.early.packets {
		if c.waits(&p) {
			waiting = append(waiting, p)
			continue
		}
		ready = append(ready, p)
		count := &c.early.others
		if p.zeroRTT {
			count = &c.early.zeroRTT
		}
		count.packets--
		count.bytes -= len(p.data)
	}
	if c.early.packets = waiting; len(waiting) == 0 {
		c.early = nil
	}
	if len(ready) > 0 {
		c.wake()
	}
	for i, p := range ready {
		if c.closing.state != stateOpen {
			c.dropN(DropClosedConn, len(ready)-i)
			return
		}
		c.handleDatagram(p.data, p.ecn)
	}
}
