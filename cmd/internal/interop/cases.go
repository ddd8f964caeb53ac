// Package interop runs the test cases of the QUIC interop runner without containers: two endpoints in network
// namespaces, an emulated link between them, and checks of what they have sent.
package interop

import (
	"fmt"
	"strings"
	"time"
)

// A Case is a test case of the interop runner.
type Case struct {
	Name, Abbr     string
	client, server string // the values of TESTCASE
	host           string // the server's name in URLs
	files          []file
	delay          time.Duration                // one way; 0 means 15 ms
	impair         func(seed uint64) impairment // nil for none
	longChain      bool                         // of certificates
	opened         bool                         // the checks need the content of 1-RTT packets
	crossTraffic   bool                         // a TCP connection uses the link as well
	measured       bool                         // the result has the rate of the transfer
	timeout        time.Duration                // 0 means 60 s
	checks         []check
	Short          bool // belongs to the short run
	handshakes     int  // 0 means 1
}

// A file is what a client downloads.
type file struct {
	name string
	size int
}

// files returns files of the given sizes.
func files(sizes ...int) (fs []file) {
	for i, size := range sizes {
		fs = append(fs, file{fmt.Sprintf("file%d", i), size})
	}
	return fs
}

// manyFiles returns n files of a size, whose names have at least a length.
func manyFiles(n, size, length int) (fs []file) {
	for i := range n {
		name := fmt.Sprintf("file%d", i)
		fs = append(fs, file{name + strings.Repeat("x", max(0, length-len(name))), size})
	}
	return fs
}

const (
	kilobyte = 1 << 10
	megabyte = 1 << 20
)

// Cases returns the runner's test cases and measurements, in its order.
func Cases() []Case {
	const second = time.Second
	return []Case{
		{Name: "handshake", Abbr: "H", files: files(kilobyte), checks: []check{noRetry}, Short: true},
		{Name: "transfer", Abbr: "DC", files: files(2*megabyte, 3*megabyte, 5*megabyte)},
		{Name: "longrtt", Abbr: "LR", client: "handshake", server: "handshake", files: files(kilobyte),
			delay: 750 * time.Millisecond, checks: []check{noRetry, helloRepeated}, Short: true},
		{Name: "chacha20", Abbr: "C20", files: files(3 * megabyte), checks: []check{onlyChaCha20}},
		{Name: "multiplexing", Abbr: "M", client: "transfer", server: "transfer", files: manyFiles(1999, 32, 0),
			checks: []check{streamLimit}},
		{Name: "retry", Abbr: "S", files: files(10 * kilobyte), checks: []check{retried}, Short: true},
		{Name: "resumption", Abbr: "R", files: files(5*kilobyte, 10*kilobyte), handshakes: 2, checks: []check{secondResumed}, Short: true},
		{Name: "zerortt", Abbr: "Z", files: manyFiles(40, 32, 250), handshakes: 2, checks: []check{earlyData}, Short: true},
		{Name: "http3", Abbr: "3", files: files(5*kilobyte, 10*kilobyte, 500*kilobyte), Short: true},
		{Name: "blackhole", Abbr: "B", client: "transfer", server: "transfer", files: files(10 * megabyte),
			impair: blackhole(5*second, 2*second)},
		{Name: "keyupdate", Abbr: "U", server: "transfer", files: files(3 * megabyte), opened: true, checks: []check{keysUpdated}, Short: true},
		{Name: "ecn", Abbr: "E", files: files(100 * kilobyte), opened: true, checks: []check{noRetry, marked}, Short: true},
		{Name: "amplificationlimit", Abbr: "A", client: "transfer", server: "transfer", files: files(5 * kilobyte), longChain: true,
			impair: dropToServer(2, 3, 4, 5, 6, 7), checks: []check{amplification}},
		{Name: "handshakeloss", Abbr: "L1", client: "multiconnect", server: "multiconnect", files: manyFiles(50, kilobyte, 0),
			impair: dropRate(0.3), handshakes: 50, timeout: 300 * second},
		{Name: "transferloss", Abbr: "L2", client: "transfer", server: "transfer", files: files(2 * megabyte), impair: dropRate(0.02), Short: true},
		{Name: "handshakecorruption", Abbr: "C1", client: "multiconnect", server: "multiconnect", files: manyFiles(50, kilobyte, 0),
			impair: corruptRate(0.3), handshakes: 50, timeout: 300 * second},
		{Name: "transfercorruption", Abbr: "C2", client: "transfer", server: "transfer", files: files(2 * megabyte), impair: corruptRate(0.02), Short: true},
		{Name: "ipv6", Abbr: "6", client: "transfer", server: "transfer", host: "server6", files: files(5*kilobyte, 10*kilobyte),
			checks: []check{onlyIPv6}, Short: true},
		{Name: "v2", Abbr: "V2", files: files(kilobyte), checks: []check{upgraded}, Short: true},
		{Name: "rebind-port", Abbr: "BP", client: "transfer", server: "transfer", files: files(10 * megabyte),
			impair: rebind(second, 5*second, false), opened: true, checks: []check{rebound}},
		{Name: "rebind-addr", Abbr: "BA", client: "transfer", server: "transfer", files: files(10 * megabyte),
			impair: rebind(second, 5*second, true), opened: true, checks: []check{rebound, reboundAddr}},
		{Name: "connectionmigration", Abbr: "CM", client: "transfer", host: "server46", files: files(2 * megabyte),
			opened: true, checks: []check{rebound, newConnID}},
		{Name: "goodput", Abbr: "G", client: "transfer", server: "transfer", files: files(10 * megabyte), measured: true},
		{Name: "crosstraffic", Abbr: "C", client: "transfer", server: "transfer", files: files(25 * megabyte),
			timeout: 180 * second, crossTraffic: true, measured: true},
	}
}

// withDefaults returns c with the fields set that are the same for most cases.
func (c Case) withDefaults() Case {
	if c.client == "" {
		c.client = c.Name
	}
	if c.server == "" {
		c.server = c.Name
	}
	if c.host == "" {
		c.host = "server4"
	}
	if c.delay == 0 {
		c.delay = 15 * time.Millisecond
	}
	if c.timeout == 0 {
		c.timeout = 60 * time.Second
	}
	if c.handshakes == 0 {
		c.handshakes = 1
	}
	c.checks = append([]check{sameFiles, completed}, c.checks...)
	if c.Name != "v2" {
		c.checks = append(c.checks, onlyVersion1)
	}
	return c
}
