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

// An earlyClient is a client that sends 0-RTT packets to a scripted server.
type earlyClient struct {
	*rig
	early, app tlsprovider.Opener
	next       int64 // the largest packet number so far, plus 1
	numbers    []uint64
}

// newEarlyClient returns a client that remembers the transport parameters of its server. The fake has no keys for early data,
// so both sides use Initial keys.
func newEarlyClient(t *testing.T, remembered *wire.TransportParameters) *earlyClient {
	t.Helper()
	e := &earlyClient{rig: newRig(t, rigOptions{})}
	seal, open := e.pair("earlykey")
	e.early = open
	e.client.handleEarlyParams(remembered.Append(nil))
	e.client.installEarlyKeys(tlsprovider.Keys{Sealer: seal}, &tlsprovider.State{})
	e.onDatagram = nothingArrives
	e.step(e.client, client)
	return e
}

// pair returns a client's Sealer and its server's Opener.
func (e *earlyClient) pair(id string) (tlsprovider.Sealer, tlsprovider.Opener) {
	e.t.Helper()
	dst := testID(id)
	c, err := e.serverConfig.Provider.InitialKeys(1, dst.Bytes(), client)
	require.NoError(e.t, err)
	s, err := e.serverConfig.Provider.InitialKeys(1, dst.Bytes(), server)
	require.NoError(e.t, err)
	c.Opener.Close()
	s.Sealer.Close()
	e.t.Cleanup(s.Opener.Close)
	return c.Sealer, s.Opener
}

// installApp gives the client 1-RTT keys to send.
func (e *earlyClient) installApp() {
	e.t.Helper()
	seal, open := e.pair("1rtt-key")
	e.app = open
	e.client.installKeys(tlsprovider.LevelApp, tlsprovider.Keys{Sealer: seal})
}

// serverParams returns transport parameters with the connection IDs of this connection.
func (e *earlyClient) serverParams() wire.TransportParameters {
	p := wire.DefaultTransportParameters()
	p.InitialSrcConnID, p.HasInitialSrcConnID = e.client.ids.peerFirst, true
	p.OriginalDstConnID, p.HasOriginalDstConnID = e.client.ids.originalDst, true
	return p
}

// open writes n bytes on a new stream.
func (e *earlyClient) open(n int) streams.ID {
	e.t.Helper()
	id, err := e.client.OpenStream(e.now, false)
	require.NoError(e.t, err)
	_, err = e.client.Write(e.now, id, bytes.Repeat([]byte{7}, n))
	require.NoError(e.t, err)
	return id
}

// sends returns the frames that the client sends now in 0-RTT packets and in 1-RTT packets, and collects the numbers of these
// packets.
func (e *earlyClient) sends() (early, app []wire.Frame) {
	e.t.Helper()
	e.numbers = nil
	for tx, ok := e.client.PollTransmit(e.now, e.buf); ok; tx, ok = e.client.PollTransmit(e.now, e.buf) {
		train := Train{Data: bytes.Clone(tx.Data), SegmentSize: tx.SegmentSize}
		for d := train.Next(); len(d) > 0; d = train.Next() {
			for len(d) > 0 {
				h, n := wire.ParseLongHeader(d)
				switch {
				case n < 0:
					app = append(app, e.frames(e.app, d, 1+e.client.ids.dst().Len())...)
					d = nil
				case h.Type == wire.Packet0RTT:
					early = append(early, e.frames(e.early, d[:h.Len], h.PNOffset)...)
					d = d[h.Len:]
				default:
					d = d[h.Len:]
				}
			}
		}
	}
	return early, app
}

func (e *earlyClient) frames(open tlsprovider.Opener, pkt []byte, at int) (out []wire.Frame) {
	e.t.Helper()
	require.NotNil(e.t, open, "a packet without keys")
	desc := []tlsprovider.OpenDesc{{Len: uint32(len(pkt)), PNOffset: uint32(at)}}
	open.Open(pkt, desc, e.next-1)
	require.Equal(e.t, tlsprovider.OpenOK, desc[0].Status)
	e.numbers = append(e.numbers, desc[0].PacketNumber)
	e.next = max(e.next, int64(desc[0].PacketNumber)+1)
	for b := pkt[desc[0].HeaderLen:][:desc[0].PayloadLen]; len(b) > 0; {
		f, n := wire.ParseFrame(b)
		require.Positive(e.t, n)
		if _, pad := f.(wire.Padding); !pad {
			out = append(out, f)
		}
		b = b[n:]
	}
	return out
}

