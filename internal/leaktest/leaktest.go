// Package leaktest finds goroutines that the tests of a package have left running.
package leaktest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// Main runs the tests of a package and exits, for TestMain. The tests fail if one of them has left a goroutine of this module running.
func Main(m *testing.M) {
	code := m.Run()
	if left := running(); code == 0 && left != "" {
		fmt.Fprintln(os.Stderr, "goroutines left behind:\n"+left)
		code = 1
	}
	os.Exit(code)
}

// running returns the stacks of goroutines of this module, other than the caller's, that do not end within a grace period.
func running() (stacks string) {
	buf := make([]byte, 1<<20)
	for range 10_000 {
		n := runtime.Stack(buf, true)
		stacks = ""
		for i, g := range strings.Split(string(buf[:n]), "\n\n") {
			if i > 0 && strings.Contains(g, "pqquic/") {
				stacks += g + "\n\n"
			}
		}
		if stacks == "" {
			break
		}
		runtime.Gosched()
	}
	return stacks
}
