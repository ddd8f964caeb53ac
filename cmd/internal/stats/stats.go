// Package stats defines netbench's record of a run: the counts of a driver and the samples of a collector,
// as JSON lines. The first line is a Header, every other line a Sample. Names and units are those of
// s2n-netbench's collector, so that its files load here and ours load there. Additional fields have names
// that s2n-netbench ignores.
//
// A driver writes these lines to the file descriptor that NETBENCH_STATS_FD names, with the fields that
// only the driver knows. A collector adds the fields about the process.
package stats

import "time"

// EnvFD names the environment variable that holds the number of the file descriptor to which a driver
// writes its lines. EnvInterval names the one that holds the time between two lines (a Go duration; default
// 1s).
const (
	EnvFD       = "NETBENCH_STATS_FD"
	EnvInterval = "NETBENCH_STATS_INTERVAL"
)

// A Header describes the program that ran.
type Header struct {
	PID       int      `json:"pid"`
	Driver    string   `json:"driver"`   // path or name of the program
	Scenario  string   `json:"scenario"` // path of the file
	StartTime Time     `json:"start_time"`
	Traces    []string `json:"traces,omitempty"` // names of traces, by ID

	Role string `json:"role,omitempty"` // "client" or "server"
	// Collector is the program that sampled the process, with its version. s2n-netbench's collector does
	// not set it.
	Collector  string      `json:"collector,omitempty"`
	Provenance *Provenance `json:"provenance,omitempty"`
}

// Time is a point in time as s2n-netbench writes it.
type Time struct {
	Secs  int64 `json:"secs_since_epoch"`
	Nanos int64 `json:"nanos_since_epoch"` // within the second
}

// TimeOf converts a time.Time to a Time.
func TimeOf(t time.Time) Time { return Time{Secs: t.Unix(), Nanos: int64(t.Nanosecond())} }

// Provenance holds what must be known to compare two runs.
type Provenance struct {
	Version     string   `json:"version,omitempty"` // of netbench, or of the driver
	Go          string   `json:"go,omitempty"`
	OS          string   `json:"os,omitempty"` // "linux/amd64"
	Kernel      string   `json:"kernel,omitempty"`
	CPU         string   `json:"cpu,omitempty"`
	CPUs        int      `json:"cpus,omitempty"`
	Governor    string   `json:"governor,omitempty"`
	Transport   string   `json:"transport,omitempty"` // "pqquic", "quic-go", "xnet", "tcp"
	Provider    string   `json:"provider,omitempty"`
	Library     string   `json:"library,omitempty"` // TLS library with its version
	FIPS        bool     `json:"fips,omitempty"`
	Group       string   `json:"group,omitempty"`        // of the first connection
	CipherSuite string   `json:"cipher_suite,omitempty"` // of the first connection
	Certificate string   `json:"certificate,omitempty"`  // "ecdsa-p256"
	Flags       []string `json:"flags,omitempty"`
}

// A Sample holds what happened since the sample before. Only T is always present.
type Sample struct {
	// T is the time since the start in milliseconds. Our collector measures it; in s2n-netbench's files it
	// is nominal.
	T int64 `json:"t"`

	CPU             float64 `json:"cpu,omitempty"` // % of one core
	Cycles          int64   `json:"cycles,omitempty"`
	Instructions    int64   `json:"instructions,omitempty"`
	Branches        int64   `json:"branches,omitempty"`
	ContextSwitches int64   `json:"context_switches,omitempty"`
	Memory          int64   `json:"memory,omitempty"`         // resident, bytes
	VirtualMemory   int64   `json:"virtual_memory,omitempty"` // bytes
	Syscalls        int64   `json:"syscalls,omitempty"`

	Connections int64               `json:"connections,omitempty"` // handshakes completed
	Accept      int64               `json:"accept,omitempty"`      // streams opened by the peer
	Allocs      Stat                `json:"allocs,omitzero"`       // bytes
	Reallocs    Stat                `json:"reallocs,omitzero"`
	Deallocs    Stat                `json:"deallocs,omitzero"`
	ConnectTime Stat                `json:"connect_time,omitzero"` // microseconds
	Send        map[string]Stat     `json:"send,omitempty"`        // bytes, by "connection:stream"
	Receive     map[string]Stat     `json:"receive,omitempty"`
	Profiles    map[string]*Profile `json:"profiles,omitempty"` // microseconds, by trace id

	// s2n-netbench does not know the fields below.

	// CPUTime is the user and system time of the process in microseconds.
	CPUTime int64 `json:"cpu_time_us,omitempty"`
	// PeakMemory is the largest resident size in bytes. Only a collector's last line has it.
	PeakMemory int64 `json:"peak_memory,omitempty"`
	// CollectorCPU is the CPU time in microseconds that the collector itself used. Only its last line has
	// it.
	CollectorCPU int64 `json:"collector_cpu_us,omitempty"`
	// Failed counts connections that did not complete their script, by class. The driver's documentation
	// lists the classes.
	Failed map[string]int64 `json:"failed,omitempty"`
	// Completed counts connections that completed their script.
	Completed int64 `json:"completed,omitempty"`
	// Resumed counts handshakes that resumed a session.
	Resumed int64 `json:"resumed,omitempty"`
	// Latency holds distributions in microseconds: "connect" (dial to handshake complete), "ttfb" (dial to
	// the first byte of an answer), "request" (open of a stream to its end).
	Latency map[string]*Profile `json:"latency,omitempty"`
	// Provenance holds what became known after the header was written.
	Provenance *Provenance `json:"provenance,omitempty"`
	// Notes explain in words what is missing and why.
	Notes []string `json:"notes,omitempty"`
	// Final marks a driver's last line.
	Final bool `json:"final,omitempty"`
}

// A Stat is a count and a sum.
type Stat struct {
	Count int64 `json:"count"`
	Total int64 `json:"total"`
}

// Add adds one value.
func (s *Stat) Add(v int64) {
	s.Count++
	s.Total += v
}

// Merge adds another Stat.
func (s *Stat) Merge(o Stat) {
	s.Count += o.Count
	s.Total += o.Total
}

// A Profile is a distribution.
type Profile struct {
	Stat    Stat     `json:"stat"`
	Buckets []Bucket `json:"buckets,omitempty"` // ascending, only those that hold something
}

// A Bucket counts the values in [Lower, Upper).
type Bucket struct {
	Lower int64 `json:"lower"`
	Upper int64 `json:"upper"`
	Count int64 `json:"count"`
}
