//go:build !unix

package stats

import "time"

func cpuTime() time.Duration { return 0 }

// CPUTime returns the user and system time of this process, or 0 where it is not known.
func CPUTime() time.Duration { return 0 }
