package collect

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/stats"
)

// probes is how often memory is read in an interval at most, so that the last reading before the end is
// recent.
const probes = 10

// collection is the state of a collection while a driver runs.
type collection struct {
	opt     *Options
	began   time.Time
	ended   time.Time
	own     time.Duration // CPU time of the driver at its end
	process *process
	header  stats.Header
	notes   []string // for the last line

	started   bool            // the header has been written
	held      []*stats.Sample // samples held back until the header is written
	hasHeader bool            // the driver has written its header
	counted   bool            // the driver has written a sample
	badLines  int

	next     stats.Sample // what the driver counted since the last sample
	pending  bool         // next is not empty
	late     *stats.Provenance
	resident int64 // the last reading
	virtual  int64
	last     time.Time // of the last sample
	before   totals    // totals at the last sample
	bytes    int64     // written
	samples  int
	err      error // of writing
}

// totals are values that only grow.
type totals struct {
	cpu                                      time.Duration
	switches, cycles, instructions, branches int64
}

func newCollection(o *Options, pid int, began time.Time) *collection {
	c := &collection{opt: o, began: began, last: began}
	c.process, c.notes = newProcess(pid)
	c.header = stats.Header{
		PID: pid, Driver: o.Program, Scenario: o.Scenario, StartTime: stats.TimeOf(began),
		Collector: "netbench collect " + o.Version, Provenance: provenance(o),
	}
	if o.Scenario != "" {
		c.header.Traces = scenarioTraces(o.Scenario)
	}
	c.probe()
	return c
}

// probe reads only the memory.
func (c *collection) probe() {
	if resident, virtual, ok := c.process.memory(); ok {
		c.resident, c.virtual = resident, virtual
	}
}

// wait returns how long to wait for the driver's next sample, or until ours is due. A driver that writes
// its own samples each interval gets half an interval more.
func (c *collection) wait() time.Duration {
	if c.hasHeader {
		return c.opt.Interval * 3 / 2
	}
	// Samples stay at multiples of the interval, even if one came late.
	next := time.Since(c.began).Truncate(c.opt.Interval) + c.opt.Interval
	return time.Until(c.began.Add(next))
}

// onMessage handles a line of the driver. It reports whether the line led to a sample.
func (c *collection) onMessage(m message) bool {
	switch {
	case m.err != nil:
		c.badLines++
	case m.header != nil:
		c.driverHeader(m.header)
		return true
	case m.sample != nil:
		c.hasHeader, c.counted = true, true
		if c.pending {
			c.next.Merge(m.sample)
		} else {
			c.next, c.pending = *m.sample, true
		}
		if c.ended.IsZero() {
			c.emit(c.sample(time.Now()))
			return true
		}
	}
	return false
}

func (c *collection) driverHeader(h *stats.Header) {
	c.hasHeader = true
	if h.Provenance == nil {
		h.Provenance = new(stats.Provenance)
	}
	if c.started {
		c.late = h.Provenance
		return
	}
	h.Provenance.Learn(c.header.Provenance)
	c.header.Provenance, c.header.Role = h.Provenance, h.Role
	if c.header.Scenario == "" {
		c.header.Scenario = h.Scenario
	}
	if h.Traces != nil {
		c.header.Traces = h.Traces
	}
}

// sample reads all figures and adds what the driver counted.
func (c *collection) sample(now time.Time) *stats.Sample {
	c.samples++
	c.probe()
	total := c.before
	if cpu, ok := c.process.cpu(); ok {
		total.cpu = max(total.cpu, cpu)
	}
	total.switches = max(total.switches, c.process.switches())
	total.cycles = c.counter(cycles, total.cycles)
	total.instructions = c.counter(instructions, total.instructions)
	total.branches = c.counter(branches, total.branches)
	return c.difference(now, total)
}

func (c *collection) counter(kind int, before int64) int64 {
	n, _ := c.process.perf.read(kind)
	c.process.reads++
	return max(before, n)
}

func (c *collection) difference(now time.Time, total totals) *stats.Sample {
	s := c.next
	s.T = now.Sub(c.began).Milliseconds()
	used := total.cpu - c.before.cpu
	s.CPUTime = used.Microseconds()
	if wall := now.Sub(c.last); wall > 0 {
		s.CPU = float64(used) / float64(wall) * 100
	}
	s.Memory, s.VirtualMemory = c.resident, c.virtual
	s.ContextSwitches = total.switches - c.before.switches
	s.Cycles = total.cycles - c.before.cycles
	s.Instructions = total.instructions - c.before.instructions
	s.Branches = total.branches - c.before.branches
	if c.late != nil {
		s.Provenance, c.late = c.late, nil
	}
	// The fraction of a microsecond is counted in the next sample.
	total.cpu = c.before.cpu + used.Truncate(time.Microsecond)
	c.last, c.before, c.next, c.pending = now, total, stats.Sample{}, false
	return &s
}

// headerPatience is how long the header waits for the driver's own header. A driver that writes statistics
// writes its header first, but its start may take longer than an interval.
const headerPatience = 2 * time.Second

// emit writes a sample, and the header before the first one.
func (c *collection) emit(s *stats.Sample) {
	if !c.started {
		c.held = append(c.held, s)
		if !c.hasHeader && c.ended.IsZero() && time.Since(c.began) < c.opt.headerPatience {
			return
		}
		c.started = true
		c.write(&c.header)
		if c.held[0].T > 0 {
			c.write(&stats.Sample{})
		}
		for _, s := range c.held {
			c.write(s)
		}
		c.held = nil
		return
	}
	c.write(s)
}

func (c *collection) write(line any) {
	text, err := json.Marshal(line)
	if err == nil {
		text = append(text, '\n')
		c.bytes += int64(len(text))
		_, err = c.opt.Out.Write(text)
	}
	if c.err == nil {
		c.err = err
	}
}

// finish writes the last sample: what the driver used until its end, and the notes.
func (c *collection) finish(state *os.ProcessState) error {
	if c.ended.IsZero() {
		c.ended = time.Now()
	}
	c.samples++
	total := c.before
	all := state.UserTime() + state.SystemTime()
	if c.own == 0 {
		c.own = all
	}
	total.cpu = max(total.cpu, c.own)
	if children := all - total.cpu; children > all/20 && children > 20*time.Millisecond {
		c.notes = append(c.notes, fmt.Sprintf("the driver's child processes used %v of CPU time, which is not counted: run the driver itself and not a script that starts it", children.Round(time.Millisecond)))
	}
	if total.switches == 0 {
		total.switches = switchesAtEnd(state)
	}
	if n, ok := c.process.perf.switches(); ok {
		total.switches = max(total.switches, n)
	}
	total.cycles = c.counter(cycles, total.cycles)
	total.instructions = c.counter(instructions, total.instructions)
	total.branches = c.counter(branches, total.branches)
	s := c.difference(c.ended, total)
	s.PeakMemory = peakMemory(state)
	s.CollectorCPU = ownCPU().Microseconds()
	if !c.counted {
		c.notes = append(c.notes, "the driver wrote no statistics to NETBENCH_STATS_FD: connections, bytes and latencies are unknown")
	}
	if c.badLines > 0 {
		c.notes = append(c.notes, fmt.Sprintf("%d damaged lines of the driver were left out", c.badLines))
	}
	if code := exitStatus(state); code != 0 {
		c.notes = append(c.notes, fmt.Sprintf("the driver ended with status %d", code))
	}
	s.Notes = append(s.Notes, c.notes...)
	c.emit(s)
	return c.err
}
