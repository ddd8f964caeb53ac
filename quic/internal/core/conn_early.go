package core

import "github.com/pqquic/pqquic/quic/internal/recovery"

// The limits of the packets that are kept until their keys arrive, the oldest ones first. A reordered
// flight fits within them; a flood does not.
const (
	maxEarlyPackets = 32
	maxEarlyBytes   = 32 << 10
)

// earlyState holds packets that arrived before their keys.
type earlyState struct {
	packets []earlyPacket
	bytes   int
}

type earlyPacket struct {
	space recovery.Space
	ecn   ECN
	data  []byte
}

// bufferEarly keeps a packet until its keys arrive.
func (c *Conn) bufferEarly(s recovery.Space, pkt []byte, ecn ECN) {
	if c.early == nil {
		c.early = new(earlyState)
	}
	e := c.early
	if len(e.packets) >= maxEarlyPackets || e.bytes+len(pkt) > maxEarlyBytes {
		c.drop(DropKeysUnavailable)
		return
	}
	if c.trace != nil {
		c.traced(TraceEvent{Kind: TracePacketBuffered, Type: packetTypeOf[s], Size: len(pkt)})
	}
	e.bytes += len(pkt)
	e.packets = append(e.packets, earlyPacket{s, ecn, append([]byte(nil), pkt...)})
}

// replayEarly processes the packets whose keys have arrived. The keys of a space always arrive before the
// space is discarded, so no packet waits forever.
func (c *Conn) replayEarly() {
	if c.early == nil {
		return
	}
	var ready, waiting []earlyPacket
	for _, p := range c.early.packets {
		if c.spaces[p.space].open != nil && (p.space != recovery.SpaceApp || c.mayOpenApp()) {
			ready = append(ready, p)
			c.early.bytes -= len(p.data)
		} else {
			waiting = append(waiting, p)
		}
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
