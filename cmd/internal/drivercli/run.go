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
	"github.com/pqquic/pqquic/cmd/internal/certs"
	"github.com/pqquic/pqquic/cmd/internal/driver"
	"github.com/pqquic/pqquic/cmd/internal/scenario"
	"github.com/pqquic/pqquic/cmd/internal/stats"
)

func dirOf(file string) string { return filepath.Dir(file) }

// signals returns a context that ends with SIGINT or SIGTERM.
func signals(parent context.Context) (context.Context, context.CancelFunc) {
	if parent == nil {
		parent = context.Background()
	}
	return signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
}

// common returns what servers and clients share. finish ends the statistics.
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

// recorder returns a recorder that writes to the descriptor NETBENCH_STATS_FD, if that is set.
func recorder(h *stats.Header) (*stats.Recorder, func() error, error) {
	text := os.Getenv(stats.EnvFD)
	if text == "" {
		return stats.NewRecorder(nil, h), func() error { return nil }, nil
	}
	fd, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return nil, nil, fmt.Errorf("%s=%s is not the number of a file descriptor", stats.EnvFD, text)
	}
	interval := time.Second
	if v := os.Getenv(stats.EnvInterval); v != "" {
		if interval, err = time.ParseDuration(v); err != nil || interval < time.Millisecond {
			return nil, nil, fmt.Errorf("%s=%s is not a duration of at least 1ms", stats.EnvInterval, v)
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

// throughput prints the bytes received and sent in each second, if traces ask for it, until stop is called.
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
	return string(certs.AlgorithmOf(c))
}

// provenance adds what is known about the program and the machine.
func provenance(p *stats.Provenance) {
	p.Version, p.Go = about.Version(), runtime.Version()
	p.OS, p.CPUs = runtime.GOOS+"/"+runtime.GOARCH, runtime.NumCPU()
	p.Flags = os.Args[1:]
	read := func(file string) string {
		b, _ := os.ReadFile(file) // a field that cannot be read stays empty
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

// NewServer returns the command "server FILE".
func NewServer(stacks []Stack) *cobra.Command {
	var o Options
	var ip string
	var port, id int
	c := &cobra.Command{
		Use:   "server [FILE]",
		Short: "Run one of a scenario's servers",
		Long: `server runs one of a scenario's servers until it is interrupted. When it is listening it prints
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
				return fmt.Errorf("--server-id %d does not exist: the scenario has servers 0 to %d", id, len(s.Servers)-1)
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
	c.Flags().StringVarP(&ip, "ip", "i", "::", "IP address to listen on")
	c.Flags().IntVarP(&port, "port", "p", envInt("PORT", 4433), "UDP or TCP port to listen on; 0 chooses a free one (env PORT)")
	c.Flags().IntVar(&id, "server-id", envInt("SERVER_ID", 0), "number of the scenario's server to run (env SERVER_ID)")
	return c
}

func unbracketed(ip string) string { return strings.Trim(ip, "[]") }

// NewClient returns the command "client FILE".
func NewClient(stacks []Stack) *cobra.Command {
	var o Options
	var r clientRun
	c := &cobra.Command{
		Use:   "client [FILE]",
		Short: "Run one of a scenario's clients",
		Long: `client runs one of a scenario's clients. Environment variables give the addresses of the servers:
SERVER_0=HOST:PORT, SERVER_1 and so on; ROUTER_r_SERVER_s where the scenario has routers. Others are
SCENARIO, LOCAL_IP, CLIENT_ID, TRACE, TRACE_FILE, SSLKEYLOGFILE; NETBENCH_STATS_FD for statistics as JSON
lines.

A connection that fails is counted and reported by its class, and the run continues. Exit status: 0 if
every connection completed its script, 1 if some failed, 2 for an invalid command line or file.`,
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
	f.IntVar(&r.id, "client-id", envInt("CLIENT_ID", 0), "number of the scenario's client to run (env CLIENT_ID)")
	f.BoolVar(&r.failFast, "fail-fast", false, "stop when the first connection fails")
	f.BoolVar(&r.summary, "summary", false, "print a summary as one JSON object at the end")
	f.IntVar(&r.load.Concurrency, "concurrency", 0, "number of concurrent connections; 0 makes them one after another")
	f.Float64Var(&r.load.ArrivalRate, "arrival-rate", 0, "connections to begin per second, whether or not earlier ones are done")
	f.DurationVar(&r.load.Ramp, "ramp", 0, "time in which the arrival rate grows from 0")
	f.DurationVar(&r.load.Duration, "duration", 0, "how long to repeat the connections; 0 makes each once")
	f.IntVar(&r.load.MaxInFlight, "max-in-flight", 4096, "with --arrival-rate: limit of concurrent connections; further ones fail")
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
		return fmt.Errorf("--client-id %d does not exist: the scenario has %d clients, numbered from 0", r.id, len(s.Clients))
	}
	if r.load.ArrivalRate < 0 || r.load.Ramp < 0 || r.load.Duration < 0 || r.load.Concurrency < 0 || r.load.MaxInFlight < 1 {
		return errors.New("--concurrency, --arrival-rate, --ramp and --duration must not be negative, " +
			"and --max-in-flight must be at least 1")
	}
	if r.load.ArrivalRate > 0 && r.load.Concurrency > 0 {
		return errors.New("--concurrency and --arrival-rate cannot be combined")
	}
	if o.Given("max-in-flight") && r.load.ArrivalRate == 0 {
		return errors.New("--max-in-flight needs --arrival-rate")
	}
	if r.load.Ramp > 0 && r.load.ArrivalRate == 0 {
		return errors.New("--ramp needs --arrival-rate")
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
	_ = tr.Close() // nothing is left to deliver
	if ctx.Err() != nil {
		err = errInterrupted
	}
	// The statistics up to an interruption are written too.
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

// authorities returns the certificates that the client trusts: those of all servers if it names none.
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
