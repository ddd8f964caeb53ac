package recovery

import (
	"testing"
	"time"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/stretchr/testify/require"
)

// steadyState simulates a long-lived connection: it sends trains, and a packet is lost now and then. The
// receiver acknowledges the packets and the sender processes the acknowledgements.
type steadyState struct {
	l    Loss
	a    AckState
	now  monotime.Time
	buf  []byte
	fate FateFunc
	lost int
	acks int
}

func newSteadyState(newController func() Controller) *steadyState {
	s := &steadyState{now: testStart, buf: make([]byte, 0, 1500)}
	s.l.Init(s.now, Config{MaxDatagramSize: 1200, NewController: newController, Rand: func(b []byte) { clear(b) }})
	s.l.ConfirmHandshake(s.now)
	s.a.Init(SpaceApp)
	s.fate = func(_ Space, p *SentPacket, fate Fate) {
		if fate == Lost {
			s.lost++
		}
	}
	return s
}

func (s *steadyState) roundTrip(t require.TestingT) {
	for s.l.SendLimit(s.now) == SendAll {
		p := s.l.NewSent()
		p.Num, p.Time, p.Size = s.l.NextNumber(SpaceApp), s.now, 1200
		p.AckEliciting, p.InFlight = true, true
		p.Record = append(p.Record, 1, 2, 3)
		if p.Num%100 != 99 && s.a.ShouldProcess(p.Num) {
			s.a.Receive(s.now, p.Num, true, datagram.NotECT)
		}
		s.l.PacketSent(s.now, SpaceApp, p)
	}
	s.now = s.now.Add(10 * time.Millisecond)
	if s.a.ShouldSendAck(s.now) {
		b := s.a.AppendAck(s.buf, s.now, 1200)
		s.a.SentAck()
		f, _ := wire.ConsumeAck(b)
		require.NoError(t, s.l.HandleAck(s.now, SpaceApp, &f, s.fate))
		s.a.HandleAckOfAck(f.Largest - 10)
		s.acks++
	}
	s.l.HandleTimeout(s.now, s.fate)
}

// controllers are the congestion controllers by name.
var controllers = map[string]func() Controller{"NewReno": NewReno, "CUBIC": NewCubic}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	for name, newController := range controllers {
		t.Run(name, func(t *testing.T) {
			s := newSteadyState(newController)
			for range 2000 {
				s.roundTrip(t)
			}
			lost, acks := s.lost, s.acks
			require.Zero(t, testing.AllocsPerRun(500, func() { s.roundTrip(t) }))
			require.Greater(t, s.lost, lost, "packets were lost")
			require.Greater(t, s.acks, acks+400, "packets were acknowledged")
			require.NoError(t, s.l.CheckInvariants())
		})
	}
}

// Between exchanges a connection keeps what it needs for packets, and frees it when it rests.
func TestRestFreesPackets(t *testing.T) {
	s := newSteadyState(nil)
	s.l.setWindow(s.now, 4<<20, 4<<20)
	var b []byte
	exchange := func(packets int) {
		for range packets {
			p := s.l.NewSent()
			p.Num, p.Time, p.Size = s.l.NextNumber(SpaceApp), s.now, 1200
			p.AckEliciting, p.InFlight = true, true
			s.l.PacketSent(s.now, SpaceApp, p)
			s.a.Receive(s.now, p.Num, true, datagram.NotECT)
		}
		b = s.a.AppendAck(b[:0], s.now, 1200)
		f, _ := wire.ConsumeAck(b)
		require.NoError(t, s.l.HandleAck(s.now, SpaceApp, &f, s.fate))
		require.Zero(t, s.l.Path().BytesInFlight())
	}
	const many, few = 3000, 10
	exchange(many)
	repeat := func() {
		s.l.Trim()
		exchange(many)
	}
	require.Less(t, testing.AllocsPerRun(3, repeat), 100.0, "the packets of the exchange before are used again")
	require.Equal(t, many, kept(&s.l.pool))
	s.l.Trim()
	require.Equal(t, many, kept(&s.l.pool), "all were used since the last call")
	exchange(few)
	s.l.Trim()
	require.Equal(t, few, kept(&s.l.pool))
	require.LessOrEqual(t, len(s.l.spaces[SpaceApp].sent.buf), 8*few)
	exchange(many)
	require.NoError(t, s.l.CheckInvariants())
	require.True(t, s.l.Rest())
	require.Nil(t, s.l.pool.free)
	require.Empty(t, s.l.spaces[SpaceApp].sent.buf)
}

// kept returns the length of a free list.
func kept(f *sentPool) (n int) {
	for p := f.free; p != nil; p = p.next {
		n++
	}
	return n
}

func BenchmarkRoundTrip(b *testing.B) {
	for _, name := range []string{"NewReno", "CUBIC"} {
		b.Run(name, func(b *testing.B) {
			s := newSteadyState(controllers[name])
			first := s.l.NextNumber(SpaceApp)
			b.ReportAllocs()
			for b.Loop() {
				s.roundTrip(b)
			}
			packets := s.l.NextNumber(SpaceApp) - first
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(packets), "ns/packet")
		})
	}
}

// A packet with a few frames takes one allocation, its record included.
func TestSentPacketAllocations(t *testing.T) {
	record := make([]byte, 20)
	var p *SentPacket // outside of the function, so that it is on the heap
	require.EqualValues(t, 1, testing.AllocsPerRun(100, func() {
		var pool sentPool
		p = pool.take()
		p.Record = append(p.Record, record...)
	}))
}
