//go:build !linux

package collect

import "time"

// process samples nothing. Only Linux exposes these figures without privileges. The driver's own lines are
// collected, and its CPU time is known once it has ended.
type process struct {
	perf  *counters
	reads int
}

type counters struct{}

const (
	cycles = iota
	instructions
	branches
)

func (*counters) read(int) (int64, bool)  { return 0, false }
func (*counters) switches() (int64, bool) { return 0, false }

func newProcess(int) (*process, []string) {
	return &process{}, []string{"CPU time, memory and context switches are sampled on Linux only"}
}

func (*process) close()                       {}
func (*process) memory() (int64, int64, bool) { return 0, 0, false }
func (*process) cpu() (time.Duration, bool)   { return 0, false }
func (*process) switches() int64              { return 0 }

// awaitEnd treats the end of the driver's output as the end of the driver: a process holds the descriptor
// open until it ends, unless it closes it deliberately.
func awaitEnd(_ int, output <-chan struct{}) { <-output }
