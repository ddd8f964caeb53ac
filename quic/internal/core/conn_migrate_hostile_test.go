package core

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A server that issues and retires connection IDs and answers challenges as it likes, while the client's application adds,
// switches and removes paths: no packet has a connection ID of two local addresses, and the timeouts come to an end.
//
// "An endpoint MUST NOT reuse a connection ID when sending from more than one local address -- for example, when initiating
// connection migration as described in Section 9.2 or when probing a new network path as described in Section 9.1."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.5-3
func TestClientPathsWithHostileServer(t *testing.T) {
	for seed := range uint64(50) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s := &clientStorm{rig: connected(t, rigOptions{}), random: rand.New(rand.NewPCG(seed, 1)),
				nextID: 2, usedFrom: make(map[wire.ConnID]netip.AddrPort)}
			s.run()
		})
	}
}

type clientStorm struct {
	*rig
	random   *rand.Rand
	nextID   uint64
	added    []uint32
	locals   uint16
	due      []wire.PathChallenge
	paths    []Path
	usedFrom map[wire.ConnID]netip.AddrPort
}

func (s *clientStorm) run() {
	for range 300 {
		switch s.random.IntN(8) {
		case 0:
			s.locals++
			if id, err := s.client.AddPath(s.now, netip.AddrPortFrom(newLocal.Addr(), s.locals)); err == nil {
				s.added = append(s.added, id)
			}
		case 1, 2:
			s.change()
		case 3:
			if next := s.client.NextTimeout(); next.Sub(s.now) < 2*time.Second {
				s.now = max(s.now, next)
				s.client.HandleTimeout(s.now)
			}
		default:
			s.serverPacket()
		}
		require.NoError(s.t, s.client.CheckInvariants())
		if err := errOf(s.client); err != nil {
			require.Regexp(s.t, "retired connection IDs|no validated network path", err.Error())
			return
		}
		s.note()
	}
	for n := 0; s.client.Err() == nil; n++ {
		require.Less(s.t, n, 300, "the timeouts do not advance")
		s.now = max(s.now, s.client.NextTimeout())
		s.client.HandleTimeout(s.now)
		s.note()
	}
}

// change switches to a path or removes one.
func (s *clientStorm) change() {
	id := uint32(0)
	if len(s.added) > 0 && s.random.IntN(4) > 0 {
		id = s.added[s.random.IntN(len(s.added))]
	}
	if s.random.IntN(3) == 0 {
		_ = s.client.RemovePath(s.now, id)
	} else {
		_ = s.client.SwitchPath(s.now, id)
	}
}

func (s *clientStorm) serverPacket() {
	var b []byte
	for range s.random.IntN(3) {
		prior := uint64(0)
		if s.random.IntN(4) == 0 {
			prior = s.nextID - s.random.Uint64N(3)
		}
		if len(s.client.ids.remote) < activeConnIDLimit-1 || prior > 0 {
			b = wire.NewConnectionID{Seq: s.nextID, RetirePriorTo: prior, ConnID: s.connID(), ResetToken: [16]byte{byte(s.nextID)}}.Append(b)
			s.nextID++
		}
	}
	if pn := s.client.loss.OldestUnacked(recovery.SpaceApp); s.random.IntN(2) == 0 && pn != wire.NoPacket {
		b = append(b, ackFrame(pn)...)
	}
	if len(s.due) > 0 && s.random.IntN(3) > 0 {
		b = wire.PathResponse(s.due[len(s.due)-1]).Append(b)
		s.due = s.due[:len(s.due)-1]
	}
	b = wire.PathChallenge{Data: [8]byte{byte(s.random.Uint32())}}.Append(b)
	d := s.packet(tlsprovider.Client, recovery.SpaceApp, b, nil)
	from := s.client.Path()
	if len(s.paths) > 0 && s.random.IntN(3) == 0 {
		from = s.paths[s.random.IntN(len(s.paths))]
	}
	if s.random.IntN(6) == 0 {
		from.Remote = otherAddr // it is not the server's
	}
	s.client.HandleTrain(s.now, Train{Path: from, Data: d, SegmentSize: len(d)})
}

// note checks what the client has sent.
func (s *clientStorm) note() {
	sent, paths := s.clientSends()
	for i, d := range sent {
		require.Equal(s.t, serverAddr, d.to)
		local, used := s.usedFrom[d.dst]
		require.True(s.t, !used || local == paths[i].Local, "a connection ID is used from %v and %v", local, paths[i].Local)
		s.usedFrom[d.dst] = paths[i].Local
		s.paths = append(s.paths, paths[i])
		for _, f := range d.frames {
			if ch, ok := f.(wire.PathChallenge); ok {
				s.due = append(s.due, ch)
			}
		}
	}
}

// A client whose application tries many paths while the server acknowledges nothing waits with the next ones, instead of
// retiring more connection IDs than it accepts of a server.
func TestManyPathsDoNotEndConnection(t *testing.T) {
	r := connected(t, rigOptions{})
	var err error
	for i := range uint64(40) {
		r.say(tlsprovider.Client, recovery.SpaceApp, wire.NewConnectionID{Seq: 2 + i, ConnID: r.connID(), ResetToken: [16]byte{byte(i)}})
		require.NoError(t, errOf(r.client))
		var id uint32
		if id, err = r.client.AddPath(r.now, newLocal); err != nil {
			break
		}
		r.clientSends()
		require.NoError(t, r.client.RemovePath(r.now, id))
	}
	require.ErrorIs(t, err, ErrNoUnusedConnID)

	for n := 0; errors.Is(err, ErrNoUnusedConnID); n++ { // until the server has acknowledged
		require.Less(t, n, 100)
		r.sayBytes(tlsprovider.Client, recovery.SpaceApp, ackFrame(r.client.loss.OldestUnacked(recovery.SpaceApp)))
		_, err = r.client.AddPath(r.now, newLocal)
	}
	require.NoError(t, err)
}
