package recovery

import (
	"testing"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/stretchr/testify/require"
)

// newPacedTest returns a connection with a large window in congestion avoidance.
func newPacedTest(t *testing.T, rtt time.Duration, window int) *lossTest {
	lt := newSampledTest(t, rtt)
	lt.l.setWindow(lt.now, window, window)
	return lt
}

func TestPacingNotBeforeSample(t *testing.T) {
	lt := newConfirmedTest(t)
	lt.fill(SpaceApp)
	require.Equal(t, 12000, lt.l.Path().BytesInFlight(), "the initial window is sent at once")
	require.Zero(t, lt.l.PacedUntil(lt.now), "the window blocks, and not the pacer")
}

func TestPacingRate(t *testing.T) {
	// "rate = N * congestion_window / smoothed_rtt"
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.7-6
	for _, test := range []struct {
		name      string
		rtt       time.Duration
		window    int
		slowStart bool
		rate      int // bytes a millisecond
		quantum   int
	}{
		{"at least the initial window", 100 * ms, 240_000, false, 3000, 12000},
		{"twice the window in slow start", 100 * ms, 240_000, true, 4800, 12000},
		{"a millisecond", 100 * ms, 2_400_000, false, 30_000, 30_000},
		{"at most 64 KiB", 10 * ms, 2_400_000, false, 300_000, 64 << 10},
		{"the largest window, the smallest time", time.Microsecond, maxWindow, true, maxRate, 64 << 10},
		{"the lowest rate", time.Hour, 2400, false, 1, 12000},
	} {
		t.Run(test.name, func(t *testing.T) {
			lt := newPacedTest(t, test.rtt, test.window)
			if test.slowStart {
				lt.l.setWindow(lt.now, test.window, test.window+1)
			}
			require.Equal(t, test.rate, lt.l.active.pacer.rate)
			require.Equal(t, test.quantum, lt.l.active.pacer.quantum())
		})
	}
}

// Large datagrams do not make larger bursts: the initial window is two of them.
func TestPacingLargeDatagrams(t *testing.T) {
	lt := newPacedTest(t, 100*ms, 240_000) // 3000 bytes a millisecond
	p := lt.l.Path()
	p.EnableMTUSearch(1472, 8972)
	p.mtu.size = 8972
	p.setRate(lt.now)
	require.Equal(t, 2*8972, p.pacer.quantum())
	lt.advance(time.Second)
	lt.size = 8972
	for range 2 {
		lt.wantLimit("a burst of the initial window", SendAll)
		lt.send(SpaceApp, 1)
	}
	lt.wantLimit("the burst is over", SendAckOnly)
}

// "Senders MUST either use pacing or limit such bursts."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.7-2
func TestPacing(t *testing.T) {
	lt := newPacedTest(t, 100*ms, 240_000) // 3000 bytes a millisecond
	for range 10 {
		lt.wantLimit("a burst of ten packets", SendAll)
		require.Zero(t, lt.l.PacedUntil(lt.now))
		lt.send(SpaceApp, 1)
	}
	// "To avoid delaying their delivery to the peer, packets containing only ACK frames SHOULD
	// therefore not be paced."
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.7-4
	lt.wantLimit("acknowledgements are not paced", SendAckOnly)
	lt.sendAck(SpaceApp)
	require.Equal(t, ms, lt.l.PacedUntil(lt.now).Sub(lt.now), "a millisecond's worth is enough")
	require.Equal(t, 1200, lt.l.SendQuantum(lt.now), "SendLimit decides")

	lt.advance(ms / 2)
	lt.wantLimit("1500 bytes are too few for a train", SendAckOnly)
	lt.advance(ms / 2)
	lt.wantLimit("the bytes of a millisecond are enough", SendAll)
	lt.advance(3 * ms)
	require.Equal(t, 12000, lt.l.SendQuantum(lt.now))
	lt.advance(time.Hour)
	require.Equal(t, 12000, lt.l.SendQuantum(lt.now), "the bucket is full")
	for range 10 {
		lt.send(SpaceApp, 1)
	}
	lt.wantLimit("paced", SendAckOnly)

	// "Probe packets MUST NOT be blocked by the congestion controller."
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.5-1
	at := lt.l.NextTimeout()
	lt.l.HandleTimeout(at, lt.fate)
	lt.wantLimit("a probe", SendAll)
	require.Equal(t, 2400, lt.l.SendQuantum(lt.now), "two of them")
	require.Zero(t, lt.l.PacedUntil(lt.now))
}

