package core

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// A server that closes before it has validated the client's address keeps to the anti-amplification limit:
// it does not pad its CONNECTION_CLOSE beyond the limit.
func TestCloseKeepsToTheAmplificationLimit(t *testing.T) {
	for _, credit := range []int{0, 60, 100, 200, 500, 1100, 1300} {
		r := newRig(t, rigOptions{provider: fake.Options{Classical: true, ChainLen: 20_000}})
		up := 0
		r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
			if from == client {
				up += len(d)
			}
			return from == client
		}
		r.step(r.client, client)
		require.NotNil(t, r.server)
		r.server.loss.Path().DatagramSent(r.server.loss.Path().AmplificationCredit() - credit)
		r.server.Close(r.now, false, uint64(wire.InternalError), "no")
		tx, ok := r.server.PollTransmit(r.now, r.buf)
		require.LessOrEqual(t, len(tx.Data), credit)
		require.Equal(t, credit >= 100, ok, "with a credit of %d bytes", credit)
		if ok {
			require.NotEmpty(t, closeOf(t, r.read(r.client, bytes.Clone(tx.Data))))
		}
	}
}

// CRYPTO data of an earlier level may be repeated but not continued.
//
// "If the packet is from a previously installed encryption level, it MUST NOT contain data that extends
// past the end of previously received data in that flow."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.1.3-10.2
// "Implementations MUST treat any violations of this requirement as a connection error of type PROTOCOL_VIOLATION."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.1.3-10.2
func TestCryptoOfAnEarlierLevelGoesOn(t *testing.T) {
	r := midHandshake(t, recovery.SpaceInitial)
	in := &r.server.spaces[recovery.SpaceInitial].in
	require.NotZero(t, in.base)
	crypto := func(offset int64, n int) []byte {
		return pad(wire.Crypto{Offset: uint64(offset), Data: make([]byte, n)}.Append(nil))
	}
	r.sayBytes(server, recovery.SpaceInitial, crypto(in.base-4, 4))
	require.NoError(t, errOf(r.server), "repeated data")
	short := r.packet(server, recovery.SpaceInitial, crypto(in.base-1, 2)[:1000], nil)
	r.give(server, short)
	// "Therefore, an endpoint MUST NOT close a connection when it receives a datagram that does not meet size
	// constraints; the endpoint MAY discard such datagrams."
	// https://www.rfc-editor.org/rfc/rfc9000#section-14-8
	require.NoError(t, errOf(r.server), "an Initial packet in a datagram below 1200 bytes")
	answer := r.sayBytes(server, recovery.SpaceInitial, crypto(in.base-1, 2))
	r.requireClosed(server, wire.ProtocolViolation, answer)
}

// The peer can only retire a connection ID that was sent to it, even if we have prepared others.
func TestRetireUnsentConnID(t *testing.T) {
	r := connected(t, rigOptions{})
	var frames []byte
	for seq := uint64(1); seq <= r.server.ids.announced; seq++ {
		frames = wire.RetireConnectionID{Seq: seq}.Append(frames)
	}
	ready := wire.RetireConnectionID{Seq: r.server.ids.announced + 1}
	r.server.HandleTrain(r.now, Train{Path: r.server.path, Data: r.packet(server, recovery.SpaceApp, frames, nil), SegmentSize: MinInitialSize})
	require.NoError(t, errOf(r.server))
	require.Greater(t, r.server.ids.nextLocal, ready.Seq)
	r.requireClosed(server, wire.ProtocolViolation, r.say(server, recovery.SpaceApp, ready))
}

// No packet is sealed beyond the AEAD's limit, neither in a train nor to close the connection.
//
// "Endpoints MUST count the number of encrypted packets for each set of keys."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.6-4
// "If the total number of encrypted packets with the same key exceeds the confidentiality limit for the selected
// AEAD, the endpoint MUST stop using those keys."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.6-4
func TestConfidentialityLimitInATrain(t *testing.T) {
	const limit = 24
	r := connected(t, rigOptions{provider: fake.Options{ConfidentialityLimit: limit},
		client: func(c *Config) { c.IdleTimeout = time.Hour }, server: func(c *Config) { c.IdleTimeout = time.Hour }})
	sp := r.server.spaces[recovery.SpaceApp]
	count := &countingSealer{Sealer: sp.seal}
	sp.seal = count
	already := r.server.keys.sealed
	id, err := r.server.OpenStream(r.now, false)
	require.NoError(t, err)
	_, err = r.server.Write(r.now, id, make([]byte, 1<<19))
	require.NoError(t, err)
	for i := 0; r.server.Err() == nil && i < 1000; i++ {
		r.heard(r.server, r.client)
		if next := r.server.NextTimeout(); next.After(r.now) {
			r.now = next
		}
		r.server.HandleTimeout(r.now)
	}
	require.Equal(t, wire.AEADLimitReached, wire.ErrorCode(r.server.Err().Code), "%v", r.server.Err())
	require.Equal(t, uint64(limit), already+count.packets, "exactly the limit is used")
}

// countingSealer counts the packets that it seals.
type countingSealer struct {
	tlsprovider.Sealer
	packets uint64
}

func (s *countingSealer) Seal(slab []byte, train []tlsprovider.SealDesc) error {
	s.packets += uint64(len(train))
	return s.Sealer.Seal(slab, train)
}

