package stats

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The keys of Sample.Latency.
const (
	Connect   = "connect"
	FirstByte = "ttfb"
	Request   = "request"
)

// maxMicros is the longest time that histograms record: an hour.
const maxMicros = int64(time.Hour / time.Microsecond)

// A Recorder counts what a driver does. Its methods are safe for concurrent use. Counting bytes takes no
// lock; the calls that do take one happen a few times per connection.
type Recorder struct {
	start time.Time
	out   *bufio.Writer // nil if samples are not wanted

	accepts, sent, received atomic.Int64

	mu        sync.Mutex
	now       Sample                // since the last line
	histNow   map[string]*histogram // since the last line
	profNow   map[uint64]*histogram
	histAll   map[string]*hdrhistogram.Histogram
	streams   map[streamKey]*StreamCounter
	completed int64
	resumed   int64
	failed    map[string]int64
	cpu       time.Duration // at the last line
	rates     []int64       // connections completed, by second
	began     time.Time
	ended     time.Time
	prov      *Provenance
	learned   bool
	outErr    error
}

type streamKey struct{ connection, stream uint64 }

// A StreamCounter counts the bytes sent and received on the streams of one script.
type StreamCounter struct {
	r                            *Recorder
	sends, sent, reads, received atomic.Int64
}

// Sent counts a write of n bytes.
func (c *StreamCounter) Sent(n int) {
	c.sends.Add(1)
	c.sent.Add(int64(n))
	c.r.sent.Add(int64(n))
}

// Received counts a read of n bytes.
func (c *StreamCounter) Received(n int) {
	c.reads.Add(1)
	c.received.Add(int64(n))
	c.r.received.Add(int64(n))
}

type histogram struct {
	total int64
	h     *hdrhistogram.Histogram
}

func (h *histogram) add(us int64) {
	h.total += us
	_ = h.h.RecordValue(min(max(us, 1), maxMicros)) // cannot fail: the value is in range
}

func newHistogram() *histogram {
	// Two significant digits are precise to one percent and keep lines short.
	return &histogram{h: hdrhistogram.New(1, maxMicros, 2)}
}

// profile returns the histogram as it is written to a line.
func (h *histogram) profile() *Profile {
	p := &Profile{Stat: Stat{Count: h.h.TotalCount(), Total: h.total}}
	for _, b := range h.h.Distribution() {
		if b.Count > 0 {
			p.Buckets = append(p.Buckets, Bucket{Lower: b.From, Upper: b.To + 1, Count: b.Count})
		}
	}
	return p
}

// NewRecorder returns a recorder that writes the header and then samples to w. If w is nil, nothing is
// written.
func NewRecorder(w io.Writer, h *Header) *Recorder {
	r := &Recorder{start: time.Now(), histNow: make(map[string]*histogram), profNow: make(map[uint64]*histogram),
		histAll: make(map[string]*hdrhistogram.Histogram), streams: make(map[streamKey]*StreamCounter),
		failed: make(map[string]int64), prov: h.Provenance}
	h.StartTime = TimeOf(r.start)
	if w != nil {
		r.out = bufio.NewWriter(w)
		r.line(h)
	}
	return r
}

func (r *Recorder) line(v any) {
	b, err := json.Marshal(v)
	if err == nil {
		_, err = r.out.Write(append(b, '\n'))
	}
	if err == nil {
		err = r.out.Flush()
	}
	if err != nil && r.outErr == nil {
		r.outErr = fmt.Errorf("writing statistics: %w", err)
	}
}

// Stream returns the counter for a stream of the connections that run the script with index connection.
func (r *Recorder) Stream(connection, stream uint64) *StreamCounter {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := streamKey{connection, stream}
	c := r.streams[k]
	if c == nil {
		c = &StreamCounter{r: r}
		r.streams[k] = c
	}
	return c
}

// Accept counts a stream opened by the peer.
func (r *Recorder) Accept() { r.accepts.Add(1) }

// Latency records a latency under one of the names above.
func (r *Recorder) Latency(name string, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.latency(name, d.Microseconds())
}

func (r *Recorder) latency(name string, us int64) {
	h := r.histNow[name]
	if h == nil {
		h = newHistogram()
		r.histNow[name] = h
		if r.histAll[name] == nil {
			r.histAll[name] = hdrhistogram.New(1, maxMicros, 3)
		}
	}
	h.add(us)
	_ = r.histAll[name].RecordValue(min(max(us, 1), maxMicros))
}

