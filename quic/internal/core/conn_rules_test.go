package core

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

const (
	client = tlsprovider.Client
	server = tlsprovider.Server
)

// TestPeerBreaksARule checks the error for each rule that a peer can violate in a 1-RTT packet.
func TestPeerBreaksARule(t *testing.T) {
	id := func(b byte) wire.ConnID {
		id, _ := wire.MakeConnID(bytes.Repeat([]byte{b}, 8))
		return id
	}
	for _, tt := range []struct {
		name   string
		to     tlsprovider.Side
		frames []wire.Frame
		raw    []byte
		want   wire.ErrorCode
	}{
		// "An endpoint MUST treat the receipt of a frame of unknown type as a connection error of type
		// FRAME_ENCODING_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9000#section-12.4-16
		{"unknown frame type", server, nil, []byte{0x40, 0x52}, wire.FrameEncodingError},
		// "To ensure simple and efficient implementations of frame parsing, a frame type MUST use the shortest
		// possible encoding."
		// https://www.rfc-editor.org/rfc/rfc9000#section-12.4-18
		{"frame type longer than needed", server, nil, []byte{0x40, 0x01}, wire.FrameEncodingError},
		{"truncated frame", server, nil, []byte{byte(wire.FrameMaxData)}, wire.FrameEncodingError},
		{"acknowledgement of a packet that was never sent", server, nil, []byte{0x02, 0x80, 0, 0xff, 0xff, 0, 0, 0}, wire.ProtocolViolation},
		// "A server MUST treat receipt of a HANDSHAKE_DONE frame as a connection error of type PROTOCOL_VIOLATION."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.20-4
		{"HANDSHAKE_DONE from a client", server, []wire.Frame{wire.HandshakeDone{}}, nil, wire.ProtocolViolation},
		// "A server MUST treat receipt of a NEW_TOKEN frame as a connection error of type PROTOCOL_VIOLATION."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.7-7
		{"NEW_TOKEN from a client", server, []wire.Frame{wire.NewToken{Token: []byte{1}}}, nil, wire.ProtocolViolation},
		// "A client MUST treat receipt of a NEW_TOKEN frame with an empty Token field as a connection error of type
		// FRAME_ENCODING_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.7-5.4.1
		{"empty NEW_TOKEN", client, nil, []byte{0x07, 0}, wire.FrameEncodingError},
		// "An endpoint MUST terminate the connection with error STREAM_STATE_ERROR if it receives a STREAM frame for
		// a locally initiated stream that has not yet been created, or for a send-only stream."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.8-3
		{"data on our own stream", server, []wire.Frame{wire.Stream{ID: 3, Data: []byte{1}}}, nil, wire.StreamStateError},
		{"data on a stream that we have not opened", server, []wire.Frame{wire.Stream{ID: 1, Data: []byte{1}}}, nil, wire.StreamStateError},
		{"a stream above the limit", server, []wire.Frame{wire.Stream{ID: 40, Data: []byte{1}}}, nil, wire.StreamLimitError},
		{"RESET_STREAM above the limit", server, []wire.Frame{wire.ResetStream{ID: 42}}, nil, wire.StreamLimitError},
		{"more than a stream's window", server, []wire.Frame{wire.Stream{ID: 0, Offset: 64 << 10, Data: []byte{1}}}, nil, wire.FlowControlError},
		{"more than the connection's window", server, []wire.Frame{
			wire.Stream{ID: 0, Offset: 64<<10 - 1, Data: []byte{1}}, wire.Stream{ID: 4, Offset: 64<<10 - 1, Data: []byte{1}},
			wire.Stream{ID: 8, Offset: 0, Data: []byte{1}}}, nil, wire.FlowControlError},
		{"data beyond the final size", server, []wire.Frame{
			wire.Stream{ID: 0, Fin: true, Data: []byte{1}}, wire.Stream{ID: 0, Offset: 5, Data: []byte{1}}}, nil, wire.FinalSizeError},
		{"a different final size", server, []wire.Frame{
			wire.Stream{ID: 0, Fin: true, Data: []byte{1}}, wire.ResetStream{ID: 0, FinalSize: 9}}, nil, wire.FinalSizeError},
		// "Receipt of a frame that permits opening of a stream larger than this limit MUST be treated as a connection
		// error of type FRAME_ENCODING_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.11-5.2.1
		{"MAX_STREAMS above 2^60", server, nil, append([]byte{0x12}, varint.Append(nil, 1<<60+1)...), wire.FrameEncodingError},
		// "An endpoint that receives a STOP_SENDING frame for a receive-only stream MUST terminate the connection
		// with error STREAM_STATE_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.5-2
		{"STOP_SENDING for a stream that only the peer sends on", server, []wire.Frame{wire.StopSending{ID: 2}}, nil, wire.StreamStateError},
		{"MAX_STREAM_DATA for a stream that only receives", server, []wire.Frame{wire.MaxStreamData{ID: 2, Max: 1}}, nil, wire.StreamStateError},
		{"RESET_STREAM_AT without support", server, []wire.Frame{wire.ResetStreamAt{ID: 2}}, nil, wire.FrameEncodingError},
		// "After processing a NEW_CONNECTION_ID frame and adding and retiring active connection IDs, if the number of
		// active connection IDs exceeds the value advertised in its active_connection_id_limit transport parameter,
		// an endpoint MUST close the connection with an error of type CONNECTION_ID_LIMIT_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1-5
		{"too many connection IDs", server, []wire.Frame{
			wire.NewConnectionID{Seq: 10, ConnID: id(10)}, wire.NewConnectionID{Seq: 11, ConnID: id(11)},
			wire.NewConnectionID{Seq: 12, ConnID: id(12)}}, nil, wire.ConnectionIDLimitError},
		{"one sequence number for two IDs", server, []wire.Frame{
			wire.NewConnectionID{Seq: 10, RetirePriorTo: 10, ConnID: id(10)}, wire.NewConnectionID{Seq: 10, ConnID: id(11)}}, nil, wire.ProtocolViolation},
		{"one ID with two sequence numbers", server, []wire.Frame{
			wire.NewConnectionID{Seq: 10, RetirePriorTo: 10, ConnID: id(10)}, wire.NewConnectionID{Seq: 11, ConnID: id(10)}}, nil, wire.ProtocolViolation},
		// "The value in the Retire Prior To field MUST be less than or equal to the value in the Sequence Number
		// field."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.15-9
		// "Receiving a value in the Retire Prior To field that is greater than that in the Sequence Number field MUST
		// be treated as a connection error of type FRAME_ENCODING_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.15-9
		{"Retire Prior To above the sequence number", server, nil,
			append(append([]byte{0x18, 1, 2, 8}, bytes.Repeat([]byte{7}, 8)...), make([]byte, 16)...), wire.FrameEncodingError},
		// "Values less than 1 and greater than 20 are invalid and MUST be treated as a connection error of type
		// FRAME_ENCODING_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.15-5.6.1
		{"a connection ID that is too long", server, nil,
			append(append([]byte{0x18, 1, 0, 21}, bytes.Repeat([]byte{7}, 21)...), make([]byte, 16)...), wire.FrameEncodingError},
		// "Receipt of a RETIRE_CONNECTION_ID frame containing a sequence number greater than any previously sent to
		// the peer MUST be treated as a connection error of type PROTOCOL_VIOLATION."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.16-7
		{"retirement of an ID that was never issued", server, []wire.Frame{wire.RetireConnectionID{Seq: 77}}, nil, wire.ProtocolViolation},
		// "The sequence number specified in a RETIRE_CONNECTION_ID frame MUST NOT refer to the Destination Connection
		// ID field of the packet in which the frame is contained."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.16-8
		{"retirement of the ID in use", server, []wire.Frame{wire.RetireConnectionID{Seq: 0}}, nil, wire.ProtocolViolation},
		// "If an endpoint does not expand its buffer, it MUST close the connection with a CRYPTO_BUFFER_EXCEEDED
		// error code."
		// https://www.rfc-editor.org/rfc/rfc9000#section-7.5-3
		{"CRYPTO beyond the buffer", server, []wire.Frame{wire.Crypto{Offset: maxAppCrypto, Data: []byte{1}}}, nil, wire.CryptoBufferExceeded},
		// "[...] a QUIC endpoint MUST treat any alert from TLS as if it were at the 'fatal' level."
		// https://www.rfc-editor.org/rfc/rfc9001#section-4.8-3
		// "Endpoints MUST treat the receipt of a TLS KeyUpdate message as a connection error of type 0x010a, equivalent
		// to a fatal TLS alert of unexpected_message; see Section 4.8."
		// https://www.rfc-editor.org/rfc/rfc9001#section-6-5
		{"a KeyUpdate message", server, []wire.Frame{wire.Crypto{Data: []byte{24, 0, 0, 1, 0}}}, nil, 0x10a},
		{"a KeyUpdate message to a client", client, []wire.Frame{wire.Crypto{Data: []byte{24, 0, 0, 1, 0}}}, nil, 0x10a},
		// "More specifically, servers MUST NOT send post-handshake TLS CertificateRequest messages, and clients MUST
		// treat receipt of such messages as a connection error of type PROTOCOL_VIOLATION."
		// https://www.rfc-editor.org/rfc/rfc9001#section-4.4-5
		{"a CertificateRequest message", client, []wire.Frame{wire.Crypto{Data: []byte{13, 0, 0, 0}}}, nil, wire.ProtocolViolation},
		// "A client MUST treat receipt of a NewSessionTicket that contains an early_data extension with any other value
		// as a connection error of type PROTOCOL_VIOLATION."
		// https://www.rfc-editor.org/rfc/rfc9001#section-4.6.1-2
		{"a ticket with a limit of early data", client, []wire.Frame{wire.Crypto{Data: []byte{4, 0, 0, 22, 0, 0, 0, 60,
			1, 2, 3, 4, 0, 0, 1, 9, 0, 8, 0, 42, 0, 4, 0, 0, 16, 0}}}, nil, wire.ProtocolViolation},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := connected(t, rigOptions{provider: fake.Options{Tickets: -1}})
			b := tt.raw
			for _, f := range tt.frames {
				b = f.Append(b)
			}
			r.requireClosed(tt.to, tt.want, r.sayBytes(tt.to, recovery.SpaceApp, b))
		})
	}
}

