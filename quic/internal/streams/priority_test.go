package streams

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// A prioritized is what a test knows about a stream with a priority.
type prioritized struct {
	id          ID
	urgency     uint8
	incremental bool
	left        int64 // new bytes to send
	lost        int64 // bytes to send again
	waited      int   // frames of other streams since its last frame, while nothing more urgent was sent
}

// dataFrames returns the STREAM frames of a packet.
func (pkt *packet) dataFrames(t testing.TB) (list []wire.Stream) {
	for b := pkt.payload; len(b) > 0; {
		f, n := wire.ParseFrame(b)
		require.Positive(t, n)
		if s, ok := f.(wire.Stream); ok {
			list = append(list, s)
		}
		b = b[n:]
	}
	return list
}

// bigConfig has limits that block nothing.
func bigConfig() *Config {
	c := testConfig()
	c.RecvWindow, c.ConnWindow, c.SendBuffer = 1<<30, 1<<40, 1<<30
	c.MaxRecvWindow, c.MaxConnWindow, c.MaxUni = 1<<30, 1<<40, 100
	return c
}

// TestPriorities writes to streams of random priorities, changes some of them while they send, loses packets, and
// checks every frame.
//
// "It is RECOMMENDED that, when possible, servers respect the urgency parameter (Section 4.1), sending
// higher-urgency responses before lower-urgency responses."
// https://www.rfc-editor.org/rfc/rfc9218#section-10-3
func TestPriorities(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 9218))
		a, _ := newPair(t, bigConfig(), bigConfig())
		var all []*prioritized
		set := func(p *prioritized) {
			p.urgency, p.incremental, p.waited = uint8(rng.IntN(3)), rng.IntN(2) == 0, 0
			a.SetPriority(p.id, p.urgency, p.incremental)
		}
		for range 1 + rng.IntN(20) {
			id, err := a.Open(true)
			require.NoError(t, err)
			p := &prioritized{id: id, urgency: defaultUrgency, incremental: true}
			if rng.IntN(4) > 0 {
				set(p)
			}
			all = append(all, p)
		}
		for _, i := range rng.Perm(len(all)) {
			p := all[i]
			p.left = rng.Int64N(30_000)
			_, err := a.Write(p.id, make([]byte, p.left))
			require.NoError(t, err)
			if rng.IntN(4) == 0 {
				set(p)
			}
		}
		for {
			pkt := a.send(200+rng.IntN(1000), false)
			if pkt == nil {
				break
			}
			require.NoError(t, a.CheckInvariants())
			for _, f := range pkt.dataFrames(t) {
				checkTurn(t, all, f, seed)
			}
			if rng.IntN(10) == 0 {
				a.fate(pkt, recovery.Lost)
				for _, f := range pkt.dataFrames(t) {
					all[ID(f.ID).Num()].lost += int64(len(f.Data))
				}
			}
			if rng.IntN(10) == 0 {
				set(all[rng.IntN(len(all))])
			}
		}
		for _, p := range all {
			require.Zero(t, p.left+p.lost, "seed %d: stream %d is left", seed, p.id)
		}
	}
}

// checkTurn verifies that it was the turn of the stream of a frame.
func checkTurn(t *testing.T, all []*prioritized, f wire.Stream, seed uint64) {
	t.Helper()
	sent := all[ID(f.ID).Num()]
	n := int64(len(f.Data))
	resent := sent.lost > 0
	waits := func(p *prioritized) bool {
		if resent {
			return p.lost > 0
		}
		return p.left > 0
	}
	streams := 0
	for _, p := range all {
		require.False(t, !resent && p.lost > 0, "seed %d: new data of %d before lost data of %d", seed, sent.id, p.id)
		if !waits(p) {
			continue
		}
		require.GreaterOrEqual(t, p.urgency, sent.urgency, "seed %d: %d before %d, which is more urgent", seed, sent.id, p.id)
		if p.urgency != sent.urgency {
			continue
		}
		streams++
		if !p.incremental && !sent.incremental {
			require.GreaterOrEqual(t, p.id, sent.id, "seed %d: streams that are not incremental, in another order", seed)
		}
		if p.waited++; p.incremental {
			// Between two frames of an incremental stream, each other one has had a turn, and those that are not
			// incremental as many.
			require.LessOrEqual(t, p.waited, 2*len(all)+1, "seed %d: stream %d starves", seed, p.id)
		}
	}
	require.Positive(t, streams, "seed %d: a frame without data to send", seed)
	sent.waited = 0
	if resent {
		sent.lost -= n
	} else {
		sent.left -= n
	}
}

// "Incremental responses of the same urgency SHOULD be served by sharing bandwidth among them."
// https://www.rfc-editor.org/rfc/rfc9218#section-10-6
// "Non-incremental responses of the same urgency SHOULD be served by prioritizing bandwidth allocation in ascending
// order of the stream ID".
// https://www.rfc-editor.org/rfc/rfc9218#section-10-5
func TestPriorityOrder(t *testing.T) {
	type prio struct {
		urgency     uint8
		incremental bool
	}
	for _, tt := range []struct {
		name    string
		prios   []prio
		reverse bool // the last stream is written to first
		want    []ID // numbers of streams, of which each has two packets of data
	}{
		{"default", []prio{{3, true}, {3, true}, {3, true}}, false, []ID{0, 1, 2, 0, 1, 2}},
		{"one after another", []prio{{3, false}, {3, false}, {3, false}}, true, []ID{0, 0, 1, 1, 2, 2}},
		{"by urgency", []prio{{7, true}, {0, true}, {3, true}}, false, []ID{1, 1, 2, 2, 0, 0}},
		{"incremental beside others", []prio{{2, false}, {2, true}, {2, false}, {2, true}}, false, []ID{0, 1, 0, 3, 2, 1, 2, 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, _ := newPair(t, bigConfig(), bigConfig())
			for _, p := range tt.prios {
				id, err := a.Open(true)
				require.NoError(t, err)
				a.SetPriority(id, p.urgency, p.incremental)
			}
			for i := range tt.prios {
				if tt.reverse {
					i = len(tt.prios) - 1 - i
				}
				id := MakeID(a.side, true, int64(i))
				_, err := a.Write(id, make([]byte, 2*(1000-wire.Stream{ID: uint64(id), Offset: 995, ToEnd: true}.Overhead(0))))
				require.NoError(t, err)
			}
			var got []ID
			for pkt := a.send(1000, false); pkt != nil; pkt = a.send(1000, false) {
				for _, f := range pkt.dataFrames(t) {
					if n := ID(ID(f.ID).Num()); len(f.Data) > 100 {
						got = append(got, n)
					}
				}
			}
			require.Equal(t, tt.want, got)
		})
	}
}

// Priorities cost nothing until they are used.
func TestPrioritiesUnused(t *testing.T) {
	a, _ := newPair(t, bigConfig(), bigConfig())
	id, err := a.Open(true)
	require.NoError(t, err)
	_, err = a.Write(id, make([]byte, 100))
	require.NoError(t, err)
	a.SetPriority(id, defaultUrgency, true)
	require.Nil(t, a.prio)
	a.SetPriority(id, defaultUrgency, false)
	require.NotNil(t, a.prio)
	require.NotNil(t, a.send(1000, false))
	a.SetPriority(1<<20, 0, false) // a stream that does not exist
}