func streamBytes(frames []wire.Frame) (n int) {
	for _, f := range framesOf[wire.Stream](frames) {
		n += len(f.Data)
	}
	return n
}

// rememberedParams returns what a client remembers of a server that permits 1000 bytes of early data.
func rememberedParams() *wire.TransportParameters {
	p := wire.DefaultTransportParameters()
	p.MaxIdleTimeout, p.MaxData = 5*time.Second, 1000
	p.MaxStreamDataBidiRemote, p.MaxStreamsBidi, p.ActiveConnIDLimit = 800, 2, 2
	return &p
}

// TestRememberedParameters remembers parameters that must not be used, besides those that must.
//
// "A client MUST NOT use remembered values for the following parameters: ack_delay_exponent, max_ack_delay,
// initial_source_connection_id, original_destination_connection_id, preferred_address,
// retry_source_connection_id, and stateless_reset_token."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.4.1-4
// "The client MUST use the server's new values in the handshake instead; if the server does not provide new values,
// the default values are used."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.4.1-4
// "A client that attempts to send 0-RTT data MUST remember all other transport parameters used by the server that it
// is able to process."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.4.1-5
func TestRememberedParameters(t *testing.T) {
	forbidden := rememberedParams()
	forbidden.AckDelayExponent, forbidden.MaxAckDelay = 10, time.Second
	forbidden.InitialSrcConnID, forbidden.HasInitialSrcConnID = testID("before-1"), true
	forbidden.OriginalDstConnID, forbidden.HasOriginalDstConnID = testID("before-2"), true
	forbidden.RetrySrcConnID, forbidden.HasRetrySrcConnID = testID("before-3"), true
	forbidden.StatelessResetToken, forbidden.HasStatelessResetToken = [16]byte{1}, true
	forbidden.HasPreferredAddress = true
	forbidden.PreferredAddress = wire.PreferredAddress{IPv4: preferredAddr, ConnID: testID("before-4")}

	e, plain := newEarlyClient(t, forbidden), newEarlyClient(t, rememberedParams())
	require.Equal(t, plain.client.loss.PTO(), e.client.loss.PTO(), "max_ack_delay")
	require.Equal(t, e.client.ids.originalDst, e.client.ids.dst())
	require.False(t, e.client.ids.havePeer || e.client.ids.retried)
	require.False(t, e.client.ids.remote[0].hasToken)
	require.Len(t, e.client.ids.remote, 1)
	require.Nil(t, e.client.mig)

	require.Equal(t, 5*time.Second, e.client.idle.timeout)
	e.open(5000)
	e.open(5000)
	_, err := e.client.OpenStream(e.now, false)
	require.Error(t, err, "two streams are remembered")
	early, _ := e.sends()
	require.Equal(t, 1000, streamBytes(early), "what the server permitted")

	now := e.serverParams()
	now.MaxAckDelay, now.MaxIdleTimeout = 100*time.Millisecond, time.Minute
	pto := e.client.loss.PTO()
	e.client.handlePeerParams(now.Append(nil))
	require.NoError(t, errOf(e.client))
	require.Equal(t, pto+75*time.Millisecond, e.client.loss.PTO(), "the new max_ack_delay, not the default of 25 ms")
	require.Equal(t, 30*time.Second, e.client.idle.timeout, "the client's own, which is shorter than the new one")
}

// TestLimitsOfEarlyData has the server's new limits arrive while the client still sends 0-RTT packets.
//
// "When sending frames in 0-RTT packets, a client MUST only use remembered transport parameters; importantly, it MUST
// NOT use updated values that it learns from the server's updated transport parameters or from frames received in
// 1-RTT packets."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.4.1-11
func TestLimitsOfEarlyData(t *testing.T) {
	e := newEarlyClient(t, rememberedParams())
	e.open(5000)
	early, _ := e.sends()
	require.Equal(t, 800, streamBytes(early))
	p := e.serverParams()
	p.MaxData, p.MaxStreamDataBidiRemote, p.MaxStreamsBidi, p.ActiveConnIDLimit = 1<<20, 1<<20, 100, 4
	e.client.handlePeerParams(p.Append(nil))
	e.open(5000)
	_, err := e.client.OpenStream(e.now, false)
	require.Error(t, err)
	early, _ = e.sends()
	require.Equal(t, 200, streamBytes(early), "the rest of the remembered limit")
	e.installApp()
	e.client.tls.complete = true
	e.client.applyParams()
	early, app := e.sends()
	require.Empty(t, early)
	require.Greater(t, streamBytes(app), 5000, "the new limits apply")
}

