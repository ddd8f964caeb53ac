package core

import "github.com/pqquic/pqquic/quic/internal/recovery"

// Packets that cannot be opened yet are kept within these bounds, oldest first: a flight that was
// reordered fits, a flood does not.
const (
	maxEarlyPackets = 32
	maxEarlyBytes   = 32 << 10
)

// earlyState holds the packets that came before their keys.
type earlyState struct {
	packets []earlyPacket
	bytes   int
}

type earlyPacket struct {
	space recovery.Space
	ecn   ECN
	data  []byte
}

// bufferEarly keeps a packet until its keys come.
func (c *Conn) bufferEarly(s recovery.Space, pkt []byte, ecn ECN) {
	e := &c.early
	if len(e.packets) >= maxEarlyPackets || e.bytes+len(pkt) > maxEarlyBytes {
		c.stats.PacketsDropped++
		return
	}
	e.bytes += len(pkt)
	e.packets = append(e.packets, earlyPacket{s, ecn, append([]byte(nil), pkt...)})
}

// replayEarly processes the packets whose keys have come.
func (c *Conn) replayEarly() {
	ready := c.early.take(func(p *earlyPacket) bool {
		return c.spaces[p.space].open != nil && (p.space != recovery.SpaceApp || c.mayOpenApp())
	})
	for _, p := range ready {
		if c.closing.state != stateOpen {
			return
		}
		c.handleDatagram(p.data, p.ecn)
	}
}

// dropSpace forgets the packets of a space.
func (e *earlyState) dropSpace(s recovery.Space) {
	e.take(func(p *earlyPacket) bool { return p.space == s })
}

// take removes and returns the packets that are wanted.
func (e *earlyState) take(wanted func(*earlyPacket) bool) (taken []earlyPacket) {
	var kept []earlyPacket
	for i := range e.packets {
		p := &e.packets[i]
		if wanted(p) {
			taken = append(taken, *p)
			e.bytes -= len(p.data)
		} else {
			kept = append(kept, *p)
		}
	}
	e.packets = kept
	return taken
}
