package core

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A PATH_RESPONSE frame on the path in use is not expanded beyond the limit either. The peer, or somebody who copies its
// packets, moves the connection to an address that does not answer, and has it sent responses.
//
// "However, an endpoint MUST NOT expand the datagram containing the PATH_RESPONSE if the resulting data exceeds the
// anti-amplification limit."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2-3
func TestResponsesDoNotAmplify(t *testing.T) {
	r := connected(t, rigOptions{})
	received, sent := 0, 0
	for i := range 20 {
		challenge := wire.PathChallenge{Data: [8]byte{byte(i)}}
		d := r.packet(tlsprovider.Server, recovery.SpaceApp, challenge.Append([]byte{byte(wire.FramePing)}), nil)
		received += len(d)
		sent += bytesTo(otherAddr, r.giveFrom(otherAddr, d))
		require.LessOrEqual(t, sent, 3*received)
	}
	require.Equal(t, otherAddr, r.server.Path().Remote)
}

// Probes of the MTU count, too. After a change of the port, one may be due at once.
func TestMTUProbesDoNotAmplify(t *testing.T) {
	r := connected(t, rigOptions{client: allowProbes, server: allowProbes})
	id, err := r.server.OpenStream(r.now, true)
	require.NoError(t, err)
	for r.server.loss.Path().MTUProbeSize() == 0 { // until so much has been acknowledged that a search begins
		_, err = r.server.Write(r.now, id, make([]byte, 1000))
		require.NoError(t, err)
		r.pump()
		r.wait(100 * time.Millisecond)
	}
	r.serverWrites(100)
	require.Positive(t, r.server.mtuProbeSize(len(r.buf)))
	d := r.packet(tlsprovider.Server, recovery.SpaceApp, append([]byte{byte(wire.FramePing)}, make([]byte, 100)...), nil)
	sent := bytesTo(otherPort, r.giveFrom(otherPort, d))
	require.Equal(t, otherPort, r.server.Path().Remote)
	require.Positive(t, sent)
	require.LessOrEqual(t, sent, 3*len(d))
}

// Clients that do anything with their addresses: an address to which nothing was validated gets at most three times what
// came from it, and the timeouts come to an end.
//
// "[...] an endpoint MUST limit the amount of data it sends to the unvalidated address to three times the amount of
// data received from that address."
// https://www.rfc-editor.org/rfc/rfc9000#section-8-2
func TestPathsNeverAmplify(t *testing.T) {
	for seed := range uint64(50) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			newPathStorm(t, seed).run()
		})
	}
}

// A pathStorm sends packets from random addresses. The first of them answer challenges.
type pathStorm struct {
	*rig
	random         *rand.Rand
	addrs          []netip.AddrPort
	answering      int
	received, sent map[netip.AddrPort]int
	validated      map[netip.AddrPort]bool
	due            []wire.PathChallenge
	nextID         uint64
	stream         streams.ID
	dst            wire.ConnID // of the packet that is being built
}

func newPathStorm(t *testing.T, seed uint64) *pathStorm {
	s := &pathStorm{
		rig:       connected(t, rigOptions{server: func(c *Config) { c.MaxProbeSize = 1472 }}),
		random:    rand.New(rand.NewPCG(seed, 0)),
		addrs:     []netip.AddrPort{clientAddr, otherPort, otherAddr, thirdAddr},
		answering: 1 + int(seed%4),
		received:  make(map[netip.AddrPort]int), sent: make(map[netip.AddrPort]int),
		validated: map[netip.AddrPort]bool{clientAddr: true},
		nextID:    2,
	}
	for i := range 4 {
		s.addrs = append(s.addrs, netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), 5))
	}
	return s
}

func (s *pathStorm) run() {
	var err error
	s.stream, err = s.server.OpenStream(s.now, true)
	require.NoError(s.t, err)
	for range 300 {
		from := s.addrs[s.random.IntN(len(s.addrs))]
		switch n := s.random.IntN(10); {
		case n == 0 && s.server.NextTimeout().Sub(s.now) < time.Second:
			s.note(s.expireServer())
		case n == 1:
			_, err := s.server.Write(s.now, s.stream, make([]byte, s.random.IntN(3000)))
			require.NoError(s.t, err)
		default:
			s.note(s.packetFrom(from))
		}
		require.NoError(s.t, errOf(s.server))
	}
	for n := 0; s.server.migrating() && s.server.Err() == nil; n++ {
		require.Less(s.t, n, 200, "the timeouts do not advance")
		s.note(s.expireServer())
	}
}

// packetFrom sends random frames.
func (s *pathStorm) packetFrom(from netip.AddrPort) []sentOn {
	s.dst = s.server.ids.local[s.random.IntN(1+s.random.IntN(len(s.server.ids.local)))].id
	var b []byte
	if s.random.IntN(3) == 0 && len(s.server.ids.remote) < activeConnIDLimit {
		b = wire.NewConnectionID{Seq: s.nextID, RetirePriorTo: s.retirePrior(), ConnID: s.connID(), ResetToken: [16]byte{byte(s.nextID)}}.Append(b)
		s.nextID++
	}
	if pn := s.server.loss.OldestUnacked(recovery.SpaceApp); s.random.IntN(2) == 0 && pn != wire.NoPacket {
		b = append(b, ackFrame(pn)...)
	}
	for range 1 + s.random.IntN(3) {
		b = s.frame(from).Append(b)
	}
	if s.random.IntN(3) == 0 {
		b = append(b, make([]byte, s.random.IntN(1150))...)
	}
	d := s.packet(tlsprovider.Server, recovery.SpaceApp, b, func(h []byte) { copy(h[1:], s.dst.Bytes()) })
	s.received[from] += len(d)
	if s.random.IntN(8) == 0 {
		d[len(d)-1] ^= 1 // it counts although it does not authenticate
	}
	return s.giveFrom(from, d)
}

// retirePrior returns a number below which IDs are retired.
func (s *pathStorm) retirePrior() uint64 {
	if s.random.IntN(3) > 0 {
		return 0
	}
	return s.nextID - min(s.nextID, s.random.Uint64N(4))
}

func (s *pathStorm) frame(from netip.AddrPort) wire.Frame {
	switch s.random.IntN(8) {
	case 0, 1:
		return wire.Ping{}
	case 2:
		if l := s.server.ids.local[s.random.IntN(len(s.server.ids.local))]; l.id != s.dst && l.seq <= s.server.ids.announced {
			return wire.RetireConnectionID{Seq: l.seq}
		}
		fallthrough
	case 3, 4:
		if len(s.due) > 0 {
			ch := s.due[0]
			s.due = s.due[1:]
			return wire.PathResponse(ch)
		}
	}
	return wire.PathChallenge{Data: [8]byte{byte(s.random.Uint32()), from.Addr().As4()[3]}}
}

// note counts what the server has sent.
func (s *pathStorm) note(sent []sentOn) {
	for _, d := range sent {
		s.sent[d.to] += d.size
		require.True(s.t, s.validated[d.to] || s.sent[d.to] <= 3*s.received[d.to],
			"%d bytes received from %v and %d sent there", s.received[d.to], d.to, s.sent[d.to])
		for _, f := range d.frames {
			ch, ok := f.(wire.PathChallenge)
			for i := range s.answering {
				if ok && d.to == s.addrs[i] {
					s.due = append(s.due, ch)
					s.validated[d.to] = true
				}
			}
		}
	}
}
