package recovery

import (
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/pqquic/pqquic/quic/congestion"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/stretchr/testify/require"
)

// A program is a controller of a program, which a test defines.
type program struct {
	decide func(*congestion.Path) congestion.Decision
	event  func(name string) // called for each event
	acks   []congestion.Ack
	losses []congestion.Loss
}

func (p *program) note(name string) {
	if p.event != nil {
		p.event(name)
	}
}

func (p *program) PacketSent(*congestion.Path, int) { p.note("sent") }

func (p *program) Acked(_ *congestion.Path, a *congestion.Ack) {
	p.acks = append(p.acks, *a)
	p.note("acked")
}

func (p *program) Lost(_ *congestion.Path, l *congestion.Loss) {
	p.losses = append(p.losses, *l)
	p.note("lost")
}

func (p *program) Decide(path *congestion.Path) congestion.Decision {
	p.note("decide")
	if p.decide == nil {
		return congestion.Decision{Window: 100_000}
	}
	return p.decide(path)
}

// newProgram returns a route with the program's controller.
func newProgram(t *testing.T, p *program, onPanic func(*tlsprovider.PanicError)) *route {
	algorithm := congestion.Custom("program", func() congestion.Controller { return p })
	return newRoute(t, ForAlgorithm(algorithm, onPanic), link{rtt: 40 * ms, rate: 10 * mbit, queue: 100_000})
}

func TestAlgorithms(t *testing.T) {
	for _, c := range []struct {
		algorithm congestion.Algorithm
		name      string
		want      Controller
	}{
		{congestion.Algorithm{}, "cubic", new(cubic)}, {congestion.CUBIC(), "cubic", new(cubic)},
		{congestion.BBR(), "bbr", new(bbr)}, {congestion.NewReno(), "newreno", new(newReno)},
		{congestion.Custom("bbr", func() congestion.Controller { return new(program) }), "bbr", new(custom)},
	} {
		require.Equal(t, c.name, c.algorithm.String())
		require.IsType(t, c.want, ForAlgorithm(c.algorithm, nil)())
	}
}

// A program that sends at a fixed rate gets that rate, whatever is lost.
func TestCustomFixedRate(t *testing.T) {
	const rate = 6 * mbit
	p := &program{decide: func(p *congestion.Path) congestion.Decision {
		return congestion.Decision{Rate: rate, Window: int(2 * rate * p.SmoothedRTT / time.Second)}
	}}
	r := newProgram(t, p, nil)
	r.drop = every(20)
	r.run(time.Second)
	require.InDelta(t, rate*0.95, r.throughput(5*time.Second), rate*0.02)
	require.Equal(t, "program", r.l.active.CongestionState())
}

// The program sees the bytes that are acknowledged and lost, late acknowledgements, and rates.
func TestCustomEvents(t *testing.T) {
	p := new(program)
	r := newProgram(t, p, nil)
	r.drop = func(n int) bool { return n == 200 }
	r.late = func(n int) time.Duration {
		if n == 300 {
			return 20 * ms
		}
		return 0
	}
	r.run(2 * time.Second)
	acked, late, lost := 0, 0, 0
	var rate int64
	for _, a := range p.acks {
		acked, late, rate = acked+a.Bytes, late+a.LateBytes, max(rate, a.Sample.Rate())
	}
	for _, l := range p.losses {
		lost += l.Bytes
		require.Positive(t, l.Sample.Lost)
	}
	require.Equal(t, 1200, late)
	require.Equal(t, 2400, lost)
	require.Equal(t, r.sentBytes, acked+lost+r.l.active.bytesInFlight)
	require.InDelta(t, 10*mbit, rate, 10*mbit*0.3)
}

