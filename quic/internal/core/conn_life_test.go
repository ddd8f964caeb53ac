package core

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

func closeOf(t *testing.T, frames []wire.Frame) (out []wire.ConnectionClose) {
	t.Helper()
	for _, f := range frames {
		if cc, ok := f.(wire.ConnectionClose); ok {
			out = append(out, cc)
		}
	}
	return out
}

// An application's close is sent at once, and the Endpoint repeats it if the peer keeps sending.
//
// "To avoid being used for an amplification attack, such endpoints MUST limit the cumulative size of packets it sends
// to three times the cumulative size of the packets that are received and attributed to the connection."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.2.1-5
// "An endpoint in the closing state MUST either discard packets received from an unvalidated address or limit the
// cumulative size of packets it sends to an unvalidated address to three times the size of packets it receives from
// that address."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.2.1-7
// "After the handshake is confirmed (see Section 4.1.2 of [QUIC-TLS]), an endpoint MUST send any CONNECTION_CLOSE
// frames in a 1-RTT packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.2.3-1
func TestCloseAndRemnant(t *testing.T) {
	r := connected(t, rigOptions{})
	r.server.Close(r.now, true, 7, "enough")
	frames := closeOf(t, r.heard(r.server, r.client))
	require.Len(t, frames, 1)
	require.True(t, frames[0].Application)
	require.Equal(t, uint64(7), frames[0].Code)
	require.Equal(t, "enough", string(frames[0].Reason))
	r.events(r.server, server)
	require.Equal(t, 1, r.endpoint.closed.len())

	// Later packets are answered at a falling rate: the first, second, fourth, eighth and so on.
	replies := 0
	for range 64 {
		pkt := r.packet(server, recovery.SpaceApp, bytes.Repeat([]byte{1}, 200), nil)
		train := Train{Path: Path{Remote: clientAddr}, Data: pkt, SegmentSize: len(pkt)}
		got := r.endpoint.Receive(r.now, &train, r.validation, make([]byte, MaxUnknownSize))
		if got.Kind == RouteReply {
			replies++
			require.LessOrEqual(t, len(got.Reply.Data), 3*len(pkt))
			require.NotEmpty(t, closeOf(t, r.read(r.client, bytes.Clone(got.Reply.Data))))
		} else {
			require.Equal(t, DropClosedConn, got.Drop)
		}
	}
	require.Equal(t, 7, replies)
	r.now = r.now.Add(time.Minute)
	r.endpoint.HandleTimeout(r.now)
	require.Zero(t, r.endpoint.closed.len())
	require.True(t, r.endpoint.NextTimeout().IsZero())
}

// After the peer closes, the connection drains and sends nothing.
//
// "An endpoint MUST NOT send further packets."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.2.2-2
// "While otherwise identical to the closing state, an endpoint in the draining state MUST NOT send any packets."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.2.2-1
func TestDraining(t *testing.T) {
	r := connected(t, rigOptions{})
	answer := r.say(server, recovery.SpaceApp, wire.ConnectionClose{Application: true, Code: 9, Reason: []byte("bye")})
	require.Empty(t, answer, "the draining state sends nothing")
	err := r.server.Err()
	require.True(t, err.Remote && err.Application)
	require.Equal(t, uint64(9), err.Code)
	require.Equal(t, "bye", err.Reason)
	r.events(r.server, server)
	pkt := r.packet(server, recovery.SpaceApp, bytes.Repeat([]byte{1}, 100), nil)
	train := Train{Path: Path{Remote: clientAddr}, Data: pkt, SegmentSize: len(pkt)}
	got := r.endpoint.Receive(r.now, &train, r.validation, make([]byte, MaxUnknownSize))
	require.Equal(t, RouteDrop, got.Kind)
	require.Equal(t, DropClosedConn, got.Drop)
}

// Before the handshake is confirmed, an application's error code and reason are not sent.
//
// "A CONNECTION_CLOSE of type 0x1d MUST be replaced by a CONNECTION_CLOSE of type 0x1c when sending the
// frame in Initial or Handshake packets."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.2.3-3
// "Endpoints MUST clear the value of the Reason Phrase field and SHOULD use the APPLICATION_ERROR code when
// converting to a CONNECTION_CLOSE of type 0x1c."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.2.3-3
func TestCloseBeforeTheHandshakeIsDone(t *testing.T) {
	r := midHandshake(t, recovery.SpaceHandshake)
	r.client.Close(r.now, true, 7, "a secret of the application")
	frames := closeOf(t, r.heard(r.client, r.server))
	require.NotEmpty(t, frames)
	for _, f := range frames {
		require.False(t, f.Application)
		require.Equal(t, uint64(wire.ApplicationError), f.Code)
		require.Empty(t, f.Reason)
	}
}

