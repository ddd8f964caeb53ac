package recovery

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// A bbrSample is what BBR uses of an acknowledgement: the draft's RS.
type bbrSample struct {
	RateSample
	rate     int64  // delivery_rate; 0 if the sample is not valid
	acked    int    // newly_acked
	total    uint64 // C.delivered
	inFlight int    // C.inflight after the acknowledgement
	prior    int    // C.inflight before it
	rtt      time.Duration
}

func newBBRSample(a *AckBatch) bbrSample {
	s := bbrSample{RateSample: a.Sample, acked: a.Bytes, inFlight: a.InFlight, rtt: a.RTT}
	s.prior = a.InFlight + a.Bytes + a.LostBytes
	s.total = a.Sample.PriorDelivered + a.Sample.Delivered
	s.rate = rateOf(a.Sample.Delivered, a.Sample.Interval)
	return s
}

// rateOf returns the rate of n bytes in a time, or 0 if the time is 0.
func rateOf(n uint64, d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	// n is bounded by what may be in flight and be acknowledged in a round trip, so this does not overflow.
	return min(int64(min(n, 8<<30))*int64(time.Second)/int64(d), bbrMaxBandwidth)
}

// tooHigh reports whether the loss rate since the sampled packet was sent exceeds the threshold.
//
// The draft compares the rates alone. A window of 300 packets exceeds 2 % by chance in every tenth round trip if 1 % is
// lost at random, and each time the window is bounded for seconds. Here, the losses must exceed what the threshold
// permits by two standard deviations. Congestion loses much more than that.
func (b *bbr) tooHigh(s *RateSample) bool {
	// Both are in hundredths of a datagram. The variance of the number of losses is its mean.
	lost, permitted := int64(s.Lost)*100/int64(b.mds), int64(s.InFlight)*bbrLossPercent/int64(b.mds)
	excess := lost - permitted
	return excess > 0 && excess*excess > 4*100*permitted
}

// rounds counts round trips by the packets that are acknowledged.
type rounds struct {
	count         uint32
	roundStart    bool
	nextDelivered uint64
	delivered     uint64 // C.delivered at the latest acknowledgement
}

func (r *rounds) startRound() { r.nextDelivered = r.delivered }

func (b *bbr) updateRound(rs *bbrSample) {
	b.delivered = rs.total
	b.roundStart = rs.PriorDelivered >= b.nextDelivered
	if b.roundStart {
		b.startRound()
		b.count++
		b.sinceUp++
	}
}

// bandwidth is the long-term model of the rate: a maximum over the current and the previous cycle of ProbeBW.
type bandwidth struct {
	cycles [2]int64
}

func (m *bandwidth) maxBW() int64 { return max(m.cycles[0], m.cycles[1]) }

// advance begins a cycle.
func (m *bandwidth) advance() {
	m.cycles = [2]int64{0, m.cycles[0]}
}

func (b *bbr) updateMaxBW(rs *bbrSample) {
	if rs.rate > 0 && (rs.rate >= b.maxBW() || !rs.AppLimited) {
		b.cycles[0] = max(b.cycles[0], rs.rate)
	}
}

// limits are the bounds that losses have shown, of the long-term and the short-term model, and what was delivered in
// the latest round trip. bbrUnlimited means that there is no bound.
type limits struct {
	inflightLong, inflightShort int64
	bwShort                     int64

	bwLatest       int64
	inflightLatest uint64

	lossInRound    bool
	lossRoundStart bool
	lossDelivered  uint64 // loss_round_delivered
	lossRanges     int    // discontiguous ranges of packets lost in the round
}

func (l *limits) resetShortTerm() { l.bwShort, l.inflightShort = bbrUnlimited, bbrUnlimited }

func (l *limits) resetSignals() { l.lossInRound, l.bwLatest, l.inflightLatest = false, 0, 0 }

