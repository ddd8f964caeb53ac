package streams

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A script reads numbers from fuzz input.
type script struct {
	b     []byte
	loans int // not returned
}

func (s *script) next() int {
	if len(s.b) == 0 {
		return 0
	}
	v := int(s.b[0])
	s.b = s.b[1:]
	return v
}

// id returns the ID of one of a few streams, most of which exist.
func (s *script) id() ID { return ID(s.next() % 64) }

// size returns a number that is small or near a limit.
func (s *script) size() uint64 {
	v := s.next()
	return uint64(v&15) << (v >> 4)
}

// op performs one operation: a frame from a peer that follows no rule, a call of an application that
// follows none, or an action of the network. It returns false if the connection must be closed.
func (s *script) op(t *testing.T, p *peer, pkts *[]*packet) bool {
	now := monotime.Time(1 + int64(len(s.b)))
	frame := func(f wire.Frame) bool {
		err := p.input(f)
		if err != nil {
			var e *Error
			require.ErrorAs(t, err, &e)
		}
		return err == nil
	}
	id := s.id()
	switch s.next() % 27 {
	case 0, 1, 2:
		v := s.next()
		return frame(wire.Stream{ID: uint64(id), Offset: s.size(), Data: make([]byte, v&0x7f*20), Fin: v&0x80 != 0})
	case 3:
		return frame(wire.ResetStream{ID: uint64(id), Code: 1, FinalSize: s.size()})
	case 4:
		return frame(wire.StopSending{ID: uint64(id), Code: 2})
	case 5:
		return frame(wire.MaxStreamData{ID: uint64(id), Max: s.size()})
	case 6:
		return frame(wire.MaxData{Max: s.size()})
	case 7:
		return frame(wire.MaxStreams{Uni: id.Uni(), Max: s.size() & 63})
	case 8:
		return frame(wire.StreamsBlocked{Uni: id.Uni(), Limit: s.size() & 63})
	case 9, 10:
		_, _ = p.Write(id, make([]byte, s.size()&0xffff))
	case 11:
		_ = p.CloseWrite(id)
	case 12:
		_ = p.Reset(id, 3)
	case 13:
		_ = p.StopSending(id, 4)
	case 14, 15:
		_, _ = p.Read(now, testRTT, id, make([]byte, s.size()&0xffff))
	case 16:
		_, _ = p.Open(id.Uni())
		p.Accept(id.Uni())
	case 17, 18:
		if pkt := p.send(s.next()*6, s.next()%4 == 0); pkt != nil {
			*pkts = append(*pkts, pkt)
		}
	case 19:
		if n := len(*pkts); n > 0 {
			// A packet may be lost and acknowledged later, so it is kept.
			pkt := (*pkts)[s.next()%n]
			p.fate(pkt, recovery.Fate(s.next()%2))
		}
	case 20:
		l := NewLoan(make([]byte, s.size()&0xffff), nil)
		_, _ = p.Lend(id, l)
		p.EndLoan(l)
		s.loans++
	case 21:
		c := NewChunk(s.next()%2 == 0)
		if p.WriteChunk(id, c, len(c.Bytes())-s.next()*16) != nil {
			c.Free()
		}
	case 22:
		want := s.next() * 64
		if b, err := p.Peek(id, want); err == nil {
			require.GreaterOrEqual(t, len(b), want)
		}
		p.PeekBehind(id, s.next()*64)
	case 23:
		_, _ = p.Discard(now, testRTT, id, int64(s.size()&0xffff))
	case 24:
		final := s.size()
		return frame(wire.ResetStreamAt{ID: uint64(id), Code: 1, FinalSize: final, ReliableSize: min(s.size(), final)})
	case 25:
		_ = p.ResetAt(id, 5, int64(s.size()))
	case 26:
		v := s.next()
		p.SetPriority(id, uint8(v&7), v&8 != 0)
	}
	for l := p.PollReturned(); l != nil; l = l.Next() {
		s.loans--
	}
	return true
}

