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

// scan sends a request and parses the answer.
func (p *process) scan(request, format string, values ...any) error {
	line, err := p.ask(request)
	if err != nil {
		return err
	}
	if _, err := fmt.Sscanf(line, format, values...); err != nil {
		return fmt.Errorf("the answer %q to %q is not %q: %w", line, request, format, err)
	}
	return nil
}

// cpu returns the CPU time that the process has used.
func (p *process) cpu() (d time.Duration, err error) {
	err = p.scan("cpu", "cpu %d", &d)
	return d, err
}

// stop ends the process.
func (p *process) stop() {
	p.in.Close()
	timer := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
	_ = p.cmd.Wait() // an error is about a process that is no longer needed
	timer.Stop()
}
