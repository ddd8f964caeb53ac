package streams

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

const testRTT = 10 * time.Millisecond

// A packet is a packet that one side has sent and the other may receive.
type packet struct {
	pn      wire.PacketNumber
	payload []byte
	rec     []byte
}

// A peer is one side of a pair of Sets.
type peer struct {
	t testing.TB
	Set
	nextPN wire.PacketNumber
}

func testConfig() *Config {
	return &Config{
		RecvWindow: 64 << 10, MaxRecvWindow: 1 << 20,
		ConnWindow: 128 << 10, MaxConnWindow: 2 << 20,
		SendBuffer: 128 << 10, MaxBidi: 10, MaxUni: 10, AbortRate: 200,
	}
}

// newPair returns a client and a server that know each other's limits.
func newPair(t testing.TB, client, server *Config) (c, s *peer) {
	c, s = &peer{t: t}, &peer{t: t}
	c.Init(client, tlsprovider.Client)
	s.Init(server, tlsprovider.Server)
	exchangeParams(c, s)
	return c, s
}

func exchangeParams(a, b *peer) {
	var pa, pb wire.TransportParameters
	a.LocalParams(&pa)
	b.LocalParams(&pb)
	a.SetPeerParams(&pb)
	b.SetPeerParams(&pa)
}

// send builds one packet. It returns nil if there is nothing to send.
func (p *peer) send(room int, probe bool) *packet {
	pending := p.HasPending()
	b, rec := p.Append(nil, room, p.nextPN, nil, probe)
	require.LessOrEqual(p.t, len(b), room)
	if !probe {
		require.False(p.t, !pending && len(b) > 0, "HasPending missed %d bytes", len(b))
		require.False(p.t, pending && len(b) == 0 && room >= 64, "HasPending is true, but nothing was appended")
	}
	require.Equal(p.t, len(b) == 0, len(rec) == 0)
	if len(b) == 0 {
		return nil
	}
	p.nextPN++
	return &packet{p.nextPN - 1, b, rec}
}

// receive processes the frames of a packet.
func (p *peer) receive(now monotime.Time, rtt time.Duration, pkt *packet) error {
	for b := pkt.payload; len(b) > 0; {
		t, n := wire.ConsumeFrameType(b)
		require.Positive(p.t, n)
		n, err := p.HandleFrame(now, rtt, t, b)
		if err != nil {
			return err
		}
		require.Positive(p.t, n)
		b = b[n:]
	}
	return nil
}

// fate reports the fate of a packet to its sender.
func (p *peer) fate(pkt *packet, fate recovery.Fate) {
	for rec := pkt.rec; len(rec) > 0; {
		require.GreaterOrEqual(p.t, rec[0], byte(0x40))
		require.LessOrEqual(p.t, rec[0], byte(0x7f))
		rec = rec[p.ConsumeRecord(rec, pkt.pn, fate):]
	}
}

// flow transfers packets in both directions and acknowledges them at once, until both sides have nothing to
// send.
func flow(t testing.TB, now monotime.Time, a, b *peer) {
	for busy := true; busy; {
		busy = false
		for _, dir := range [][2]*peer{{a, b}, {b, a}} {
			for {
				pkt := dir[0].send(1200, false)
				if pkt == nil {
					break
				}
				busy = true
				require.NoError(t, dir[1].receive(now, testRTT, pkt))
				dir[0].fate(pkt, recovery.Acked)
			}
			require.NoError(t, dir[0].CheckInvariants())
		}
	}
}

// frames returns the frames of a packet as strings.
func (pkt *packet) frames(t testing.TB) (list []string) {
	if pkt == nil {
		return nil
	}
	for b := pkt.payload; len(b) > 0; {
		f, n := wire.ParseFrame(b)
		require.Positive(t, n)
		list = append(list, f.String())
		b = b[n:]
	}
	return list
}

// events polls all events.
func (p *peer) events() (list []string) {
	has := p.HasOutput()
	for {
		e, ok := p.PollEvent()
		if !ok {
			return list
		}
		require.True(p.t, has, "HasOutput missed %v", e)
		list = append(list, e.String())
	}
}

func (e Event) String() string {
	name := [...]string{"?", "opened", "readable", "writable", "reset", "stopped", "can open bidi",
		"can open uni", "flushed"}[e.Kind]
	if e.Kind >= EventCanOpenBidi {
		return name
	}
	if e.Code != 0 {
		return fmt.Sprintf("%s %d with %d", name, e.ID, e.Code)
	}
	return fmt.Sprintf("%s %d", name, e.ID)
}

// input passes a frame to the Set.
func (p *peer) input(f wire.Frame) error {
	b := f.Append(nil)
	t, _ := wire.ConsumeFrameType(b)
	n, err := p.HandleFrame(1, testRTT, t, b)
	require.Equal(p.t, len(b), n)
	return err
}

// pattern returns the byte at an offset of a stream.
func pattern(id ID, off int64) byte { return byte(off*7 + off>>9 + int64(id)*31) }

func fill(p []byte, id ID, off int64) []byte {
	for i := range p {
		p[i] = pattern(id, off+int64(i))
	}
	return p
}

func checkPattern(t testing.TB, p []byte, id ID, off int64) {
	for i := range p {
		if p[i] != pattern(id, off+int64(i)) {
			require.Failf(t, "wrong byte", "stream %d, offset %d", id, off+int64(i))
		}
	}
}
