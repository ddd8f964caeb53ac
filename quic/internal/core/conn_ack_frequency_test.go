package core

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

func useAckFrequency(c *Config) { c.AckFrequency = true }

// A peer that breaks a rule of ACK_FREQUENCY.
func TestPeerBreaksARuleOfAckFrequency(t *testing.T) {
	valid := wire.AckFrequency{Threshold: 9, MaxDelay: 1000, Reordering: 3}
	for _, tt := range []struct {
		name  string
		use   bool
		frame wire.Frame
		want  wire.ErrorCode
	}{
		{"ACK_FREQUENCY without support", false, valid, wire.FrameEncodingError},
		{"IMMEDIATE_ACK without support", false, wire.ImmediateAck{}, wire.FrameEncodingError},
		// "Note that values of 2^14 milliseconds or greater are invalid for max_ack_delay", "A value smaller than the
		// min_ack_delay advertised by the peer is also invalid. Receipt of an invalid value MUST be treated as a
		// connection error of type PROTOCOL_VIOLATION." (draft-ietf-quic-ack-frequency, ACK_FREQUENCY Frame)
		{"a delay below min_ack_delay", true, wire.AckFrequency{Threshold: 9, MaxDelay: 999}, wire.ProtocolViolation},
		{"a delay of 2^14 ms", true, wire.AckFrequency{Threshold: 9, MaxDelay: 1000 << 14}, wire.ProtocolViolation},
		{"a delay of 2^62-1", true, wire.AckFrequency{Threshold: 9, MaxDelay: varint.Max}, wire.ProtocolViolation},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := connected(t, rigOptions{server: func(c *Config) { c.AckFrequency = tt.use }})
			r.requireClosed(server, tt.want, r.say(server, recovery.SpaceApp, tt.frame))
		})
	}
	for _, s := range []recovery.Space{recovery.SpaceInitial, recovery.SpaceHandshake} {
		for _, f := range []wire.Frame{valid, wire.ImmediateAck{}} {
			r := midHandshake(t, s)
			r.requireClosed(client, wire.ProtocolViolation, r.say(client, s, f))
		}
	}
}

// What a peer requests is followed.
func TestAckFrequencyOfPeer(t *testing.T) {
	r := connected(t, rigOptions{server: useAckFrequency})
	acks := func(frames []wire.Frame) (n int) {
		for _, f := range frames {
			if _, ok := f.(wire.Ack); ok {
				n++
			}
		}
		return n
	}
	r.say(server, recovery.SpaceApp, wire.AckFrequency{Threshold: 4, MaxDelay: 200_000, Reordering: 3})
	for range 3 { // until the gap before the first packet has been reported
		r.say(server, recovery.SpaceApp, wire.ImmediateAck{})
	}
	n := 0
	for range 10 {
		n += acks(r.say(server, recovery.SpaceApp, wire.Ping{}))
	}
	require.Equal(t, 2, n, "one for each five packets")
	require.Equal(t, 1, acks(r.say(server, recovery.SpaceApp, wire.ImmediateAck{})))
	require.Zero(t, acks(r.say(server, recovery.SpaceApp, wire.Ping{})))
	require.Equal(t, r.now.Add(200*time.Millisecond), r.server.app.acks.AckDeadline())
}

// A connection requests fewer acknowledgements when its congestion window grows. Until the request is acknowledged, the
// probe timeout allows for the longer of both delays.
func TestAckFrequencyRequest(t *testing.T) {
	r := connected(t, rigOptions{client: useAckFrequency, server: useAckFrequency})
	require.NotNil(t, r.client.ext.ackFreq)
	q := r.client.ext.ackFreq
	base := r.client.loss.PTO()
	q.frame.MaxDelay, q.frame.Reordering = 300_000, 3
	q.request.Set()
	lost := r.heard(r.client, r.server)
	require.Contains(t, lost, wire.Frame(wire.AckFrequency{Threshold: 1, MaxDelay: 300_000, Reordering: 3}))
	require.Equal(t, base+275*time.Millisecond, r.client.loss.PTO())

	q.frame.MaxDelay = 5000
	q.request.Set()
	r.pump()
	require.Equal(t, base+275*time.Millisecond, r.client.loss.PTO(), "the greater one while both are in flight")
	require.EqualValues(t, 5000, q.frame.MaxDelay)
	r.wait(time.Second)
	require.True(t, q.request.IsReceived())
	require.Equal(t, 5*time.Millisecond, q.current)
}

