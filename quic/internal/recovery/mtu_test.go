package recovery

import (
	"fmt"
	"testing"
	"time"

	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/stretchr/testify/require"
)

// A search ends with the largest size that the path carries, but for mtuPrecision. It costs few lost probes,
// above all on the paths that are common.
func TestMTUSearch(t *testing.T) {
	for _, tt := range []struct {
		limit, carries int
		want           []int // sizes in the order in which they are tried, if they matter
		lost           int   // maximum of lost probes
	}{
		{8972, 1200, nil, 15},
		{8972, 1201, nil, 15},
		{8972, 1252, nil, 12},
		{8972, 1392, nil, 12}, // WireGuard on 1500
		{8972, 1471, nil, 12},
		{8972, 1472, []int{1472, 8972, 1536, 1504, 1488}, 12},
		{8972, 1500, nil, 12},
		{8972, 4352, nil, 30},
		{8972, 8900, nil, 21},
		{8972, 8972, []int{1472, 8972}, 0},
		{1472, 1472, []int{1472}, 0},
		{1472, 1300, nil, 12},
		{1400, 9000, []int{1400}, 0},
		{1210, 9000, []int{1210}, 0},
	} {
		t.Run(fmt.Sprintf("%d of %d", tt.carries, tt.limit), func(t *testing.T) {
			m := mtuSearch{usual: 1472, limit: tt.limit}
			m.init(1200)
			require.Equal(t, 1200, m.size)
			m.start(testStart)
			require.Zero(t, m.due(), "nothing was acknowledged yet")
			pn, lost := wire.PacketNumber(0), 0
			for ; m.unproven > 0; pn++ {
				m.acked(testStart, &SentPacket{Num: pn, Size: 1200})
			}
			require.Equal(t, wire.PacketNumber(mtuProof), pn)
			m.start(testStart)
			var tried []int
			for ; m.due() != 0; pn++ {
				require.Less(t, pn, wire.PacketNumber(1000))
				p := &SentPacket{Num: pn, Size: m.due(), MTUProbe: true}
				if len(tried) == 0 || tried[len(tried)-1] != p.Size {
					tried = append(tried, p.Size)
				}
				m.probe = pn
				require.NoError(t, m.check())
				require.Zero(t, m.due(), "one probe is in flight")
				if p.Size <= tt.carries {
					m.acked(testStart, p)
				} else {
					m.lost(testStart, p)
					lost++
				}
				require.NoError(t, m.check())
			}
			if tt.want != nil {
				require.Equal(t, tt.want, tried)
			}
			best := min(tt.limit, tt.carries)
			require.LessOrEqual(t, m.size, best)
			require.Greater(t, m.size, best-mtuPrecision)
			require.LessOrEqual(t, lost, tt.lost, "tried %v", tried)

			m.start(testStart.Add(mtuRaise - 1))
			require.Zero(t, m.due())
			m.start(testStart.Add(mtuRaise))
			require.Equal(t, m.size < tt.limit, m.due() > 0, "the search is repeated")
		})
	}
}

// mtuTest is a lossTest on a path whose datagrams may grow to 9000 bytes. rtt is its round-trip time.
type mtuTest struct{ *lossTest }

const mtuRTT = 50 * ms

// newMTUTest returns a client that is about to send its first probe.
func newMTUTest(t *testing.T) *mtuTest {
	m := &mtuTest{newSampledTest(t, mtuRTT)}
	m.l.Path().EnableMTUSearch(1472, 8972)
	m.l.setWindow(m.now, 1<<20, 1<<20)
	for range mtuProof {
		m.exchange(1200)
	}
	require.Equal(t, 1472, m.l.Path().MTUProbeSize())
	return m
}

// exchange sends a packet that is acknowledged a round trip later.
func (m *mtuTest) exchange(size int) {
	m.Helper()
	m.size = size
	pn := m.send(SpaceApp, 1)
	m.advance(mtuRTT)
	m.ack(SpaceApp, 0, pn)
	m.got = nil
}

// lose sends a packet that is found to be lost a round trip later, by the acknowledgements of three small
// ones.
func (m *mtuTest) lose(size int) {
	m.Helper()
	m.size = size
	m.send(SpaceApp, 1)
	m.afterLoss()
}

func (m *mtuTest) afterLoss() {
	m.Helper()
	m.size = 100
	first := m.l.NextNumber(SpaceApp)
	last := m.send(SpaceApp, 3)
	m.advance(mtuRTT)
	m.ack(SpaceApp, 0, first, -last)
	m.got = nil
}

// probe sends the probe that is due.
func (m *mtuTest) probe() wire.PacketNumber {
	m.Helper()
	n := m.l.Path().MTUProbeSize()
	require.NotZero(m, n)
	pn := m.sendPacket(SpaceApp, func(p *SentPacket) { p.Size, p.AckEliciting, p.InFlight, p.MTUProbe = n, true, true, true })
	require.Zero(m, m.l.Path().MTUProbeSize(), "one probe is in flight")
	return pn
}

