// Package stats is netbench's record of a run: what a driver counts and a collector samples, as JSON
// lines. The first line is a Header, every other one a Sample. The names and units that the collector
// of s2n-netbench writes are kept, so that its files load here and ours load there; what it has no
// name for stands in fields of its own, which it ignores.
//
// A driver writes the same lines to the descriptor that NETBENCH_STATS_FD names, with the fields that
// only it can know; a collector adds those of the process to them.
package stats

import "time"

// EnvFD names the environment variable with the number of the descriptor that a driver writes its
// lines to, EnvInterval the one with the time between two of them (a Go duration; default 1s).
const (
	EnvFD       = "NETBENCH_STATS_FD"
	EnvInterval = "NETBENCH_STATS_INTERVAL"
)

// A Header says what ran.
type Header struct {
	PID       int      `json:"pid"`
	Driver    string   `json:"driver"`   // path or name of the program
	Scenario  string   `json:"scenario"` // path of the file
	StartTime Time     `json:"start_time"`
	Traces    []string `json:"traces,omitempty"` // names, by trace id

	Role string `json:"role,omitempty"` // "client" or "server"
	// Collector is the program that sampled the process, with its version; s2n-netbench's does not tell.
	Collector  string      `json:"collector,omitempty"`
	Provenance *Provenance `json:"provenance,omitempty"`
}

// Time is a point in time as s2n-netbench writes it.
type Time struct {
	Secs  int64 `json:"secs_since_epoch"`
	Nanos int64 `json:"nanos_since_epoch"` // within the second
}

// TimeOf converts a time.
func TimeOf(t time.Time) Time { return Time{Secs: t.Unix(), Nanos: int64(t.Nanosecond())} }

// Provenance is what has to be known to compare two runs.
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
	Group       string   `json:"group,omitempty"`        // negotiated by the first connection
	CipherSuite string   `json:"cipher_suite,omitempty"` // likewise
	Certificate string   `json:"certificate,omitempty"`  // "ecdsa-p256"
	Flags       []string `json:"flags,omitempty"`
}

// A Sample is what happened since the one before; only T is always there.
type Sample struct {
	// T is the time since the start, in milliseconds: measured by us, nominal in the files of
	// s2n-netbench.
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
	Accept      int64               `json:"accept,omitempty"`      // streams of the peer's accepted
	Allocs      Stat                `json:"allocs,omitzero"`       // bytes
	Reallocs    Stat                `json:"reallocs,omitzero"`
	Deallocs    Stat                `json:"deallocs,omitzero"`
	ConnectTime Stat                `json:"connect_time,omitzero"` // microseconds
	Send        map[string]Stat     `json:"send,omitempty"`        // bytes, by "connection:stream"
	Receive     map[string]Stat     `json:"receive,omitempty"`
	Profiles    map[string]*Profile `json:"profiles,omitempty"` // microseconds, by trace id

	// What follows s2n-netbench has no name for.

	// CPUTime is user and system time of the process, in microseconds.
	CPUTime int64 `json:"cpu_time_us,omitempty"`
	// PeakMemory is the most that was ever resident, in bytes; in a collector's last line.
	PeakMemory int64 `json:"peak_memory,omitempty"`
	// CollectorCPU is the CPU time that the collector itself has used, in microseconds; in its last line.
	CollectorCPU int64 `json:"collector_cpu_us,omitempty"`
	// Failed counts connections that did not do all of their script, by class: see
	// the driver's documentation for the classes.
	Failed map[string]int64 `json:"failed,omitempty"`
	// Completed counts connections that did.
	Completed int64 `json:"completed,omitempty"`
	// Resumed counts handshakes that resumed a session.
	Resumed int64 `json:"resumed,omitempty"`
	// Latency are distributions in microseconds: "connect" (dial to handshake complete), "ttfb"
	// (dial to the first byte of an answer), "request" (open of a stream to its end).
	Latency map[string]*Profile `json:"latency,omitempty"`
	// Provenance is what became known after the header was written.
	Provenance *Provenance `json:"provenance,omitempty"`
	// Notes say, for people, what is missing and why.
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
