package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/pqquic/pqquic/cmd/internal/capture"
	"github.com/pqquic/pqquic/cmd/internal/inspect"
	"github.com/pqquic/pqquic/internal/link"
)

// An Endpoint is an implementation for the interop runner.
type Endpoint struct {
	Name string
	Dir  string   // has run_endpoint.sh and its programs
	Env  []string // in addition to the runner's
	// Unsupported has the abbreviations of the cases that it does not support as a client and as a server, with exit
	// status 127. Skipped has those that are not run, because it does not know that it fails in them.
	Unsupported, Skipped [2][]string
}

// stopTime is how long an endpoint may take to stop.
const stopTime = 3 * time.Second

// exitUnsupported is the exit status of an endpoint that does not support a test case.
const exitUnsupported = 127

// A Result is the outcome of a case with two endpoints.
type Result struct {
	Case           Case
	Client, Server string
	Unsupported    bool
	Err            error // nil if the case has passed, or is not supported
	Time           time.Duration
	Rate           float64 // of the transfer in Mbit/s, if the case measures it
}

// A run is a case that is under way.
type run struct {
	c         Case
	endpoints [2]Endpoint
	places    [2]place
	ends      [2]*link.End
	path      *path
	dir       string
}

// Run runs a case. dir is a new directory for the files of the endpoints. Their logs stay there.
func Run(ctx context.Context, c Case, clientEndpoint, serverEndpoint Endpoint, dir string, seed uint64) Result {
	result := Result{Case: c, Client: clientEndpoint.Name, Server: serverEndpoint.Name}
	if slices.Contains(clientEndpoint.Skipped[client], c.Abbr) || slices.Contains(serverEndpoint.Skipped[server], c.Abbr) {
		result.Unsupported = true
		return result
	}
	r := &run{c: c.withDefaults(), endpoints: [2]Endpoint{clientEndpoint, serverEndpoint}, path: &path{began: time.Now()}, dir: dir}
	began := time.Now()
	err := r.run(ctx, seed)
	result.Time = time.Since(began)
	if end, ok := unsupportedBy(err); ok {
		if slices.Contains(r.endpoints[end].Unsupported[end], c.Abbr) {
			result.Unsupported = true
			return result
		}
	}
	if err == nil {
		err = r.removeFiles()
	} else {
		err = errors.Join(err, r.savePackets("sent.pcapng", false), r.savePackets("arrived.pcapng", true))
	}
	if r.c.measured {
		result.Rate = r.rate()
	}
	result.Err = err
	return result
}

// rate returns the rate of the files in Mbit/s, from the server's first 1-RTT packet to its last.
func (r *run) rate() float64 {
	var first, last time.Time
	r.path.mu.Lock()
	defer r.path.mu.Unlock()
	for i := range r.path.trace.records {
		if rec := &r.path.trace.records[i]; rec.from == server && !rec.arrived && rec.short > 0 {
			if first.IsZero() {
				first = rec.at
			}
			last = rec.at
		}
	}
	bits := 0
	for _, f := range r.c.files {
		bits += 8 * f.size
	}
	if last.Equal(first) {
		return 0
	}
	return float64(bits) / 1e6 / last.Sub(first).Seconds()
}

// removeFiles removes the files of a run that has passed, which are large, but not the logs.
func (r *run) removeFiles() error {
	return errors.Join(os.RemoveAll(r.places[server].dir("www")), os.RemoveAll(r.places[client].dir("downloads")))
}

// savePackets writes the packets with long headers that were sent, or those that have arrived, to a file beside the logs.
func (r *run) savePackets(name string, arrived bool) error {
	f, err := os.Create(filepath.Join(r.dir, name))
	if err != nil {
		return err
	}
	defer f.Close() // after an error
	w := capture.NewWriter(f)
	r.path.mu.Lock()
	defer r.path.mu.Unlock()
	for _, rec := range r.path.trace.records {
		if rec.packet == nil || rec.arrived != arrived {
			continue
		}
		if err := w.Write(capture.Frame{Time: rec.at, Link: layers.LinkTypeRaw, Data: rec.packet}); err != nil {
			return err
		}
	}
	return errors.Join(w.Close(), f.Close())
}