// grow searches on a path that carries everything.
func (m *mtuTest) grow() {
	m.Helper()
	for m.l.Path().MTUProbeSize() > 0 {
		pn := m.probe()
		m.advance(mtuRTT)
		m.ack(SpaceApp, 0, pn)
	}
	m.got = nil
	m.sizeIs(8972)
}

func (m *mtuTest) sizeIs(n int) {
	m.Helper()
	require.Equal(m, n, m.l.Path().MaxDatagramSize())
	require.Equal(m, n, m.l.window().mds, "of the congestion controller")
	require.Equal(m, n, m.l.active.pacer.mds)
}

// A lost probe is no sign of congestion, and its late acknowledgement no sign of reordering. The size is given
// up after three of them.
func TestLostMTUProbes(t *testing.T) {
	m := newMTUTest(t)
	before, counters := *m.l.window(), m.l.Counters()
	for try := range maxMTUProbes {
		require.Equal(t, 1472, m.l.Path().MTUProbeSize())
		pn := m.probe()
		m.afterLoss()
		require.Zero(t, m.l.active.spaces[SpaceApp].lostRun)
		require.Zero(t, m.l.active.losses.Packets)
		if try == 0 {
			require.NotZero(t, pn)
		}
	}
	require.Equal(t, before.recoveryStart, m.l.window().recoveryStart)
	require.GreaterOrEqual(t, m.l.window().cwnd, before.cwnd)
	require.Equal(t, counters, m.l.Counters())
	require.Less(t, m.l.Path().MTUProbeSize(), 1472)
	m.sizeIs(1200)
}

// The acknowledgement of a probe that was declared lost shows that the path carries its size.
func TestLateMTUProbe(t *testing.T) {
	m := newMTUTest(t)
	pn := m.probe()
	reordering := m.l.active.reo
	m.afterLoss()
	m.sizeIs(1200)
	m.ack(SpaceApp, 0, pn)
	m.sizeIs(1472)
	require.Equal(t, reordering, m.l.active.reo)
	require.Zero(t, m.l.Counters().SpuriousLosses)
	require.Equal(t, 8972, m.l.Path().MTUProbeSize())
}

// A probe may take at most half of the window, and a sender with bulk data must leave room for it.
func TestMTUProbeAndWindow(t *testing.T) {
	m := newMTUTest(t)
	m.l.setWindow(m.now, 2*1472-1, 1<<20)
	require.Zero(t, m.l.Path().MTUProbeSize())
	require.Equal(t, SendAll, m.l.SendLimit(m.now), "without a probe, there is room for a datagram")
	m.l.setWindow(m.now, 2*1472, 1<<20)
	require.Equal(t, 1472, m.l.Path().MTUProbeSize())
	m.size = 2*1472 - 1472 + 1
	last := m.send(SpaceApp, 1)
	require.Equal(t, SendAckOnly, m.l.SendLimit(m.now), "there is room for a datagram, but not for the probe")
	m.advance(mtuRTT)
	m.ack(SpaceApp, 0, last)
	require.Equal(t, SendAll, m.l.SendLimit(m.now))
	m.probe()
	require.Equal(t, SendAll, m.l.SendLimit(m.now), "the probe is in flight")
}

// Three detections of lost large packets, without an acknowledged one in between, are a black hole.
func TestBlackHole(t *testing.T) {
	const large, small = 8972, 1200
	for _, tt := range []struct {
		name string
		run  func(m *mtuTest)
		want int
	}{
		{"three losses", func(m *mtuTest) { m.lose(large); m.lose(large); m.lose(large) }, 1200},
		{"two losses", func(m *mtuTest) { m.lose(large); m.lose(large) }, 8972},
		{"small packets", func(m *mtuTest) { m.lose(small); m.lose(small); m.lose(small) }, 8972},
		{"half way", func(m *mtuTest) { m.lose(5086); m.lose(5086); m.lose(5086) }, 8972},
		{"more than half way", func(m *mtuTest) { m.lose(5087); m.lose(5087); m.lose(5087) }, 1200},
		{"a small packet arrives", func(m *mtuTest) {
			m.lose(large)
			m.lose(large)
			m.exchange(small)
			m.lose(large)
		}, 1200},
		{"a large packet arrives", func(m *mtuTest) {
			m.lose(large)
			m.lose(large)
			m.exchange(large)
			m.lose(large)
			m.lose(large)
		}, 8972},
		{"an interruption", func(m *mtuTest) {
			m.size = large
			for range 5 {
				m.send(SpaceApp, 3)
				m.advance(5 * ms)
			}
			m.afterLoss()
			m.exchange(large)
		}, 8972},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMTUTest(t)
			m.grow()
			tt.run(m)
			m.sizeIs(tt.want)
			if tt.want == 8972 {
				return
			}
			// After a pause, the size is tried again.
			for range mtuProof {
				m.exchange(1200)
			}
			require.Zero(t, m.l.Path().MTUProbeSize())
			m.advance(mtuPause)
			m.exchange(1200)
			m.grow()
		})
	}
}

