package core

import (
	"bytes"
	"encoding/binary"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// zeroState is the state of early data (0-RTT). A client has one once it may send early data, and a server once it has
// accepted them. 0-RTT packets are in the packet number space of 1-RTT packets.
type zeroState struct {
	// seal is a client's until it has 1-RTT keys or the server rejects its early data.
	seal tlsprovider.Sealer
	// open is a server's until dropAt.
	open   tlsprovider.Opener
	dropAt monotime.Time

	rejected   bool
	remembered *wire.TransportParameters // of a client's server, in the connection that the session comes from
	params     *wire.TransportParameters // of a client's server now, until they apply
	lastSent   wire.PacketNumber         // of a client's 0-RTT packets
	// marked are the numbers of the streams that a server has received early data on, for each type of stream.
	marked [4]recovery.RangeSet[int64]
}

func (z *zeroState) close() {
	if z != nil {
		tlsprovider.Keys{Sealer: z.seal, Opener: z.open}.Close()
		z.seal, z.open, z.dropAt = nil, nil, 0
	}
}

// sendsZeroRTT reports whether a client sends 0-RTT packets. It does until it has 1-RTT keys.
//
// "Once a client has installed 1-RTT keys, it MUST NOT send any more 0-RTT packets."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.6-9
// "A client MUST NOT send 0-RTT packets once it starts processing 1-RTT packets from the server."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.3-7
func (c *Conn) sendsZeroRTT() bool { return c.zero != nil && c.zero.seal != nil }

// handleEarlyParams handles the transport parameters that a client remembers from the connection that its session comes
// from.
//
// "A client MUST NOT use remembered values for the following parameters: ack_delay_exponent, max_ack_delay,
// initial_source_connection_id, original_destination_connection_id, preferred_address, retry_source_connection_id, and
// stateless_reset_token. [...] A client that attempts to send 0-RTT data MUST remember all other transport parameters
// used by the server that it is able to process."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.4.1-4
func (c *Conn) handleEarlyParams(encoded []byte) {
	p, code := wire.ParseTransportParameters(encoded, true)
	if code != 0 {
		return // without parameters, installEarlyKeys does not use the keys
	}
	c.zero = &zeroState{remembered: &p, lastSent: wire.NoPacket}
	c.streams.SetPeerParams(&p)
	c.loss.Path().SetMaxDatagramSize(min(c.cfg.DatagramSize, int(p.MaxUDPPayloadSize)))
	c.idle.setPeer(c.cfg.IdleTimeout, p.MaxIdleTimeout)
}

// installEarlyKeys installs the keys of 0-RTT packets: a client's Sealer or a server's Opener.
func (c *Conn) installEarlyKeys(k tlsprovider.Keys, state *tlsprovider.State) {
	if c.side == tlsprovider.Server && k.Opener != nil && c.zero == nil {
		c.zero = new(zeroState)
	}
	if c.zero == nil || c.zero.seal != nil || c.zero.open != nil {
		k.Close()
		return
	}
	c.zero.seal, c.zero.open = k.Sealer, k.Opener
	c.tls.state = *state
	c.events.add(Event{Kind: EventEarlyData})
}

// awaitsEarlyKeys reports whether a server may still get the keys of 0-RTT packets. It gets them with its first flight.
func (c *Conn) awaitsEarlyKeys() bool {
	return c.side == tlsprovider.Server && c.zero == nil && c.cfg.AcceptEarlyData != nil &&
		c.spaces[recovery.SpaceHandshake].seal == nil && !c.tls.complete
}

// handleZeroRTT handles a 0-RTT packet.
//
// "A client MUST NOT attempt to decrypt 0-RTT packets it receives and instead MUST discard them."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.6-8
func (c *Conn) handleZeroRTT(h *wire.LongHeader, pkt []byte, ecn ECN) {
	switch {
	case c.awaitsEarlyKeys():
		c.bufferZeroRTT(pkt, ecn)
		return
	case c.side == tlsprovider.Client || c.zero == nil || c.zero.open == nil:
		// "When rejecting 0-RTT, a server MUST NOT process any 0-RTT packets, even if it could."
		// https://www.rfc-editor.org/rfc/rfc9001#section-4.6.2-2
		c.drop(DropUnexpectedPacket)
		return
	}
	sp := c.spaces[recovery.SpaceApp]
	c.recv.one[0] = tlsprovider.OpenDesc{Len: uint32(len(pkt)), PNOffset: uint32(h.PNOffset)}
	c.zero.open.Open(pkt, c.recv.one[:], int64(sp.acks.Largest()))
	d := &c.recv.one[0]
	if d.Status != tlsprovider.OpenOK {
		c.failedOpen()
		return
	}
	c.recv.zeroRTT = true
	c.handlePacket(recovery.SpaceApp, wire.PacketNumber(d.PacketNumber), pkt, pkt[d.HeaderLen:d.HeaderLen+d.PayloadLen], ecn)
	if c.scratch != nil {
		c.recv.zeroRTT = false
	}
}

// packetType returns the type of the packet that is being processed.
//
// "A server MUST NOT use 0-RTT keys to protect packets; it uses 1-RTT keys to protect acknowledgments of 0-RTT
// packets."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.6-8
func (c *Conn) packetType(s recovery.Space) wire.PacketType {
	if s == recovery.SpaceApp && c.recv.zeroRTT {
		return wire.Packet0RTT
	}
	return packetTypeOf[s]
}

// maxEarlyRanges bounds the ranges of streams that are marked. A client that gets new streams while it does not complete
// its handshake could otherwise have the server remember each of them.
const maxEarlyRanges = 64

// markEarly records that a stream has received early data. If there are too many gaps between such streams, those in the
// first gap are marked as well, because to take early data for others would be worse.
func (c *Conn) markEarly(frame []byte) {
	f, n := wire.ConsumeStream(frame)
	if n < 0 {
		return
	}
	id := streams.ID(f.ID)
	m := &c.zero.marked[id&3]
	m.Add(id.Num(), id.Num()+1)
	if m.NumRanges() > maxEarlyRanges {
		m.Add(m.Range(0).End, m.Range(1).Start)
	}
}

// HasEarlyData reports whether a server has received early data on a stream.
func (c *Conn) HasEarlyData(id streams.ID) bool {
	return c.zero != nil && c.zero.marked[id&3].Contains(id.Num())
}

// rejectEarly handles the rejection of a client's early data. The application's streams begin again: what it has written
// is sent in 1-RTT packets, within the limits that the server announces now.
//
// "The client therefore MUST reset the state of all streams, including application state bound to those streams."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.6.2-3
func (c *Conn) rejectEarly() {
	z := c.zero
	if z == nil || z.rejected {
		return
	}
	z.close()
	z.rejected = true
	c.tls.state.EarlyData = tlsprovider.EarlyDataRejected
	c.loss.Forget(c.now, recovery.SpaceApp)
	c.streams.Rewind()
	c.streams.ReplacePeerParams(z.params) // nil after a HelloRetryRequest
	z.params, z.remembered = nil, nil
}

// applyParams applies the server's transport parameters that wait for the end of early data.
//
// "Remembered transport parameters apply to the new connection until the handshake completes and the client starts
// sending 1-RTT packets. Once the handshake completes, the client uses the transport parameters established in the
// handshake."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.4.1-2
// "The client MUST use the server's new values in the handshake instead"
// https://www.rfc-editor.org/rfc/rfc9000#section-7.4.1-4
// "[...] they MUST validate that the new value of the max_datagram_frame_size transport parameter sent by the server
// in the handshake is greater than or equal to the stored value; if not, the client MUST terminate the connection
// with error PROTOCOL_VIOLATION."
// https://www.rfc-editor.org/rfc/rfc9221#section-3-6
func (c *Conn) applyParams() {
	z := c.zero
	if z == nil {
		return
	}
	if c.side == tlsprovider.Server {
		// "After receiving a 1-RTT packet, servers MUST discard 0-RTT keys within a short time; the
		// RECOMMENDED time period is three times the Probe Timeout".
		// https://www.rfc-editor.org/rfc/rfc9001#section-4.9.3-3
		z.dropAt = c.now.Add(3 * c.loss.PTO())
		return
	}
	z.close()
	if z.params == nil {
		return
	}
	if name := reducedLimit(limitsOf(z.remembered), limitsOf(z.params)); name != "" {
		// "If 0-RTT data is accepted by the server, the server MUST NOT reduce any limits or alter any values
		// that might be violated by the client with its 0-RTT data."
		// https://www.rfc-editor.org/rfc/rfc9000#section-7.4.1-6
		c.abortf(wire.ProtocolViolation, 0, "the server accepted early data and reduced "+name)
		return
	}
	c.streams.SetPeerParams(z.params)
	c.zero = nil
}

// limits are the transport parameters that a server must not reduce if it accepts early data.
type limits [9]uint64

var limitNames = [len(limits{})]string{"active_connection_id_limit", "initial_max_data", "initial_max_stream_data_bidi_local",
	"initial_max_stream_data_bidi_remote", "initial_max_stream_data_uni", "initial_max_streams_bidi",
	"initial_max_streams_uni", "max_datagram_frame_size", "reset_stream_at"}

func limitsOf(p *wire.TransportParameters) limits {
	// "When the server accepts 0-RTT data, the server MUST NOT disable this extension on the resumed connection."
	// (draft-ietf-quic-reliable-stream-reset, Transport Parameter)
	resetAt := uint64(0)
	if p.ResetStreamAt {
		resetAt = 1
	}
	return limits{p.ActiveConnIDLimit, p.MaxData, p.MaxStreamDataBidiLocal, p.MaxStreamDataBidiRemote, p.MaxStreamDataUni,
		p.MaxStreamsBidi, p.MaxStreamsUni, p.MaxDatagramFrameSize, resetAt}
}

// reducedLimit returns the name of a limit that is lower now than before, or "".
func reducedLimit(before, now limits) string {
	for i := range before {
		if now[i] < before[i] {
			return limitNames[i]
		}
	}
	return ""
}

// ticketVersion is the version of a server's ticket data: the version, who issued the ticket, and the limits.
const ticketVersion = 2

// ticketData returns what a server's tickets remember of its encoded transport parameters.
//
// "The server can remember these transport parameters or can store an integrity-protected copy of the values in the
// ticket and recover the information when accepting 0-RTT data."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.4.1-5
func (cfg *Config) ticketData(params []byte) []byte {
	p, _ := wire.ParseTransportParameters(params, true)
	b := append([]byte{ticketVersion}, cfg.TicketIssuer[:]...)
	for _, v := range limitsOf(&p) {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

// acceptEarlyData decides about early data. ticket is what the client's ticket remembers, and now what a new one would.
//
// "A server MUST reject 0-RTT data if the restored values for transport parameters cannot be supported."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.4.1-10
// "In particular, a server that accepts 0-RTT data MUST NOT set values for the following parameters (Section 18.2)
// that are smaller than the remembered values of the parameters."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.4.1-6
// "When servers decide to accept 0-RTT data, they MUST send a max_datagram_frame_size transport parameter greater
// than or equal to the value they sent to the client"
// https://www.rfc-editor.org/rfc/rfc9221#section-3-6
func (cfg *Config) acceptEarlyData(o *tlsprovider.EarlyDataOffer, now []byte) bool {
	const head = 1 + len(cfg.TicketIssuer)
	ticket := o.TicketData
	if len(ticket) < head || ticket[0] != ticketVersion || len(now) < head {
		return false
	}
	own := bytes.Equal(ticket[1:head], cfg.TicketIssuer[:])
	ticket, now = ticket[head:], now[head:]
	for len(ticket) > 0 || len(now) > 0 {
		then, n := binary.Uvarint(ticket)
		v, m := binary.Uvarint(now)
		if n <= 0 || m <= 0 || v < then {
			return false
		}
		ticket, now = ticket[n:], now[m:]
	}
	return cfg.AcceptEarlyData(o, own)
}