// Frames that a peer may send do no harm, however many it sends.
func TestPermittedFramesAreHarmless(t *testing.T) {
	r := connected(t, rigOptions{})
	retired := 0
	for i := range 2000 {
		var answer []wire.Frame
		switch i % 6 {
		case 0:
			answer = r.say(server, recovery.SpaceApp, wire.Ping{})
		case 1:
			answer = r.say(server, recovery.SpaceApp, wire.PathResponse{})
		case 2:
			answer = r.say(server, recovery.SpaceApp, wire.MaxData{Max: uint64(i)}, wire.DataBlocked{Limit: uint64(i)})
		case 3:
			var frames []wire.Frame
			for range 100 {
				frames = append(frames, wire.PathChallenge{Data: [8]byte{byte(i)}})
			}
			answer = r.say(server, recovery.SpaceApp, frames...)
			responses := 0
			for _, f := range answer {
				if _, ok := f.(wire.PathResponse); ok {
					responses++
				}
			}
			require.LessOrEqual(t, responses, maxPathResponses)
		case 4:
			// No acknowledgements arrive, so the congestion window fills up and NEW_CONNECTION_ID may not
			// be sent.
			if seq := r.server.ids.local[1].seq; seq <= r.server.ids.announced {
				retired++
				answer = r.say(server, recovery.SpaceApp, wire.RetireConnectionID{Seq: seq})
			}
		case 5:
			answer = r.say(server, recovery.SpaceApp, wire.StreamsBlocked{Limit: 10}, wire.StreamDataBlocked{ID: 0, Limit: 1})
		}
		_ = answer
		require.NoError(t, errOf(r.server))
		require.LessOrEqual(t, len(r.server.ids.local), maxLocalIDs)
		require.LessOrEqual(t, len(r.server.pathResponses), maxPathResponses)
		r.now = r.now.Add(time.Millisecond)
		r.events(r.server, server)
	}
	require.Greater(t, retired, 5)
}