// The reset token of a connection ID that is not in use is ignored, and so is a token in a datagram that is
// too small for a reset.
func TestResetTokenOfAnUnusedID(t *testing.T) {
	r := connected(t, rigOptions{})
	c := r.client
	require.Greater(t, len(c.ids.remote), 1)
	datagram := func(n int, token [16]byte) Train {
		d := bytes.Repeat([]byte{0x41}, n)
		copy(d[1:], c.ids.local[0].id.Bytes())
		copy(d[n-16:], token[:])
		return Train{Path: c.path, Data: d, SegmentSize: n}
	}
	c.HandleTrain(r.now, datagram(60, c.ids.remote[1].token))
	require.NoError(t, errOf(c))
	small := make([]byte, 20)
	copy(small[1:], c.ids.local[0].id.Bytes())
	small[0] = 0x41
	c.recv.tails = append(c.recv.tails[:0], c.ids.remote[0].token)
	c.HandleTrain(r.now, Train{Path: c.path, Data: bytes.Clone(small), SegmentSize: len(small)})
	require.NoError(t, errOf(c))
	c.ids.remote[0].token = [16]byte(small[4:])
	c.HandleTrain(r.now, Train{Path: c.path, Data: bytes.Clone(small), SegmentSize: len(small)})
	require.NoError(t, errOf(c), "a datagram of less than 21 bytes is not a reset")
	c.HandleTrain(r.now, datagram(60, c.ids.remote[0].token))
	require.ErrorIs(t, c.Err(), ErrStatelessReset)
}

// A peer that uses empty connection IDs must not issue others.
//
// "An endpoint that is sending packets with a zero-length Destination Connection ID MUST treat receipt of a
// NEW_CONNECTION_ID frame as a connection error of type PROTOCOL_VIOLATION."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.15-6
func TestNewConnectionIDBesideEmptyOnes(t *testing.T) {
	r := connected(t, rigOptions{})
	r.server.ids.remote = []remoteID{{}}
	r.say(server, recovery.SpaceApp, wire.NewConnectionID{Seq: 1, ConnID: r.connID()})
	require.Equal(t, wire.ProtocolViolation, wire.ErrorCode(r.server.Err().Code))
}

// The reason phrase of a peer's CONNECTION_CLOSE is cut and escaped, so that it cannot control a terminal.
func TestReasonOfThePeer(t *testing.T) {
	r := connected(t, rigOptions{})
	r.say(server, recovery.SpaceApp, wire.ConnectionClose{Application: true, Reason: append([]byte("\x1b[2J"), bytes.Repeat([]byte("x"), 900)...)})
	require.Len(t, r.server.Err().Reason, maxReason)
	require.NotContains(t, r.server.Err().Error(), "\x1b")
}

// An application that reads nothing for longer than the idle timeout, and has used up its memory, does not
// lose the connection.
func TestStarvedConnectionStaysAlive(t *testing.T) {
	const size = 300_000
	r := connected(t, rigOptions{server: func(c *Config) {
		c.Streams.RecvMemory, c.Streams.RecvWindow, c.Streams.ConnWindow = streams.NewBudget(0), size, size
	}})
	id, err := r.client.OpenStream(r.now, true)
	require.NoError(t, err)
	_, err = r.client.Write(r.now, id, make([]byte, size))
	require.NoError(t, err)
	r.pump()
	for range 10 {
		r.wait(20 * time.Second)
	}
	require.Positive(t, r.server.Stats().Drops[DropNoMemory])
	require.NoError(t, errOf(r.client))
	require.NoError(t, errOf(r.server))
	received := 0
	p := make([]byte, 10_000)
	for i := 0; received < size; i++ {
		require.Less(t, i, 10_000, "%d bytes", received)
		n, err := r.server.Read(r.now, id, p)
		received += n
		if err != nil {
			require.ErrorIs(t, err, streams.ErrBlocked)
			r.wait(100 * time.Millisecond)
		}
		r.pump()
	}
	require.False(t, r.server.idle.starved)
}

// Packets for which there is no memory are dropped as a whole. The application receives every byte once it
// reads.
//
// "A packet MUST NOT be acknowledged until packet protection has been successfully removed and all frames contained
// in the packet have been processed."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.1-1
func TestReceiveMemory(t *testing.T) {
	const size = 300_000
	budget := streams.NewBudget(0)
	r := connected(t, rigOptions{server: func(c *Config) {
		c.Streams.RecvMemory, c.Streams.RecvWindow, c.Streams.ConnWindow = budget, size, size
	}})
	id, err := r.client.OpenStream(r.now, true)
	require.NoError(t, err)
	want := make([]byte, size)
	r.fill(want)
	_, err = r.client.Write(r.now, id, want)
	require.NoError(t, err)
	require.NoError(t, r.client.CloseWrite(r.now, id))
	r.pump()
	r.wait(5 * time.Second)
	require.Positive(t, r.server.Stats().Drops[DropNoMemory])
	require.Positive(t, budget.Refused())
	require.LessOrEqual(t, budget.Used(), int64(2*streams.MinShare+20<<10))
	require.NoError(t, errOf(r.client))
	require.NoError(t, errOf(r.server))

	var got []byte
	p := make([]byte, 10_000)
	for i := 0; len(got) < size; i++ {
		require.Less(t, i, 1000, "%d bytes", len(got))
		n, err := r.server.Read(r.now, id, p)
		got = append(got, p[:n]...)
		if err != nil {
			require.ErrorIs(t, err, streams.ErrBlocked)
			r.wait(100 * time.Millisecond)
		}
		r.pump()
	}
	require.Equal(t, want, got)
	_, err = r.server.Read(r.now, id, p)
	require.ErrorIs(t, err, io.EOF)
	require.Zero(t, budget.Used())
}
