package recovery

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// fullPipe looks for a plateau of the delivery rate while the sender accelerates.
type fullPipe struct {
	fullReached bool  // the pipe was full once
	fullNow     bool  // it is full since the estimator was reset
	fullBW      int64 // the rate that another one must exceed by a quarter
	fullCount   int   // rounds without such growth
}

func (f *fullPipe) reset(bw int64) { f.fullBW, f.fullCount, f.fullNow = bw, 0, false }

func (f *fullPipe) checkFullPipe(rs *bbrSample, roundStart bool) {
	if f.fullNow || !roundStart || rs.AppLimited || rs.rate == 0 {
		return
	}
	if rs.rate >= f.fullBW*bbrFullGrowth/100 {
		f.reset(rs.rate)
		return
	}
	f.fullCount++
	if f.fullCount >= bbrFullRounds {
		f.fullNow, f.fullReached = true, true
	}
}

// checkStartupDone ends Startup on a plateau, or if a full round trip had too many losses.
func (b *bbr) checkStartupDone(rs *bbrSample) {
	if b.state != bbrStartup {
		return
	}
	if b.lossRoundStart {
		if b.lossRanges >= bbrFullLossCount && b.tooHigh(&rs.RateSample) {
			b.recovery.state = bbrStartup
			b.fullReached, b.fullNow = true, true
			b.inflightLong = max(int64(b.bdp(b.maxBW(), 100)), int64(b.inflightLatest))
		}
		b.lossRanges = 0
	}
	if b.fullReached {
		b.state = bbrDrain
		b.drainStartRound = b.count
	}
}

// checkDrainDone ends Drain when the queue is estimated to be empty, or after three round trips.
func (b *bbr) checkDrainDone(now monotime.Time, rs *bbrSample) {
	if b.state == bbrDrain && (rs.inFlight <= b.inflight(b.bw(), 100) || b.count > b.drainStartRound+bbrDrainRounds) {
		b.startDown(now)
	}
}

// cycle is the state of the cycles of ProbeBW.
type cycle struct {
	ackPhase       ackPhase
	started        monotime.Time // cycle_stamp
	wait           time.Duration // bw_probe_wait
	sinceUp        int           // rounds_since_probe_up
	upRounds       uint          // bw_probe_up_rounds
	upAcked        int           // bw_probe_up_acked
	ackedPerInc    int           // probe_up_acked_per_inc
	probeSample    bool          // is_bw_probe_sample
	prevTooHigh    bool          // prev_probe_too_high
	prevPrecaution bool          // prev_probe_precautionary
}

// ackPhase is what the acknowledgements that arrive show about a probe.
type ackPhase uint8

const (
	acksInit ackPhase = iota
	acksRefilling
	acksStarting
	acksFeedback
	acksStopping
)

func (b *bbr) startDown(now monotime.Time) {
	b.resetSignals()
	b.ackedPerInc = bbrPerIncInfinity
	b.sinceUp = int(b.pick(now, 2))
	b.wait = bbrProbeWait + time.Duration(b.pick(now, uint64(time.Second)))
	b.started = now
	b.ackPhase = acksStopping
	b.startRound()
	b.state = bbrDown
}

func (b *bbr) startRefill() {
	b.resetShortTerm()
	b.upRounds, b.upAcked = 0, 0
	b.prevPrecaution = false
	b.ackPhase = acksRefilling
	b.startRound()
	b.state = bbrRefill
}

func (b *bbr) startUp(rs *bbrSample) {
	b.ackPhase = acksStarting
	b.startRound()
	b.fullPipe.reset(rs.rate)
	b.state = bbrUp
	b.raiseSlope()
}

// updateCycle advances the cycle of ProbeBW.
func (b *bbr) updateCycle(now monotime.Time, rs *bbrSample) {
	if !b.fullReached || b.adaptLongTerm(rs) {
		return
	}
	switch b.state {
	case bbrDown:
		if !b.timeToProbe(now) && b.timeToCruise(rs) {
			b.state = bbrCruise
		}
	case bbrCruise:
		b.timeToProbe(now)
	case bbrRefill:
		if b.roundStart {
			b.probeSample = true
			b.startUp(rs)
		}
	case bbrUp:
		if b.timeToGoDown(rs) {
			b.prevTooHigh = false
			b.startDown(now)
		}
	}
}

// timeToProbe begins to probe after two to three seconds, or after as many round trips as a Reno flow would take to
// grow by what is in flight.
func (b *bbr) timeToProbe(now monotime.Time) bool {
	reno := min(b.targetInflight()/b.mds, bbrMaxRenoRounds)
	if now.Sub(b.started) <= b.wait && b.sinceUp < reno {
		return false
	}
	b.startRefill()
	return true
}

func (b *bbr) timeToCruise(rs *bbrSample) bool {
	return int64(rs.inFlight) <= b.withHeadroom() && rs.inFlight <= b.inflight(b.maxBW(), 100)
}

