//go:build linux

package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/pqquic/pqquic/http3"
)

// roles are the first arguments with which this program is a driver.
var roles = map[string]func(*settings) error{"server": driveServer, "client": driveClient, "pair": drivePair}

// drive runs a driver of a Go stack.
func drive(role string, args []string) error {
	var s settings
	fs := flag.NewFlagSet(role, flag.ContinueOnError)
	fs.StringVar(&s.stack, "stack", "", "name of the stack")
	fs.StringVar(&s.certFile, "cert", "", "certificate of the server, in PEM, which is also the client's root")
	fs.StringVar(&s.keyFile, "key", "", "key of the server, in PEM")
	fs.IntVar(&s.datagram, "datagram", 1200, "largest UDP payload, if the stack can set it")
	fs.StringVar(&s.group, "group", wantGroup, "key exchange")
	fs.StringVar(&s.bind, "bind", "127.0.0.1", "local IPv4 address of sockets")
	fs.StringVar(&s.peer, "addr", "", "address of the server that a client connects to")
	procs := fs.Int("procs", 0, "GOMAXPROCS; 0 means what the environment says")
	mutex := fs.Bool("mutex", false, "record a mutex profile")
	fs.BoolVar(&s.http, "http", false, "HTTP instead of streams")
	if err := fs.Parse(args); err != nil {
		return err
	}
	s.http = s.http || s.stack == http2TCP
	runtime.GOMAXPROCS(*procs)
	if *mutex {
		runtime.SetMutexProfileFraction(1)
	}
	if _, ok := groups[s.group]; !ok {
		return fmt.Errorf("there is no group %q", s.group)
	}
	if (role != "client") != s.server() {
		return errors.New("a server and a pair need -key, and a client has none")
	}
	if err := s.load(); err != nil {
		return err
	}
	return roles[role](&s)
}

// open opens the endpoint of the stack.
func (s *settings) open() (endpoint, map[string]string, error) {
	open, ok := goStacks[s.stack]
	if !ok {
		return nil, nil, fmt.Errorf("there is no stack %q in Go", s.stack)
	}
	e, err := open(s)
	if err != nil {
		return nil, nil, err
	}
	fields := map[string]string{"addr": e.addr()}
	fields["rcvbuf"], fields["sndbuf"] = e.buffers()
	return e, fields, nil
}

func driveServer(s *settings) error {
	e, fields, err := s.open()
	if err != nil {
		return err
	}
	defer e.close()
	if s.http {
		go serveHTTP(e)
	} else {
		go serve(e)
	}
	fmt.Println("ready" + pairs(fields, "addr", "rcvbuf", "sndbuf"))
	return answerRequests(os.Stdin, os.Stdout, func(line string) (string, error) {
		if line != "refusals" {
			return "", errors.New("a server has no workloads")
		}
		refused, validated := e.refusals()
		return fmt.Sprintf("refusals %d %d", refused, validated), nil
	})
}

func driveClient(s *settings) error {
	e, fields, err := s.open()
	if err != nil {
		return err
	}
	defer e.close()
	var c interface {
		check() (group, suite string, err error)
		handle(line string) (string, error)
	} = &client{endpoint: e, server: s.peer}
	if s.http {
		c = &httpClient{client: client{endpoint: e, server: s.peer}}
	}
	fields["group"], fields["suite"], err = c.check()
	if err != nil {
		return err
	}
	fmt.Println("ready" + pairs(fields, "rcvbuf", "sndbuf", "group", "suite"))
	return answerRequests(os.Stdin, os.Stdout, c.handle)
}

// answerRequests answers the runner's requests until in ends.
func answerRequests(in io.Reader, out io.Writer, handle func(string) (string, error)) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var answer string
		var err error
		switch line := lines.Text(); line {
		case "cpu":
			answer = fmt.Sprintf("cpu %d", cpuTime().Nanoseconds())
		case "memory":
			answer = processMemory().String()
		case "mallocs":
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			answer = fmt.Sprintf("mallocs %d", m.Mallocs)
		case "mutex":
			var waited time.Duration
			var name string
			if waited, name, err = longestWaits(); err == nil {
				answer = fmt.Sprintf("mutex %d %s", waited.Nanoseconds(), name)
			}
		default:
			answer, err = handle(line)
		}
		if err != nil {
			answer = "error " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Fprintln(out, answer)
	}
	return lines.Err()
}