// A PATH_CHALLENGE frame is answered once with its own data.
//
// "On receiving a PATH_CHALLENGE frame, an endpoint MUST respond by echoing the data contained in the PATH_CHALLENGE
// frame in a PATH_RESPONSE frame."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2-1
// "The recipient of this frame MUST generate a PATH_RESPONSE frame (Section 19.18) containing the same Data value."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.17-7
// "Unlike other cases where datagrams are expanded, endpoints MUST NOT discard datagrams that appear to be too small
// when they contain PATH_CHALLENGE or PATH_RESPONSE."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.1-7
// "An endpoint MUST NOT delay transmission of a packet containing a PATH_RESPONSE frame unless constrained by
// congestion control."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2-1
func TestPathChallenge(t *testing.T) {
	r := connected(t, rigOptions{})
	answer := r.say(server, recovery.SpaceApp, wire.PathChallenge{Data: [8]byte{1, 2, 3}})
	require.Contains(t, answer, wire.Frame(wire.PathResponse{Data: [8]byte{1, 2, 3}}))
}

// Frames that Initial and Handshake packets may not contain close the connection.
//
// "CONNECTION_CLOSE frames signaling application errors (type 0x1d) MUST only appear in the application data packet
// number space."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.5-2.2
// "All other frame types MUST only be sent in the application data packet number space."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.5-2.4
// "Endpoints MUST treat receipt of Handshake packets with other frames as a connection error of type
// PROTOCOL_VIOLATION."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.4-6
// "An endpoint MUST treat receipt of a frame in a packet type that is not permitted as a connection error of type
// PROTOCOL_VIOLATION."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.4-9
func TestFramesInTheWrongSpace(t *testing.T) {
	for _, s := range []recovery.Space{recovery.SpaceInitial, recovery.SpaceHandshake} {
		for _, f := range []wire.Frame{
			wire.Stream{ID: 0, Data: []byte{1}}, wire.MaxData{Max: 1}, wire.HandshakeDone{}, wire.NewToken{Token: []byte{1}},
			wire.ConnectionClose{Application: true}, wire.PathChallenge{}, wire.RetireConnectionID{},
		} {
			r := midHandshake(t, s)
			r.requireClosed(client, wire.ProtocolViolation, r.say(client, s, f))
		}
	}
}

