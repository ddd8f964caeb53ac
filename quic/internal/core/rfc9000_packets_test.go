package core

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// acksIn collects the spaces in which ACK frames are sent.
func (r *rig) acksIn() map[recovery.Space]int {
	in := map[recovery.Space]int{}
	r.onPacket = func(s recovery.Space, _ uint64, frames []wire.Frame) { in[s] += len(framesOf[wire.Ack](frames)) }
	return in
}

// TestAcksStayInTheirSpace sends a PING frame in each packet number space.
//
// "ACK frames MUST only be carried in a packet that has the same packet number space as the packet being
// acknowledged; see Section 12.1."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.6-1
// "For instance, packets that are protected with 1-RTT keys MUST be acknowledged in packets that are also protected
// with 1-RTT keys."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.6-1
// "An acknowledgment for a 1-RTT packet MUST be carried in a 1-RTT packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.3-7
func TestAcksStayInTheirSpace(t *testing.T) {
	for _, s := range []recovery.Space{recovery.SpaceInitial, recovery.SpaceHandshake, recovery.SpaceApp} {
		r := connected(t, rigOptions{})
		if s != recovery.SpaceApp {
			r = midHandshake(t, s)
			r.now = r.now.Add(2 * maxAckHoldFlight)
			r.heard(r.client, r.server) // what is due already
		}
		in := r.acksIn()
		for range 2 { // two 1-RTT packets are acknowledged at once
			r.say(client, s, wire.Ping{})
		}
		r.now = r.now.Add(2 * maxAckHoldFlight) // acknowledgements during the handshake wait for the rest of the flight
		r.client.HandleTimeout(r.now)
		r.heard(r.client, r.server)
		require.Positive(t, in[s], "%v", s)
		require.Len(t, in, 1, "%v: %v", s, in)
	}
}

// TestAckOfEarlyData sends 0-RTT packets to a server.
//
// "Packets that a client sends with 0-RTT packet protection MUST be acknowledged by the server in packets protected
// by 1-RTT keys."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.6-2
// "A server MUST NOT use 0-RTT keys to protect packets; it uses 1-RTT keys to protect acknowledgments of 0-RTT
// packets."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.6-8
func TestAckOfEarlyData(t *testing.T) {
	r := connected(t, rigOptions{})
	in := r.acksIn()
	early := newEarlySender(r, true)
	early.say(wire.Ping{})
	early.say(wire.Ping{})
	require.Positive(t, in[recovery.SpaceApp], "in a packet that opens with 1-RTT keys")
	require.Len(t, in, 1)
}

// TestOneAckForEachPacket sends more PING frames than a server acknowledges at once. Some acknowledgements travel with a
// PING frame, so that the client acknowledges them, but not all.
//
// "Since packets containing only ACK frames are not congestion controlled, an endpoint MUST NOT send more than one
// such packet in response to receiving an ack-eliciting packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1-3
// "In that case, an endpoint MUST NOT send an ack-eliciting frame in all packets that would otherwise be
// non-ack-eliciting, to avoid an infinite feedback loop of acknowledgments."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1-6
func TestOneAckForEachPacket(t *testing.T) {
	const pings = 200
	r := connected(t, rigOptions{})
	acks, eliciting := 0, 0
	r.onPacket = func(_ recovery.Space, _ uint64, frames []wire.Frame) {
		acks += len(framesOf[wire.Ack](frames))
		eliciting += len(framesOf[wire.Ping](frames))
	}
	for range pings {
		before := acks
		r.say(server, recovery.SpaceApp, wire.Ping{})
		require.LessOrEqual(t, acks, before+1)
		r.now = r.now.Add(time.Millisecond)
		r.server.HandleTimeout(r.now)
	}
	require.GreaterOrEqual(t, acks, pings/3)
	require.Less(t, eliciting, acks/4)
}

