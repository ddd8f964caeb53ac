package drivercli

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/pqquic/pqquic/cmd/internal/about"
	"github.com/pqquic/pqquic/cmd/internal/driver"
	"github.com/pqquic/pqquic/cmd/internal/scenario"
	"github.com/pqquic/pqquic/cmd/internal/stats"
)

func dirOf(file string) string { return filepath.Dir(file) }

// ctx ends with SIGINT or SIGTERM.
func signals(parent context.Context) (context.Context, context.CancelFunc) {
	if parent == nil {
		parent = context.Background()
	}
	return signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
}

// common makes what servers and clients have alike. finish ends the statistics.
func (o *Options) common(role string, id int, s *scenario.Scenario, t Transport, m *Materials) (c *driver.Common, finish func() error, err error) {
	if !o.MultiThreaded {
		runtime.GOMAXPROCS(1)
	}
	stack := t.Stack()
	p := stack.Provenance
	provenance(&p)
	p.Certificate = certificateName(m.Chain)
	self, _ := os.Executable()
	r, stop, err := recorder(&stats.Header{PID: os.Getpid(), Driver: self, Scenario: o.File, Traces: s.Traces, Role: role, Provenance: &p})
	if err != nil {
		return nil, nil, err
	}
	trace, closeTrace, err := o.tracer()
	if err != nil {
		return nil, nil, err
	}
	c = &driver.Common{Scenario: s, ID: id, Stack: stack, Recorder: r, Trace: trace, Errors: os.Stderr, Verify: o.Verify}
	if o.Verbose {
		fmt.Fprintf(os.Stderr, "netbench: %s on %s %s %s\n", role, p.Transport, p.Provider, p.Library)
	}
	throughput := o.throughput(r)
	return c, func() error {
		throughput()
		return errors.Join(stop(), closeTrace())
	}, nil
}

// recorder makes the one that writes to the descriptor of NETBENCH_STATS_FD, if that is set.
func recorder(h *stats.Header) (*stats.Recorder, func() error, error) {
	text := os.Getenv(stats.EnvFD)
	if text == "" {
		return stats.NewRecorder(nil, h), func() error { return nil }, nil
	}
	fd, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return nil, nil, fmt.Errorf("%s=%s: want the number of a descriptor", stats.EnvFD, text)
	}
	interval := time.Second
	if v := os.Getenv(stats.EnvInterval); v != "" {
		if interval, err = time.ParseDuration(v); err != nil || interval < time.Millisecond {
			return nil, nil, fmt.Errorf("%s=%s: want a duration of 1ms or more", stats.EnvInterval, v)
		}
	}
	out := os.NewFile(uintptr(fd), stats.EnvFD)
	if _, err := out.Stat(); err != nil {
		return nil, nil, fmt.Errorf("%s=%s: %w", stats.EnvFD, text, err)
	}
	r := stats.NewRecorder(out, h)
	done, result := make(chan struct{}), make(chan error, 1)
	go func() { result <- r.Run(interval, done) }()
	return r, func() error {
		close(done)
		return errors.Join(<-result, out.Close())
	}, nil
}

func (o *Options) tracer() (*driver.Tracer, func() error, error) {
	nothing := func() error { return nil }
	var w []interface {
		Write([]byte) (int, error)
	}
	closeFile := nothing
	for _, t := range o.Traces {
		if t == "stdio" {
			w = append(w, os.Stdout)
		}
	}
	if o.TraceFile != "" {
		f, err := os.Create(o.TraceFile)
		if err != nil {
			return nil, nil, err
		}
		w, closeFile = append(w, f), f.Close
	}
	switch len(w) {
	case 0:
		return nil, nothing, nil
	case 1:
		return driver.NewTracer(w[0]), closeFile, nil
	}
	return driver.NewTracer(w[0], w[1]), closeFile, nil
}

// throughput prints what went in and out in each second, if that is wanted, until it is stopped.
func (o *Options) throughput(r *stats.Recorder) (stop func()) {
	wanted := false
	for _, t := range o.Traces {
		wanted = wanted || t == "throughput"
	}
	if !wanted {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		start, tick := time.Now(), time.NewTicker(time.Second)
		defer tick.Stop()
		var tx, rx int64
		for {
			select {
			case <-done:
				return
			case now := <-tick.C:
				sent, received := r.Bytes()
				fmt.Fprintf(os.Stderr, "%s throughput: rx=%vps tx=%vps\n", driver.Clock(now.Sub(start)),
					scenario.Bytes(received-rx), scenario.Bytes(sent-tx))
				tx, rx = sent, received
			}
		}
	}()
	return func() { close(done) }
}