// Profile records the duration of a profiled part of a script.
func (r *Recorder) Profile(trace uint64, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.profNow[trace]
	if h == nil {
		h = newHistogram()
		r.profNow[trace] = h
	}
	h.add(d.Microseconds())
}

// Begin marks the start of the time that Summary covers. Only the first call has an effect.
func (r *Recorder) Begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() {
		r.began = time.Now()
	}
}

// A Handshake describes a completed handshake.
type Handshake struct {
	Took        time.Duration // 0 if not known
	Group       string
	CipherSuite string
	Resumed     bool
}

// Connected records a handshake. What the first one negotiated becomes part of the provenance.
func (r *Recorder) Connected(h Handshake) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.Connections++
	if h.Took > 0 {
		r.now.ConnectTime.Add(h.Took.Microseconds())
		r.latency(Connect, h.Took.Microseconds())
	}
	if h.Resumed {
		r.now.Resumed++
		r.resumed++
	}
	if !r.learned && r.prov != nil {
		r.learned = true
		p := *r.prov
		p.Group, p.CipherSuite = h.Group, h.CipherSuite
		r.prov, r.now.Provenance = &p, &p
	}
}

// Completed counts a connection that completed its script.
func (r *Recorder) Completed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.Completed++
	r.completed++
	r.ended = time.Now()
	if r.began.IsZero() {
		return
	}
	for second := int(r.ended.Sub(r.began) / time.Second); len(r.rates) <= second; {
		r.rates = append(r.rates, 0)
	}
	r.rates[len(r.rates)-1]++
}

// Failed counts a connection that did not complete its script.
func (r *Recorder) Failed(class string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now.Failed == nil {
		r.now.Failed = make(map[string]int64)
	}
	r.now.Failed[class]++
	r.failed[class]++
	r.ended = time.Now()
}

// Bytes returns the bytes sent and received on streams so far.
func (r *Recorder) Bytes() (sent, received int64) { return r.sent.Load(), r.received.Load() }

// Write writes a line with what happened since the last one. The final line carries the final mark.
func (r *Recorder) Write(final bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.out == nil {
		r.reset()
		return
	}
	s := r.now
	s.T = time.Since(r.start).Milliseconds()
	s.Accept = r.accepts.Swap(0)
	s.Final = final
	cpu := cpuTime()
	s.CPUTime, r.cpu = (cpu - r.cpu).Microseconds(), cpu
	s.Send, s.Receive = make(map[string]Stat), make(map[string]Stat)
	for k, c := range r.streams {
		name := strconv.FormatUint(k.connection, 10) + ":" + strconv.FormatUint(k.stream, 10)
		if n := c.sends.Swap(0); n > 0 {
			s.Send[name] = Stat{n, c.sent.Swap(0)}
		}
		if n := c.reads.Swap(0); n > 0 {
			s.Receive[name] = Stat{n, c.received.Swap(0)}
		}
	}
	s.Latency, s.Profiles = make(map[string]*Profile), make(map[string]*Profile)
	for name, h := range r.histNow {
		s.Latency[name] = h.profile()
	}
	for id, h := range r.profNow {
		s.Profiles[strconv.FormatUint(id, 10)] = h.profile()
	}
	r.line(&s)
	r.reset()
}

func (r *Recorder) reset() {
	r.now = Sample{}
	clear(r.histNow)
	clear(r.profNow)
}

// Run writes a line each interval until stop is closed, and then the final one.
func (r *Recorder) Run(interval time.Duration, stop <-chan struct{}) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.Write(false)
		case <-stop:
			r.Write(true)
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.outErr
		}
	}
}

// Summary returns the totals of the run.
func (r *Recorder) Summary() *Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &Summary{Connections: r.completed, Resumed: r.resumed, Failed: maps.Clone(r.failed), Provenance: r.prov,
		BytesSent: r.sent.Load(), BytesReceived: r.received.Load(), Latency: make(map[string]Percentiles)}
	if !r.began.IsZero() && r.ended.After(r.began) {
		s.Seconds = r.ended.Sub(r.began).Seconds()
	}
	// Only complete seconds count.
	s.Rates = r.rates[:min(len(r.rates), int(s.Seconds))]
	for name, h := range r.histAll {
		s.Latency[name] = Percentiles{Count: h.TotalCount(), Mean: int64(h.Mean()), P50: h.ValueAtQuantile(50),
			P90: h.ValueAtQuantile(90), P99: h.ValueAtQuantile(99), P999: h.ValueAtQuantile(99.9), Max: h.Max()}
	}
	return s
}