// TestPacketNumbersIncrease has a server send new data, send lost data again, probe and update its keys.
//
// "Subsequent packets sent in the same packet number space MUST increase the packet number by at least one."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.3-8
// "A QUIC endpoint MUST NOT reuse a packet number within the same packet number space in one connection."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.3-10
func TestPacketNumbersIncrease(t *testing.T) {
	r := connected(t, rigOptions{})
	next, packets := uint64(0), 0
	r.onPacket = func(s recovery.Space, pn uint64, _ []wire.Frame) {
		require.Equal(t, recovery.SpaceApp, s)
		require.GreaterOrEqual(t, pn, next)
		next = pn + 1
		packets++
	}
	r.serverWrites(20_000)
	r.heard(r.server, r.client)
	for range 4 {
		r.expire(server)
	}
	r.sayBytes(server, recovery.SpaceApp, ackFrame(r.server.loss.NextNumber(recovery.SpaceApp)-1))
	require.True(t, r.server.UpdateKeys())
	r.serverWrites(20_000)
	r.heard(r.server, r.client)
	r.expire(server)
	require.Greater(t, packets, 20)
}

// TestCoalescedPackets sends two packets in a datagram: two that open, a damaged one before another, and one before its
// keys exist.
//
// "Receivers MUST be able to process coalesced packets."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.2-2
// "The receiver of coalesced QUIC packets MUST individually process each QUIC packet and separately acknowledge them,
// as if they were received as the payload of different UDP datagrams."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.2-5
// "For example, if decryption fails (because the keys are not available or for any other reason), the receiver MAY
// either discard or buffer the packet for later processing and MUST attempt to process the remaining packets."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.2-5
func TestCoalescedPackets(t *testing.T) {
	ping := wire.Ping{}.Append(make([]byte, 3))
	for name, first := range map[string]func(r *rig) (d []byte, opens uint64){
		"both open": func(r *rig) ([]byte, uint64) { return r.packet(client, recovery.SpaceInitial, ping, nil), 1 },
		"the first is damaged": func(r *rig) ([]byte, uint64) {
			d := r.packet(client, recovery.SpaceInitial, ping, nil)
			d[len(d)-1] ^= 1
			return d, 0
		},
		"the first has no keys yet": func(r *rig) ([]byte, uint64) { return r.packet(client, recovery.SpaceHandshake, ping, nil), 0 },
	} {
		t.Run(name, func(t *testing.T) {
			r := midHandshake(t, recovery.SpaceInitial)
			before := r.client.Stats().PacketsReceived
			d, opens := first(r)
			d = append(d, r.packet(client, recovery.SpaceInitial, ping, nil)...)
			last := r.pn[recovery.SpaceInitial] - 1
			r.give(client, d)
			require.Equal(t, before+1+opens, r.client.Stats().PacketsReceived)
			r.now = r.now.Add(2 * maxAckHoldFlight)
			acked := uint64(0)
			for _, f := range framesOf[wire.Ack](r.heard(r.client, r.server)) {
				for x := range f.Ranges {
					acked += uint64(max(0, min(x.End, last+1)-max(x.Start, last-1)))
				}
			}
			require.Equal(t, 1+opens, acked)
		})
	}
}

// TestDatagramsOfAHandshake watches a handshake in which the server's datagrams are lost for a while.
//
// "Senders MUST NOT coalesce QUIC packets with different connection IDs into a single UDP datagram."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.2-4
// "Until a packet is received from the server, the client MUST use the same Destination Connection ID value on all
// packets in this connection."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.2-3
// "Clients MUST ensure that UDP datagrams containing Initial packets have UDP payloads of at least 1200 bytes, adding
// PADDING frames as necessary."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1-5
// "First, the packet containing a ClientHello MUST be padded to a minimum size."
// https://www.rfc-editor.org/rfc/rfc9001#section-9.3-2
// "Endpoints MUST NOT send Initial packets after this point."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.9.1-2
// "The value included prior to protection MUST be set to 0."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.3.1-4.8.1
// "A client MUST expand the payload of all UDP datagrams carrying Initial packets to at least the smallest allowed
// maximum datagram size of 1200 bytes by adding PADDING frames to the Initial packet or by coalescing the Initial
// packet; see Section 12.2."
// https://www.rfc-editor.org/rfc/rfc9000#section-14.1-1
func TestDatagramsOfAHandshake(t *testing.T) {
	for lost := range 4 {
		r := newRig(t, rigOptions{provider: fake.Options{ChainLen: 4000}})
		answers := 0
		handshakes := false
		first := r.client.ids.originalDst
		r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
			var dst []wire.ConnID
			before := handshakes
			for b := d; len(b) > 0; {
				h, n := wire.ParseLongHeader(b)
				if n < 0 {
					require.Zero(t, b[0]&0xa0, "a short header, without the spin bit")
					id, _ := wire.MakeConnID(b[1 : 1+ConnIDLen])
					dst = append(dst, id)
					break
				}
				dst = append(dst, h.DstID)
				b = b[h.Len:]
				if from == client && h.Type == wire.PacketInitial {
					require.GreaterOrEqual(t, len(d), MinInitialSize)
					require.False(t, before, "an Initial packet after a Handshake packet")
				}
				handshakes = handshakes || from == client && h.Type == wire.PacketHandshake
			}
			for _, id := range dst {
				require.Equal(t, dst[0], id)
				if from == client && answers <= lost {
					require.Equal(t, first, id)
				}
			}
			if from == server {
				answers++
				return answers > lost
			}
			return true
		}
		r.pump()
		r.wait(5 * time.Second)
		require.True(t, r.client.tls.confirmed, "%d lost", lost)
		require.True(t, handshakes)
	}
}

