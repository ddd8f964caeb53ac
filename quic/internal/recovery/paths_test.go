package recovery

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// newTwoPathTest returns a connection with a round-trip time sample of 100 ms on its path, and a second
// path that is not in use yet.
func newTwoPathTest(t *testing.T) (lt *lossTest, first, second *Path) {
	lt = newSampledTest(t, 100*ms)
	first, second = lt.l.active, newPath(lt.now, &Config{MaxDatagramSize: 1200, NewController: NewReno})
	lt.l.paths = append(lt.l.paths, second)
	return lt, first, second
}

// A sample of the round-trip time belongs to the path on which the largest acknowledged packet was sent.
//
// "Packets sent on the old path MUST NOT contribute to congestion control or RTT estimation for the new
// path."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.4-1
func TestPathsSampleRTTSeparately(t *testing.T) {
	lt, first, second := newTwoPathTest(t)
	lt.send(SpaceApp, 1) // 1
	lt.l.active = second
	lt.send(SpaceApp, 1) // 2
	lt.advance(20 * ms)
	lt.ack(SpaceApp, 0, 2)
	require.Equal(t, 20*ms, second.RTT().Latest)
	require.Equal(t, 100*ms, first.RTT().Latest)
	require.Equal(t, 1200, first.BytesInFlight())
	require.Zero(t, second.BytesInFlight())
	lt.advance(80 * ms)
	before := second.RTT()
	lt.ack(SpaceApp, 0, 1, -2)
	require.Equal(t, before, second.RTT(), "packet 1 was sent on the other path")
	lt.want("App 2 acked", "App 1 acked")
}

// Losses reduce the congestion window of the path on which the packets were sent.
func TestPathsDetectLossSeparately(t *testing.T) {
	lt, first, second := newTwoPathTest(t)
	lt.send(SpaceApp, 4) // 1 to 4
	lt.l.active = second
	lt.send(SpaceApp, 4) // 5 to 8
	lt.advance(20 * ms)
	lt.ack(SpaceApp, 0, 8)
	lt.want("App 8 acked", "App 5 lost")
	require.Equal(t, 12000, first.CongestionWindow())
	require.Equal(t, 6000, second.CongestionWindow())
	require.Equal(t, 4*1200, first.BytesInFlight())
	require.Equal(t, 2*1200, second.BytesInFlight())

	// The first path is slower. Its packets are not lost just because packets of the second path arrive
	// earlier.
	require.False(t, lt.l.spaces[SpaceApp].lossTime.IsZero(), "packets 6 and 7 become lost by time")
	lt.expire()
	lt.want("App 6 lost", "App 7 lost")
	require.True(t, lt.l.spaces[SpaceApp].lossTime.IsZero(), "nothing sent after 1 to 4 was acknowledged on their path")
	lt.advance(100 * ms)
	lt.ack(SpaceApp, 0, 4, 8)
	lt.want("App 4 acked", "App 1 lost", "App 2 lost", "App 3 lost")
	require.Equal(t, 6000, first.CongestionWindow())
	require.Equal(t, 6000, second.CongestionWindow())
	require.EqualValues(t, 2, lt.l.Counters().CongestionEvents)
	require.Equal(t, wire.NoPacket, lt.l.OldestUnacked(SpaceApp))

	// A spurious loss is undone on its own path.
	lt.ack(SpaceApp, 0, 1, -4, 8)
	require.Equal(t, 12000, first.CongestionWindow())
	require.Equal(t, 6000, second.CongestionWindow())
}

// The probe timeout is based on the round-trip time of the path in use, whatever path a packet was sent on.
func TestProbeTimeoutOfActivePath(t *testing.T) {
	lt, _, second := newTwoPathTest(t)
	lt.send(SpaceApp, 1) // 1
	slow := lt.l.PTO()
	lt.wantTimer("the first path's", slow)
	lt.l.active = second
	second.rtt = RTT{Latest: 10 * ms, Min: 10 * ms, Smoothed: 10 * ms, Variance: 5 * ms, Sampled: true}
	lt.wantTimer("the second path's", 10*ms+20*ms+MaxAckDelay)
	require.Less(t, lt.l.PTO(), slow)
	lt.expire()
	lt.wantProbes("on the second path", 2, SpaceApp)
	pn := lt.send(SpaceApp, 1)
	require.Equal(t, 1200, second.BytesInFlight())
	lt.advance(10 * ms)
	lt.ack(SpaceApp, 0, pn)
	require.Zero(t, second.BytesInFlight())
	require.Equal(t, 10*ms, second.RTT().Latest)
}

