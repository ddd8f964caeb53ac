//go:build linux

package main

import (
	"bytes"
	"fmt"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"
)

// longestWaits returns the time for which goroutines have waited for the lock with the longest waits in the mutex
// profile, and the function that unlocks it. Locks inside the runtime are not counted.
func longestWaits() (time.Duration, string, error) {
	perSecond, err := ticksPerSecond()
	if err != nil {
		return 0, "", err
	}
	records := make([]runtime.BlockProfileRecord, 1024)
	n, ok := runtime.MutexProfile(records)
	for !ok {
		records = make([]runtime.BlockProfileRecord, 2*n)
		n, ok = runtime.MutexProfile(records)
	}
	ticks := make(map[string]int64)
	longest := "none"
	for i := range records[:n] {
		name, ok := unlocker(records[i].Stack())
		if !ok {
			continue
		}
		ticks[name] += records[i].Cycles
		if ticks[name] > ticks[longest] {
			longest = name
		}
	}
	return time.Duration(float64(ticks[longest]) / float64(perSecond) * float64(time.Second)), longest, nil
}

// unlocker returns the function that calls the package sync. It reports false if only the runtime is in the stack.
func unlocker(stack []uintptr) (string, bool) {
	frames := runtime.CallersFrames(stack)
	for {
		frame, more := frames.Next()
		inside := false
		for _, prefix := range []string{"sync.", "internal/sync.", "runtime.", "internal/runtime/"} {
			inside = inside || strings.HasPrefix(frame.Function, prefix)
		}
		if !inside && frame.Function != "" {
			return frame.Function, true
		}
		if !more {
			return "", false
		}
	}
}

// ticksPerSecond returns the unit of the profile, which only its text form names.
func ticksPerSecond() (n int64, err error) {
	var text bytes.Buffer
	if err := pprof.Lookup("mutex").WriteTo(&text, 1); err != nil {
		return 0, err
	}
	if _, err := fmt.Sscanf(text.String(), "--- mutex:\ncycles/second=%d", &n); err != nil {
		return 0, fmt.Errorf("the mutex profile has no unit: %w", err)
	}
	return n, nil
}