// TestPacingKeepsRate sends for a second of virtual time whenever the pacer permits, with a timer that is
// late at random, and measures the rate.
func TestPacingKeepsRate(t *testing.T) {
	for _, rate := range []int{100, 1300, 9999, 30_000, 200_000} {
		p := pacer{mds: 1200, rate: rate, last: testStart}
		sent, trains := 0, 0
		now := testStart
		end := now.Add(time.Second)
		for now < end {
			for n := 0; !p.blocked(now); n++ {
				if n == 0 {
					trains++
				}
				p.sent(now, 1200)
				sent += 1200
			}
			next := p.until(now)
			require.GreaterOrEqual(t, next.Sub(now), ms, "no timer under a millisecond")
			now = next.Add(time.Duration(trains%5) * 100 * time.Microsecond)
		}
		elapsed := now.Sub(monotime.Time(testStart))
		allowed := int(int64(rate)*int64(elapsed)/int64(ms)) + p.capacity()
		require.LessOrEqual(t, sent, allowed, "rate %d", rate)
		require.GreaterOrEqual(t, sent+2*12000+rate, allowed*9/10, "rate %d", rate)
		require.GreaterOrEqual(t, sent/trains, min(rate, 12000)*8/10, "rate %d comes in trains", rate)
	}
}

// On a slow path, the pacer releases one packet as soon as there are tokens for it, instead of ten packets
// later.
func TestPacerReleasesOneDatagram(t *testing.T) {
	lt := newPacedTest(t, 100*ms, 8000) // 100 bytes a millisecond
	lt.l.pto.probes = 10
	for range 10 { // the burst that the bucket holds; the window would not allow it
		lt.send(SpaceApp, 1)
	}
	lt.l.setWindow(lt.now, 24000, 24000)
	lt.l.active.pacer.rate = 100
	require.Equal(t, 12*ms, lt.l.PacedUntil(lt.now).Sub(lt.now))
	lt.advance(11 * ms)
	lt.wantLimit("not yet", SendAckOnly)
	lt.advance(ms)
	lt.wantLimit("one datagram", SendAll)
	require.Equal(t, 1200, lt.l.SendQuantum(lt.now))
	lt.send(SpaceApp, 1)
	lt.wantLimit("not two", SendAckOnly)
}

func TestPacerNeverOverdrawn(t *testing.T) {
	lt := newPacedTest(t, 100*ms, 2400)
	lt.l.pto.probes = 1000
	lt.send(SpaceApp, 1000)
	until := lt.l.active.pacer.until(lt.now).Sub(lt.now)
	require.LessOrEqual(t, until, 2*100*ms*10, "the debt of probes is bounded")
}

// A pacer that is asked twice at the same time answers the same. Otherwise, a connection that has just found
// that it must wait for a timer could send after all.
func TestPacerIsIdempotent(t *testing.T) {
	for rate := int64(1000); rate < 2_000_000; rate += 997 {
		var p pacer
		p.init(testStart, 1536)
		p.setRate(testStart, rate)
		p.sent(testStart, 10*1536)
		for d := time.Duration(1); d < 3*time.Millisecond; d += 7919 {
			p.refill(testStart.Add(d))
			tokens := p.tokens
			p.refill(testStart.Add(d))
			require.Equal(t, tokens, p.tokens, "rate %d, after %v", rate, d)
		}
		at := p.until(p.last)
		p.refill(at)
		require.GreaterOrEqual(t, p.tokens, p.enough(), "rate %d", rate)
	}
}