func certificateName(chain string) string {
	block, _ := pem.Decode([]byte(chain))
	if block == nil {
		return ""
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return ""
	}
	return scenario.KeyName(c.PublicKey)
}

// provenance adds what is known of the program and the machine.
func provenance(p *stats.Provenance) {
	p.Version, p.Go = about.Version(), runtime.Version()
	p.OS, p.CPUs = runtime.GOOS+"/"+runtime.GOARCH, runtime.NumCPU()
	p.Flags = os.Args[1:]
	read := func(file string) string {
		b, _ := os.ReadFile(file) // what the machine does not tell stays unknown
		return strings.TrimSpace(string(b))
	}
	p.Kernel = read("/proc/sys/kernel/osrelease")
	p.Governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
	for line := range strings.Lines(read("/proc/cpuinfo")) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			p.CPU = strings.TrimSpace(value)
			break
		}
	}
}

// NewServer is the command "server FILE".
func NewServer(stacks []Stack) *cobra.Command {
	var o Options
	var ip string
	var port, id int
	c := &cobra.Command{
		Use:   "server [FILE]",
		Short: "Run a server of a scenario",
		Long: `server runs one of the servers of a scenario until it is interrupted. When it serves it prints a line
"netbench: ready on ADDRESS:PORT" to standard error. Environment: SCENARIO, PORT, SERVER_ID, TRACE,
TRACE_FILE, SSLKEYLOGFILE; NETBENCH_STATS_FD for statistics as JSON lines.`,
		Example: `  netbench server build/scenarios/request_response.json
  netbench server --port 4434 --groups X25519MLKEM768 --provider s2n FILE
  netbench server --driver tcp FILE`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if path, err := o.external(stacks); err != nil || path != "" {
				return replace(path, err)
			}
			s, t, err := o.open(cmd, stacks, args)
			if err != nil {
				return err
			}
			if id < 0 || id >= len(s.Servers) {
				return fmt.Errorf("--server-id %d: the scenario has servers 0 to %d", id, len(s.Servers)-1)
			}
			ctx, cancel := signals(cmd.Context())
			defer cancel()
			m := materials(s, uint64(id))
			l, err := t.Listen(net.JoinHostPort(unbracketed(ip), strconv.Itoa(port)), m)
			if err != nil {
				return err
			}
			common, finish, err := o.common("server", id, s, t, m)
			if err != nil {
				return errors.Join(err, l.Close())
			}
			fmt.Fprintf(os.Stderr, "netbench: ready on %v\n", l.Addr())
			err = (&driver.Server{Common: common}).Serve(ctx, l)
			return errors.Join(err, finish())
		},
	}
	o.flags(c, stacks)
	c.Flags().StringVarP(&ip, "ip", "i", "::", "IP address to serve on")
	c.Flags().IntVarP(&port, "port", "p", envInt("PORT", 4433), "UDP or TCP port to serve on; 0 takes a free one (env PORT)")
	c.Flags().IntVar(&id, "server-id", envInt("SERVER_ID", 0), "which of the scenario's servers to be (env SERVER_ID)")
	return c
}

func unbracketed(ip string) string { return strings.Trim(ip, "[]") }

