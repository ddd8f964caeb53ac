package recovery

import (
	"container/heap"
	"testing"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/stretchr/testify/require"
)

// A route is a sender, a path and a receiver in virtual time: as much of a network as a Loss can see. Tests change
// its fields while it runs.
type route struct {
	*lossTest
	link
	// want returns how many bytes the application has written up to a time. nil means more than can be sent.
	want func(since time.Duration) int

	events events
	seq    int
	ends   monotime.Time // when what waits at the bottleneck has left
	tokens int64         // of the policer, in billionths of a byte
	filled monotime.Time
	number int // data packets so far

	received  RangeSet[wire.PacketNumber]
	unacked   int // packets received since the latest acknowledgement
	delayed   int // invalidates the timers of delayed acknowledgements
	newest    wire.PacketNumber
	sentBytes int
	lostBytes int
	arrived   int // bytes
	// The latest times for which send is scheduled: by the pacer, for a timeout, and to ask the application.
	wake, timeout, poll monotime.Time
	states              []string
	observe             func(*route)
}

// A link is the path of a route.
type link struct {
	rtt    time.Duration
	rate   int              // bytes per second
	queue  int              // bytes that may wait; 0 means no limit
	policy int              // the rate of a policer; 0 means none
	burst  int              // the bytes that the policer lets pass at once
	drop   func(n int) bool // whether the n-th data packet is lost
	// late returns by how much the n-th data packet is delayed beyond the link's order.
	late func(n int) time.Duration
	// gather holds acknowledgements back to multiples of this time.
	gather time.Duration
}

