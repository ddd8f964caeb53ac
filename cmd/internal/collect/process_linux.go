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

// process is the driver, as the kernel tells of it.
type process struct {
	pid   int
	statm *os.File // kept open: a reading is one system call
	buf   [512]byte
	page  int64
	tasks map[int]int64 // context switches, by thread
	perf  *counters
	reads int // of files, for the test of what a sample costs
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

// memory is what is resident and what is mapped, in bytes; not ok once the process has ended.
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

// cpu is the user and system time of all threads, those that have ended too.
func (p *process) cpu() (time.Duration, bool) {
	p.reads++
	// The clock of another process: what clock_getcpuclockid makes of its id. It counts nanoseconds,
	// whereas /proc/PID/stat counts hundredths of a second.
	const schedClock = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^p.pid<<3|schedClock), &ts); err != nil {
		return 0, false
	}
	return time.Duration(ts.Nano()), true
}

// switches is the number of context switches of all threads, in total. Without counters it is added up
// from the threads that live.
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

// awaitEnd returns when the process has ended, and leaves it to be waited for: until then the kernel
// still tells what it has used.
func awaitEnd(pid int, _ <-chan struct{}) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}
