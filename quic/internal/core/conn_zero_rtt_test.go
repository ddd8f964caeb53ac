package core

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// An earlySender makes the 0-RTT packets of a scripted client.
type earlySender struct {
	r    *rig
	keys tlsprovider.Keys
	pn   wire.PacketNumber
}

// newEarlySender gives the server the Opener for the sender's packets. The fake has no keys for early data, so both sides
// use a pair of Initial keys.
func newEarlySender(r *rig, install bool) *earlySender {
	r.t.Helper()
	p := r.serverConfig.Provider
	id := testID("earlykey")
	keys, err := p.InitialKeys(1, id.Bytes(), client)
	require.NoError(r.t, err)
	theirs, err := p.InitialKeys(1, id.Bytes(), server)
	require.NoError(r.t, err)
	keys.Opener.Close()
	theirs.Sealer.Close()
	if install {
		r.server.installEarlyKeys(tlsprovider.Keys{Opener: theirs.Opener}, &tlsprovider.State{})
	} else {
		r.t.Cleanup(theirs.Opener.Close)
	}
	r.t.Cleanup(keys.Sealer.Close)
	return &earlySender{r, keys, 1 << 20}
}

func (s *earlySender) packet(dst, src wire.ConnID, frames []byte) []byte {
	s.r.t.Helper()
	s.pn++
	b := wire.AppendLongHeader(nil, wire.Packet0RTT, wire.Version1, dst, src, nil, s.pn, 4)
	n := len(b)
	b = append(append(b, frames...), zeroTag[:]...)
	wire.PatchLength(b, n, len(frames)+tlsprovider.TagLen)
	require.NoError(s.r.t, s.keys.Sealer.Seal(b, []tlsprovider.SealDesc{{HeaderLen: uint32(n), PayloadLen: uint32(len(frames)), PacketNumber: uint64(s.pn)}}))
	return b
}

// say sends frames to the server in a 0-RTT packet.
func (s *earlySender) say(frames ...wire.Frame) []wire.Frame {
	s.r.t.Helper()
	var b []byte
	for _, f := range frames {
		b = f.Append(b)
	}
	return s.r.give(server, s.packet(s.r.server.ids.local[0].id, s.r.client.ids.src(), b))
}

// Frames that a client cannot send in 0-RTT packets end the connection.
//
// "Note that it is not possible to send the following frames in 0-RTT packets for various reasons: ACK, CRYPTO,
// HANDSHAKE_DONE, NEW_TOKEN, PATH_RESPONSE, and RETIRE_CONNECTION_ID. A server MAY treat receipt of these frames in 0-RTT
// packets as a connection error of type PROTOCOL_VIOLATION."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.5-4
// "A server MUST treat receipt of a CRYPTO frame in a 0-RTT packet as a connection error of type PROTOCOL_VIOLATION."
// https://www.rfc-editor.org/rfc/rfc9001#section-8.3-2
func TestFramesInZeroRTT(t *testing.T) {
	for _, f := range []wire.Frame{
		wire.Ack{}, wire.Crypto{Data: []byte{1}}, wire.HandshakeDone{}, wire.NewToken{Token: []byte{1}}, wire.PathResponse{},
		wire.RetireConnectionID{Seq: 1},
	} {
		r := connected(t, rigOptions{})
		answer := newEarlySender(r, true).say(f)
		r.requireClosed(server, wire.ProtocolViolation, answer)
	}
	for _, f := range []wire.Frame{wire.Ping{}, wire.MaxData{Max: 1}, wire.ResetStream{ID: 0}, wire.StreamsBlocked{Limit: 1}} {
		r := connected(t, rigOptions{})
		newEarlySender(r, true).say(f)
		require.NoError(t, errOf(r.server), "%v", f)
	}
}