// NewClient is the command "client FILE".
func NewClient(stacks []Stack) *cobra.Command {
	var o Options
	var r clientRun
	c := &cobra.Command{
		Use:   "client [FILE]",
		Short: "Run a client of a scenario",
		Long: `client runs one of the clients of a scenario. The addresses of the servers are in the environment:
SERVER_0=HOST:PORT, SERVER_1 and so on; ROUTER_r_SERVER_s where the scenario has routers. Others are
SCENARIO, LOCAL_IP, CLIENT_ID, TRACE, TRACE_FILE, SSLKEYLOGFILE; NETBENCH_STATS_FD for statistics as JSON
lines.

A connection that fails is counted and reported by its class, and the run goes on. Exit status: 0 if
every connection did its script, 1 if some failed, 2 for a wrong command line or file.`,
		Example: `  SERVER_0=localhost:4433 netbench client --summary FILE
  SERVER_0=localhost:4433 netbench client --concurrency 32 --duration 30s FILE
  SERVER_0=localhost:4433 netbench client --arrival-rate 200 --ramp 1s FILE`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if path, err := o.external(stacks); err != nil || path != "" {
				return replace(path, err)
			}
			s, t, err := o.open(cmd, stacks, args)
			if err != nil {
				return err
			}
			return r.run(cmd, &o, s, t)
		},
	}
	o.flags(c, stacks)
	f := c.Flags()
	f.StringVarP(&r.local, "local-ip", "l", envOr("LOCAL_IP", "::"), "IP address to connect from (env LOCAL_IP)")
	f.IntVar(&r.id, "client-id", envInt("CLIENT_ID", 0), "which of the scenario's clients to be (env CLIENT_ID)")
	f.BoolVar(&r.failFast, "fail-fast", false, "end with the first connection that fails")
	f.BoolVar(&r.summary, "summary", false, "print a summary as one JSON object at the end")
	f.IntVar(&r.load.Concurrency, "concurrency", 0, "make so many connections at a time, instead of one after another")
	f.Float64Var(&r.load.ArrivalRate, "arrival-rate", 0, "begin so many connections a second, whether or not others are done")
	f.DurationVar(&r.load.Ramp, "ramp", 0, "let the arrival rate grow for so long")
	f.DurationVar(&r.load.Duration, "duration", 0, "repeat the connections for so long")
	f.IntVar(&r.load.MaxInFlight, "max-in-flight", 4096, "with --arrival-rate: connections at a time; more are failures")
	return c
}

type clientRun struct {
	local             string
	id                int
	failFast, summary bool
	load              driver.Load
}

func (r *clientRun) run(cmd *cobra.Command, o *Options, s *scenario.Scenario, t Transport) error {
	if r.id < 0 || r.id >= len(s.Clients) {
		return fmt.Errorf("--client-id %d: the scenario has %d clients", r.id, len(s.Clients))
	}
	if r.load.ArrivalRate < 0 || r.load.Ramp < 0 || r.load.Duration < 0 || r.load.Concurrency < 0 || r.load.MaxInFlight < 1 {
		return errors.New("a load below zero")
	}
	if r.load.ArrivalRate > 0 && r.load.Concurrency > 0 {
		return errors.New("--concurrency and --arrival-rate exclude each other")
	}
	if o.Given("max-in-flight") && r.load.ArrivalRate == 0 {
		return errors.New("--max-in-flight is of --arrival-rate")
	}
	if r.load.Ramp > 0 && r.load.ArrivalRate == 0 {
		return errors.New("--ramp is of --arrival-rate")
	}
	addrs, err := addresses(s)
	if err != nil {
		return err
	}
	ctx, cancel := signals(cmd.Context())
	defer cancel()
	m := materials(s, 0)
	m.Authorities = authorities(s, r.id)
	tr, err := t.Client(unbracketed(r.local), m)
	if err != nil {
		return err
	}
	common, finish, err := o.common("client", r.id, s, t, m)
	if err != nil {
		return errors.Join(err, tr.Close())
	}
	c := driver.Client{Common: common, Transport: tr, DialTimeout: o.HandshakeTimeout, FailFast: r.failFast, Load: r.load, Addr: addrs}
	cpu := stats.CPUTime()
	failed, err := c.Run(ctx)
	sum := common.Recorder.Summary()
	sum.CPUSeconds = (stats.CPUTime() - cpu).Seconds()
	_ = tr.Close() // nothing is left to be delivered
	if ctx.Err() != nil {
		err = errInterrupted
	}
	// What was done until an interruption is told as well.
	err = errors.Join(err, finish())
	if r.summary {
		err = errors.Join(err, json.NewEncoder(cmd.OutOrStdout()).Encode(sum))
	}
	if err != nil {
		return &Failed{err}
	}
	if failed > 0 {
		return &Failed{fmt.Errorf("%d connections failed: %s", failed, classes(sum.Failed))}
	}
	return nil
}

var errInterrupted = errors.New("interrupted")

// authorities are those that the client trusts: of all servers if it names none.
func authorities(s *scenario.Scenario, id int) string {
	var b strings.Builder
	for _, i := range s.Clients[id].CertificateAuthorities {
		b.WriteString(s.Certificates[i].PEM)
	}
	if b.Len() == 0 {
		for _, v := range s.Servers {
			b.WriteString(s.Certificates[v.CertificateAuthority].PEM)
		}
	}
	return b.String()
}
