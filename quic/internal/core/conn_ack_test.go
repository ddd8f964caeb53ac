package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// midFlight returns a rig whose client has received the server's Initial packets, and the client's pending TLS job.
func midFlight(t *testing.T) (*rig, *TLSJob) {
	t.Helper()
	r := newRig(t, rigOptions{})
	r.onDatagram = func(from tlsprovider.Side, d []byte) bool { return from == tlsprovider.Client }
	r.pump() // the server's flight is lost
	r.onDatagram = nil
	require.NotNil(t, r.server)
	r.server.prepareProbes()
	tx, ok := r.server.PollTransmit(r.now, r.buf)
	require.True(t, ok)
	r.client.HandleTrain(r.now, Train{Path: r.client.path, Data: tx.Data, SegmentSize: tx.SegmentSize})
	j := r.client.PollTLS()
	require.NotNil(t, j)
	return r, j
}

// The acknowledgement of a handshake packet waits for the TLS job, but not for longer than maxAckHoldTLS.
func TestAckWaitsForTLS(t *testing.T) {
	silent := func(r *rig, why string) {
		t.Helper()
		_, ok := r.client.PollTransmit(r.now, r.buf)
		require.False(t, ok, why)
	}
	t.Run("a slow job", func(t *testing.T) {
		r, j := midFlight(t)
		silent(r, "it waits")
		at := r.client.NextTimeout()
		require.Equal(t, r.now.Add(maxAckHoldTLS), at)
		r.now = at - 1
		r.client.HandleTimeout(r.now)
		silent(r, "it waits until the deadline")
		r.now = at
		r.client.HandleTimeout(r.now)
		frames := r.heard(r.client, r.server)
		require.NotEmpty(t, frames)
		require.IsType(t, wire.Ack{}, frames[0])
		j.Run()
		r.client.HandleTLSResult(r.now, j)
	})
	t.Run("a fast job", func(t *testing.T) {
		r, j := midFlight(t)
		silent(r, "it waits")
		j.Run()
		r.client.HandleTLSResult(r.now, j)
		for j := r.client.PollTLS(); j != nil; j = r.client.PollTLS() {
			j.Run()
			r.client.HandleTLSResult(r.now, j)
		}
		require.True(t, r.client.tls.complete)
		sent := r.client.stats.DatagramsSent
		frames := r.heard(r.client, r.server)
		require.Equal(t, sent+1, r.client.stats.DatagramsSent, "everything fits in one datagram")
		acks, crypto := 0, 0
		for _, f := range frames {
			switch f.(type) {
			case wire.Ack:
				acks++
			case wire.Crypto:
				crypto++
			}
		}
		require.Equal(t, 2, acks, "of Initial packets and of Handshake packets")
		require.Equal(t, 1, crypto, "Finished")
	})
	t.Run("a probe", func(t *testing.T) {
		r, j := midFlight(t)
		silent(r, "it waits")
		r.now = r.now.Add(maxAckHoldTLS / 2)
		for r.client.loss.ProbesPending() == 0 {
			// The client's probe timeout expires before the acknowledgement's deadline.
			r.client.loss.HandleTimeout(r.client.loss.NextTimeout(), r.client.onFate)
		}
		frames := r.heard(r.client, r.server)
		require.NotEmpty(t, frames)
		require.IsType(t, wire.Ack{}, frames[0], "the acknowledgement travels with the probe")
		j.Run()
		r.client.HandleTLSResult(r.now, j)
	})
}

// Without a TLS job, the acknowledgement waits a millisecond for the rest of the flight, and for at most
// maxHeldPackets packets.
func TestAckWaitsForFlight(t *testing.T) {
	r, j := midFlight(t)
	j.Run()
	r.client.HandleTLSResult(r.now, j)
	for r.step(r.client, client) {
	}
	c := r.client
	require.Nil(t, c.PollTLS())
	ping := func() {
		d := r.packet(client, recovery.SpaceHandshake, wire.Ping{}.Append(make([]byte, 3)), nil)
		c.HandleTrain(r.now, Train{Path: c.path, Data: d, SegmentSize: len(d)})
	}
	r.now = r.now.Add(time.Second)
	ping()
	require.Equal(t, r.now.Add(maxAckHoldFlight), c.ackTime(recovery.SpaceHandshake))
	_, ok := c.PollTransmit(r.now, r.buf)
	require.False(t, ok)
	for range maxHeldPackets {
		ping()
	}
	require.False(t, c.ackTime(recovery.SpaceHandshake).After(r.now))
	_, ok = c.PollTransmit(r.now, r.buf)
	require.True(t, ok)
}

// A peer that acknowledges everything that we might have sent acknowledges a packet number that was skipped.
//
// "An endpoint that acknowledges packets it has not received might cause a congestion controller to permit sending at
// rates beyond what the network supports. An endpoint MAY skip packet numbers when sending packets to detect this
// behavior."
// https://www.rfc-editor.org/rfc/rfc9000#section-21.4-1
func TestOptimisticAcks(t *testing.T) {
	r := connected(t, rigOptions{})
	next := func() wire.PacketNumber { return r.server.loss.NextNumber(recovery.SpaceApp) }
	id, err := r.server.OpenStream(r.now, true)
	require.NoError(t, err)
	for next() < 150 { // the first number is skipped before the 128th
		_, err = r.server.Write(r.now, id, []byte("something"))
		require.NoError(t, err)
		r.pump()
		r.wait(100 * time.Millisecond)
	}
	require.NoError(t, errOf(r.server))
	// "An endpoint SHOULD treat receipt of an acknowledgment for a packet it did not send as a connection error of
	// type PROTOCOL_VIOLATION"
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.1-3
	last := next() - 1
	answer := r.sayBytes(tlsprovider.Server, recovery.SpaceApp, wire.AppendAck(nil, []wire.PNRange{{Start: last - 120, End: last + 1}}, 0, nil, 100))
	r.requireClosed(tlsprovider.Server, wire.ProtocolViolation, answer)
	require.Contains(t, r.server.Err().Reason, "skipped")
}