// Bad decisions are bounded: the connection goes on, slowly or as fast as the limits permit.
func TestCustomBadDecisions(t *testing.T) {
	for _, c := range []struct {
		decision congestion.Decision
		least    int // bytes in 5 s
	}{
		{congestion.Decision{}, 200_000},
		{congestion.Decision{Window: -1, Rate: -1}, 200_000},
		{congestion.Decision{Window: math.MinInt, Rate: math.MinInt64}, 200_000},
		{congestion.Decision{Window: 100_000, Rate: 1}, 200_000},
		{congestion.Decision{Window: math.MaxInt, Rate: math.MaxInt64}, 1_000_000},
		{congestion.Decision{Window: math.MaxInt}, 1_000_000},
	} {
		t.Run(fmt.Sprint(c.decision), func(t *testing.T) {
			r := newProgram(t, &program{decide: func(*congestion.Path) congestion.Decision { return c.decision }}, nil)
			most := 0
			r.observe = func(r *route) { most = max(most, r.l.packetsInFlight) }
			r.run(5 * time.Second)
			require.Greater(t, r.arrived, c.least)
			require.LessOrEqual(t, most, maxWindow/1024+1)
			require.GreaterOrEqual(t, r.l.active.out.Window, 2*r.size)
			require.LessOrEqual(t, r.l.active.out.Window, maxWindow)
		})
	}
}

// A controller that calls runtime.Goexit, as testing.T.FailNow does, would leave its connection locked. The program panics
// instead.
func TestCustomGoexit(t *testing.T) {
	var panics []*tlsprovider.PanicError
	p := new(program)
	r := newProgram(t, p, func(p *tlsprovider.PanicError) { panics = append(panics, p) })
	p.event = func(string) { runtime.Goexit() }
	ended := make(chan any)
	go func() {
		defer func() { ended <- recover() }()
		r.run(time.Second)
	}()
	require.ErrorContains(t, fmt.Errorf("%v", <-ended), "runtime.Goexit")
	require.Empty(t, panics)
}

// A controller that panics, or that is nil, is replaced by CUBIC.
func TestCustomPanics(t *testing.T) {
	for _, where := range []string{"sent", "acked", "lost", "decide"} {
		t.Run(where, func(t *testing.T) {
			var panics []*tlsprovider.PanicError
			n := 0
			p := &program{event: func(name string) {
				if n++; name == where && n > 50 {
					panic("tripwire")
				}
			}}
			r := newProgram(t, p, func(p *tlsprovider.PanicError) { panics = append(panics, p) })
			r.drop = every(100)
			r.run(5 * time.Second)
			require.Len(t, panics, 1, "the controller is not called again")
			require.Equal(t, "tripwire", panics[0].Value)
			require.Contains(t, string(panics[0].Stack), "(*program).note")
			require.Greater(t, r.arrived, 1_000_000)
			require.Contains(t, r.states, "congestion_avoidance")
		})
	}
	for name, newController := range map[string]func() congestion.Controller{
		"nil": func() congestion.Controller { return nil }, "panic": func() congestion.Controller { panic("tripwire") },
	} {
		t.Run("constructor: "+name, func(t *testing.T) {
			r := newRoute(t, ForAlgorithm(congestion.Custom("", newController), nil), link{rtt: 40 * ms, rate: 10 * mbit})
			r.run(time.Second)
			require.Greater(t, r.arrived, 500_000)
		})
	}
}

// The adapter allocates nothing, and neither does BBR.
func TestControllersDoNotAllocate(t *testing.T) {
	fixed := congestion.Custom("fixed", func() congestion.Controller { return quiet{} })
	for _, algorithm := range []congestion.Algorithm{congestion.BBR(), fixed} {
		c := ForAlgorithm(algorithm, nil)()
		c.Reset(testStart, 1200)
		now := testStart
		rtt := RTT{Latest: 40 * ms, Min: 40 * ms, Smoothed: 40 * ms, Sampled: true}
		total := uint64(0)
		ack, loss := new(AckBatch), new(LossBatch)
		require.Zero(t, testing.AllocsPerRun(1000, func() {
			now = now.Add(ms)
			c.PacketSent(now, 1200, 50_000)
			*loss = LossBatch{Now: now, Packets: 1, Bytes: 1200}
			c.Lost(loss)
			*ack = AckBatch{Now: now, Bytes: 1200, RTT: 40 * ms, SmoothedRTT: 40 * ms,
				Sample: RateSample{Delivered: 48_000, PriorDelivered: total, Interval: 40 * ms, InFlight: 50_000}}
			c.Acked(ack)
			total += 1200
			c.Output(&rtt)
		}), algorithm.String())
	}
}

type quiet struct{}

func (quiet) PacketSent(*congestion.Path, int)            {}
func (quiet) Acked(*congestion.Path, *congestion.Ack)     {}
func (quiet) Lost(*congestion.Path, *congestion.Loss)     {}
func (quiet) Decide(*congestion.Path) congestion.Decision { return congestion.Decision{Window: 50_000} }
