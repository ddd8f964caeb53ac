// Package collect runs a driver and samples what the kernel reports about its process: CPU time, memory,
// context switches and, where permitted, performance counters. It adds the counts that the driver itself
// writes to the descriptor in NETBENCH_STATS_FD. The result is JSON lines as package stats defines them.
//
// A sample is taken whenever the driver has written one, so that both describe the same interval, and once
// an interval if the driver writes none. Times are measured.
package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/stats"
)

// Options specify how to run a driver.
type Options struct {
	Program string // path, or name to look for in PATH
	Args    []string
	// Scenario, if set, is passed to the driver in the environment, as s2n-netbench's collector does.
	Scenario string
	Interval time.Duration
	// Version is the collector's version, for the header.
	Version string

	Out            io.Writer // receives the lines
	Stdout, Stderr io.Writer // of the driver

	headerPatience time.Duration // set by tests; 0 means the constant of that name
}

// minInterval and probeInterval keep the cost of sampling below 1 % of a driver that uses half a core. A
// sample of a Go program takes about 100 µs, a reading of memory about 30 µs, including the wake-up
// (docs/netbench-statistics.md describes how to measure it).
const (
	minInterval   = 50 * time.Millisecond
	probeInterval = 100 * time.Millisecond
)

// Run runs the driver to its end and returns its exit status: 128 plus the signal's number if a signal
// ended it. An interrupt is forwarded to the driver, which decides when to end. The end of ctx kills it.
func Run(ctx context.Context, o Options) (status int, err error) {
	if o.Interval < minInterval {
		return 0, fmt.Errorf("the interval is %v: use at least %v", o.Interval, minInterval)
	}
	if o.headerPatience == 0 {
		o.headerPatience = headerPatience
	}
	// The kernel kills the driver when the thread that started it ends, so this thread must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	signals := make(chan os.Signal, 8)
	signal.Notify(signals, forwarded...)
	defer signal.Stop(signals)
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	cmd := exec.CommandContext(ctx, o.Program, o.Args...)
	cmd.Env = append(os.Environ(), environment(&o)...)
	cmd.Stdout, cmd.Stderr = o.Stdout, o.Stderr
	cmd.ExtraFiles = []*os.File{w} // descriptor 3 of the child
	setSysProcAttr(cmd)
	began := time.Now()
	err = cmd.Start()
	w.Close()
	if err != nil {
		return 0, err
	}
	c := newCollection(&o, cmd.Process.Pid, began)
	defer c.process.close()
	c.follow(r, cmd, signals)
	// Children of the driver that still hold descriptors open do not delay the end.
	cmd.WaitDelay = patience
	werr := cmd.Wait()
	if err := c.finish(cmd.ProcessState); err != nil {
		return 0, err
	}
	var exit *exec.ExitError
	if werr != nil && !errors.As(werr, &exit) && !errors.Is(werr, exec.ErrWaitDelay) && ctx.Err() == nil {
		return 0, werr
	}
	return exitStatus(cmd.ProcessState), nil
}

// patience is how long to wait for further lines after the driver has ended: its children may still write.
const patience = time.Second

// environment returns the variables that the driver gets in addition to our own.
func environment(o *Options) []string {
	env := []string{"TRACE=disabled", stats.EnvFD + "=3", stats.EnvInterval + "=" + o.Interval.String()}
	if o.Scenario != "" {
		env = append(env, "SCENARIO="+o.Scenario)
	}
	return env
}

// message is a line that the driver wrote.
type message struct {
	header *stats.Header
	sample *stats.Sample
	err    error
}

// follow collects until the driver has ended.
func (c *collection) follow(r *os.File, cmd *exec.Cmd, signals <-chan os.Signal) {
	lines, output := make(chan message), make(chan struct{})
	go func() {
		defer close(lines)
		defer close(output)
		for d := stats.NewDecoder(r); ; {
			h, s, err := d.Next()
			var bad *stats.LineError
			if err != nil && !errors.As(err, &bad) {
				return // end of input, or the deadline passed
			}
			lines <- message{h, s, err}
		}
	}()
	ended := make(chan struct{})
	go func() {
		awaitEnd(cmd.Process.Pid, output)
		// What is still in the pipe is read.
		r.SetReadDeadline(time.Now().Add(patience))
		close(ended)
	}()
	probe := time.NewTicker(max(c.opt.Interval/probes, probeInterval))
	defer probe.Stop()
	due := time.NewTimer(c.opt.Interval)
	defer due.Stop()
	open, gone := lines, ended
	for open != nil || gone != nil {
		select {
		case m, ok := <-open:
			if !ok {
				open = nil
				continue
			}
			if c.onMessage(m) {
				due.Reset(c.wait())
			}
		case <-probe.C:
			c.probe()
		case <-due.C:
			c.emit(c.sample(time.Now()))
			due.Reset(c.wait())
		case s := <-signals:
			cmd.Process.Signal(s)
		case <-gone:
			gone = nil
			c.ended = time.Now()
			// Until the process is waited for, the kernel reports its own time. Afterwards its children's
			// time is included.
			c.own, _ = c.process.cpu()
			probe.Stop()
			due.Stop()
		}
	}
}

// scenarioTraces returns the names of the traces in a scenario file. Profiles refer to them by number.
func scenarioTraces(file string) []string {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var scenario struct {
		Traces []string `json:"traces"`
	}
	if json.Unmarshal(text, &scenario) != nil {
		return nil
	}
	return scenario.Traces
}

// provenance returns what is known about a driver that reports nothing.
func provenance(o *Options) *stats.Provenance {
	p := stats.Machine()
	p.Flags = o.Args
	for _, name := range []string{"MAX_MTU", "DISABLE_GSO", "MULTITHREADED", "MULTIPLEX"} {
		if v, ok := os.LookupEnv(name); ok {
			p.Flags = append(p.Flags, name+"="+strings.TrimSpace(v))
		}
	}
	return p
}