// A client that opens streams with early data until its handshake ends does not make the server remember each of them.
// The first ones remain marked. If the client leaves many gaps, streams in the gaps are marked, too.
func TestMarksOfEarlyStreamsAreBounded(t *testing.T) {
	for _, step := range []int{1, 2, 5} {
		r := connected(t, rigOptions{server: func(c *Config) { c.Streams.MaxBidi = 10_000 }})
		early := newEarlySender(r, true)
		const n = 300
		for i := range n {
			early.say(wire.Stream{ID: uint64(4 * step * i), Data: []byte{1}})
			require.LessOrEqual(t, r.server.zero.marked[0].NumRanges(), maxEarlyRanges)
		}
		require.NoError(t, errOf(r.server))
		for i := range n {
			require.True(t, r.server.HasEarlyData(streams.ID(4*step*i)))
		}
		require.False(t, r.server.HasEarlyData(streams.ID(4*step*n)))
		require.False(t, r.server.HasEarlyData(2))
	}
}

// Streams with early data are marked, and the keys are discarded some time after the handshake.
//
// "After receiving a 1-RTT packet, servers MUST discard 0-RTT keys within a short time; the RECOMMENDED time period is
// three times the Probe Timeout".
// https://www.rfc-editor.org/rfc/rfc9001#section-4.9.3-3
func TestZeroRTTKeysAreDiscarded(t *testing.T) {
	r := connected(t, rigOptions{})
	s := newEarlySender(r, true)
	s.say(wire.Stream{ID: 0, Data: []byte("early")})
	r.say(server, recovery.SpaceApp, wire.Stream{ID: 4, Data: []byte("late")})
	require.True(t, r.server.HasEarlyData(0))
	require.False(t, r.server.HasEarlyData(4))
	buf := make([]byte, 10)
	n, err := r.server.Read(r.now, 0, buf)
	require.NoError(t, err)
	require.Equal(t, "early", string(buf[:n]))

	r.server.applyParams() // as at the end of the handshake
	at := r.server.zero.dropAt
	require.Equal(t, r.now.Add(3*r.server.loss.PTO()), at)
	require.False(t, r.server.NextTimeout().After(at))
	r.now = at
	r.server.HandleTimeout(r.now)
	before := r.server.drops
	require.Nil(t, r.server.zero.open)
	s.say(wire.Stream{ID: 8, Data: []byte("too late")})
	require.NotNil(t, r.server.drops)
	require.NotEqual(t, before, r.server.drops)
	require.False(t, r.server.HasEarlyData(8))
	require.NoError(t, errOf(r.server))
}

// "When rejecting 0-RTT, a server MUST NOT process any 0-RTT packets, even if it could."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.6.2-2
// "A client MUST NOT attempt to decrypt 0-RTT packets it receives and instead MUST discard them."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.6-8
func TestUnexpectedZeroRTT(t *testing.T) {
	r := connected(t, rigOptions{server: func(c *Config) {
		c.AcceptEarlyData = func(*tlsprovider.EarlyDataOffer, bool) bool { return true }
	}})
	s := newEarlySender(r, false)
	s.say(wire.Stream{ID: 0, Data: []byte("x")})
	require.EqualValues(t, 1, r.server.drops[DropUnexpectedPacket])
	r.give(client, s.packet(r.client.ids.local[0].id, r.server.ids.src(), wire.Ping{}.Append(nil)))
	require.EqualValues(t, 1, r.client.drops[DropUnexpectedPacket])
}

