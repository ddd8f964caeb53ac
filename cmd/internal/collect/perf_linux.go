package collect

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// counters holds the performance counters of a process that the machine has and the kernel permits.
type counters struct {
	fds [counterKinds][]int // one per thread that existed at the start; each includes the threads that its thread starts
}

const (
	cycles = iota
	instructions
	branches
	contextSwitches
	counterKinds
)

var counterEvents = [counterKinds]struct {
	name   string
	kind   uint32
	config uint64
}{
	cycles:          {"cycles", unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_CPU_CYCLES},
	instructions:    {"instructions", unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_INSTRUCTIONS},
	branches:        {"branches", unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_BRANCH_INSTRUCTIONS},
	contextSwitches: {"context switches", unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_CONTEXT_SWITCHES},
}

// openCounters opens the available counters and returns a note about the others.
func openCounters(pid int) (*counters, []string) {
	c := new(counters)
	var missing []string
	var why error
	for kind, event := range counterEvents {
		// Context switches are available in /proc, too.
		if err := c.open(pid, kind); err != nil && kind != contextSwitches {
			missing, why = append(missing, event.name), err
		}
	}
	if why == nil {
		return c, nil
	}
	return c, []string{fmt.Sprintf("%s are not counted: perf_event_open: %v", strings.Join(missing, ", "), why)}
}

func (c *counters) open(pid, kind int) error {
	event := counterEvents[kind]
	attr := unix.PerfEventAttr{
		Type: event.kind, Config: event.config, Bits: unix.PerfBitInherit,
		Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		// Counters that share the machine's registers are scaled by these two times.
		Read_format: unix.PERF_FORMAT_TOTAL_TIME_ENABLED | unix.PERF_FORMAT_TOTAL_TIME_RUNNING,
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return err
	}
	for _, e := range tasks {
		tid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		fd, err := unix.PerfEventOpen(&attr, tid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if err == unix.EACCES || err == unix.EPERM {
			// If the kernel's part may not be counted, count the program's part.
			attr.Bits |= unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv
			fd, err = unix.PerfEventOpen(&attr, tid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
		}
		if err == unix.ESRCH {
			continue // the thread has ended
		}
		if err != nil {
			return err
		}
		c.fds[kind] = append(c.fds[kind], fd)
	}
	return nil
}

// read returns the total count of a kind.
func (c *counters) read(kind int) (sum int64, ok bool) {
	var buf [24]byte
	for _, fd := range c.fds[kind] {
		if n, err := unix.Read(fd, buf[:]); err != nil || n != len(buf) {
			return 0, false
		}
		value := float64(binary.NativeEndian.Uint64(buf[:]))
		enabled := binary.NativeEndian.Uint64(buf[8:])
		running := binary.NativeEndian.Uint64(buf[16:])
		if running > 0 && running < enabled {
			value *= float64(enabled) / float64(running)
		}
		sum += int64(value)
	}
	return sum, len(c.fds[kind]) > 0
}

func (c *counters) switches() (int64, bool) { return c.read(contextSwitches) }

func (c *counters) close() {
	for _, fds := range c.fds {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
}
