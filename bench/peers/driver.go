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
)

// drive runs a driver of a Go stack: the role is "server" or "client".
func drive(role string, args []string) error {
	var stack, addr string
	var s settings
	fs := flag.NewFlagSet(role, flag.ContinueOnError)
	fs.StringVar(&stack, "stack", "", "name of the stack")
	fs.StringVar(&s.certFile, "cert", "", "certificate of the server, in PEM, which is also the client's root")
	fs.StringVar(&s.keyFile, "key", "", "key of the server, in PEM")
	fs.IntVar(&s.datagram, "datagram", 1200, "largest UDP payload, if the stack can set it")
	fs.StringVar(&s.bind, "bind", "127.0.0.1", "local IPv4 address of sockets")
	fs.StringVar(&addr, "addr", "", "address of the server that a client connects to")
	procs := fs.Int("procs", 0, "GOMAXPROCS; 0 means what the environment says")
	if err := fs.Parse(args); err != nil {
		return err
	}
	runtime.GOMAXPROCS(*procs)
	open, ok := goStacks[stack]
	if !ok {
		return fmt.Errorf("there is no stack %q in Go", stack)
	}
	if role == "server" && s.keyFile == "" {
		return errors.New("a server needs -key")
	}
	if err := s.load(); err != nil {
		return err
	}
	e, err := open(&s)
	if err != nil {
		return err
	}
	defer e.close()
	fields := map[string]string{"addr": e.addr()}
	fields["rcvbuf"], fields["sndbuf"] = e.buffers()
	if role == "server" {
		go serve(e)
		fmt.Println("ready" + pairs(fields, "addr", "rcvbuf", "sndbuf"))
		return answerRequests(os.Stdin, os.Stdout, func(string) (string, error) {
			return "", errors.New("a server has no workloads")
		})
	}
	c := &client{endpoint: e, server: addr}
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
		if lines.Text() == "cpu" {
			fmt.Fprintf(out, "cpu %d\n", cpuTime().Nanoseconds())
			continue
		}
		if lines.Text() == "memory" {
			fmt.Fprintln(out, processMemory())
			continue
		}
		answer, err := handle(lines.Text())
		if err != nil {
			answer = "error " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Fprintln(out, answer)
	}
	return lines.Err()
}

// settings are what a stack is configured with.
type settings struct {
	certFile, keyFile string
	datagram          int
	bind              string // local address

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
	c := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{alpn}, ServerName: serverName,
		CurvePreferences: []tls.CurveID{tls.X25519MLKEM768}, SessionTicketsDisabled: true, RootCAs: x509.NewCertPool()}
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
	var d done
	var err error
	switch {
	case len(words) == 3 && words[0] == "connect":
		var n [2]int64
		if n, err = positive(words[1:]); err == nil {
			d, err = c.connections(int(n[0]), int(n[1]))
		}
	case len(words) == 4 && words[0] == "bulk" && (words[1] == "down" || words[1] == "up"):
		var n [2]int64
		if n, err = positive(words[2:]); err == nil {
			d, err = c.bulk(words[1] == "up", int(n[0]), n[1])
		}
	case len(words) == 2 && words[0] == "request":
		var n [2]int64
		if n, err = positive(words[1:]); err == nil {
			d, err = c.requests(int(n[0]))
		}
	case len(words) == 3 && words[0] == "hold":
		var n [2]int64
		if n, err = positive(words[1:]); err == nil {
			d, err = c.hold(int(n[0]), int(n[1]))
		}
	case len(words) == 3 && words[0] == "streams":
		var n [2]int64
		if n, err = positive(words[1:]); err == nil {
			d, err = c.streams(int(n[0]), int(n[1]))
		}
	default:
		err = fmt.Errorf("unknown request %q", line)
	}
	return d.String(), err
}

// positive parses up to two positive numbers.
func positive(words []string) (n [2]int64, err error) {
	for i, word := range words {
		if n[i], err = strconv.ParseInt(word, 10, 64); err != nil {
			return n, err
		}
		if n[i] < 1 {
			return n, fmt.Errorf("%d is not positive", n[i])
		}
	}
	return n, nil
}

// percentile returns a percentile of sorted durations.
func percentile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)-1)*percent/100]
}
