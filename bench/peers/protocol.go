//go:build linux

package main

import (
	"fmt"
	"strings"
	"time"
)

// A driver is started as
//
//	DRIVER server -stack NAME -cert FILE -datagram BYTES -bind IP -key FILE
//	DRIVER client -stack NAME -cert FILE -datagram BYTES -bind IP -addr ADDRESS
//
// A server in Go also has -procs N, its GOMAXPROCS, for the workload locks. The sockets are bound to the address IP.
// It prints "ready" and NAME=VALUE pairs, then answers each line of its standard input with one line, and exits when
// that ends. The server reports addr; both report rcvbuf and sndbuf, the kernel's sizes of their socket buffers.
// Before it is ready, the client makes one connection and reports its group and suite. The requests are:
//
//	cpu                               user and system time of the process: "cpu NANOSECONDS"
//	memory                            resident memory of the process: "memory BYTES BYTES", the second after it has
//	                                  returned unused memory to the system
//	connect COUNT CONCURRENT          COUNT connections, CONCURRENT at a time
//	bulk down|up STREAMS BYTES        a transfer of BYTES on each of STREAMS streams of one connection
//	request COUNT                     COUNT requests of 100 bytes and responses of 100 bytes on one connection
//	streams COUNT CONCURRENT          COUNT streams of one byte each way on one connection, CONCURRENT at a time
//	hold COUNT CONCURRENT             like connect, but the connections stay open until the client ends
//
// A client answers the last five with "done AMOUNT NANOSECONDS P50 P99": the number of connections, bytes, requests
// or streams, the time that they took, and the percentiles of the requests' times, which are 0 for other workloads.
// The time excludes the handshake of the one connection. A request that failed is answered with "error TEXT".
//
// On each stream the client sends a message and ends its direction. The first byte of the message selects the
// answer, after which the server ends its direction:
//
//	0    one byte
//	1    100 bytes
//	2    as many bytes as the following 8 bytes say, in network byte order
const (
	answerByte     = 0
	answerResponse = 1
	answerCount    = 2

	messageSize = 100 // of requests and responses
	headerSize  = 9   // of a message that asks for a number of bytes
)

const (
	alpn       = "bench"
	serverName = "server.test"

	// socketBuffer is the size of the UDP socket buffers of all stacks, in bytes. It is the size that quic-go
	// sets if it finds a smaller one.
	socketBuffer = 7 << 20

	wantGroup = "X25519MLKEM768"
	wantSuite = "TLS_AES_128_GCM_SHA256"
)

// pairs formats the fields of a ready line.
func pairs(fields map[string]string, names ...string) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, " %s=%s", name, fields[name])
	}
	return b.String()
}

// parsePairs returns the fields of a ready line.
func parsePairs(line string) map[string]string {
	fields := make(map[string]string)
	for field := range strings.FieldsSeq(line) {
		if name, value, ok := strings.Cut(field, "="); ok {
			fields[name] = value
		}
	}
	return fields
}

// A done is a client's answer to a workload.
type done struct {
	amount   int64
	elapsed  time.Duration
	p50, p99 time.Duration
}

func (d done) String() string {
	return fmt.Sprintf("done %d %d %d %d", d.amount, d.elapsed.Nanoseconds(), d.p50.Nanoseconds(), d.p99.Nanoseconds())
}

// parseDone is the inverse of done.String.
func parseDone(line string) (d done, err error) {
	if _, err = fmt.Sscanf(line, "done %d %d %d %d", &d.amount, &d.elapsed, &d.p50, &d.p99); err != nil {
		return d, fmt.Errorf("the answer %q is no result: %w", line, err)
	}
	return d, nil
}