// Probes for a timeout have the base size, so that they arrive if only large datagrams do not.
func TestTimeoutProbesHaveBaseSize(t *testing.T) {
	m := newMTUTest(t)
	m.grow()
	require.Equal(t, 8972, m.l.DatagramSize())
	m.size = 8972
	m.send(SpaceApp, 1)
	m.now = m.l.NextTimeout()
	m.l.HandleTimeout(m.now, m.fate)
	require.Equal(t, 2, m.l.ProbesPending())
	require.Equal(t, 1200, m.l.DatagramSize())
	require.Equal(t, 2400, m.l.SendQuantum(m.now))
}

// The system's refusal of a probe is final. If it refuses datagrams that it took before, the base size is
// used until a search has found the new one.
func TestRefusedDatagrams(t *testing.T) {
	m := newMTUTest(t)
	m.exchange(1200)
	pn := m.probe()
	m.advance(mtuRTT)
	m.ack(SpaceApp, 0, pn)
	m.sizeIs(1472)
	m.probe()
	inFlight := m.l.Path().BytesInFlight()
	require.True(t, m.l.HandleRefused(m.now, 8972))
	m.check()
	require.Equal(t, inFlight-8972, m.l.Path().BytesInFlight())
	require.Equal(t, 1472+mtuStep, m.l.Path().MTUProbeSize())
	m.sizeIs(1472)
	require.False(t, m.l.HandleRefused(m.now, 8000), "not sent")
	require.False(t, m.l.HandleRefused(m.now, 1200), "the path is of no use")
	m.sizeIs(1472)
	require.Equal(t, 1472+mtuStep, m.l.Path().MTUProbeSize())
	m.size = 1472
	m.send(SpaceApp, 3)
	require.False(t, m.l.HandleRefused(m.now, 1472))
	m.check()
	m.sizeIs(1200)
	require.Equal(t, 3*1472, m.l.Path().BytesInFlight(), "they are found to be lost, and repeated")
	require.Less(t, m.l.Path().MTUProbeSize(), 1472)
	require.Greater(t, m.l.Path().MTUProbeSize(), 1200)
}

// An ICMP message ends a probe, or lowers the size to the base, from where a search begins. It never raises
// the size or lowers it further, and its effect does not last.
//
// "An endpoint MUST ignore an ICMP message that claims the PMTU has decreased below QUIC's smallest allowed
// maximum datagram size."
// https://www.rfc-editor.org/rfc/rfc9000#section-14.2.1-2
//
// "An endpoint MUST NOT increase the PMTU based on ICMP messages".
// https://www.rfc-editor.org/rfc/rfc9000#section-14.2.1-5
func TestPacketTooBig(t *testing.T) {
	for _, tt := range []struct {
		name       string
		probing    bool // a probe of 8972 bytes is in flight, and the size is 1472; otherwise the size is 8972
		says       int
		size, next int
		lost       bool // the probe
	}{
		{"ends a probe", true, 4000, 1472, 4000, true},
		{"ends a probe and the search", true, 1472, 1472, 0, true},
		{"below the current size", true, 1400, 1200, 1400, false},
		{"lowers the size", false, 1500, 1200, 1472, false},
		{"lowers the size to less than usual", false, 1400, 1200, 1400, false},
		{"lowers the size to the base", false, 1200, 1200, 0, false},
		{"below the base", false, 1199, 8972, 0, false},
		{"zero", false, 0, 8972, 0, false},
		{"negative", false, -28, 8972, 0, false},
		{"the current size", false, 8972, 8972, 0, false},
		{"raises the size", false, 65000, 8972, 0, false},
		{"the size of the probe", true, 8972, 1472, 0, false},
		{"more than the probe", true, 9000, 1472, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMTUTest(t)
			if tt.probing {
				pn := m.probe()
				m.advance(mtuRTT)
				m.ack(SpaceApp, 0, pn)
				m.probe()
			} else {
				m.grow()
			}
			inFlight := m.l.Path().BytesInFlight()
			m.l.HandleTooBig(m.now, tt.says)
			m.check()
			m.sizeIs(tt.size)
			require.Equal(t, tt.next, m.l.Path().MTUProbeSize())
			require.Equal(t, tt.lost, m.l.Path().BytesInFlight() < inFlight)
			if tt.size == 1200 && tt.next == 0 {
				m.advance(mtuPause)
				m.exchange(1200)
				m.grow()
			}
		})
	}
}

// The search is off unless it is enabled.
func TestMTUSearchIsOff(t *testing.T) {
	for _, limit := range []int{0, 1000, 1200} {
		m := &mtuTest{newSampledTest(t, mtuRTT)}
		m.l.Path().EnableMTUSearch(1472, limit)
		for range 2 * mtuProof {
			m.exchange(1200)
		}
		m.advance(time.Hour)
		m.exchange(1200)
		require.Zero(t, m.l.Path().MTUProbeSize())
		m.l.HandleRefused(m.now, 1200)
		m.l.HandleTooBig(m.now, 1200)
		m.l.HandleTooBig(m.now, 500)
		m.sizeIs(1200)
	}
}