// 0-RTT packets that arrive before their keys do not take the place of others.
func TestZeroRTTBeforeItsKeys(t *testing.T) {
	r := midHandshake(t, recovery.SpaceInitial)
	c := r.server
	if c == nil {
		t.Fatal("there is no server")
	}
	cfg := *c.cfg
	cfg.AcceptEarlyData = func(*tlsprovider.EarlyDataOffer, bool) bool { return true }
	c.cfg = &cfg
	hs := c.spaces[recovery.SpaceHandshake]
	seal, open := hs.seal, hs.open
	hs.seal, hs.open = nil, nil // TLS has not run
	s := newEarlySender(r, false)
	for range 3 * maxZeroRTTPackets {
		s.say(wire.Stream{ID: 0, Data: bytes.Repeat([]byte{1}, 1000)})
	}
	require.LessOrEqual(t, c.early.zeroRTT.bytes, maxZeroRTTBytes)
	require.Greater(t, c.early.zeroRTT.bytes, maxZeroRTTBytes/2)
	c.bufferEarly(recovery.SpaceHandshake, make([]byte, 1000), ECN(0))
	require.Equal(t, held{1, 1000}, c.early.others)
	hs.seal, hs.open = seal, open
	require.False(t, c.awaitsEarlyKeys())
	c.replayEarly()
	require.Nil(t, c.early, "rejected: nothing is kept")
	require.False(t, c.HasEarlyData(0))
}

// A client that learns that its early data were rejected does not accept acknowledgements of them, and one whose early
// data were accepted does not accept lower limits.
//
// "[...] they MUST validate that the new value of the max_datagram_frame_size transport parameter sent by the server
// in the handshake is greater than or equal to the stored value; if not, the client MUST terminate the connection
// with error PROTOCOL_VIOLATION."
// https://www.rfc-editor.org/rfc/rfc9221#section-3-6
// "If 0-RTT data is accepted by the server, the server MUST NOT reduce any limits or alter any values that might be
// violated by the client with its 0-RTT data."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.4.1-6
func TestClientAfterEarlyData(t *testing.T) {
	r := connected(t, rigOptions{})
	next := r.client.loss.NextNumber(recovery.SpaceApp)
	r.client.zero = &zeroState{rejected: true, lastSent: next - 1}
	answer := r.say(client, recovery.SpaceApp, wire.Ack{Largest: next - 1})
	r.requireClosed(client, wire.ProtocolViolation, answer)

	for i, name := range limitNames[:8] {
		r := connected(t, rigOptions{})
		z := &zeroState{params: &wire.TransportParameters{ActiveConnIDLimit: 2}, lastSent: wire.NoPacket}
		remembered := *z.params
		z.remembered = &remembered
		fields := []*uint64{&z.remembered.ActiveConnIDLimit, &z.remembered.MaxData, &z.remembered.MaxStreamDataBidiLocal,
			&z.remembered.MaxStreamDataBidiRemote, &z.remembered.MaxStreamDataUni, &z.remembered.MaxStreamsBidi,
			&z.remembered.MaxStreamsUni, &z.remembered.MaxDatagramFrameSize}
		*fields[i]++
		r.client.zero = z
		r.client.applyParams()
		require.NotNil(t, r.client.Err(), name)
		require.Contains(t, r.client.Err().Reason, name)
		require.Equal(t, wire.ProtocolViolation, wire.ErrorCode(r.client.Err().Code))
	}
}