// A client that closes before it has sent its last flight sends both together. The server sends nothing
// until TLS has processed the flight, and then reports the application's error.
func TestCloseWithTheLastFlight(t *testing.T) {
	for _, fails := range []bool{false, true} {
		r := newRig(t, rigOptions{})
		r.step(r.client, tlsprovider.Client)
		r.step(r.server, server)
		for j := r.client.PollTLS(); j != nil; j = r.client.PollTLS() {
			j.Run()
			r.client.HandleTLSResult(r.now, j)
		}
		require.True(t, r.client.tls.complete)
		r.client.Close(r.now, true, 7, "changed my mind")
		tx, ok := r.client.PollTransmit(r.now, r.buf)
		require.True(t, ok)
		require.Equal(t, 1, tx.Segments())
		r.deliver(tlsprovider.Client, bytes.Clone(tx.Data))

		job := r.server.PollTLS()
		require.NotNil(t, job)
		for range 5 {
			require.NoError(t, errOf(r.server))
			require.False(t, r.server.HasTransmit(r.now))
			_, ok = r.server.PollTransmit(r.now, r.buf)
			require.False(t, ok, "nothing is sent after CONNECTION_CLOSE has been received")
			require.True(t, r.server.NextTimeout().After(r.now))
			r.now = r.server.NextTimeout()
			r.server.HandleTimeout(r.now)
		}
		if job.Run(); fails {
			job.err = errTest
			job.out = nil
		}
		r.server.HandleTLSResult(r.now, job)
		require.NotNil(t, r.server.Err())
		require.Equal(t, !fails, r.server.tls.complete)
		if !fails {
			require.Equal(t, &CloseError{Remote: true, Application: true, Code: 7, Reason: "changed my mind"}, r.server.Err())
		}
		_, ok = r.server.PollTransmit(r.now, r.buf)
		require.False(t, ok)
	}
}

func TestIdleTimeout(t *testing.T) {
	r := connected(t, rigOptions{client: func(c *Config) { c.IdleTimeout = 5 * time.Second }})
	start := r.now
	r.wait(3 * time.Second)
	require.NoError(t, errOf(r.client))
	r.wait(2 * time.Second)
	require.ErrorIs(t, r.client.Err(), ErrIdleTimeout)
	require.ErrorIs(t, r.server.Err(), ErrIdleTimeout, "the smaller timeout applies to both sides")
	require.Less(t, r.now.Sub(start), 7*time.Second)
}

func TestKeepAlive(t *testing.T) {
	r := connected(t, rigOptions{client: func(c *Config) { c.IdleTimeout, c.KeepAlive = 5*time.Second, 2*time.Second }})
	r.wait(time.Minute)
	require.NoError(t, errOf(r.client))
	require.NoError(t, errOf(r.server))
}

// A connection is kept alive within half of the smaller idle timeout of the two sides.
func TestKeepAliveWithinPeersIdleTimeout(t *testing.T) {
	r := connected(t, rigOptions{
		client: func(c *Config) { c.IdleTimeout, c.KeepAlive = 30*time.Second, 15*time.Second },
		server: func(c *Config) { c.IdleTimeout = 4 * time.Second },
	})
	r.wait(time.Minute)
	require.NoError(t, errOf(r.client))
	require.NoError(t, errOf(r.server))
}

// A peer that announces a tiny idle timeout gets no flood of PING frames: no idle timeout is shorter than three
// probe timeouts.
func TestKeepAliveOfTinyIdleTimeout(t *testing.T) {
	r := connected(t, rigOptions{
		client: func(c *Config) { c.IdleTimeout, c.KeepAlive = 30*time.Second, 15*time.Second },
		server: func(c *Config) { c.IdleTimeout = time.Millisecond },
	})
	sent, began := r.client.Stats().DatagramsSent, r.now
	r.wait(10 * time.Second)
	require.NoError(t, errOf(r.client))
	require.NoError(t, errOf(r.server))
	pings := r.now.Sub(began)/r.client.loss.PTO() + 1
	require.LessOrEqual(t, r.client.Stats().DatagramsSent-sent, uint64(2*pings))
}