// FuzzOps performs arbitrary actions of the peer and the application in any order. The Set stays
// consistent, and Close frees everything.
func FuzzOps(f *testing.F) {
	f.Add([]byte{0, 0, 0x85, 0, 0, 14, 0x47, 2, 16, 1, 16, 3, 9, 0x88, 3, 17, 200, 1, 3, 19, 0, 0})
	f.Add([]byte{1, 16, 1, 9, 0xa1, 1, 17, 255, 1, 1, 19, 0, 1, 1, 17, 255, 1, 1, 4, 1, 12, 1, 17, 9, 0})
	f.Add([]byte{6, 0, 3, 0x23, 6, 13, 6, 17, 99, 1, 6, 19, 0, 1, 6, 3, 0x41, 6, 17, 99, 0})
	f.Add([]byte{2, 0, 0x9f, 0x31, 2, 0, 0x1f, 0x21, 2, 14, 0xff, 2, 14, 0xff, 2, 14, 0xff})
	f.Add([]byte{1, 16, 1, 9, 0xa1, 1, 17, 255, 1, 1, 25, 0x41, 1, 17, 255, 1, 1, 25, 0x21, 1, 17, 255, 1, 1, 19, 0, 1, 1, 19, 1, 0, 1, 12, 1, 17, 255, 1})
	f.Add([]byte{0, 0, 0x1f, 0, 0, 24, 0x6f, 0x4f, 0, 14, 0x42, 0, 24, 0x6f, 0x2f, 0, 14, 0xff, 0, 14, 0xff})
	f.Add([]byte{1, 16, 1, 9, 0xa1, 1, 26, 2, 5, 16, 5, 9, 0xa1, 5, 26, 9, 1, 17, 200, 1, 1, 26, 7, 1, 17, 200, 1, 5, 25, 0x31, 1, 17, 200, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		p := &peer{t: t}
		cfg := testConfig()
		cfg.RecvWindow, cfg.ConnWindow, cfg.SendBuffer = 10000, 30000, 20000
		cfg.SendMemory, cfg.RecvMemory = NewBudget(50000), NewBudget(50000)
		cfg.ResetStreamAt = true
		p.Init(cfg, tlsprovider.Server)
		p.SetPeerParams(&wire.TransportParameters{MaxData: 5000, MaxStreamDataBidiLocal: 1000,
			MaxStreamDataBidiRemote: 2000, MaxStreamDataUni: 3000, MaxStreamsBidi: 3, MaxStreamsUni: 3, ResetStreamAt: true})
		s := script{b: b}
		var pkts []*packet
		for len(s.b) > 0 && s.op(t, p, &pkts) {
			require.NoError(t, p.CheckInvariants())
			if s.next()%8 == 0 {
				p.events()
			}
		}
		p.Close()
		for l := p.PollReturned(); l != nil; l = l.Next() {
			s.loans--
		}
		require.Zero(t, s.loans, "each loan is returned once")
		require.Zero(t, cfg.SendMemory.Used())
		require.Zero(t, cfg.RecvMemory.Used())
		require.NoError(t, p.CheckInvariants())
	})
}

// FuzzFrames passes arbitrary bytes as frames. Malformed frames are rejected and take no memory.
func FuzzFrames(f *testing.F) {
	for _, frame := range []wire.Frame{
		wire.Stream{ID: 0, Offset: 5, Data: []byte("abc"), Fin: true},
		wire.ResetStream{ID: 2, Code: 1, FinalSize: 10},
		wire.StopSending{ID: 0, Code: 1},
		wire.ResetStreamAt{ID: 2, Code: 1, FinalSize: 10, ReliableSize: 5},
		wire.MaxStreamData{ID: 0, Max: 1 << 40},
		wire.MaxData{Max: 1 << 40},
		wire.MaxStreams{Max: 1 << 60},
		wire.StreamsBlocked{Uni: true, Limit: 10},
	} {
		f.Add(frame.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p := newServer(t)
		for len(b) > 0 {
			typ, n := wire.ConsumeFrameType(b)
			if n < 0 || typ < wire.FrameResetStream || typ > wire.FrameStreamsBlockedUni && typ != wire.FrameResetStreamAt ||
				typ == wire.FrameCrypto || typ == wire.FrameNewToken {
				return
			}
			n, err := p.HandleFrame(1, testRTT, typ, b)
			require.NoError(t, p.CheckInvariants())
			if n < 0 || err != nil {
				return
			}
			require.Positive(t, n)
			b = b[n:]
		}
	})
}