// settings are what a stack is configured with.
type settings struct {
	stack             string
	certFile, keyFile string
	datagram          int
	group             string
	bind              string // local address
	peer              string // address of the server, of a client
	http              bool

	certPEM, keyPEM []byte
	certDER         []byte
	keyDER          []byte // of a server
}

// load reads the files.
func (s *settings) load() (err error) {
	if s.certPEM, s.certDER, err = readPEM(s.certFile); err != nil {
		return err
	}
	if s.keyFile != "" {
		s.keyPEM, s.keyDER, err = readPEM(s.keyFile)
	}
	return err
}

func (s *settings) server() bool { return s.keyFile != "" }

// protocol returns the protocol of ALPN.
func (s *settings) protocol() string {
	switch {
	case !s.http:
		return alpn
	case s.stack == http2TCP:
		return "h2"
	default:
		return http3.NextProto
	}
}

func readPEM(file string) (text, der []byte, err error) {
	if text, err = os.ReadFile(file); err != nil {
		return nil, nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, nil, fmt.Errorf("%s contains no PEM block", file)
	}
	return text, block.Bytes, nil
}

// tlsConfig returns the configuration of the stacks that use crypto/tls. Its cipher suites cannot be chosen for
// TLS 1.3: on processors with AES instructions AES-128-GCM comes first.
func (s *settings) tlsConfig() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{s.protocol()}, ServerName: serverName,
		CurvePreferences: []tls.CurveID{tls.CurveID(groups[s.group])}, SessionTicketsDisabled: true, RootCAs: x509.NewCertPool()}
	if !c.RootCAs.AppendCertsFromPEM(s.certPEM) {
		return nil, fmt.Errorf("%s contains no certificate", s.certFile)
	}
	if s.server() {
		cert, err := tls.X509KeyPair(s.certPEM, s.keyPEM)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}

// handle carries out a workload.
func (c *client) handle(line string) (string, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return "", errors.New("empty request")
	}
	name, words := words[0], words[1:]
	if (name == "bulk" || name == "again") && len(words) > 1 && (words[0] == "down" || words[0] == "up") {
		name, words = name+"-"+words[0], words[1:]
	}
	n, err := positive(words)
	if err != nil {
		return "", err
	}
	var d done
	switch {
	case name == "connect" && len(n) == 2:
		d, err = c.connections(int(n[0]), int(n[1]))
	case name == "bulk-down" && len(n) == 2:
		d, err = c.bulk(false, int(n[0]), n[1])
	case name == "bulk-up" && len(n) == 2:
		d, err = c.bulk(true, int(n[0]), n[1])
	case name == "again-down" && len(n) == 1:
		d, err = c.bulkAgain(false, n[0])
	case name == "again-up" && len(n) == 1:
		d, err = c.bulkAgain(true, n[0])
	case name == "request" && len(n) == 1:
		d, err = c.requests(int(n[0]))
	case name == "streams" && len(n) == 2:
		d, err = c.streams(int(n[0]), int(n[1]))
	case name == "hold" && len(n) == 2:
		d, err = c.hold(int(n[0]), int(n[1]))
	case name == "offer" && len(n) == 3:
		d = c.offer(int(n[0]), time.Duration(n[1]), time.Duration(n[2]))
	case name == "probe" && len(n) == 3:
		d, err = c.probe(int(n[0]), time.Duration(n[1]), time.Duration(n[2]))
	default:
		err = fmt.Errorf("unknown request %q", line)
	}
	return d.String(), err
}

// positive parses positive numbers.
func positive(words []string) (numbers []int64, err error) {
	for _, word := range words {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return nil, err
		}
		if n < 1 {
			return nil, fmt.Errorf("%d is not positive", n)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// percentile returns a percentile of sorted durations.
func percentile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)-1)*percent/100]
}