// A peer that has aborted many streams receives the withheld credit in time, even if it sends nothing that
// prompts it.
func TestWithheldStreamCreditIsSent(t *testing.T) {
	r := connected(t, rigOptions{})
	blocked := 0
	for blocked < 3 {
		id, err := r.client.OpenStream(r.now, true)
		if err != nil {
			require.ErrorIs(t, err, streams.ErrLimit)
			blocked++
			r.pump()
		} else {
			blocked = 0
			require.NoError(t, r.client.ResetStream(r.now, id, 1))
			r.pump()
		}
		for id, ok := r.server.AcceptStream(true); ok; id, ok = r.server.AcceptStream(true) {
			_, err := r.server.Read(r.now, id, make([]byte, 1))
			require.Error(t, err)
		}
		r.pump()
	}
	r.wait(2 * time.Second)
	_, err := r.client.OpenStream(r.now, true)
	require.NoError(t, err)
}

func TestHandshakeTimeout(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.onDatagram = func(tlsprovider.Side, []byte) bool { return false }
	r.pump()
	r.wait(11 * time.Second)
	require.ErrorIs(t, r.client.Err(), ErrHandshakeTimeout)
	require.Greater(t, r.client.Stats().DatagramsSent, uint64(4), "it has sent probes")
}

// A datagram that ends in the reset token ends the connection. One that does not is dropped.
//
// "If the last 16 bytes of the datagram are identical in value to a stateless reset token, the endpoint MUST enter
// the draining period and not send any further packets on this connection."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3.1-5
func TestStatelessReset(t *testing.T) {
	r := connected(t, rigOptions{})
	token := r.serverConfig.ResetToken(r.server.ids.local[0].id)
	reset := append(bytes.Repeat([]byte{0x41}, 30), token[:]...)
	wrong := bytes.Clone(reset)
	wrong[len(wrong)-1] ^= 1
	copy(wrong[1:], r.client.ids.local[0].id.Bytes())
	r.client.HandleTrain(r.now, Train{Path: r.client.path, Data: wrong, SegmentSize: len(wrong)})
	require.NoError(t, errOf(r.client))
	copy(reset[1:], r.client.ids.local[0].id.Bytes())
	r.client.HandleTrain(r.now, Train{Path: r.client.path, Data: reset, SegmentSize: len(reset)})
	require.ErrorIs(t, r.client.Err(), ErrStatelessReset)
}

// The handshake fails if it authenticates other connection IDs than the peer's.
//
// "The values provided by a peer for these transport parameters MUST match the values that an endpoint used in the
// Destination and Source Connection ID fields of Initial packets that it sent (and received, for servers)."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.3-3
// "Endpoints MUST validate that received transport parameters match received connection ID values."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.3-3
// "An endpoint MUST treat the absence of the initial_source_connection_id transport parameter from either endpoint or
// the absence of the original_destination_connection_id transport parameter from the server as a connection error of
// type TRANSPORT_PARAMETER_ERROR."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.3-4
// "A server MUST treat receipt of any of these transport parameters as a connection error of type
// TRANSPORT_PARAMETER_ERROR."
// https://www.rfc-editor.org/rfc/rfc9000#section-18.2-8
// "An endpoint MUST treat the following as a connection error of type TRANSPORT_PARAMETER_ERROR or
// PROTOCOL_VIOLATION:"
// https://www.rfc-editor.org/rfc/rfc9000#section-7.3-5
func TestParametersAreAuthenticated(t *testing.T) {
	r := connected(t, rigOptions{})
	other := r.connID()
	for _, tt := range []struct {
		name string
		edit func(*wire.TransportParameters)
	}{
		{"no initial_source_connection_id", func(p *wire.TransportParameters) { p.HasInitialSrcConnID = false }},
		{"another initial_source_connection_id", func(p *wire.TransportParameters) { p.InitialSrcConnID = other }},
		{"no original_destination_connection_id", func(p *wire.TransportParameters) { p.HasOriginalDstConnID = false }},
		{"another original_destination_connection_id", func(p *wire.TransportParameters) { p.OriginalDstConnID = other }},
		{"retry_source_connection_id without Retry", func(p *wire.TransportParameters) {
			p.HasRetrySrcConnID, p.RetrySrcConnID = true, other
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := peerParams(t, r.server)
			tt.edit(&p)
			fresh := newRig(t, rigOptions{})
			fresh.client.ids.peerFirst, fresh.client.ids.havePeer = r.client.ids.peerFirst, true
			fresh.client.ids.originalDst = r.client.ids.originalDst
			fresh.client.handlePeerParams(p.Append(nil))
			require.Equal(t, uint64(wire.TransportParameterError), fresh.client.Err().Code)
		})
	}
	t.Run("no initial_source_connection_id beside an empty one", func(t *testing.T) {
		p := peerParams(t, r.server)
		p.HasInitialSrcConnID = false
		fresh := newRig(t, rigOptions{})
		fresh.client.ids.peerFirst, fresh.client.ids.havePeer = wire.ConnID{}, true
		fresh.client.ids.originalDst = r.client.ids.originalDst
		fresh.client.handlePeerParams(p.Append(nil))
		require.Error(t, errOf(fresh.client))
		require.Equal(t, uint64(wire.TransportParameterError), fresh.client.Err().Code)
	})
	t.Run("a server's parameter from a client", func(t *testing.T) {
		p := peerParams(t, r.server) // with original_destination_connection_id
		fresh := connected(t, rigOptions{})
		fresh.server.handlePeerParams(p.Append(nil))
		require.Equal(t, uint64(wire.TransportParameterError), fresh.server.Err().Code)
	})
}

