package recovery

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A reduction whose losses were all spurious is undone, as if it had not happened, unless the window is
// already as large as before.
func TestCubicUndo(t *testing.T) {
	for _, test := range []struct {
		name    string
		lost    int // packets of the batch
		refuted int
		after   func(*cubicTest) // what happens between the losses and their late acknowledgement
		undone  bool
	}{
		{"all losses were spurious", 3, 3, func(*cubicTest) {}, true},
		{"one loss was real", 3, 2, func(*cubicTest) {}, false},
		{"a round trip later", 1, 1, func(ct *cubicTest) { ct.roundTrip(1) }, true},
		{"the window has recovered", 1, 1, func(ct *cubicTest) { ct.run(1e11) }, false},
		{"there was an ECN-CE mark too", 1, 1, func(ct *cubicTest) {
			ct.Acked(&AckBatch{Now: ct.now, LatestSent: ct.now.Add(-1), CE: 1})
		}, false},
		{"there was another loss of the same period", 1, 1, func(ct *cubicTest) {
			require.False(ct, ct.Lost(&LossBatch{Now: ct.now, ID: 8, Packets: 1, LatestSent: ct.now.Add(-1)}))
		}, false},
		{"there was persistent congestion", 1, 1, func(ct *cubicTest) {
			ct.Lost(&LossBatch{Now: ct.now, ID: 8, Packets: 1, Persistent: true})
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			ct := newCubicTest(t, 100*ms, 100)
			ct.lose()
			ct.run(1e9)
			cwnd, ssthresh, avoidance := ct.cwnd, ct.ssthresh, ct.avoidance
			require.Positive(t, avoidance.level)
			sent := ct.now.Add(-1)
			require.True(t, ct.Lost(&LossBatch{Now: ct.now, ID: 7, Packets: test.lost, NewPackets: test.lost, LatestSent: sent}))
			require.Equal(t, cwnd*7/10, ct.cwnd)
			test.after(ct)
			reduced := ct.cwnd
			undone := false
			for range test.refuted {
				require.False(t, undone)
				undone = ct.Spurious(&SpuriousLoss{ID: 7, Sent: sent, Size: segment})
			}
			require.Equal(t, test.undone, undone)
			if !test.undone {
				require.Equal(t, reduced, ct.cwnd)
				return
			}
			require.Equal(t, cwnd, ct.cwnd)
			require.Equal(t, ssthresh, ct.ssthresh)
			require.GreaterOrEqual(t, ct.avoidance.elapsed, avoidance.elapsed)
			require.Zero(t, ct.recoveryStart)
			ct.avoidance.elapsed = avoidance.elapsed
			require.Equal(t, avoidance, ct.avoidance)
		})
	}
}

// Slow start goes on after a reduction that is undone.
func TestCubicUndoInSlowStart(t *testing.T) {
	lt := newLossTest(t, Config{NewController: NewCubic})
	lt.l.ConfirmHandshake(lt.now)
	lt.fill(SpaceApp) // 0 to 9
	lt.advance(40 * ms)
	lt.ack(SpaceApp, 0, 3, -9)
	require.Equal(t, 8400, lt.l.Path().CongestionWindow())
	lt.ack(SpaceApp, 0, 0, -9)
	require.EqualValues(t, 1, lt.l.Counters().UndoneReductions)
	require.Equal(t, 12000, lt.l.Path().CongestionWindow())
	_, last := lt.fill(SpaceApp)
	lt.advance(40 * ms)
	lt.ack(SpaceApp, 0, 0, -last)
	require.Equal(t, 24000, lt.l.Path().CongestionWindow())
}

// The connection reduces the window once for each recovery period, and sends one packet at once.
func TestCubicRecoveryPeriod(t *testing.T) {
	lt := newLossTest(t, Config{NewController: NewCubic})
	lt.l.ConfirmHandshake(lt.now)
	lt.fill(SpaceApp) // 0 to 9
	lt.advance(40 * ms)
	lt.ack(SpaceApp, 0, 3)
	lt.want("App 3 acked", "App 0 lost")
	require.Equal(t, 8400, lt.l.Path().CongestionWindow())
	lt.wantLimit("one packet", SendAll)
	lt.send(SpaceApp, 1) // 10
	lt.wantLimit("no more", SendAckOnly)
	lt.advance(ms)
	lt.ack(SpaceApp, 0, 3, 5)
	lt.want("App 5 acked", "App 1 lost", "App 2 lost")
	require.Equal(t, 8400, lt.l.Path().CongestionWindow(), "the same period")
	lt.advance(40 * ms)
	lt.ack(SpaceApp, 0, 3, -10)
	require.InDelta(t, 8400, lt.l.Path().CongestionWindow(), 200, "congestion avoidance")
	require.EqualValues(t, 1, lt.l.Counters().CongestionEvents)
}

// In slow start, a train has at most an eighth of the window, so that a receiver which acknowledges each train
// once still gives HyStart++ eight samples in each round trip.
func TestTrainsInSlowStart(t *testing.T) {
	lt := newLossTest(t, Config{NewController: NewCubic})
	lt.l.ConfirmHandshake(lt.now)
	for window := 12000; window < 1<<20; window *= 2 {
		require.Equal(t, window, lt.l.Path().CongestionWindow())
		if window > 12000 {
			lt.advance(40 * ms)
			require.LessOrEqual(t, lt.l.SendQuantum(lt.now), window/8)
		} else {
			require.Equal(t, 12000, lt.l.SendQuantum(lt.now))
		}
		_, last := lt.fill(SpaceApp)
		lt.advance(40 * ms)
		lt.ack(SpaceApp, 0, 0, -last)
	}
}