type event struct {
	at  monotime.Time
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

func newRoute(t *testing.T, newController func() Controller, l link) *route {
	lt := newLossTest(t, Config{NewController: newController})
	lt.l.DiscardSpace(lt.now, SpaceInitial)
	lt.l.DiscardSpace(lt.now, SpaceHandshake)
	lt.l.ConfirmHandshake(lt.now)
	r := &route{lossTest: lt, link: l, filled: lt.now, newest: -1, tokens: int64(l.burst) * 1e9}
	lt.fate = func(_ Space, p *SentPacket, fate Fate) {
		if fate == Lost {
			r.lostBytes += p.Size
		}
	}
	return r
}

func (r *route) at(t monotime.Time, do func()) {
	r.seq++
	heap.Push(&r.events, event{t, r.seq, do})
}

// run runs the route for a time.
func (r *route) run(d time.Duration) {
	r.step(d)
	require.NoError(r, r.l.CheckInvariants())
}

// step is run without a check of the invariants.
func (r *route) step(d time.Duration) {
	end := r.now.Add(d)
	r.at(r.now, r.send)
	for len(r.events) > 0 && r.events[0].at <= end {
		e := heap.Pop(&r.events).(event)
		r.now = max(r.now, e.at)
		e.do()
		if s := r.l.active.CongestionState(); len(r.states) == 0 || r.states[len(r.states)-1] != s {
			r.states = append(r.states, s)
		}
		if r.observe != nil {
			r.observe(r)
		}
	}
	r.now = end
}

// until runs the route until a condition holds, for at most d.
func (r *route) until(why string, d time.Duration, done func() bool) {
	r.Helper()
	for end := r.now.Add(d); !done(); r.step(ms) {
		require.True(r, r.now < end, "%s: the states were %v", why, r.states)
	}
	require.NoError(r, r.l.CheckInvariants())
}

func (r *route) hasData() bool {
	return r.want == nil || r.sentBytes-r.lostBytes < r.want(r.now.Sub(testStart))
}

// send sends what the Loss permits, and arms the timers.
func (r *route) send() {
	for r.l.SendLimit(r.now) == SendAll {
		if !r.hasData() && r.l.ProbesPending() == 0 {
			r.l.AppLimited()
			if r.want != nil && r.poll <= r.now {
				r.poll = r.now.Add(ms)
				r.at(r.poll, r.send)
			}
			break
		}
		r.sendOne()
	}
	if at := r.l.PacedUntil(r.now); !at.IsZero() && at != r.wake {
		r.wake = at
		r.at(at, func() {
			if r.wake == at {
				r.send()
			}
		})
	}
	if at := r.l.NextTimeout(); !at.IsZero() && at != r.timeout {
		r.timeout = at
		r.at(at, func() {
			if r.timeout != at {
				return
			}
			if next := r.l.NextTimeout(); !next.IsZero() && next <= r.now {
				r.l.HandleTimeout(r.now, r.fate)
			}
			r.send()
		})
	}
}

func (r *route) sendOne() {
	p := r.l.NewSent()
	p.Num, p.Time, p.Size, p.AckEliciting, p.InFlight = r.l.NextNumber(SpaceApp), r.now, r.size, true, true
	pn := p.Num
	r.l.PacketSent(r.now, SpaceApp, p)
	r.l.ProbeSent()
	r.sentBytes += r.size
	n := r.number
	r.number++
	if r.drop != nil && r.drop(n) || !r.conforms() {
		return
	}
	r.ends = max(r.ends, r.now)
	if r.queue > 0 && r.queued() > r.queue {
		return
	}
	r.ends = r.ends.Add(time.Duration(int64(r.size) * int64(time.Second) / int64(r.rate)))
	at := r.ends.Add(r.rtt / 2)
	if r.late != nil {
		at = at.Add(r.late(n))
	}
	r.at(at, func() { r.receive(pn) })
}

// queued returns how many bytes wait at the bottleneck.
func (r *route) queued() int {
	return int(int64(max(r.ends-r.now, 0)) * int64(r.rate) / int64(time.Second))
}

// conforms reports whether a policer lets a packet pass.
func (r *route) conforms() bool {
	if r.policy == 0 {
		return true
	}
	r.tokens = min(r.tokens+int64(r.now.Sub(r.filled))*int64(r.policy), int64(r.burst)*1e9)
	r.filled = r.now
	if r.tokens < int64(r.size)*1e9 {
		return false
	}
	r.tokens -= int64(r.size) * 1e9
	return true
}

// receive acknowledges every second packet, what arrives out of order, and everything after 25 ms.
func (r *route) receive(pn wire.PacketNumber) {
	r.received.Add(pn, pn+1)
	r.arrived += r.size
	gap := pn != r.newest+1
	r.newest = max(r.newest, pn)
	r.unacked++
	if r.unacked >= 2 || gap {
		r.acknowledge()
		return
	}
	r.delayed++
	timer := r.delayed
	r.at(r.now.Add(MaxAckDelay), func() {
		if timer == r.delayed && r.unacked > 0 {
			r.acknowledge()
		}
	})
}

func (r *route) acknowledge() {
	r.unacked = 0
	r.delayed++
	for r.received.NumRanges() > 64 {
		r.received.Sub(r.received.Range(0).Start, r.received.Range(0).End)
	}
	ranges := make([]wire.PNRange, 0, 64)
	for i := range r.received.NumRanges() {
		ranges = append(ranges, wire.PNRange{Start: r.received.Range(i).Start, End: r.received.Range(i).End})
	}
	f, _ := wire.ConsumeAck(wire.AppendAck(nil, ranges, 0, nil, 1000))
	at := r.now.Add(r.rtt / 2)
	if r.gather > 0 {
		at = at.Add(r.gather - time.Duration(at)%r.gather)
	}
	r.at(at, func() {
		require.NoError(r, r.l.HandleAck(r.now, SpaceApp, &f, r.fate))
		r.send()
	})
}

// throughput returns the bytes per second that arrive in a time.
func (r *route) throughput(d time.Duration) int {
	before := r.arrived
	r.run(d)
	return int(float64(r.arrived-before) / d.Seconds())
}