// The limit on CRYPTO data applies to what is buffered and not to the offset. Frames may have any size.
//
// "Implementations MUST support buffering at least 4096 bytes of data received in out-of-order CRYPTO frames."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.5-2
func TestCryptoBuffer(t *testing.T) {
	for _, limit := range []int64{maxInitialCrypto, maxHandshakeCrypto} {
		r := cryptoRecv{limit: limit}
		require.True(t, r.receive(wire.Crypto{Offset: uint64(limit - 1), Data: []byte{1}}))
		require.False(t, r.receive(wire.Crypto{Offset: uint64(limit), Data: []byte{1}}))
		require.LessOrEqual(t, r.buffered(), int(limit))
	}
	// A megabyte passes in order, and in one-byte frames in reverse order within blocks of 4 KB.
	r := cryptoRecv{limit: maxInitialCrypto}
	want, got := make([]byte, 1<<20), []byte(nil)
	for i := range want {
		want[i] = byte(i * 7)
	}
	for block := 0; block < len(want); block += 2000 {
		end := min(block+2000, len(want))
		for i := end - 1; i >= block; i-- {
			require.True(t, r.receive(wire.Crypto{Offset: uint64(i), Data: want[i : i+1]}))
		}
		got = append(got, r.take()...)
	}
	require.Equal(t, want, got)
	require.Zero(t, r.buffered())
	// The maximum number of gaps is accepted, and one more is not.
	r = cryptoRecv{limit: maxInitialCrypto}
	for i := range maxCryptoGaps {
		require.True(t, r.receive(wire.Crypto{Offset: uint64(2*i + 1), Data: []byte{1}}))
	}
	require.False(t, r.receive(wire.Crypto{Offset: 2*maxCryptoGaps + 1, Data: []byte{1}}), "one gap too many")
}

// The number of packets that are kept until their keys arrive is bounded.
func TestUndecryptablePackets(t *testing.T) {
	r := newRig(t, rigOptions{})
	var held [][]byte
	r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
		if from == server && d[0]&0x80 != 0 && d[0]&0x30 == 0x00 {
			held = append(held, d) // the server's Initial packets come last
			return false
		}
		return true
	}
	r.pump()
	for range 200 { // a flood of packets that could be Handshake packets
		h := wire.AppendLongHeader(nil, wire.PacketHandshake, wire.Version1, r.client.ids.local[0].id, r.connID(), nil, 1, 4)
		n := len(h)
		h = append(h, make([]byte, 1000)...)
		wire.PatchLength(h, n, 1000)
		r.client.HandleTrain(r.now, Train{Path: r.client.path, Data: h, SegmentSize: len(h)})
		require.LessOrEqual(t, len(r.client.early.packets), maxEarlyPackets)
		require.LessOrEqual(t, r.client.early.others.bytes, maxEarlyBytes)
	}
	require.NotEmpty(t, held)
	r.onDatagram = nil
	for _, d := range held {
		r.deliver(server, d)
	}
	r.wait(3 * time.Second)
	require.True(t, r.client.tls.complete, "the handshake completes")
	require.NoError(t, errOf(r.client))
}

