package recovery

import (
	"math"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// bbr is the congestion controller of draft-ietf-ccwg-bbr (BBR version 3). It paces at the rate that the path was
// measured to deliver, and bounds the bytes in flight by a multiple of the bandwidth-delay product. See
// docs/congestion-control.md. The names are those of the draft.
//
// Rates are in bytes per second, sizes in bytes, and gains in percent. All arithmetic is on integers, so that every
// platform makes the same decisions.
type bbr struct {
	mds        int
	state      bbrState
	cwnd       int
	priorCwnd  int // the last window that neither ProbeRTT nor a timeout has reduced
	pacingRate int64
	use        windowUse
	random     uint64

	rounds
	bandwidth
	aggregation
	probeRTT
	fullPipe
	cycle
	limits
	recovery lossRecovery

	idleRestart     bool
	drainStartRound uint32
}

// bbrState is a state of BBR's state machine.
type bbrState uint8

const (
	bbrStartup bbrState = iota
	bbrDrain
	bbrDown
	bbrCruise
	bbrRefill
	bbrUp
	bbrProbeRTT
)

// bbrGains are the gains and the name of a state, from the draft's "Summary of Control Behavior in the State Machine".
var bbrGains = [...]struct {
	name         string
	pacing, cwnd int64
}{
	bbrStartup:  {"startup", 277, 200},
	bbrDrain:    {"drain", 50, 200},
	bbrDown:     {"probe_bw_down", 90, 200},
	bbrCruise:   {"probe_bw_cruise", 100, 200},
	bbrRefill:   {"probe_bw_refill", 100, 200},
	bbrUp:       {"probe_bw_up", 125, 225},
	bbrProbeRTT: {"probe_rtt", 100, 50},
}

// The constants of the draft's section "Terminology".
const (
	bbrLossPercent    = 2  // LossThresh
	bbrBeta           = 70 // percent
	bbrHeadroom       = 15 // percent
	bbrPacingMargin   = 1  // percent
	bbrMinPipe        = 4  // MinPipeCwnd, in datagrams
	bbrFullLossCount  = 6  // StartupFullLossCnt
	bbrFullRounds     = 3
	bbrFullGrowth     = 125 // percent
	bbrDrainRounds    = 3
	bbrExtraAckedLen  = 10 // ExtraAckedFilterLen, in rounds
	bbrMaxRenoRounds  = 63
	bbrProbeWait      = 2 * time.Second
	bbrMinRTTLen      = 10 * time.Second // MinRTTFilterLen
	bbrProbeRTTEvery  = 5 * time.Second  // ProbeRTTInterval
	bbrProbeRTTFor    = 200 * time.Millisecond
	bbrMaxBandwidth   = 1 << 37          // bytes per second
	bbrMaxMinRTT      = 60 * time.Second // with bbrMaxBandwidth, products fit into 63 bits
	bbrUnlimited      = math.MaxInt64
	bbrMaxUpRounds    = 30
	bbrPerIncInfinity = math.MaxInt
)

// NewBBR returns the congestion controller of draft-ietf-ccwg-bbr.
func NewBBR() Controller { return new(bbr) }

// Reset begins with Startup. The time seeds the choice of when to probe, so that flows that share a bottleneck do not
// probe at the same time.
func (b *bbr) Reset(now monotime.Time, mds int) {
	*b = bbr{mds: mds, cwnd: initialWindow(mds), random: uint64(now)}
	b.use.start = now
	b.aggregation.start = now
	b.minRTT, b.minRTTAt = math.MaxInt64, now
	b.probeMin, b.probeMinAt = math.MaxInt64, now
	b.inflightLong = bbrUnlimited
	b.ackedPerInc = bbrPerIncInfinity
	b.resetShortTerm()
}

// SetDatagramSize changes the size of datagrams, in which the window grows.
func (b *bbr) SetDatagramSize(mds int) {
	if b.cwnd == initialWindow(b.mds) && b.bw() == 0 {
		b.cwnd = initialWindow(mds)
	}
	b.mds = mds
	b.cwnd = max(b.cwnd, b.minPipe())
}

// PacketSent notices the end of an idle period. A sender with nothing in flight had nothing to send.
func (b *bbr) PacketSent(now monotime.Time, size, inFlight int) {
	b.use.most = max(b.use.most, inFlight)
	if inFlight+b.mds > b.cwnd {
		b.use.full = true
	}
	if inFlight == size && b.maxBW() > 0 {
		b.idleRestart = true
		b.aggregation.start = now
		switch {
		case b.state.probesBW():
			b.setPacingRate(100)
		case b.state == bbrProbeRTT:
			b.checkProbeRTTDone(now)
		}
	}
}

// Acked updates the model, the state and the control parameters, in the order of the draft's "Per-ACK Steps".
func (b *bbr) Acked(a *AckBatch) (reduced bool) {
	if a.Sample.Delivered == 0 {
		return reduced // only packets that are not in flight
	}
	if a.CE > 0 {
		reduced = b.noteLoss(&a.Sample)
	}
	rs := newBBRSample(a)
	b.updateLatest(&rs)
	b.updateRound(&rs)
	b.updateMaxBW(&rs)
	b.adaptLowerBounds()
	b.updateAggregation(a.Now, &rs, b.bw(), b.cwnd, b.fullReached)
	b.checkFullPipe(&rs, b.roundStart)
	b.checkStartupDone(&rs)
	b.checkDrainDone(a.Now, &rs)
	b.updateCycle(a.Now, &rs)
	b.updateMinRTT(a.Now, &rs)
	b.checkProbeRTT(a.Now, &rs)
	b.advanceLatest(&rs)
	b.use.nextRound(a.Now, a.LatestSent, a.InFlight)
	if b.pacingRate == 0 && a.RTT > 0 {
		// "InitPacingRate": before there is a sample of the bandwidth.
		b.pacingRate = rateOf(uint64(initialWindow(b.mds)), a.SmoothedRTT) * bbrGains[bbrStartup].pacing / 100
	}
	b.setPacingRate(bbrGains[b.state].pacing)
	b.setCwnd(&rs)
	return reduced
}

// Output returns the decisions. Samples of ProbeRTT are marked as limited by the application, because they do not show
// what the path can carry.
func (b *bbr) Output(*RTT) Output {
	return Output{Window: b.cwnd, PacingRate: b.pacingRate, MaxTrain: b.sendQuantum(), AppLimited: b.state == bbrProbeRTT}
}

// State returns the name of the state.
func (b *bbr) State() string { return bbrGains[b.state].name }

func (s bbrState) probesBW() bool { return s >= bbrDown && s <= bbrUp }

// accelerates is the draft's IsProbingBW: losses are expected, and do not reduce the short-term model.
func (s bbrState) accelerates() bool { return s == bbrStartup || s == bbrRefill || s == bbrUp }

func (b *bbr) minPipe() int { return bbrMinPipe * b.mds }

// bw is the rate to send at, from the long-term and the short-term model.
func (b *bbr) bw() int64 { return min(b.maxBW(), b.bwShort) }

// cwndLimited reports whether the window was full in this round trip or the one before.
func (b *bbr) cwndLimited() bool { return b.use.full || b.use.wasOn }

// bdp returns a multiple of the bandwidth-delay product for a rate.
func (b *bbr) bdp(bw, gain int64) int {
	if b.minRTT == math.MaxInt64 {
		return initialWindow(b.mds)
	}
	us := int64(min(b.minRTT, bbrMaxMinRTT) / time.Microsecond)
	return int(min(bw*us/1e6*gain/100, maxWindow))
}

// quantize adds what sending and acknowledging in trains needs.
func (b *bbr) quantize(inflight int) int {
	inflight = max(inflight, b.sendQuantum(), b.minPipe())
	if b.state == bbrUp {
		inflight += 2 * b.mds
	}
	return inflight
}

// inflight is the draft's Inflight(gain).
func (b *bbr) inflight(bw, gain int64) int { return b.quantize(b.bdp(bw, gain)) }

// targetInflight is what we want in flight: the bandwidth-delay product, unless congestion has cut the window.
func (b *bbr) targetInflight() int { return min(b.bdp(b.bw(), 100), b.cwnd) }

// sendQuantum returns the largest train: what the pacing rate sends in a millisecond.
func (b *bbr) sendQuantum() int { return max(int(min(b.pacingRate/1000, maxQuantum)), 2*b.mds) }

// setPacingRate sets the pacing rate to a multiple of the bandwidth. Until the pipe was full once, it only rises.
func (b *bbr) setPacingRate(gain int64) {
	rate := b.bw() * gain / 100 * (100 - bbrPacingMargin) / 100
	if rate > 0 && (b.fullReached || rate > b.pacingRate) {
		b.pacingRate = rate
	}
}

// setCwnd increases the window by at most what was acknowledged, and bounds it by the model.
func (b *bbr) setCwnd(rs *bbrSample) {
	most := b.quantize(b.bdp(b.bw(), bbrGains[b.state].cwnd) + b.extraAcked())
	if b.fullReached {
		b.cwnd = min(b.cwnd+rs.acked, most)
	} else if b.cwnd < most || rs.total < uint64(initialWindow(b.mds)) {
		b.cwnd += rs.acked
	}
	b.cwnd = max(b.cwnd, b.minPipe())
	if b.state == bbrProbeRTT {
		b.cwnd = min(b.cwnd, b.probeRTTCwnd())
	}
	b.cwnd = min(b.cwnd, b.modelCap(), maxWindow)
}

// modelCap is the bound of the "Volume Cap" column of the draft's table.
func (b *bbr) modelCap() int {
	limit := int64(bbrUnlimited)
	switch {
	case b.state == bbrProbeRTT || b.state == bbrCruise:
		limit = b.withHeadroom()
	case b.state.probesBW():
		limit = b.inflightLong
	}
	return max(int(min(limit, b.inflightShort, maxWindow)), b.minPipe())
}

// withHeadroom is a volume that leaves room for other flows in the queue of the bottleneck.
func (b *bbr) withHeadroom() int64 {
	if b.inflightLong == bbrUnlimited {
		return bbrUnlimited
	}
	headroom := max(int64(b.mds), b.inflightLong*bbrHeadroom/100)
	return max(b.inflightLong-headroom, int64(b.minPipe()))
}

// saveCwnd saves the window before it is reduced for another reason than the model. restoreCwnd restores it.
func (b *bbr) saveCwnd() {
	if b.recovery.active || b.state == bbrProbeRTT {
		b.priorCwnd = max(b.priorCwnd, b.cwnd)
	} else {
		b.priorCwnd = b.cwnd
	}
}

func (b *bbr) restoreCwnd() { b.cwnd = max(b.cwnd, b.priorCwnd) }

// pick returns a pseudo-random number below n.
func (b *bbr) pick(now monotime.Time, n uint64) uint64 {
	b.random = (b.random ^ uint64(now)) + 0x9e3779b97f4a7c15
	z := (b.random ^ b.random>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return (z ^ z>>31) % n
}
