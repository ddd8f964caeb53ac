//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/pqquic/pqquic/bench/peers/link"
)

const (
	startTime  = 20 * time.Second  // in which a driver must be ready
	answerTime = 120 * time.Second // in which a driver must answer
)

// A process is a driver that runs.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr bytes.Buffer
	ready  map[string]string
}

// start starts a driver and waits until it is ready.
func start(program string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(program, args...)}
	// The driver must not survive the runner, whose thread is locked.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.cmd.Stderr = &p.stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := p.read(startTime)
	if err == nil && !strings.HasPrefix(line, "ready") {
		err = fmt.Errorf("its first line is %q", line)
	}
	if err != nil {
		return nil, p.failed(err)
	}
	p.ready = parsePairs(line)
	return p, nil
}

// failed ends the process and returns the end of its standard error, or err if that is empty.
func (p *process) failed(err error) error {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // the error is that it was killed
	text := strings.TrimSpace(p.stderr.String())
	if text == "" {
		return err
	}
	return errors.New(strings.ReplaceAll(text[max(0, len(text)-500):], "\n", "; "))
}

// read returns the next line. The process is killed if it takes longer than limit.
func (p *process) read(limit time.Duration) (string, error) {
	timer := time.AfterFunc(limit, func() { _ = p.cmd.Process.Kill() })
	line, err := p.out.ReadString('\n')
	if !timer.Stop() {
		return "", fmt.Errorf("no answer within %v", limit)
	}
	if err != nil {
		return "", fmt.Errorf("the driver ended: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// ask sends a request and returns the answer.
func (p *process) ask(request string) (string, error) {
	if _, err := io.WriteString(p.in, request+"\n"); err != nil {
		return "", p.failed(err)
	}
	line, err := p.read(answerTime)
	if err != nil {
		return "", p.failed(err)
	}
	if text, ok := strings.CutPrefix(line, "error "); ok {
		return "", fmt.Errorf("%s: %s", request, text)
	}
	return line, nil
}

// cpu returns the CPU time that the process has used.
func (p *process) cpu() (time.Duration, error) {
	line, err := p.ask("cpu")
	if err != nil {
		return 0, err
	}
	var d time.Duration
	if _, err := fmt.Sscanf(line, "cpu %d", &d); err != nil {
		return 0, fmt.Errorf("the answer %q is no CPU time: %w", line, err)
	}
	return d, nil
}

// stop ends the process.
func (p *process) stop() {
	p.in.Close()
	timer := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
	_ = p.cmd.Wait() // an error is about a process that is no longer needed
	timer.Stop()
}

// A pair is a server and a client of one stack.
type pair struct {
	server, client *process
	link           *link.Link // between them; nil for loopback
}

// startPair starts both and checks what they negotiated. They are at the ends of a new link, unless that is nil.
// The server also gets the arguments serverArgs.
func startPair(program, stack, cert, key string, datagram int, over *link.Config, serverArgs ...string) (*pair, error) {
	p := new(pair)
	if err := p.start(program, stack, cert, key, datagram, over, serverArgs); err != nil {
		p.stop()
		return nil, err
	}
	if stack == rawFloor { // has no handshake
		return p, nil
	}
	if err := p.check(); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

func (p *pair) start(program, stack, cert, key string, datagram int, over *link.Config, serverArgs []string) (err error) {
	atServer, atClient := loopback, loopback
	if over != nil {
		if p.link, err = link.New(*over); err != nil {
			return fmt.Errorf("the emulated link: %w", err)
		}
		s, c := p.link.Ends()
		atServer, atClient = place{s.Addr().String(), s.Do}, place{c.Addr().String(), c.Do}
	}
	common := []string{"-stack", strings.TrimSuffix(stack, baseSuffix), "-cert", cert, "-datagram", fmt.Sprint(datagram)}
	args := append(append([]string{"server", "-key", key}, common...), serverArgs...)
	if p.server, err = atServer.start(program, args); err != nil {
		return fmt.Errorf("the server does not start: %w", err)
	}
	p.client, err = atClient.start(program, append([]string{"client", "-addr", p.server.ready["addr"]}, common...))
	if err != nil {
		return fmt.Errorf("the client does not connect: %w", err)
	}
	return nil
}

// A place is where a driver runs.
type place struct {
	addr string // local address of its sockets
	do   func(func() error) error
}

// loopback is the network namespace of the runner.
var loopback = place{"127.0.0.1", func(f func() error) error { return f() }}

// start starts a driver in this place.
func (at place) start(program string, args []string) (p *process, err error) {
	err = at.do(func() error {
		p, err = start(program, append(args, "-bind", at.addr)...)
		return err
	})
	return p, err
}

// check returns an error if the connection that the client has made cannot be compared with those of other stacks.
func (p *pair) check() error {
	if group := p.client.ready["group"]; group != wantGroup {
		return fmt.Errorf("it negotiated the group %q instead of %s", group, wantGroup)
	}
	if suite := p.client.ready["suite"]; suite != wantSuite {
		return fmt.Errorf("it negotiated the cipher suite %q instead of %s", suite, wantSuite)
	}
	return nil
}

// stop ends what was started.
func (p *pair) stop() {
	if p.client != nil {
		p.client.stop()
	}
	if p.server != nil {
		p.server.stop()
	}
	if p.link != nil {
		p.link.Close()
	}
}

// cpu returns the CPU time of each process.
func (p *pair) cpu() (client, server time.Duration, err error) {
	if client, err = p.client.cpu(); err != nil {
		return 0, 0, err
	}
	server, err = p.server.cpu()
	return client, server, err
}

// run has the client carry out a request and measures it, with what both processes still do in the time settle
// after it.
func (p *pair) run(request string, settle time.Duration) (sample, error) {
	client, server, err := p.cpu()
	if err != nil {
		return sample{}, err
	}
	sent, counted := udpSent()
	counted = counted && p.link == nil // the datagrams are sent in other namespaces
	line, err := p.client.ask(request)
	if err != nil {
		return sample{}, err
	}
	s := sample{datagrams: -1}
	if s.done, err = parseDone(line); err != nil {
		return s, err
	}
	time.Sleep(settle)
	if counted {
		after, _ := udpSent()
		s.datagrams = float64(after - sent)
	}
	clientAfter, serverAfter, err := p.cpu()
	s.clientCPU, s.serverCPU = clientAfter-client, serverAfter-server
	return s, err
}

// A sample is one measurement.
type sample struct {
	done
	clientCPU, serverCPU time.Duration
	datagrams            float64       // -1 if unknown
	memory                             // growth of the server's, of the workload memory
	oneCPU               time.Duration // of the server with GOMAXPROCS=1, of the workload locks
}
