//go:build linux

package main

import (
	"fmt"
	"strings"
	"time"
)

// A driver is started as
//
//	DRIVER server -stack NAME -cert FILE -datagram BYTES -group NAME -bind IP -key FILE
//	DRIVER client -stack NAME -cert FILE -datagram BYTES -group NAME -bind IP -addr ADDRESS
//	DRIVER pair   -stack NAME -cert FILE -datagram BYTES -group NAME -bind IP -key FILE
//
// A server in Go also has -procs N, its GOMAXPROCS, and -mutex, which records a mutex profile, for the workload locks.
// The sockets are bound to the address IP. A driver prints "ready" and NAME=VALUE pairs, then answers each line of its
// standard input with one line, and exits when that ends. The server reports addr; server and client report rcvbuf and
// sndbuf, the kernel's sizes of their socket buffers. Before it is ready, the client makes one connection and reports
// its group and suite. A pair has no socket: it is a client and a server of the stack's TLS library in one process.
// All drivers answer:
//
//	cpu                               user and system time of the process: "cpu NANOSECONDS"
//	memory                            resident memory of the process: "memory BYTES BYTES", the second after it has
//	                                  returned unused memory to the system
//
// Drivers in Go also answer:
//
//	mallocs                           "mallocs COUNT", the heap objects that it has allocated
//	mutex                             "mutex NANOSECONDS NAME", the time for which goroutines have waited for the lock
//	                                  with the longest waits since the start, and the function that unlocks it
//
// Servers answer:
//
//	refusals                          "refusals REFUSED VALIDATED", the number of clients that were refused and that
//	                                  were sent a Retry, each -1 if the stack does not count them
//
// A pair answers:
//
//	pair COUNT                        COUNT handshakes in memory
//
// Clients answer:
//
//	connect COUNT CONCURRENT          COUNT connections, CONCURRENT at a time
//	bulk down|up STREAMS BYTES        a transfer of BYTES on each of STREAMS streams of one connection
//	again down|up BYTES               a transfer on a stream of a connection that stays open for the next one, only Go
//	request COUNT                     COUNT requests of 100 bytes and responses of 100 bytes on one connection
//	streams COUNT CONCURRENT          COUNT streams of one byte each way on one connection, CONCURRENT at a time
//	hold COUNT CONCURRENT             like connect, but the connections stay open until the client ends
//	offer COUNT INTERVAL LIMIT        COUNT connections, one after each INTERVAL whether or not others are done
//	probe COUNT INTERVAL LIMIT        COUNT requests like those of request, one after each INTERVAL, on one connection
//	                                  that stays open for the next probe
//
// With -http, which the drivers of httpStacks have, connections carry HTTP, with a request when they are made, and clients answer:
//
//	get COUNT CONNECTIONS CONCURRENT  COUNT requests for 1 KB, CONCURRENT at a time on each of CONNECTIONS connections, which
//	                                  stay open for the next get
//	download STREAMS BYTES            a response of BYTES to each of STREAMS requests on one connection
//	alone COUNT                       COUNT requests for 1 KB on one connection, one after another
//	beside COUNT                      the same beside a download on that connection
//	connect, hold                     as above, with a request for 1 KB instead of a stream
//
// INTERVAL and LIMIT are in nanoseconds. These and pair are answered with "done AMOUNT NANOSECONDS P50 P99 FAILED
// LATE REFUSED": the number of connections, bytes, requests or streams, the time that they took, and, of request, offer, probe,
// alone and beside, percentiles of the time that each took. AMOUNT counts only what succeeded. For offer and probe NANOSECONDS is the
// time from the first start to the last, the time that each took counts from when it was due, REFUSED counts connections
// that the server closed with CONNECTION_REFUSED, LATE what took longer than LIMIT, and FAILED other errors;
// with other workloads a failure is answered with "error TEXT". The time excludes the handshake of the one connection.
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

	wantGroup      = "X25519MLKEM768"
	classicalGroup = "X25519" // of the workload tls
	wantSuite      = "TLS_AES_128_GCM_SHA256"
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
	amount       int64
	elapsed      time.Duration
	p50, p99     time.Duration
	failed, late int64
	refused      int64
}

func (d done) String() string {
	return fmt.Sprintf("done %d %d %d %d %d %d %d", d.amount, d.elapsed.Nanoseconds(), d.p50.Nanoseconds(),
		d.p99.Nanoseconds(), d.failed, d.late, d.refused)
}

// parseDone is the inverse of done.String.
func parseDone(line string) (d done, err error) {
	_, err = fmt.Sscanf(line, "done %d %d %d %d %d %d %d", &d.amount, &d.elapsed, &d.p50, &d.p99, &d.failed, &d.late,
		&d.refused)
	if err != nil {
		return d, fmt.Errorf("the answer %q is no result: %w", line, err)
	}
	return d, nil
}
