// Command bench measures the cost of the providers and the transport, compared with a C program on the same
// libraries, plain crypto/tls, quic-go and x/net. It prints Go's benchmark format for benchstat, followed
// by the important ratios.
//
// All subjects run alternately in one process: on a shared machine, the ratio of two figures that were measured in
// the same seconds is more reliable than the figures.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	b := &bench{}
	flag.IntVar(&b.rounds, "rounds", 5, "number of rounds, in each of which everything runs once")
	flag.DurationVar(&b.time, "time", 250*time.Millisecond, "duration of one measurement")
	flag.StringVar(&b.c, "c", "", "path of the C program pqq-bench")
	flag.StringVar(&b.only, "run", "", "run only subjects whose name contains this")
	flag.Parse()
	if err := b.run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is a run and its results.
type bench struct {
	rounds int
	time   time.Duration
	c      string
	only   string

	results map[string][]result
}

// A result is one measurement.
type result struct {
	n      int
	ns     float64 // per iteration
	cpu    float64 // nanoseconds of this process's CPU time per iteration, including garbage collection
	allocs float64 // per iteration
	bytes  int64   // moved per iteration, 0 for none
	note   string  // further figures, in the same format
	// datagrams is the number of UDP datagrams that the kernel sent per iteration, 0 if it is not known. Datagrams
	// that are sent in one system call by segmentation offload count as one.
	datagrams float64
}

// A subject is something to be measured. name is its name in Go's format without "Benchmark".
type subject struct {
	name  string
	bytes int64
	// run runs for about d. C subjects measure themselves.
	run func(d time.Duration) (result, error)
	// close releases what run needs.
	close func()
}

func (b *bench) run() error {
	fmt.Printf("goos: %s\ngoarch: %s\npkg: github.com/pqquic/pqquic/bench\ncpu: %s\n", runtime.GOOS, runtime.GOARCH, cpu())
	b.results = make(map[string][]result)
	if ps, err := providers(); err == nil && ps[0].Capabilities().Warning != "" {
		fmt.Fprintln(os.Stderr, ps[0].Capabilities().Warning)
	}
	for _, group := range []func() ([]subject, error){b.handshakes, b.packets, b.junk, b.connections, b.streams, b.besideBulk} {
		subjects, err := group()
		if err != nil {
			return err
		}
		if err := b.measure(subjects); err != nil {
			return err
		}
	}
	b.ratios()
	return nil
}

// measure runs subjects alternately.
func (b *bench) measure(subjects []subject) error {
	defer func(all []subject) {
		for _, s := range all {
			if s.close != nil {
				s.close()
			}
		}
	}(slices.Clone(subjects))
	subjects = slices.DeleteFunc(subjects, func(s subject) bool { return !strings.Contains(s.name, b.only) })
	for round := range b.rounds + 1 {
		for _, s := range subjects {
			d := b.time
			if round == 0 {
				d /= 5 // warm up: caches, pages, the clock of the CPU
			}
			r, err := s.run(d)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			if round > 0 {
				r.bytes = s.bytes
				b.results[s.name] = append(b.results[s.name], r)
				r.print(s.name)
			}
		}
	}
	return nil
}

func (r result) print(name string) {
	fmt.Printf("Benchmark%s\t%8d\t%12.1f ns/op", name, r.n, r.ns)
	if r.bytes > 0 {
		fmt.Printf("\t%8.2f MB/s", float64(r.bytes)/r.ns*1000)
	}
	fmt.Printf("\t%12.1f cpu-ns/op", r.cpu)
	if r.allocs >= 0 {
		fmt.Printf("\t%8.0f allocs/op", r.allocs)
	}
	if r.datagrams > 0 {
		fmt.Printf("\t%8.1f datagrams/op", r.datagrams)
	}
	if r.note != "" {
		fmt.Printf("\t%s", r.note)
	}
	fmt.Println()
}

// loop returns a measurement of f, which runs n iterations.
func loop(f func(n int) error) func(time.Duration) (result, error) {
	return func(d time.Duration) (result, error) {
		total, n := 0, 1
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start, used, sent := time.Now(), cpuTime(), udpSent()
		for {
			if err := f(n); err != nil {
				return result{}, err
			}
			total += n
			spent := time.Since(start)
			if spent >= d {
				used = cpuTime() - used
				runtime.ReadMemStats(&after)
				datagrams := float64(udpSent()-sent) / float64(total)
				return result{n: total, datagrams: datagrams, ns: float64(spent.Nanoseconds()) / float64(total),
					cpu:    float64(used.Nanoseconds()) / float64(total),
					allocs: float64((after.Mallocs - before.Mallocs) / uint64(total))}, nil
			}
			// Run as many iterations as take a third of the time.
			n = max(1, int(float64(total)*float64(d)/3/float64(spent)))
		}
	}
}

// udpSent returns how many UDP datagrams the kernel has sent, for all programs in this network namespace, or 0
// if the system does not report it.
func udpSent() uint64 {
	b, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		return 0
	}
	var names []string
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "Udp:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		if i := slices.Index(names, "OutDatagrams"); i > 0 && i < len(fields) {
			n, _ := strconv.ParseUint(fields[i], 10, 64)
			return n
		}
	}
	return 0
}

// cpuTime returns the CPU time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func cpu() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return runtime.GOARCH
}