// timeToGoDown reports whether to stop accelerating: there is a plateau, or the bound is reached at which the
// previous probe lost too much.
func (b *bbr) timeToGoDown(rs *bbrSample) bool {
	if b.prevTooHigh && int64(rs.prior+b.mds) > b.inflightLong { // there is no room for another datagram
		b.prevPrecaution = true
		return true
	}
	if b.cwndLimited() && int64(b.cwnd) >= b.inflightLong {
		b.fullPipe.reset(rs.rate) // the bound limits the rate
		return false
	}
	return b.fullNow
}

// raiseSlope doubles the growth of the long-term bound.
func (b *bbr) raiseSlope() {
	growth := 1 << b.upRounds
	b.upRounds = min(b.upRounds+1, bbrMaxUpRounds)
	b.ackedPerInc = max(b.cwnd/growth, b.mds)
}

// probeUpward increases the long-term bound while it limits the sender.
func (b *bbr) probeUpward(rs *bbrSample) {
	if !b.cwndLimited() || int64(b.cwnd) < b.inflightLong {
		return
	}
	b.upAcked += rs.acked
	if n := b.upAcked / b.ackedPerInc; n > 0 {
		b.upAcked -= n * b.ackedPerInc
		b.inflightLong += int64(n * b.mds)
	}
	if b.roundStart {
		b.raiseSlope()
	}
}

// adaptLongTerm tracks what acknowledgements show about the latest probe, and raises the long-term bound. It reports
// whether it changed the state.
func (b *bbr) adaptLongTerm(rs *bbrSample) bool {
	if b.ackPhase == acksStarting && b.roundStart {
		b.ackPhase = acksFeedback
	}
	if b.ackPhase == acksStopping && b.roundStart {
		b.probeSample = false
		b.ackPhase = acksInit
		if b.state.probesBW() && !rs.AppLimited {
			b.bandwidth.advance()
		}
		if b.state.probesBW() && b.prevPrecaution && !b.prevTooHigh {
			b.startRefill()
			return true
		}
	}
	if b.tooHigh(&rs.RateSample) || b.inflightLong == bbrUnlimited {
		return false
	}
	b.inflightLong = max(b.inflightLong, int64(rs.InFlight))
	if b.state == bbrUp {
		b.probeUpward(rs)
	}
	return false
}

// probeRTT estimates the round-trip time without queues, and schedules ProbeRTT.
type probeRTT struct {
	minRTT     time.Duration
	minRTTAt   monotime.Time
	probeMin   time.Duration // the minimum since the latest ProbeRTT
	probeMinAt monotime.Time
	expired    bool
	doneAt     monotime.Time // zero until what is in flight has shrunk
	roundDone  bool
}

func (p *probeRTT) updateMinRTT(now monotime.Time, rs *bbrSample) {
	p.expired = now.Sub(p.probeMinAt) > bbrProbeRTTEvery
	if rs.rtt > 0 && (rs.rtt < p.probeMin || p.expired) {
		p.probeMin, p.probeMinAt = rs.rtt, now
	}
	if p.probeMin < p.minRTT || now.Sub(p.minRTTAt) > bbrMinRTTLen {
		p.minRTT, p.minRTTAt = p.probeMin, p.probeMinAt
	}
}

// probeRTTCwnd is half of the bandwidth-delay product.
func (b *bbr) probeRTTCwnd() int {
	return max(b.bdp(b.bw(), bbrGains[bbrProbeRTT].cwnd), b.minPipe())
}

// checkProbeRTT enters ProbeRTT if the estimate is too old and the sender was not idle, and leaves it after 200 ms and
// a round trip with little in flight.
func (b *bbr) checkProbeRTT(now monotime.Time, rs *bbrSample) {
	if b.state != bbrProbeRTT && b.expired && !b.idleRestart {
		b.saveCwnd()
		b.state = bbrProbeRTT
		b.doneAt = 0
		b.ackPhase = acksStopping
		b.startRound()
	}
	if b.state == bbrProbeRTT {
		if b.doneAt.IsZero() && rs.inFlight <= b.probeRTTCwnd() {
			b.doneAt, b.roundDone = now.Add(bbrProbeRTTFor), false
			b.startRound()
		} else if !b.doneAt.IsZero() {
			b.roundDone = b.roundDone || b.roundStart
			if b.roundDone {
				b.checkProbeRTTDone(now)
			}
		}
	}
	if rs.Delivered > 0 {
		b.idleRestart = false
	}
}

func (b *bbr) checkProbeRTTDone(now monotime.Time) {
	if b.doneAt.IsZero() || !now.After(b.doneAt) {
		return
	}
	b.probeMinAt = now
	b.restoreCwnd()
	b.resetShortTerm()
	if !b.fullReached {
		b.state = bbrStartup
		return
	}
	b.startDown(now)
	b.state = bbrCruise
}