// TestNoZeroRTTAfterAppKeys gives a client 1-RTT keys.
//
// "Once a client has installed 1-RTT keys, it MUST NOT send any more 0-RTT packets."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.6-9
// "A client MUST NOT send 0-RTT packets once it starts processing 1-RTT packets from the server."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.3-7
// "Though an endpoint might retain older keys, new data MUST be sent at the highest currently available encryption
// level."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.9-4
func TestNoZeroRTTAfterAppKeys(t *testing.T) {
	e := newEarlyClient(t, rememberedParams())
	id := e.open(100)
	early, _ := e.sends()
	require.Equal(t, 100, streamBytes(early))
	e.installApp()
	_, err := e.client.Write(e.now, id, make([]byte, 50))
	require.NoError(t, err)
	early, app := e.sends()
	require.Empty(t, early)
	require.Empty(t, app, "the handshake is not complete")
	e.client.tls.complete = true
	early, app = e.sends()
	require.Empty(t, early)
	require.Equal(t, 50, streamBytes(app))
}

// TestRetryOfEarlyData answers a client with a Retry after it has sent 0-RTT packets.
//
// "New packet numbers MUST be used for any new packets that are sent; as described in Section 17.2.5.3, reusing packet
// numbers could compromise packet protection."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.3-5
// "In comparison, a token obtained in a Retry packet MUST be used immediately during the connection attempt and cannot be
// used in subsequent connection attempts."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.3-7
func TestRetryOfEarlyData(t *testing.T) {
	e := newEarlyClient(t, rememberedParams())
	e.open(700)
	early, _ := e.sends()
	require.Equal(t, 700, streamBytes(early))
	last := e.numbers[len(e.numbers)-1]
	initial := e.client.loss.NextNumber(recovery.SpaceInitial)
	require.Positive(t, initial)

	b := wire.AppendRetry(nil, wire.Version1, e.client.ids.src(), testID("87654321"), []byte("token"))
	tag, err := e.serverConfig.Provider.RetryTag(uint32(wire.Version1), e.client.ids.originalDst.Bytes(), b)
	require.NoError(t, err)
	e.deliver(server, append(b, tag[:]...))
	require.True(t, e.client.Retried())
	early, _ = e.sends()
	require.Equal(t, 700, streamBytes(early), "everything is sent again")
	for _, n := range e.numbers {
		require.Greater(t, n, last)
	}
	require.Greater(t, e.client.loss.NextNumber(recovery.SpaceInitial), initial)
	require.Equal(t, "token", string(e.client.ids.token))
	require.Nil(t, e.client.TakeToken(), "not for other connections")
}

// TestRejectedEarlyDataBeginAgain has a server reject early data.
//
// "The client therefore MUST reset the state of all streams, including application state bound to those streams."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.6.2-3
func TestRejectedEarlyDataBeginAgain(t *testing.T) {
	e := newEarlyClient(t, rememberedParams())
	id := e.open(600)
	early, _ := e.sends()
	require.Equal(t, 600, streamBytes(early))
	p := e.serverParams()
	p.MaxData, p.MaxStreamDataBidiRemote, p.MaxStreamsBidi = 400, 400, 1
	e.client.handlePeerParams(p.Append(nil))
	e.client.rejectEarly()
	e.installApp()
	e.client.tls.complete = true
	e.client.applyParams()
	require.NoError(t, errOf(e.client))
	early, app := e.sends()
	require.Empty(t, early)
	f := framesOf[wire.Stream](app)
	require.NotEmpty(t, f)
	require.EqualValues(t, id, f[0].ID)
	require.Zero(t, f[0].Offset)
	require.Equal(t, 400, streamBytes(app), "within the new limits, of which early data have used nothing")
}