// TestECNIsReported marks a packet on its way.
//
// "Even if an endpoint does not set an ECT field in packets it sends, the endpoint MUST provide feedback about ECN
// markings it receives, if these are accessible."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.1-2
func TestECNIsReported(t *testing.T) {
	r := connected(t, rigOptions{})
	d := r.packet(server, recovery.SpaceApp, []byte{1, 0, 0, 0}, nil)
	r.server.HandleTrain(r.now, Train{Path: r.server.path, Data: d, SegmentSize: len(d), ECN: datagram.CE})
	acks := framesOf[wire.Ack](r.heard(r.server, r.client))
	require.Len(t, acks, 1)
	require.Equal(t, wire.ECNCounts{CE: 1}, acks[0].ECN)
}

// TestAnswersWithoutAConnection sends datagrams with two packets that a server answers with Version Negotiation or Retry.
//
// "The Version field of a Version Negotiation packet MUST be set to 0x00000000."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.1-6
// "The server MUST include the value from the Source Connection ID field of the packet it receives in the Destination
// Connection ID field."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.1-7
// "The value for Source Connection ID MUST be copied from the Destination Connection ID of the received packet, which
// is initially randomly selected by a client."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.1-7
// "A server MUST NOT send more than one Version Negotiation packet in response to a single UDP datagram."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.1-12
// "A server MUST NOT send more than one Retry packet in response to a single UDP datagram."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.1-3
func TestAnswersWithoutAConnection(t *testing.T) {
	r := newRig(t, rigOptions{validation: ValidateAlways})
	dst, src := bytes.Repeat([]byte{1}, 30), bytes.Repeat([]byte{2}, 40)
	b := append([]byte{0xc0, 0x57, 0x41, 0x49, 0x54, byte(len(dst))}, dst...)
	b = append(append(b, byte(len(src))), src...)
	got := r.receiveFrom(clientAddr, append(append(b, b...), make([]byte, MinInitialSize)...))
	require.Equal(t, RouteReply, got.Kind)
	require.Equal(t, len(got.Reply.Data), got.Reply.SegmentSize, "one packet")
	inv, ok := wire.ParseInvariant(got.Reply.Data, 0)
	require.True(t, ok)
	require.Zero(t, inv.Version)
	require.Equal(t, src, inv.DstID)
	require.Equal(t, dst, inv.SrcID)

	id := testID("12345678")
	second := wire.AppendLongHeader(nil, wire.PacketInitial, wire.Version1, id, r.client.ids.src(), nil, 1, 4)
	n := len(second)
	second = append(second, make([]byte, 100)...)
	wire.PatchLength(second, n, 100)
	got = r.receiveFrom(clientAddr, append(r.firstFlight(id, nil, partOfHello), second...))
	require.Equal(t, RouteReply, got.Kind)
	retry, n := wire.ParseRetry(got.Reply.Data)
	require.Equal(t, len(got.Reply.Data), n, "one packet")
	require.NotEqual(t, id, retry.SrcID)
}