// An exitError is the exit status of an endpoint.
type exitError struct {
	end    int
	status int
	output string
}

func (e *exitError) Error() string {
	return fmt.Sprintf("the %s has ended with exit status %d: %s", [2]string{"client", "server"}[e.end], e.status, e.output)
}

// unsupportedBy returns the end that has reported that it does not support a case.
func unsupportedBy(err error) (end int, ok bool) {
	var e *exitError
	if errors.As(err, &e) && e.status == exitUnsupported {
		return e.end, true
	}
	return 0, false
}

func (r *run) run(ctx context.Context, seed uint64) (err error) {
	for end, name := range []string{"client", "server"} {
		if r.places[end], err = newPlace(filepath.Join(r.dir, name), r.endpoints[end].Dir); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.places[end].close()) }()
	}
	if err := r.writeFiles(); err != nil {
		return err
	}
	const mtu, queued = 1500, 25 // as in the runner's scenarios
	l, err := link.New(link.Config{Delay: r.c.delay, Rate: 10e6, Queue: queued * mtu, MTU: mtu, Sent: r.path.sent, Arrived: r.path.arrived})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	r.ends[client], r.ends[server] = l.Ends()
	stop, err := r.startServer(ctx)
	if err != nil {
		return err
	}
	stopped := false
	defer func() {
		if !stopped {
			stop()
		}
	}()
	var impair impairment
	if r.c.impair != nil {
		impair = r.c.impair(seed)
	}
	if r.c.crossTraffic {
		flow, err := startTCP(r.ends[server], r.ends[client])
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, flow.close()) }()
	}
	r.path.start(impair, r.c.opened)
	if err := r.runClient(ctx); err != nil {
		return err
	}
	stop() // the server completes its logs
	stopped = true
	return r.check()
}

// writeFiles writes the server's files and the certificates.
func (r *run) writeFiles() error {
	for i, f := range r.c.files {
		line := fmt.Appendf(nil, "%d %s\n", i, f.name)
		content := bytes.Repeat(line, f.size/len(line)+1)[:f.size]
		if err := os.WriteFile(filepath.Join(r.places[server].dir("www"), f.name), content, 0o644); err != nil {
			return err
		}
	}
	length := 1
	if r.c.longChain {
		length = 9
	}
	if err := writeCertificates(r.places[server].dir("certs"), length); err != nil {
		return err
	}
	return os.CopyFS(r.places[client].dir("certs"), os.DirFS(r.places[server].dir("certs")))
}

// command returns the command of an endpoint. It must be started in the network namespace of its end.
func (r *run) command(ctx context.Context, end int, testCase string) (cmd *exec.Cmd, output *bytes.Buffer) {
	role := [2]string{"client", "server"}[end]
	cmd = exec.CommandContext(ctx, "/endpoint/run_endpoint.sh")
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Chroot: r.places[end].root, Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "ROLE=" + role, "TESTCASE=" + testCase,
		"SSLKEYLOGFILE=/logs/keys.log", "QLOGDIR=/logs/qlog/"}, r.endpoints[end].Env...)
	output = new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = stopTime
	return cmd, output
}

// wait waits for an endpoint and returns its exit status as an error.
func (r *run) wait(end int, cmd *exec.Cmd, output *bytes.Buffer) error {
	err := cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // whatever the script has left
	role := [2]string{"client", "server"}[end]
	if e := os.WriteFile(filepath.Join(r.dir, role+".log"), output.Bytes(), 0o644); e != nil {
		return e
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return &exitError{end, exit.ExitCode(), lastLines(output.String())}
	}
	return err
}

// lastLines returns the end of an endpoint's output.
func lastLines(s string) string {
	const most = 400
	s = strings.TrimSpace(s)
	return strings.ReplaceAll(s[max(0, len(s)-most):], "\n", " | ")
}

// startServer starts the server and waits until it answers. stop ends it and waits until it has ended.
func (r *run) startServer(ctx context.Context) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd, output := r.command(ctx, server, r.c.server)
	if err := r.ends[server].Do(cmd.Start); err != nil {
		cancel()
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- r.wait(server, cmd, output) }()
	if err := r.probe(ended); err != nil {
		cancel()
		return nil, err
	}
	return func() { cancel(); <-ended }, nil
}

