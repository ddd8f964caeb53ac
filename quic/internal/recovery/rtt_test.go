package recovery

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func (t *lossTest) wantRTT(why string, latest, min, smoothed, variance time.Duration) {
	t.Helper()
	r := &t.l.active.rtt
	require.Equal(t, latest, r.Latest, "latest_rtt: %s", why)
	require.Equal(t, min, r.Min, "min_rtt: %s", why)
	require.Equal(t, smoothed, r.Smoothed, "smoothed_rtt: %s", why)
	require.Equal(t, variance, r.Variance, "rttvar: %s", why)
}

// "min_rtt MUST be set to the latest_rtt on the first RTT sample. min_rtt MUST be set to the lesser of min_rtt and
// latest_rtt (Section 5.1) on all other samples."
// https://www.rfc-editor.org/rfc/rfc9002#section-5.2-2
func TestRTTSamples(t *testing.T) {
	lt := newConfirmedTest(t)
	// "smoothed_rtt = kInitialRtt [...] rttvar = kInitialRtt / 2"
	// https://www.rfc-editor.org/rfc/rfc9002#section-5.3-12
	lt.wantRTT("before any sample", 0, 0, 333*ms, 333*ms/2)

	lt.send(SpaceApp, 1)
	lt.advance(40 * ms)
	lt.ack(SpaceApp, 25*ms, 0)
	lt.wantRTT("the first sample is used as it is, whatever its delay", 40*ms, 40*ms, 40*ms, 20*ms)

	lt.send(SpaceApp, 1)
	lt.advance(64 * ms)
	lt.ack(SpaceApp, 8*ms, 0, -1)
	lt.wantRTT("the delay is subtracted", 64*ms, 40*ms, 42*ms, 19*ms)

	lt.send(SpaceApp, 1)
	lt.advance(82 * ms)
	lt.ack(SpaceApp, 200*ms, 0, -2)
	// "[An endpoint] MUST use the lesser of the acknowledgment delay and the peer's max_ack_delay
	// after the handshake is confirmed".
	// https://www.rfc-editor.org/rfc/rfc9002#section-5.3-7.3.1
	adjusted := (82 - 25) * ms
	lt.wantRTT("the delay is limited", 82*ms, 40*ms, (7*42*ms+adjusted)/8, (3*19*ms+adjusted-42*ms)/4)

	lt.l.active.rtt = RTT{Latest: 40 * ms, Min: 40 * ms, Smoothed: 40 * ms, Variance: 8 * ms, Sampled: true}
	lt.send(SpaceApp, 1)
	lt.advance(48 * ms)
	lt.ack(SpaceApp, 16*ms, 3)
	// "[An endpoint] MUST NOT subtract the acknowledgment delay from the RTT sample if the
	// resulting value is smaller than the min_rtt."
	// https://www.rfc-editor.org/rfc/rfc9002#section-5.3-7.4.1
	lt.wantRTT("an impossible delay is ignored", 48*ms, 40*ms, 41*ms, 8*ms)

	lt.send(SpaceApp, 1)
	lt.advance(33 * ms)
	lt.ack(SpaceApp, 0, 4)
	lt.wantRTT("a shorter round trip", 33*ms, 33*ms, 40*ms, 8*ms)
}

func TestRTTSampleNeedsLargestAndEliciting(t *testing.T) {
	lt := newSampledTest(t, 40*ms)
	lt.send(SpaceApp, 2) // 1, 2
	lt.advance(10 * ms)
	lt.ack(SpaceApp, 0, 2)
	require.Equal(t, 10*ms, lt.l.Path().RTT().Latest)
	lt.advance(10 * ms)
	// "[A]n ACK frame SHOULD NOT be used to update RTT estimates if it does not newly acknowledge
	// the largest acknowledged packet."
	// https://www.rfc-editor.org/rfc/rfc9002#section-5.1-6
	lt.ack(SpaceApp, 0, 1, 2)
	require.Equal(t, 10*ms, lt.l.Path().RTT().Latest, "the ACK frame's largest packet is not new")

	lt.sendAck(SpaceApp)
	lt.advance(30 * ms)
	// "An RTT sample MUST NOT be generated on receiving an ACK frame that does not newly
	// acknowledge at least one ack-eliciting packet."
	// https://www.rfc-editor.org/rfc/rfc9002#section-5.1-7
	lt.ack(SpaceApp, 0, 2, 3)
	require.Equal(t, 10*ms, lt.l.Path().RTT().Latest, "not ack-eliciting")
}

func TestRTTDelayDuringHandshake(t *testing.T) {
	lt := newLossTest(t, Config{})
	lt.send(SpaceApp, 1)
	lt.advance(40 * ms)
	lt.ack(SpaceApp, 0, 0)
	lt.send(SpaceApp, 1)
	lt.advance(240 * ms)
	// "The peer might report acknowledgment delays that are larger than the peer's max_ack_delay
	// during the handshake [...] the endpoint SHOULD ignore max_ack_delay until the handshake is
	// confirmed".
	// https://www.rfc-editor.org/rfc/rfc9002#section-5.3-3
	lt.ack(SpaceApp, 200*ms, 1)
	lt.wantRTT("the whole delay is subtracted", 240*ms, 40*ms, 40*ms, 15*ms)

	lt.send(SpaceInitial, 1)
	lt.advance(48 * ms)
	lt.ack(SpaceInitial, 8*ms, 0)
	lt.wantRTT("a delay of Initial packets is ignored", 48*ms, 40*ms, 41*ms, (3*15*ms+8*ms)/4)
}

func TestRTTAckDelayExponent(t *testing.T) {
	lt := newSampledTest(t, 40*ms)
	lt.l.SetAckDelayExponent(5)
	lt.send(SpaceApp, 1)
	lt.advance(60 * ms)
	lt.ack(SpaceApp, 4*ms, 1) // 500 << 5 µs
	lt.wantRTT("scaled by the peer's exponent", 60*ms, 40*ms, (7*40*ms+44*ms)/8, (3*20*ms+4*ms)/4)

	lt.l.SetAckDelayExponent(20)
	lt.send(SpaceApp, 1)
	lt.advance(60 * ms)
	f := lt.frame(0, nil, 2)
	f.Delay = 1<<62 - 1
	require.NoError(t, lt.l.HandleAck(lt.now, SpaceApp, f, lt.fate))
	require.Less(t, lt.l.Path().SmoothedRTT(), 60*ms, "the largest delay does not overflow")
	require.Greater(t, lt.l.Path().SmoothedRTT(), 30*ms, "the largest delay does not overflow")
}

func TestRTTOfZeroAndSlow(t *testing.T) {
	lt := newSampledTest(t, 0)
	require.Positive(t, lt.l.Path().SmoothedRTT(), "a rate can be computed")
	require.Equal(t, SendAll, lt.l.SendLimit(lt.now))
	lt = newSampledTest(t, time.Hour)
	lt.send(SpaceApp, 1)
	require.Equal(t, 3*time.Hour+25*ms, lt.l.PTO(), "a slow path is not probed early")
	lt.wantTimer("the maximum does not apply below the round trip", 3*time.Hour+25*ms)
}