// midHandshake returns a rig whose client has the keys of space s but not all of the server's flight.
func midHandshake(t *testing.T, s recovery.Space) *rig {
	t.Helper()
	r := newRig(t, rigOptions{provider: fake.Options{Classical: true, ChainLen: 5000}})
	arrived := 0
	r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
		if from == server {
			arrived++
		}
		return from == client || s == recovery.SpaceHandshake && arrived == 1
	}
	for range 10 {
		r.step(r.client, client)
		if r.server != nil {
			r.step(r.server, server)
		}
	}
	require.NotNil(t, r.server)
	require.NotNil(t, r.client.spaces[s].open)
	require.NotNil(t, r.server.spaces[s].seal)
	require.False(t, r.client.tls.complete)
	return r
}

// After a peer's first Initial packet, packets with another Source Connection ID are dropped.
//
// "Once a client has received a valid Initial packet from the server, it MUST discard any subsequent packet it
// receives on that connection with a different Source Connection ID."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.2-7
// "Any further changes to the Destination Connection ID are only permitted if the values are taken from
// NEW_CONNECTION_ID frames; if subsequent Initial packets include a different Source Connection ID, they MUST be
// discarded."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.2-8
// "A client MUST change the Destination Connection ID it uses for sending packets in response to only the first
// received Initial or Retry packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.2-8
// "A server MUST set the Destination Connection ID it uses for sending packets based on the first received Initial
// packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.2-8
func TestAnotherSourceConnectionID(t *testing.T) {
	another := func(header []byte) { header[7+header[5]] ^= 1 }
	ping := append(wire.Ping{}.Append(nil), make([]byte, MinInitialSize)...) // and PADDING
	for _, side := range []tlsprovider.Side{client, server} {
		r := midHandshake(t, recovery.SpaceInitial)
		c, peer := r.side(side)
		require.Equal(t, side == server, c.ids.dst() == peer.ids.src(), "a client does not know the server's ID yet")
		r.give(side, r.packet(side, recovery.SpaceInitial, ping, nil))
		require.Equal(t, peer.ids.src(), c.ids.dst())
		before := c.Stats()
		r.give(side, r.packet(side, recovery.SpaceInitial, ping, another))
		require.Equal(t, before.PacketsReceived, c.Stats().PacketsReceived, "%v", side)
		require.Equal(t, before.Drops[DropSourceConnID]+1, c.Stats().Drops[DropSourceConnID], "%v", side)
		require.Equal(t, peer.ids.src(), c.ids.dst())
		r.give(side, r.packet(side, recovery.SpaceInitial, ping, nil))
		require.Equal(t, before.PacketsReceived+1, c.Stats().PacketsReceived, "%v", side)
	}
}

// "An endpoint MUST treat receipt of a packet that has a non-zero value for these bits, after removing both packet
// and header protection, as a connection error of type PROTOCOL_VIOLATION."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.3.1-4.8.1
// "The payload of a packet that contains frames MUST contain at least one frame, and MAY contain multiple frames and
// multiple frame types."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.4-3
// "An endpoint MUST treat receipt of a packet containing no frames as a connection error of type PROTOCOL_VIOLATION."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.4-3
func TestReservedBitsAndEmptyPackets(t *testing.T) {
	r := connected(t, rigOptions{})
	answer := r.give(server, r.packet(server, recovery.SpaceApp, []byte{1, 0, 0, 0}, func(h []byte) { h[0] |= 0x18 }))
	r.requireClosed(server, wire.ProtocolViolation, answer)
	r = connected(t, rigOptions{})
	answer = r.give(server, r.packet(server, recovery.SpaceApp, nil, nil))
	r.requireClosed(server, wire.ProtocolViolation, answer)
}

