package collect

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// process reads the kernel's figures about the driver.
type process struct {
	pid   int
	statm *os.File // kept open, so that a reading is one system call
	buf   [512]byte
	page  int64
	tasks map[int]int64 // context switches, by thread
	perf  *counters
	reads int // files read, to test the cost of a sample
}

func newProcess(pid int) (*process, []string) {
	p := &process{pid: pid, page: int64(os.Getpagesize()), tasks: make(map[int]int64)}
	p.statm, _ = os.Open(fmt.Sprintf("/proc/%d/statm", pid))
	var notes []string
	p.perf, notes = openCounters(pid)
	return p, notes
}

func (p *process) close() {
	p.statm.Close()
	p.perf.close()
}

// memory returns the resident and the mapped size in bytes. ok is false once the process has ended.
func (p *process) memory() (resident, virtual int64, ok bool) {
	p.reads++
	n, err := p.statm.ReadAt(p.buf[:], 0)
	if n == 0 && err != nil {
		return 0, 0, false
	}
	f := bytes.Fields(p.buf[:n])
	if len(f) < 2 {
		return 0, 0, false
	}
	virtual, err1 := strconv.ParseInt(string(f[0]), 10, 64)
	resident, err2 := strconv.ParseInt(string(f[1]), 10, 64)
	if errors.Join(err1, err2) != nil || resident == 0 {
		return 0, 0, false
	}
	return resident * p.page, virtual * p.page, true
}

// cpu returns the user and system time of all threads, including those that have ended.
func (p *process) cpu() (time.Duration, bool) {
	p.reads++
	// This is the clock that clock_getcpuclockid makes of a process ID. It counts nanoseconds, while
	// /proc/PID/stat counts hundredths of a second.
	const schedClock = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^p.pid<<3|schedClock), &ts); err != nil {
		return 0, false
	}
	return time.Duration(ts.Nano()), true
}

// switches returns the number of context switches of all threads. Without counters it is the sum over the
// threads that are alive.
func (p *process) switches() int64 {
	if n, ok := p.perf.switches(); ok {
		p.reads++
		return n
	}
	dir := fmt.Sprintf("/proc/%d/task", p.pid)
	entries, _ := os.ReadDir(dir)
	p.reads++
	for _, e := range entries {
		tid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile(dir + "/" + e.Name() + "/status")
		p.reads++
		if err == nil {
			p.tasks[tid] = max(p.tasks[tid], statusSwitches(text))
		}
	}
	var sum int64
	for _, n := range p.tasks {
		sum += n
	}
	return sum
}

// statusSwitches adds up the two lines of /proc/PID/task/TID/status.
func statusSwitches(text []byte) (sum int64) {
	for line := range bytes.Lines(text) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.HasSuffix(name, []byte("voluntary_ctxt_switches")) {
			n, _ := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
			sum += n
		}
	}
	return sum
}

// awaitEnd returns when the process has ended, without waiting for it: until then the kernel still reports
// what it has used.
func awaitEnd(pid int, _ <-chan struct{}) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}
