package recovery

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/stretchr/testify/require"
)

// randomPath runs a Loss on a path with random losses and delays, with an AckState as the peer of each
// space. It checks invariants after every step.
type randomPath struct {
	t    *testing.T
	rnd  *rand.Rand
	now  monotime.Time
	l    Loss
	acks [NumSpaces]AckState
	// The packets and ACK frames on their way.
	packets []flyingPacket
	frames  []flyingAck
	// The fate of each packet: "" if it is ack-eliciting and "maybe" if not, in which case it may be
	// forgotten, then "lost" or "acked".
	fates [NumSpaces]map[wire.PacketNumber]string
	fate  FateFunc
	mtu   int // larger packets are lost; 0 means that the MTU is not searched
}

type flyingPacket struct {
	at        monotime.Time
	space     Space
	pn        wire.PacketNumber
	eliciting bool
}

type flyingAck struct {
	at    monotime.Time
	space Space
	frame []byte
}

func newRandomPath(t *testing.T, seed uint64, server bool) *randomPath {
	r := &randomPath{t: t, rnd: rand.New(rand.NewPCG(seed, 0)), now: 1}
	newController := []func() Controller{NewCubic, NewReno}[seed/2%2]
	r.l.Init(r.now, Config{Server: server, MaxDatagramSize: 1200, NewController: newController, Rand: func(b []byte) {
		for i := range b {
			b[i] = byte(r.rnd.Uint32())
		}
	}})
	for s := range r.acks {
		r.acks[s].Init(Space(s))
		r.fates[s] = map[wire.PacketNumber]string{}
	}
	r.fate = func(s Space, p *SentPacket, fate Fate) {
		was, known := r.fates[s][p.Num]
		require.True(t, known, "packet %d was sent", p.Num)
		require.Equal(t, fmt.Sprintf("%v %d", s, p.Num), string(p.Record), "the record is returned")
		if fate == Acked {
			require.Contains(t, []string{"", "maybe", "lost"}, was, "packet %d acked", p.Num)
		} else {
			require.Contains(t, []string{"", "maybe"}, was, "packet %d lost", p.Num)
		}
		r.fates[s][p.Num] = fate.String()
	}
	return r
}

func (r *randomPath) check() {
	require.NoError(r.t, r.l.CheckInvariants())
}

func (r *randomPath) delay() time.Duration {
	d := 10 * time.Millisecond
	if r.rnd.IntN(10) == 0 {
		d += time.Duration(r.rnd.IntN(60)) * time.Millisecond
	}
	return d
}

func (r *randomPath) lostOnTheWay() bool { return r.rnd.IntN(100) < 5 }

func (r *randomPath) send(s Space) {
	limit := r.l.SendLimit(r.now)
	if limit == SendNothing || r.l.spaces[s].discarded {
		return
	}
	p := r.l.NewSent()
	p.Num, p.Time = r.l.NextNumber(s), r.now
	p.Size = min(30+r.rnd.IntN(r.l.DatagramSize()-29), r.l.Path().AmplificationCredit())
	p.AckEliciting = limit == SendAll && r.rnd.IntN(8) > 0
	if n := r.l.Path().MTUProbeSize(); n > 0 && s == SpaceApp && limit == SendAll && r.l.ProbesPending() == 0 {
		p.Size, p.AckEliciting, p.MTUProbe = n, true, true
	}
	p.InFlight = p.AckEliciting
	p.Record = fmt.Appendf(p.Record[:0], "%v %d", s, p.Num)
	if r.fates[s][p.Num] = ""; !p.AckEliciting || p.MTUProbe {
		r.fates[s][p.Num] = "maybe"
	}
	if !r.lostOnTheWay() && (r.mtu == 0 || p.Size <= r.mtu) {
		r.packets = append(r.packets, flyingPacket{r.now.Add(r.delay()), s, p.Num, p.AckEliciting})
	}
	eliciting, size := p.AckEliciting, p.Size
	r.l.PacketSent(r.now, s, p)
	r.l.Path().DatagramSent(size)
	if eliciting {
		r.l.ProbeSent()
	}
	require.True(r.t, limit == SendAll || !eliciting)
	r.check()
}