// The AEAD's limits apply to all phases together (RFC 9001, section 6.6).
//
// "If the total number of received packets that fail authentication within the connection, across all keys, exceeds
// the integrity limit for the selected AEAD, the endpoint MUST immediately close the connection with a connection
// error of type AEAD_LIMIT_REACHED and not process any more packets."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.6-6
// "If a key update is not possible or integrity limits are reached, the endpoint MUST stop using the connection and
// only send stateless resets in response to receiving packets."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.6-4
func TestAEADLimits(t *testing.T) {
	// "In addition to counting packets sent, endpoints MUST count the number of received packets that fail
	// authentication during the lifetime of a connection."
	// https://www.rfc-editor.org/rfc/rfc9001#section-6.6-6
	t.Run("integrity", func(t *testing.T) {
		r := connected(t, rigOptions{provider: fake.Options{IntegrityLimit: 20}})
		for i := range 20 {
			require.NoError(t, errOf(r.server), "after %d", i)
			pkt := r.packet(server, recovery.SpaceApp, []byte{1, 0, 0, 0}, nil)
			pkt[len(pkt)-1] ^= 1
			r.server.HandleTrain(r.now, Train{Path: r.server.path, Data: pkt, SegmentSize: len(pkt)})
			if i == 10 {
				r.server.UpdateKeys() // the count continues
			}
		}
		r.requireClosed(server, wire.AEADLimitReached, r.heard(r.server, r.client))
	})
	t.Run("confidentiality", func(t *testing.T) {
		r := connected(t, rigOptions{provider: fake.Options{ConfidentialityLimit: 30}})
		// The peer never acknowledges, so no update is possible.
		for i := range 100 {
			if r.server.Err() != nil {
				require.Greater(t, i, 10)
				break
			}
			r.say(server, recovery.SpaceApp, wire.Ping{})
			r.now = r.now.Add(time.Second)
			r.server.HandleTimeout(r.now)
			r.heard(r.server, r.client)
		}
		require.NotNil(t, r.server.Err())
		require.Equal(t, uint64(wire.AEADLimitReached), r.server.Err().Code)
	})
}

// When the peer updates its keys, we follow, and keep the previous keys for a while for late packets.
//
// "An endpoint MUST retain old keys until it has successfully unprotected a packet sent using the new keys."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.1-8
// "The endpoint MUST update its send keys to the corresponding key phase in response, as described in Section 6.1."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.2-2
// "Sending keys MUST be updated before sending an acknowledgment for the packet that was received with updated keys."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.2-2
func TestPeerUpdatesKeys(t *testing.T) {
	r := connected(t, rigOptions{})
	r.say(server, recovery.SpaceApp, wire.Ping{})
	late := r.packet(server, recovery.SpaceApp, wire.MaxData{Max: 1 << 40}.Append(nil), nil)
	lost := r.packet(server, recovery.SpaceApp, wire.MaxData{Max: 1 << 41}.Append(nil), nil)
	require.NoError(t, r.client.spaces[recovery.SpaceApp].seal.Update())
	r.client.keys.sealPhase++
	require.NotEmpty(t, r.say(server, recovery.SpaceApp, wire.Ping{}))
	require.Equal(t, r.server.keys.openPhase, r.server.keys.sealPhase)
	require.NotZero(t, r.server.keys.openPhase, "the server has answered in the new phase")
	received := r.server.Stats().PacketsReceived
	r.give(server, late)
	require.Equal(t, received+1, r.server.Stats().PacketsReceived, "packets of the previous phase still open")
	r.now = r.now.Add(10 * time.Second)
	r.server.HandleTimeout(r.now)
	r.give(server, lost)
	require.Equal(t, received+1, r.server.Stats().PacketsReceived, "three probe timeouts later they do not")
	require.NoError(t, errOf(r.server))
}

// A server sends at most three times what it has received before the client's address is validated.
//
// "Therefore, after receiving packets from an address that is not yet validated, an endpoint MUST limit the amount of
// data it sends to the unvalidated address to three times the amount of data received from that address."
// https://www.rfc-editor.org/rfc/rfc9000#section-8-2
// "The server MUST also limit the number of bytes it sends before validating the address of the client; see Section
// 8."
// https://www.rfc-editor.org/rfc/rfc9000#section-14.1-5
func TestAmplification(t *testing.T) {
	r := newRig(t, rigOptions{provider: fake.Options{ChainLen: 20_000}})
	up, down := 0, 0
	r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
		if from == server {
			down += len(d)
			require.LessOrEqual(t, down, 3*up)
			return false // nothing reaches the client
		}
		up += len(d)
		return true
	}
	r.pump()
	r.wait(5 * time.Second)
	require.NotZero(t, down)
}

var errTest = errors.New("test")

func TestCloseErrorUnwraps(t *testing.T) {
	require.ErrorIs(t, &CloseError{Cause: errTest}, errTest)
	require.ErrorIs(t, &CloseError{Silent: ErrIdleTimeout}, ErrIdleTimeout)
}

// peerParams returns the transport parameters that c sends.
func peerParams(t *testing.T, c *Conn) wire.TransportParameters {
	t.Helper()
	p, code := wire.ParseTransportParameters(c.localParams(), c.side == tlsprovider.Server)
	require.Zero(t, code)
	return p
}
