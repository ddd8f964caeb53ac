package core

import (
	"bytes"
	"net/netip"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// usualPayload is the UDP payload of a packet of 1500 bytes over IPv4, and longerHeader is what IPv6 adds to
// the IP header.
const (
	usualPayload = 1500 - 20 - 8
	longerHeader = 20
)

// enableMTUSearch allows the datagrams of a path to grow if the configuration and the peer do. most is the limit that
// follows from the peer's max_udp_payload_size.
func (c *Conn) enableMTUSearch(pa *recovery.Path, remote netip.Addr, most int) {
	usual, limit := usualPayload, c.cfg.MaxProbeSize
	if !remote.Is4() {
		usual, limit = usual-longerHeader, min(limit, MaxDatagramSize-longerHeader)
	}
	pa.EnableMTUSearch(usual, min(limit, most))
}

// mtuProbeSize returns the size of the probe of the path's MTU to send now, or 0. A connection that has nothing
// to send needs no larger datagrams, so it sends no probes.
func (c *Conn) mtuProbeSize(room int) int {
	size := c.loss.Path().MTUProbeSize()
	if size == 0 || size > min(room, c.loss.Path().AmplificationCredit()) || !c.tls.confirmed || c.keys.spent() ||
		c.loss.ProbesPending() > 0 || c.loss.SendLimit(c.now) != recovery.SendAll || !c.hasPending() {
		return 0
	}
	return size
}

// buildMTUProbe builds a probe of the path's MTU, which is a train of its own.
func (c *Conn) buildMTUProbe(buf []byte, size int) (Transmit, bool) {
	d := newDatagram(c, buf[:0], size)
	d.ecn = c.loss.ECN(c.now)
	if !d.start(recovery.SpaceApp) {
		return Transmit{}, false
	}
	// "Endpoints could limit the content of PMTU probes to PING and PADDING frames, since packets that are
	// larger than the current maximum datagram size are more likely to be dropped by the network."
	// https://www.rfc-editor.org/rfc/rfc9000#section-14.4-2
	d.payload = append(d.payload, byte(wire.FramePing))
	c.send.rec = appendRecord0(c.send.rec[:0], recPing)
	padding := d.room()
	d.payload = d.payload[:len(d.payload)+padding]
	clear(d.payload[len(d.payload)-padding:])
	d.finish(sentInfo{eliciting: true, padded: true})
	d.lastSent.MTUProbe = true
	c.packetSent(recovery.SpaceApp, d.lastSent)
	if !d.seal() {
		return c.pollClose(buf)
	}
	return c.transmit(d, len(d.b)), true
}

// HandleTooLarge handles the refusal of the system to send datagrams of size bytes to the peer. It reports
// whether the datagram was a probe, for which a refusal is an answer and no error.
func (c *Conn) HandleTooLarge(now monotime.Time, size int) (wasProbe bool) {
	c.clamp(now)
	return c.closing.state == stateOpen && c.loss.HandleRefused(c.now, size)
}

// HandlePacketTooBig handles an ICMP message according to which a router forwards no datagrams of more than
// size bytes to the peer. quoted is the beginning of the datagram that was too big. The message is ignored
// unless that has the connection's current destination connection ID, which only those who see its packets
// know. The caller has compared the addresses and ports.
//
// "ICMP message validation MUST include matching IP addresses and UDP ports [RFC8085] and, when possible,
// connection IDs to an active QUIC session."
// https://www.rfc-editor.org/rfc/rfc9000#section-14.2.1-4
func (c *Conn) HandlePacketTooBig(now monotime.Time, size int, quoted []byte) {
	c.clamp(now)
	id := c.ids.dst()
	if c.closing.state != stateOpen || id.Len() == 0 || len(quoted) < 1+id.Len() || quoted[0]&0x80 != 0 ||
		quoted[0]&wire.FixedBit == 0 && c.ext.fixedBit == nil || !bytes.Equal(quoted[1:1+id.Len()], id.Bytes()) {
		return
	}
	c.loss.HandleTooBig(c.now, size)
}
