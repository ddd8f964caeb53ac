package recovery

import (
	"fmt"
	"testing"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/stretchr/testify/require"
)

const ms = time.Millisecond

// lossTest tests a Loss without a network: the test acts as the network and the clock. It checks the
// invariants after each step.
type lossTest struct {
	*testing.T
	l    Loss
	now  monotime.Time
	got  []string // fates since the last call of want
	size int      // size of the packets sent by send
	fate FateFunc
}

// testStart is the time at which tests begin. It is not zero, because zero means never.
const testStart = monotime.Time(time.Hour)

// newLossTest returns a connection that uses NewReno, unless cfg has another controller: the tests of loss
// detection and of RFC 9002 expect its windows.
func newLossTest(t *testing.T, cfg Config) *lossTest {
	lt := &lossTest{T: t, now: testStart, size: 1200}
	cfg.MaxDatagramSize = 1200
	if cfg.NewController == nil {
		cfg.NewController = NewReno
	}
	lt.l.Init(lt.now, cfg)
	lt.fate = func(s Space, p *SentPacket, fate Fate) {
		require.Equal(lt, fmt.Sprint(p.Num), string(p.Record), "the record is returned")
		lt.got = append(lt.got, fmt.Sprintf("%v %d %v", s, p.Num, fate))
	}
	return lt
}

// newConfirmedTest returns a client with a confirmed handshake and no round-trip time sample.
func newConfirmedTest(t *testing.T) *lossTest {
	lt := newLossTest(t, Config{})
	lt.l.DiscardSpace(lt.now, SpaceInitial)
	lt.l.DiscardSpace(lt.now, SpaceHandshake)
	lt.l.ConfirmHandshake(lt.now)
	return lt
}

// newSampledTest returns a client with a confirmed handshake and one round-trip time sample, from packet 0.
func newSampledTest(t *testing.T, rtt time.Duration) *lossTest {
	lt := newConfirmedTest(t)
	lt.send(SpaceApp, 1)
	lt.advance(rtt)
	lt.ack(SpaceApp, 0, 0)
	lt.want("App 0 acked")
	return lt
}

func (t *lossTest) check() {
	t.Helper()
	require.NoError(t, t.l.CheckInvariants())
}

// window returns the window of the congestion controller.
func (l *Loss) window() *lossBased {
	switch c := l.active.cc.(type) {
	case *newReno:
		return &c.lossBased
	case *cubic:
		return &c.lossBased
	}
	panic("another controller")
}

// setWindow changes the congestion window.
func (l *Loss) setWindow(now monotime.Time, window, ssthresh int) {
	l.window().cwnd, l.window().ssthresh = window, ssthresh
	l.active.setRate(now)
}

func (t *lossTest) advance(d time.Duration) { t.now = t.now.Add(d) }

// send sends n ack-eliciting packets of t.size bytes and returns the number of the last.
func (t *lossTest) send(s Space, n int) (last wire.PacketNumber) {
	t.Helper()
	for range n {
		last = t.sendPacket(s, func(p *SentPacket) { p.AckEliciting, p.InFlight = true, true })
	}
	return last
}

// sendAck sends a packet that contains only an ACK frame.
func (t *lossTest) sendAck(s Space) wire.PacketNumber {
	t.Helper()
	return t.sendPacket(s, func(p *SentPacket) { p.Size = 40 })
}

func (t *lossTest) sendPacket(s Space, set func(p *SentPacket)) wire.PacketNumber {
	t.Helper()
	p := t.l.NewSent()
	require.Equal(t, SentPacket{Record: p.Record}, *p, "a new packet is empty")
	require.Empty(t, p.Record)
	p.Num, p.Time, p.Size = t.l.NextNumber(s), t.now, t.size
	p.Record = fmt.Append(p.Record, p.Num)
	set(p)
	num, size, eliciting := p.Num, p.Size, p.AckEliciting
	t.l.PacketSent(t.now, s, p)
	t.l.Path().DatagramSent(size)
	if eliciting {
		t.l.ProbeSent()
	}
	t.check()
	return num
}

// frame returns an ACK frame for ascending packet numbers. A negative number ends a range that begins with
// the number before it.
func (t *lossTest) frame(delay time.Duration, ecn *wire.ECNCounts, pns ...wire.PacketNumber) *wire.Ack {
	t.Helper()
	var set RangeSet[wire.PacketNumber]
	for i, pn := range pns {
		if pn < 0 {
			set.Add(pns[i-1], -pn+1)
		} else {
			set.Add(pn, pn+1)
		}
	}
	var ranges []wire.PNRange
	for i := range set.NumRanges() {
		ranges = append(ranges, wire.PNRange{Start: set.Range(i).Start, End: set.Range(i).End})
	}
	b := wire.AppendAck(nil, ranges, uint64(delay/time.Microsecond)>>AckDelayExponent, ecn, 1000)
	f, n := wire.ConsumeAck(b)
	require.Equal(t, len(b), n)
	return &f
}

// ack receives an ACK frame: see frame.
func (t *lossTest) ack(s Space, delay time.Duration, pns ...wire.PacketNumber) {
	t.Helper()
	require.NoError(t, t.l.HandleAck(t.now, s, t.frame(delay, nil, pns...), t.fate))
	t.check()
}

// want requires that exactly these fates were reported since the last call of want.
func (t *lossTest) want(fates ...string) {
	t.Helper()
	require.Equal(t, fates, t.got)
	t.got = nil
}

// wantTimer requires that the timer expires after d.
func (t *lossTest) wantTimer(why string, d time.Duration) {
	t.Helper()
	at := t.l.NextTimeout()
	require.False(t, at.IsZero(), "%s: a timer is armed", why)
	require.Equal(t, d, at.Sub(t.now), why)
}

func (t *lossTest) wantNoTimer(why string) {
	t.Helper()
	require.Zero(t, t.l.NextTimeout(), why)
}

// expire advances the clock to the timer and handles its expiry. It requires that nothing happens before.
func (t *lossTest) expire() {
	t.Helper()
	at := t.l.NextTimeout()
	require.False(t, at.IsZero(), "a timer is armed")
	before, probes := len(t.got), t.l.ProbesPending()
	t.l.HandleTimeout(at-1, t.fate)
	require.Len(t, t.got, before, "the timer does not expire early")
	require.Equal(t, probes, t.l.ProbesPending(), "the timer does not expire early")
	t.now = max(t.now, at)
	t.l.HandleTimeout(t.now, t.fate)
	t.check()
}

// wantProbes requires that n probes are pending for space s.
func (t *lossTest) wantProbes(why string, n int, s Space) {
	t.Helper()
	require.Equal(t, n, t.l.ProbesPending(), why)
	require.Equal(t, s, t.l.ProbeSpace(), why)
}

func (t *lossTest) wantLimit(why string, limit SendLimit) {
	t.Helper()
	require.Equal(t, limit, t.l.SendLimit(t.now), why)
}
