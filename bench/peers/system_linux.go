package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns the user and system time of this process.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// processMemory returns the resident memory of this process, before and after Go returns what it can.
func processMemory() memory {
	m := memory{resident: residentMemory()}
	debug.FreeOSMemory()
	m.freed = residentMemory()
	return m
}

// residentMemory returns the size of the resident set of this process, or 0 if it is unknown.
func residentMemory() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}

// setBuffers sets the sizes of the buffers, beyond the system's limit if this process may do that.
func (s socket) setBuffers() error {
	return s.control(func(fd int) error {
		for _, option := range [][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
			if unix.SetsockoptInt(fd, unix.SOL_SOCKET, option[0], socketBuffer) != nil {
				if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option[1], socketBuffer); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// buffers returns the sizes that the kernel reports, which are twice those that were set.
func (s socket) buffers() (receive, send string) {
	_ = s.control(func(fd int) error {
		r, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
		if err != nil {
			return err
		}
		w, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
		receive, send = strconv.Itoa(r), strconv.Itoa(w)
		return err
	})
	return receive, send
}

func (s socket) control(f func(fd int) error) error {
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// isolate moves this thread, and so the processes that it starts, into a network namespace of its own, where
// nothing else sends datagrams. It locks the calling goroutine to the thread.
func isolate() error {
	runtime.LockOSThread()
	before, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer before.Close()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("a new network namespace: %w", err)
	}
	if err := loopbackUp(); err != nil {
		return errors.Join(fmt.Errorf("setting up the loopback interface: %w", err),
			unix.Setns(int(before.Fd()), unix.CLONE_NEWNET))
	}
	return nil
}

// loopbackUp enables the loopback interface of this thread's network namespace.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// udpSent returns how many UDP datagrams the kernel has sent in this thread's network namespace. Datagrams that one
// system call sends by segmentation offload count as one.
func udpSent() (int64, bool) {
	b, err := os.ReadFile("/proc/thread-self/net/snmp")
	if err != nil {
		return 0, false
	}
	var names []string
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0] != "Udp:":
		case names == nil:
			names = fields
		default:
			i := slices.Index(names, "OutDatagrams")
			if i < 0 || i >= len(fields) {
				return 0, false
			}
			n, err := strconv.ParseInt(fields[i], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// machine describes this machine.
func machine() string {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	model := runtime.GOARCH
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	return fmt.Sprintf("%d CPUs (%s), Linux %s", runtime.NumCPU(), model, strings.TrimSpace(string(kernel)))
}

// load returns the load average over the last minute.
func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	average, _, _ := strings.Cut(string(text), " ")
	return average
}