// Duplicates, junk and packets of other connections have no effect.
//
// "Duplicate suppression MUST happen after removing packet protection for the reasons described in Section 9.5 of
// [QUIC-TLS]."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.3-11
// "Packets containing a zero value for this bit are not valid packets in this version and MUST be discarded."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.3.1-4.4.1
// "Endpoints MUST discard packets that are too small to be valid QUIC packets."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3-14
func TestNoiseIsDropped(t *testing.T) {
	r := connected(t, rigOptions{})
	pkt := r.packet(server, recovery.SpaceApp, wire.MaxData{Max: 1 << 30}.Append(nil), nil)
	before := r.server.Stats()
	r.give(server, bytes.Clone(pkt))
	require.Equal(t, before.PacketsReceived+1, r.server.Stats().PacketsReceived)
	r.give(server, bytes.Clone(pkt))
	require.Equal(t, before.PacketsReceived+1, r.server.Stats().PacketsReceived, "a duplicate")
	for i := range pkt {
		bad := bytes.Clone(pkt)
		bad[i] ^= 0x55
		r.give(server, bad)
		r.give(server, bytes.Clone(pkt[:i]))
	}
	require.NoError(t, errOf(r.server))
	require.Equal(t, before.PacketsReceived+1, r.server.Stats().PacketsReceived)
	drops := r.server.Stats().Drops
	require.EqualValues(t, 1, drops[DropDuplicate])
	require.Positive(t, drops[DropUndecryptable])
	require.Positive(t, drops[DropMalformed])
}

// Packets that a connection does not process are counted by reason.
//
// "If a client receives packets from an unknown server address, the client MUST discard these packets."
// https://www.rfc-editor.org/rfc/rfc9000#section-9-6
func TestDropsOfConnection(t *testing.T) {
	r := connected(t, rigOptions{})
	c := r.client
	elsewhere := c.path
	elsewhere.Remote = netip.MustParseAddrPort("192.0.2.77:1")
	data := bytes.Repeat([]byte{0x40}, 150)
	c.HandleTrain(r.now, Train{Path: elsewhere, Data: data, SegmentSize: 60})
	require.EqualValues(t, 3, c.Stats().Drops[DropWrongPath], "one for each datagram")
	c.HandleTrain(r.now, Train{Path: c.path, Data: bytes.Clone(data[:60]), SegmentSize: 60})
	require.EqualValues(t, 1, c.Stats().Drops[DropUnknownConnID])
	total := c.drops.Total()
	c.Close(r.now, true, 0, "")
	c.HandleTrain(r.now, Train{Path: c.path, Data: data, SegmentSize: 60})
	require.EqualValues(t, 3, c.Stats().Drops[DropClosedConn])
	require.EqualValues(t, total+3, c.drops.Total())
}

// The connection ID of a server's preferred address counts towards the limit.
func TestPreferredAddressID(t *testing.T) {
	r := connected(t, rigOptions{})
	p := peerParams(t, r.server)
	p.HasPreferredAddress = true
	p.PreferredAddress.ConnID = r.connID()
	p.PreferredAddress.ResetToken = [16]byte{1}
	fresh := newRig(t, rigOptions{})
	fresh.client.ids.peerFirst, fresh.client.ids.havePeer = p.InitialSrcConnID, true
	fresh.client.ids.originalDst = p.OriginalDstConnID
	fresh.client.handlePeerParams(p.Append(nil))
	require.NoError(t, errOf(fresh.client))
	require.Len(t, fresh.client.ids.remote, 2)
	require.Equal(t, uint64(1), fresh.client.ids.remote[1].seq)
	require.Equal(t, p.PreferredAddress.ConnID, fresh.client.ids.remote[1].id)
	fresh.client.handleNewConnID(wire.NewConnectionID{Seq: 2, RetirePriorTo: 2, ConnID: fresh.connID()})
	require.Len(t, fresh.client.ids.remote, 1)
	require.Len(t, fresh.client.ids.retiring, 2, "it is retired like any other")
}