func (l *limits) updateLatest(rs *bbrSample) {
	l.bwLatest = max(l.bwLatest, rs.rate)
	l.inflightLatest = max(l.inflightLatest, rs.Delivered)
	l.lossRoundStart = rs.PriorDelivered >= l.lossDelivered
	if l.lossRoundStart {
		l.lossDelivered = rs.total
	}
}

func (l *limits) advanceLatest(rs *bbrSample) {
	if l.lossRoundStart {
		l.bwLatest, l.inflightLatest = rs.rate, rs.Delivered
	}
}

// adaptLowerBounds reduces the short-term model once for each round trip with losses, unless we probe.
func (b *bbr) adaptLowerBounds() {
	if !b.lossRoundStart {
		return
	}
	if b.lossInRound && !b.state.accelerates() {
		if b.bwShort == bbrUnlimited {
			b.bwShort = b.maxBW()
		}
		if b.inflightShort == bbrUnlimited {
			b.inflightShort = int64(b.cwnd)
		}
		b.bwShort = max(withLoss(b.bwLatest), b.bwShort*bbrBeta/100)
		b.inflightShort = max(withLoss(int64(b.inflightLatest)), b.inflightShort*bbrBeta/100)
	}
	if !b.lossInRound && b.recovery.active {
		b.recovery.active = false
		b.restoreCwnd()
	}
	b.lossInRound = false
}

// withLoss returns what was sent if n was delivered and as much was lost as BBR tolerates.
//
// The draft takes what was delivered. The rate then shrinks by the loss rate in each round trip until the next probe,
// to three quarters with a random loss of 1 % and 100 ms. A loss rate that is tolerated while probing should not
// matter in between.
func withLoss(n int64) int64 { return n * 100 / (100 - bbrLossPercent) }

// lossRecovery is an episode of losses, with the state to return to if all of them were spurious.
type lossRecovery struct {
	active bool   // the latest round trip had losses
	lost   int    // packets of the episode declared lost and not acknowledged since
	first  uint32 // ID of the batch that began it

	cwnd                                 int
	bwShort, inflightShort, inflightLong int64
	// state is the state that losses have ended: Startup, ProbeBW_UP, or another one if they ended none.
	state bbrState
}

// noteLoss records a loss, and reports whether it is the first one in its round trip. The round trip begins now.
func (b *bbr) noteLoss(s *RateSample) (first bool) {
	first = !b.lossInRound
	if first {
		b.lossDelivered = s.PriorDelivered + s.Delivered
		b.lossRanges = 0
	}
	b.lossInRound = true
	return first
}

// Lost updates the model. The draft judges each lost packet; here the newest of a batch stands for all of it.
func (b *bbr) Lost(l *LossBatch) (reduced bool) {
	if !b.recovery.active {
		b.saveCwnd()
		b.recovery = lossRecovery{active: true, first: l.ID, cwnd: b.cwnd, bwShort: b.bwShort,
			inflightShort: b.inflightShort, inflightLong: b.inflightLong, state: bbrDrain}
	}
	b.recovery.lost += l.Packets
	reduced = b.noteLoss(&l.Sample)
	b.lossRanges += l.Ranges
	if l.Persistent {
		// "When persistent congestion is declared, the sender's congestion window MUST be reduced to the
		// minimum congestion window (kMinimumWindow)"
		// https://www.rfc-editor.org/rfc/rfc9002#section-7.6.2-6
		b.cwnd = 2 * b.mds
	}
	if b.probeSample && b.tooHigh(&l.Sample) {
		s := l.Sample
		s.InFlight = inflightAtLoss(&l.Sample, l.Bytes)
		b.inflightTooHigh(l.Now, &s)
	}
	return reduced
}

// inflightAtLoss returns the volume in flight at which losses exceeded the threshold. size is that of the packets that
// were lost together.
func inflightAtLoss(s *RateSample, size int) int {
	before := max(s.InFlight-size, 0)
	lostBefore := int64(s.Lost) - int64(size)
	prefix := (int64(before)*bbrLossPercent - 100*lostBefore) / (100 - bbrLossPercent)
	return before + int(max(prefix, 0))
}