// "A server MUST reject 0-RTT data if the restored values for transport parameters cannot be supported."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.4.1-10
// "In particular, a server that accepts 0-RTT data MUST NOT set values for the following parameters (Section 18.2)
// that are smaller than the remembered values of the parameters."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.4.1-6
// "When servers decide to accept 0-RTT data, they MUST send a max_datagram_frame_size transport parameter greater
// than or equal to the value they sent to the client"
// https://www.rfc-editor.org/rfc/rfc9221#section-3-6
func TestTicketData(t *testing.T) {
	var own *bool
	cfg := Config{TicketIssuer: [8]byte{1}, AcceptEarlyData: func(_ *tlsprovider.EarlyDataOffer, o bool) bool { own = &o; return true }}
	params := func(edit func(*wire.TransportParameters)) []byte {
		p := wire.DefaultTransportParameters()
		p.ActiveConnIDLimit, p.MaxData, p.MaxStreamDataBidiLocal, p.MaxStreamDataBidiRemote = 4, 1000, 10, 20
		p.MaxStreamDataUni, p.MaxStreamsBidi, p.MaxStreamsUni, p.MaxDatagramFrameSize = 30, 3, 3, 100
		p.ResetStreamAt = true
		if edit != nil {
			edit(&p)
		}
		return cfg.ticketData(p.Append(nil))
	}
	asks := func(ticket, now []byte) bool {
		own = nil
		return cfg.acceptEarlyData(&tlsprovider.EarlyDataOffer{TicketData: ticket}, now)
	}
	require.True(t, asks(params(nil), params(nil)))
	require.True(t, *own)
	require.True(t, asks(params(nil), params(func(p *wire.TransportParameters) { p.MaxData, p.MaxStreamsUni = 2000, 4 })), "larger limits")
	for i, edit := range []func(*wire.TransportParameters){
		func(p *wire.TransportParameters) { p.ActiveConnIDLimit-- }, func(p *wire.TransportParameters) { p.MaxData-- },
		func(p *wire.TransportParameters) { p.MaxStreamDataBidiLocal-- }, func(p *wire.TransportParameters) { p.MaxStreamDataBidiRemote-- },
		func(p *wire.TransportParameters) { p.MaxStreamDataUni-- }, func(p *wire.TransportParameters) { p.MaxStreamsBidi-- },
		func(p *wire.TransportParameters) { p.MaxStreamsUni-- }, func(p *wire.TransportParameters) { p.MaxDatagramFrameSize-- },
		func(p *wire.TransportParameters) { p.ResetStreamAt = false },
	} {
		require.False(t, asks(params(nil), params(edit)), limitNames[i])
		require.Nil(t, own, "the hook is not asked")
	}
	ticket := params(nil)
	for i := range ticket {
		require.False(t, asks(ticket[:i], params(nil)), "cut at %d", i)
	}
	require.False(t, asks(append(bytes.Clone(ticket), 0), params(nil)), "too long")
	ticket[0]++
	require.False(t, asks(ticket, params(nil)), "another version")
	ticket[0]--
	ticket[1]++
	require.True(t, asks(ticket, params(nil)))
	require.False(t, *own, "issued by another server")
}

// 0-RTT packets that overtake half of a ClientHello are kept within limits that leave the ClientHello alone.
func TestZeroRTTBeforeTheClientHello(t *testing.T) {
	const clients = 30
	r := newRig(t, rigOptions{endpoint: func(c *EndpointConfig) { c.EarlyData, c.HelloBytes, c.HelloTimeout = true, 256<<10, time.Hour }})
	s := newEarlySender(r, false)
	for i := range clients {
		dst := testID("client" + string(rune('A'+i)) + "x")
		require.Equal(t, DropIncompleteHello, r.receiveFrom(clientAddr, r.firstFlight(dst, nil, partOfHello)).Drop)
		for range 20 {
			got := r.receiveFrom(clientAddr, s.packet(dst, r.client.ids.src(), make([]byte, 1100)))
			require.Contains(t, []DropReason{DropIncompleteHello, DropHelloBytes}, got.Drop)
		}
		k := r.endpoint.hellos.byKey.m[initialKey{dst, clientAddr}]
		require.NotNil(t, k)
		require.LessOrEqual(t, k.early, maxHelloEarly)
		require.Less(t, k.bytes, 2*MinInitialSize, "only the ClientHello counts here")
		if i == 0 {
			require.Greater(t, k.early, maxHelloEarly/2)
		}
	}
	require.Equal(t, clients, r.endpoint.hellos.len())
	require.LessOrEqual(t, r.endpoint.hellos.early, 64<<10)
	require.Greater(t, r.endpoint.hellos.early, 32<<10)

	off := newRig(t, rigOptions{})
	off.receiveFrom(clientAddr, off.firstFlight(testID("12345678"), nil, partOfHello))
	off.receiveFrom(clientAddr, newEarlySender(off, false).packet(testID("12345678"), off.client.ids.src(), make([]byte, 1100)))
	require.Zero(t, off.endpoint.hellos.early, "a server without early data keeps none")
}