// probe sends the server packets of an unknown version until it answers with Version Negotiation, as the runner does
// before each test case. Their connection IDs are empty.
func (r *run) probe(ended <-chan error) error {
	var socket net.PacketConn
	if err := r.ends[client].Do(func() (err error) {
		socket, err = net.ListenPacket("udp4", ":0")
		return err
	}); err != nil {
		return err
	}
	defer socket.Close()
	request := append([]byte{0xc0, 'W', 'A', 'I', 'T', 0, 0}, make([]byte, 1200)...)
	to := &net.UDPAddr{IP: r.ends[server].Addr().AsSlice(), Port: 443}
	const attempts, interval = 20, 500 * time.Millisecond
	for range attempts {
		select {
		case err := <-ended:
			return err
		default:
		}
		_, _ = socket.WriteTo(request, to)
		_ = socket.SetReadDeadline(time.Now().Add(interval + 2*r.c.delay))
		answer := make([]byte, 2000)
		n, _, err := socket.ReadFrom(answer)
		if err == nil && n > 5 && answer[0]&0x80 != 0 && [4]byte(answer[1:5]) == [4]byte{} {
			return nil
		}
	}
	return errors.New("the server has not answered with Version Negotiation within 10 s")
}

// runClient runs the client to its end.
func (r *run) runClient(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.c.timeout)
	defer cancel()
	cmd, output := r.command(ctx, client, r.c.client)
	var urls []string
	for _, f := range r.c.files {
		urls = append(urls, "https://"+r.c.host+":443/"+f.name)
	}
	cmd.Env = append(cmd.Env, "REQUESTS="+strings.Join(urls, " "))
	if err := r.ends[client].Do(cmd.Start); err != nil {
		return err
	}
	err := r.wait(client, cmd, output)
	if ctx.Err() != nil {
		return fmt.Errorf("the client has not ended within %v: %s", r.c.timeout, lastLines(output.String()))
	}
	return err
}

// check applies the checks of the case.
func (r *run) check() error {
	e := &evidence{c: r.c, www: r.places[server].dir("www"), downloads: r.places[client].dir("downloads")}
	r.path.mu.Lock()
	e.trace = &r.path.trace // nothing is added any more
	r.path.mu.Unlock()
	keys := new(inspect.KeyLog)
	for end := range r.places {
		if b, err := os.ReadFile(r.places[end].dir("logs/keys.log")); err == nil {
			keys.Add(b)
		}
	}
	in := inspect.New(inspect.Options{KeyLog: keys, Report: func(c *inspect.Connection) { e.connections = append(e.connections, c) }})
	for _, rec := range e.trace.records {
		// A NAT changes the client's address, so the packets are those at the server's end.
		if len(rec.long) > 0 && rec.arrived == (rec.from == client) {
			in.Frame(capture.Frame{Time: rec.at, Link: layers.LinkTypeRaw, Data: rec.packet, Length: len(rec.packet)})
		}
	}
	in.Finish()
	var err error
	if r.c.opened {
		err = e.openShort(keys)
	}
	for _, check := range r.c.checks {
		err = errors.Join(err, check(e))
	}
	return err
}

// Compliant returns an error unless an endpoint reports for both roles that it does not support an unknown test case.
func Compliant(ctx context.Context, e Endpoint, dir string) (err error) {
	r := &run{endpoints: [2]Endpoint{e, e}, dir: dir}
	for end, role := range []string{"client", "server"} {
		if r.places[end], err = newPlace(filepath.Join(dir, role), e.Dir); err != nil {
			return err
		}
		if err := writeCertificates(r.places[end].dir("certs"), 1); err != nil {
			return err
		}
		cmd, output := r.command(ctx, end, "zxqvbnmlkj")
		cmd.Env = append(cmd.Env, "REQUESTS=https://server4:443/file")
		if err := cmd.Start(); err != nil {
			return err
		}
		err := r.wait(end, cmd, output)
		if _, ok := unsupportedBy(err); !ok {
			return fmt.Errorf("%s as a %s does not report with exit status %d that it does not support an unknown test case: %v",
				e.Name, role, exitUnsupported, err)
		}
		if err := r.places[end].close(); err != nil {
			return err
		}
	}
	return nil
}