// inflightTooHigh reduces the long-term bound, once for each probe.
func (b *bbr) inflightTooHigh(now monotime.Time, s *RateSample) {
	b.prevTooHigh, b.probeSample = true, false
	if !s.AppLimited {
		b.inflightLong = int64(max(s.InFlight, b.targetInflight()*bbrBeta/100))
	}
	if b.state == bbrUp {
		b.recovery.state = bbrUp
		b.startDown(now)
	}
}

// Spurious undoes the reaction to losses when all losses of the episode were spurious.
func (b *bbr) Spurious(l *SpuriousLoss) (undone bool) {
	r := &b.recovery
	if r.lost == 0 || l.ID < r.first {
		return false
	}
	if r.lost--; r.lost > 0 {
		return false
	}
	r.active = false
	b.cwnd = max(b.cwnd, r.cwnd)
	b.lossInRound = false
	b.fullPipe.reset(0)
	b.bwShort = max(b.bwShort, r.bwShort)
	b.inflightShort = max(b.inflightShort, r.inflightShort)
	b.inflightLong = max(b.inflightLong, r.inflightLong)
	switch {
	case r.state == bbrStartup && b.state != bbrStartup:
		b.fullReached = false
		if b.state != bbrProbeRTT {
			b.state = bbrStartup
		}
	case r.state == bbrUp && b.state != bbrUp && b.state != bbrProbeRTT:
		b.startRefill()
	}
	r.state = bbrDrain
	return true
}

// aggregation estimates how much more than expected is acknowledged at once.
type aggregation struct {
	start  monotime.Time
	acked  int64
	filter maxFilter
}

func (g *aggregation) extraAcked() int { return int(g.filter.best()) }

func (b *bbr) updateAggregation(now monotime.Time, rs *bbrSample, bw int64, cwnd int, full bool) {
	g := &b.aggregation
	us := min(int64(now.Sub(g.start)/time.Microsecond), int64(bbrMaxMinRTT/time.Microsecond))
	expected := bw * us / 1e6
	if g.acked <= expected {
		g.acked, g.start, expected = 0, now, 0
	}
	g.acked += int64(rs.acked)
	length := uint32(1)
	if full {
		length = bbrExtraAckedLen
	}
	g.filter.update(min(g.acked-expected, int64(cwnd)), b.count, length)
}

// A maxFilter is a maximum over the latest rounds: the best value, and the best ones after it.
type maxFilter struct {
	values [3]int64
	rounds [3]uint32
}

func (f *maxFilter) best() int64 { return f.values[0] }

// update adds a value of a round. Values that are length rounds old are forgotten.
func (f *maxFilter) update(v int64, round, length uint32) {
	if v >= f.values[0] || round-f.rounds[2] > length {
		f.values, f.rounds = [3]int64{v, v, v}, [3]uint32{round, round, round}
		return
	}
	if v >= f.values[1] {
		f.values[1], f.values[2], f.rounds[1], f.rounds[2] = v, v, round, round
	} else if v >= f.values[2] {
		f.values[2], f.rounds[2] = v, round
	}
	for range 2 {
		if age := round - f.rounds[0]; age > length {
			f.values = [3]int64{f.values[1], f.values[2], v}
			f.rounds = [3]uint32{f.rounds[1], f.rounds[2], round}
		}
	}
	// A maximum that has not been approached for a while would leave nothing behind when it expires.
	age := round - f.rounds[0]
	if f.rounds[1] == f.rounds[0] && age > length/4 {
		f.values[1], f.values[2], f.rounds[1], f.rounds[2] = v, v, round, round
	} else if f.rounds[2] == f.rounds[1] && age > length/2 {
		f.values[2], f.rounds[2] = v, round
	}
}
