package compare

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/stats"
)

// readyLine begins the line that a driver prints when it is listening.
const readyLine = "netbench: ready on "

// patience is how long a server may take to start and to end.
const patience = 30 * time.Second

// server is a running server driver.
type server struct {
	cmd    *exec.Cmd
	addr   string
	errors *tail
	ended  chan struct{} // closed when its output has ended
}

// startServer starts a driver and waits until it is listening.
func startServer(ctx context.Context, program, scenario string, flags []string) (*server, error) {
	args := append([]string{"server", "--ip", "127.0.0.1", "--port", "0"}, flags...)
	s := &server{cmd: exec.Command(program, append(args, scenario)...), errors: new(tail), ended: make(chan struct{})}
	s.cmd.Env = append(os.Environ(), "TRACE=disabled")
	out, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan string, 1)
	go func() {
		defer close(s.ended)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if addr, ok := strings.CutPrefix(lines.Text(), readyLine); ok {
				select {
				case ready <- addr:
				default:
				}
				continue
			}
			s.errors.add(lines.Text())
		}
	}()
	select {
	case s.addr = <-ready:
		return s, nil
	case <-s.ended:
		err = errors.New("the driver ended")
	case <-time.After(patience):
		err = fmt.Errorf("the driver is not ready after %v", patience)
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.stop()
	return nil, fmt.Errorf("server %s: %w%s", strings.Join(flags, " "), err, s.errors)
}

// stop ends the server and waits for its end.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	_ = s.cmd.Wait()
}

// runClient runs a client driver to its end.
func runClient(ctx context.Context, program, scenario, addr string, flags []string) (*stats.Summary, error) {
	cmd := exec.CommandContext(ctx, program, append(append([]string{"client", "--summary"}, flags...), scenario)...)
	cmd.Env = append(os.Environ(), "TRACE=disabled", "SERVER_0="+addr)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var sum stats.Summary
	// A client with failed connections exits with an error status, but its summary counts.
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		err = nil
	}
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &sum)
	}
	if err != nil {
		t := new(tail)
		for line := range strings.Lines(problems.String()) {
			t.add(strings.TrimSpace(line))
		}
		return nil, fmt.Errorf("client %s: %w%s", strings.Join(flags, " "), err, t)
	}
	return &sum, nil
}

// tail keeps the last lines of a program's standard error.
type tail struct {
	mu    sync.Mutex
	lines []string
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lines = append(t.lines, line); len(t.lines) > 3 {
		t.lines = t.lines[1:]
	}
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == 0 {
		return ""
	}
	return ": " + strings.Join(t.lines, "; ")
}
