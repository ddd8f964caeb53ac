package recovery

import (
	"runtime/debug"
	"time"

	"github.com/pqquic/pqquic/quic/congestion"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/tlsprovider"
)

// ForAlgorithm returns the function that makes the controllers of an algorithm. It calls onPanic, which may be nil,
// when a controller of the program panics.
func ForAlgorithm(a congestion.Algorithm, onPanic func(*tlsprovider.PanicError)) func() Controller {
	if newController := a.Constructor(); newController != nil {
		return func() Controller { return &custom{newController: newController, name: a.String(), onPanic: onPanic} }
	}
	switch a.String() {
	case congestion.BBR().String():
		return NewBBR
	case congestion.NewReno().String():
		return NewReno
	}
	return NewCubic
}

// custom adapts a controller of the program. It bounds the decisions, and replaces a controller that panics with CUBIC.
type custom struct {
	newController func() congestion.Controller
	name          string
	onPanic       func(*tlsprovider.PanicError)

	inner congestion.Controller
	// instead is CUBIC after a panic. Until then it is nil.
	instead  Controller
	path     congestion.Path
	ack      congestion.Ack
	loss     congestion.Loss
	late     int // bytes acknowledged late since the latest call of Acked
	decision congestion.Decision
}

// State returns the name of the algorithm, or the state of what replaces it.
func (c *custom) State() string {
	if s, ok := c.instead.(interface{ State() string }); ok {
		return s.State()
	}
	return c.name
}

// Reset makes a controller.
func (c *custom) Reset(now monotime.Time, mds int) {
	*c = custom{newController: c.newController, name: c.name, onPanic: c.onPanic}
	c.path = congestion.Path{Now: time.Duration(now), DatagramSize: mds, SmoothedRTT: DefaultInitialRTT}
	c.call(func() { c.inner = c.newController() })
	if c.inner == nil {
		c.replace()
	}
}

// call calls a method of the controller, unless one has panicked.
func (c *custom) call(f func()) {
	if c.instead != nil {
		return
	}
	returned := false
	defer func() {
		v := recover()
		switch {
		case v != nil:
			c.replace()
			if c.onPanic != nil {
				c.onPanic(&tlsprovider.PanicError{Callback: "Config.CongestionControl", Value: v, Stack: debug.Stack()})
			}
		case !returned:
			// The goroutine ends in the middle of a call of the connection, whose lock it holds. A deadlock of
			// everything that uses the Endpoint would follow, without a message.
			panic("quic: a congestion controller of the program has called runtime.Goexit, as testing.T.FailNow does: " +
				"its connection cannot continue")
		}
	}()
	f()
	returned = true
}

// replace goes on with CUBIC.
func (c *custom) replace() {
	c.instead = NewCubic()
	c.instead.Reset(monotime.Time(c.path.Now), c.path.DatagramSize)
}

func (c *custom) SetDatagramSize(size int) {
	c.path.DatagramSize = size
	if c.instead != nil {
		c.instead.SetDatagramSize(size)
	}
}

func (c *custom) PacketSent(now monotime.Time, size, inFlight int) {
	if c.instead != nil {
		c.instead.PacketSent(now, size, inFlight)
		return
	}
	c.path.Now, c.path.InFlight = time.Duration(now), inFlight
	c.call(func() { c.inner.PacketSent(&c.path, size) })
}

func (c *custom) Acked(b *AckBatch) (reduced bool) {
	if c.instead != nil {
		return c.instead.Acked(b)
	}
	c.path.Now, c.path.InFlight = time.Duration(b.Now), b.InFlight
	c.ack = congestion.Ack{Bytes: b.Bytes, RTT: b.RTT, CE: b.CE, LateBytes: c.late, Sample: publicSample(&b.Sample)}
	c.late = 0
	c.call(func() { c.inner.Acked(&c.path, &c.ack) })
	return false
}

func (c *custom) Lost(b *LossBatch) (reduced bool) {
	if c.instead != nil {
		return c.instead.Lost(b)
	}
	c.path.Now, c.path.InFlight = time.Duration(b.Now), b.InFlight
	c.loss = congestion.Loss{Packets: b.Packets, Bytes: b.Bytes, Persistent: b.Persistent, Sample: publicSample(&b.Sample)}
	c.call(func() { c.inner.Lost(&c.path, &c.loss) })
	return false
}

func (c *custom) Spurious(l *SpuriousLoss) (undone bool) {
	if c.instead != nil {
		return c.instead.Spurious(l)
	}
	c.late += l.Size
	return false
}

// Output asks for the decisions and bounds the rate. The path bounds the window.
func (c *custom) Output(rtt *RTT) Output {
	p := &c.path
	p.SmoothedRTT, p.LatestRTT, p.MinRTT, p.Sampled = rtt.Smoothed, rtt.Latest, rtt.Min, rtt.Sampled
	c.call(func() { c.decision = c.inner.Decide(p) })
	if c.instead != nil {
		return c.instead.Output(rtt)
	}
	d := c.decision
	least := 2 * p.DatagramSize
	d.Window = min(max(d.Window, least), maxWindow)
	if d.Rate <= 0 {
		if !rtt.Sampled {
			return Output{Window: d.Window}
		}
		d.Rate = int64(d.Window) * 5 / 4 * int64(time.Second) / int64(rtt.Smoothed)
	}
	slowest := int64(least) * int64(time.Second) / int64(min(max(rtt.Smoothed, time.Microsecond), time.Second))
	return Output{Window: d.Window, PacingRate: max(d.Rate, slowest)}
}

func publicSample(s *RateSample) congestion.RateSample {
	return congestion.RateSample{Delivered: s.Delivered, Interval: s.Interval, Total: s.PriorDelivered,
		AppLimited: s.AppLimited, InFlight: s.InFlight, Lost: s.Lost}
}
