// Package collect runs a driver and samples what the kernel tells of its process: CPU time, memory,
// context switches and, where permitted, performance counters. To that it adds what the driver itself
// counts and writes to the descriptor that NETBENCH_STATS_FD names. The result are the JSON lines of
// package stats.
//
// A sample is taken whenever the driver has written one, so that the two tell of the same interval, and
// once an interval if it does not write any. Times are measured.
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

// Options are how to run a driver.
type Options struct {
	Program string // path, or name to look for in PATH
	Args    []string
	// Scenario, if set, is passed on in the environment, as s2n-netbench's collector does.
	Scenario string
	Interval time.Duration
	// Version of the collector, for the header.
	Version string

	Out            io.Writer // for the lines
	Stdout, Stderr io.Writer // of the driver
}

// minInterval and probeInterval keep what sampling costs below 1 % of a driver that uses half a core: a
// sample takes some 100 µs with a Go program's threads, a reading of the memory some 30 µs, waking up
// included (docs/netbench-statistics.md says how to measure it).
const (
	minInterval   = 50 * time.Millisecond
	probeInterval = 100 * time.Millisecond
)

// Run runs the driver to its end, and returns its exit status; 128 and the signal's number for one that
// a signal ended. An interrupt is passed on to the driver, which decides when to end; the end of ctx
// kills it.
func Run(ctx context.Context, o Options) (status int, err error) {
	if o.Interval < minInterval {
		return 0, fmt.Errorf("the interval is %v: less than %v", o.Interval, minInterval)
	}
	// The kernel ends the driver with the thread that started it, which therefore has to stay.
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
	// Whatever the driver's children still hold open ends the waiting all the same.
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

// patience is how long lines are waited for after the driver has ended, which whatever it started may
// still write.
const patience = time.Second

// environment is what the driver gets beside our own.
func environment(o *Options) []string {
	env := []string{"TRACE=disabled", stats.EnvFD + "=3", stats.EnvInterval + "=" + o.Interval.String()}
	if o.Scenario != "" {
		env = append(env, "SCENARIO="+o.Scenario)
	}
	return env
}

// message is what the driver wrote.
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
				return // at its end, or at the deadline
			}
			lines <- message{h, s, err}
		}
	}()
	ended := make(chan struct{})
	go func() {
		awaitEnd(cmd.Process.Pid, output)
		// What is in the pipe can still be read.
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
			if c.driverSaid(m) {
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
			// Until it is waited for, the kernel still tells its own time: what is told then is that of
			// its children, too.
			c.own, _ = c.process.cpu()
			probe.Stop()
			due.Stop()
		}
	}
}

// scenarioTraces are the names of the traces in a scenario file, which profiles refer to by number.
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

// provenance is what is known of a driver that tells nothing.
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