// Both sides agree without a setting of one of them: then nothing is sent.
func TestAckFrequencyNeedsBoth(t *testing.T) {
	for _, o := range []rigOptions{{client: useAckFrequency}, {server: useAckFrequency}} {
		r := connected(t, o)
		require.Nil(t, r.client.ext.ackFreq)
		require.Nil(t, r.server.ext.ackFreq)
	}
}

// The client inverts the spin bit and the server reflects it, so that it changes once in a round trip.
//
// "Even when the spin bit is not disabled by the administrator, endpoints MUST disable their use of the spin bit for
// a random selection of at least one in every 16 network paths, or for one in every 16 connection IDs, in order to
// ensure that QUIC connections that disable the spin bit are commonly observed on the network."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.4-4
func TestSpinBit(t *testing.T) {
	on := func(c *Config) { c.SpinBit = true }
	off, spinning := 0, 0
	for i := range 200 {
		r := newRig(t, rigOptions{client: on, server: on})
		r.random = uint64(i) * 0x9e3779b97f4a7c15
		r.client.initSpin()
		r.pump()
		r.wait(time.Second)
		if r.client.ext.spin.off {
			off++
		}
		if r.client.ext.spin.off || r.server.ext.spin.off {
			continue
		}
		spinning++
		id, err := r.client.OpenStream(r.now, true)
		require.NoError(t, err)
		for range 4 {
			before := r.client.ext.spin.value
			_, err = r.client.Write(r.now, id, make([]byte, 10))
			require.NoError(t, err)
			r.pump()
			r.wait(time.Second)
			require.NotEqual(t, before, r.client.ext.spin.value, "one round trip, one change")
			require.Equal(t, before, r.server.ext.spin.value)
		}
	}
	require.InDelta(t, 200/16., off, 12, "one in 16 does not spin")
	require.Greater(t, spinning, 100)
}

// TestSpinBitIsOff sends packets with the spin bit to connections that do not use it, because the configuration says so or
// because they were drawn.
//
// "Implementations MUST allow administrators of clients and servers to disable the spin bit either globally or on a
// per-connection basis."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.4-4
// "When the spin bit is disabled, endpoints MAY set the spin bit to any value and MUST ignore any incoming value."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.4-5
func TestSpinBitIsOff(t *testing.T) {
	for _, side := range []tlsprovider.Side{client, server} {
		for _, drawn := range []bool{false, true} {
			r := connected(t, rigOptions{})
			c, puppet := r.side(side)
			if drawn {
				c.extend().spin = &spinState{off: true, noise: 12345}
			}
			// What is sent must not depend on what is received.
			var sent [2][]byte
			for i := range sent {
				spin := i == 1
				for range 20 {
					d := r.packet(side, recovery.SpaceApp, wire.Ping{}.Append([]byte{0, 0, 0}), func(h []byte) {
						if spin {
							h[0] |= 0x20
						}
					})
					c.HandleTrain(r.now, Train{Path: c.path, Data: d, SegmentSize: len(d)})
					for tx, ok := c.PollTransmit(r.now, r.buf); ok; tx, ok = c.PollTransmit(r.now, r.buf) {
						require.NotEmpty(t, r.read(puppet, bytes.Clone(tx.Data)))
						sent[i] = append(sent[i], tx.Data[0]&0x20)
					}
				}
				if drawn {
					c.ext.spin.noise = 12345
				}
			}
			require.NotEmpty(t, sent[0])
			require.Equal(t, sent[0], sent[1])
			if !drawn {
				require.NotContains(t, sent[0], byte(0x20))
			}
		}
	}
}

// "[An] endpoint resets the spin value for a network path to 0 when changing the connection ID being used on that
// network path."
func TestSpinBitOfAnotherConnectionID(t *testing.T) {
	r := connected(t, rigOptions{})
	s := &spinState{}
	s.received(0, client)
	a, b := r.connID(), r.connID()
	require.False(t, s.next(a))
	s.received(0, client)
	require.True(t, s.next(a))
	require.False(t, s.next(b))
	s.off, s.noise = true, 12345
	ones := 0
	for range 1000 {
		if s.next(b) {
			ones++
		}
	}
	require.InDelta(t, 500, ones, 100, "random")
}