// deliver delivers everything that is due.
func (r *randomPath) deliver() {
	left := r.packets[:0]
	for _, p := range r.packets {
		if p.at.After(r.now) {
			left = append(left, p)
			continue
		}
		a := &r.acks[p.space]
		require.True(r.t, a.ShouldProcess(p.pn), "packet %d is new", p.pn)
		a.Receive(r.now, p.pn, p.eliciting, datagram.NotECT)
		require.False(r.t, a.ShouldProcess(p.pn), "packet %d is no longer new", p.pn)
	}
	r.packets = left
	for s := range r.acks {
		if a := &r.acks[s]; a.ShouldSendAck(r.now) {
			frame := a.AppendAck(nil, r.now, 1000)
			a.SentAck()
			if !r.lostOnTheWay() {
				r.frames = append(r.frames, flyingAck{r.now.Add(r.delay()), Space(s), frame})
			}
		}
	}
	kept := r.frames[:0]
	for _, f := range r.frames {
		if f.at.After(r.now) {
			kept = append(kept, f)
			continue
		}
		ack, n := wire.ConsumeAck(f.frame)
		require.Equal(r.t, len(f.frame), n)
		require.NoError(r.t, r.l.HandleAck(r.now, f.space, &ack, r.fate))
		if r.rnd.IntN(4) == 0 {
			r.acks[f.space].HandleAckOfAck(ack.Largest)
		}
		r.check()
	}
	r.frames = kept
	r.l.Path().DatagramReceived(1 + r.rnd.IntN(200))
	if t := r.l.NextTimeout(); !t.IsZero() && !t.After(r.now) {
		r.l.HandleTimeout(r.now, r.fate)
		r.check()
	}
}

// disturbMTU changes the path's MTU, reports ICMP messages, forged or not, and refuses datagrams.
func (r *randomPath) disturbMTU() {
	path := r.l.Path()
	switch r.rnd.IntN(200) {
	case 0:
		r.mtu = 1200 + r.rnd.IntN(7800)
	case 1:
		r.l.HandleTooBig(r.now, r.mtu)
	case 2:
		r.l.HandleTooBig(r.now, r.rnd.IntN(9000))
	case 3:
		r.l.HandleRefused(r.now, []int{path.mtu.want, path.MaxDatagramSize()}[r.rnd.IntN(2)])
	}
	r.check()
}

func TestRandomPath(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := newRandomPath(t, seed, seed%2 == 1)
			space := SpaceInitial
			if seed/4%2 == 1 {
				r.mtu = 9000
				r.l.Path().EnableMTUSearch(1472, 8972)
			}
			largest := 0
			for step := range 1000 {
				if r.mtu > 0 {
					r.disturbMTU()
					largest = max(largest, r.l.Path().MaxDatagramSize())
				}
				r.now = r.now.Add(time.Duration(r.rnd.IntN(3000)) * time.Microsecond)
				r.deliver()
				for range r.rnd.IntN(12) {
					r.send(space)
				}
				switch step {
				case 100:
					r.l.Path().ValidateAddress()
					r.l.SetHandshakeKeys()
					space = SpaceHandshake
				case 200:
					r.l.DiscardSpace(r.now, SpaceInitial)
					space = SpaceApp
				case 300:
					r.l.DiscardSpace(r.now, SpaceHandshake)
					r.l.ConfirmHandshake(r.now)
				}
				r.check()
			}
			// From here on only probes are sent, and every packet's fate is determined.
			for i := 0; r.l.Path().BytesInFlight() > 0; i++ {
				require.Less(t, i, 100_000, "the fate of every packet is determined")
				r.now = r.now.Add(time.Millisecond)
				r.deliver()
				if r.l.ProbesPending() > 0 {
					r.send(SpaceApp)
				}
			}
			require.Greater(t, r.l.Counters().Lost, uint64(20), "the path loses")
			require.Greater(t, r.l.Counters().SpuriousLosses, uint64(0), "the path reorders")
			require.Equal(t, r.mtu > 0, largest > 1200, "the datagrams grow if they may")
			for pn, fate := range r.fates[SpaceApp] {
				require.NotEmpty(t, fate, "packet %d", pn)
			}
			r.l.Close()
			require.Zero(t, r.l.Path().BytesInFlight())
			r.check()
		})
	}
}