// A server's limit before address validation applies to each path.
func TestPathsAreValidatedSeparately(t *testing.T) {
	lt := newLossTest(t, Config{Server: true})
	lt.l.Path().ValidateAddress()
	second := newPath(lt.now, &Config{Server: true, MaxDatagramSize: 1200, NewController: NewReno})
	lt.l.paths = append(lt.l.paths, second)
	lt.l.active = second
	lt.wantLimit("nothing was received from there", SendNothing)
	second.DatagramReceived(500)
	lt.wantLimit("1,500 bytes", SendAll)
	require.Equal(t, 1500, second.AmplificationCredit())
}

// recordedController records its calls.
type recordedController struct {
	newReno
	acks   []AckBatch
	losses []LossBatch
	sent   int
}

func (c *recordedController) PacketSent(now monotime.Time, size, inFlight int) {
	c.sent++
	c.newReno.PacketSent(now, size, inFlight)
}

func (c *recordedController) Acked(b *AckBatch) bool {
	c.acks = append(c.acks, *b)
	return c.newReno.Acked(b)
}

func (c *recordedController) Lost(b *LossBatch) bool {
	c.losses = append(c.losses, *b)
	return c.newReno.Lost(b)
}

// A custom controller gets one call for each batch, with the samples that a model of the path needs.
func TestControllerBatches(t *testing.T) {
	c := new(recordedController)
	lt := newLossTest(t, Config{NewController: func() Controller { return c }})
	lt.l.ConfirmHandshake(lt.now)
	lt.send(SpaceApp, 4) // 0 to 3
	lt.advance(40 * ms)
	lt.ack(SpaceApp, 0, 0, -3)
	require.Len(t, c.acks, 1)
	b := c.acks[0]
	require.Equal(t, 4*1200, b.Bytes)
	require.Equal(t, 4*1200, b.NewBytes)
	require.Equal(t, 40*ms, b.RTT)
	require.Equal(t, RateSample{Delivered: 4 * 1200, Interval: 40 * ms, InFlight: 4 * 1200}, b.Sample)

	lt.l.AppLimited()
	lt.send(SpaceApp, 6) // 4 to 9, all at once
	lt.advance(40 * ms)
	lt.ack(SpaceApp, 0, 0, -3, 8, -9)
	require.Len(t, c.losses, 1)
	require.Equal(t, 3, c.losses[0].Packets, "packets 4 to 6")
	require.Equal(t, 3, c.losses[0].NewPackets)
	require.Equal(t, 3*1200, c.losses[0].Bytes)
	require.Equal(t, 1200, c.losses[0].InFlight)
	require.EqualValues(t, 3*1200, c.losses[0].Sample.Lost)
	require.Equal(t, 3*1200, c.losses[0].Sample.InFlight)
	require.Len(t, c.acks, 2)
	b = c.acks[1]
	require.Equal(t, 2*1200, b.Bytes)
	require.Equal(t, 3*1200, b.LostBytes)
	require.True(t, b.Reduced)
	require.Equal(t, 1200, b.InFlight)
	require.Equal(t, RateSample{Delivered: 2 * 1200, PriorDelivered: 4 * 1200, Interval: 40 * ms, AppLimited: true,
		InFlight: 6 * 1200, Lost: 3 * 1200}, b.Sample)
	require.Equal(t, 10, c.sent)

	// Packets that do not count as in flight are not reported to the controller.
	lt.sendAck(SpaceApp)
	require.Equal(t, 10, c.sent)
}

// Samples are no longer app-limited once everything that was in flight at the mark has been acknowledged.
func TestAppLimitedEnds(t *testing.T) {
	c := new(recordedController)
	lt := newLossTest(t, Config{NewController: func() Controller { return c }})
	lt.l.ConfirmHandshake(lt.now)
	var limited []bool
	for i := range 3 {
		lt.send(SpaceApp, 2)
		if i == 0 {
			lt.l.AppLimited()
		}
		last := lt.send(SpaceApp, 2)
		lt.advance(40 * ms)
		lt.ack(SpaceApp, 0, 0, -last)
		limited = append(limited, c.acks[i].Sample.AppLimited)
	}
	require.Equal(t, []bool{true, false, false}, limited)
}

// An interval below the minimum round-trip time gives no rate.
func TestCompressedSample(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{39 * ms: 0, 40 * ms: 40 * ms} {
		var d delivery
		p := d.sent(testStart, 1200, 1200)
		d.acked(testStart.Add(interval), 1200)
		require.Equal(t, want, d.sample(&p, testStart, 40*ms).Interval)
	}
}
