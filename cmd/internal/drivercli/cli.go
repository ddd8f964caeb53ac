// Package drivercli implements the command line of all netbench drivers: server FILE and client FILE, with
// the flags and environment variables of s2n-netbench's drivers.
package drivercli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pqquic/pqquic/cmd/internal/driver"
	"github.com/pqquic/pqquic/cmd/internal/scenario"
)

// Failed reports that the run ended normally but some connections failed.
type Failed struct{ Err error }

func (f *Failed) Error() string { return f.Err.Error() }
func (f *Failed) Unwrap() error { return f.Err }

// A Stack is a transport that a program can run on.
type Stack struct {
	Name string
	// New returns an error for options that the transport cannot honour.
	New func(*Options) (Transport, error)
}

// A Transport is a Stack with its options applied.
type Transport interface {
	Stack() driver.Stack
	Listen(addr string, m *Materials) (driver.Listener, error)
	// Client returns a transport that dials from the local IP address.
	Client(local string, m *Materials) (driver.Transport, error)
}

// Materials are the certificates of a run in PEM. A client's are for mutual TLS.
type Materials struct {
	Authorities, Key, Chain string
	// ID is the scenario's ID, from which server names are made.
	ID string
	// Unanswered reports whether a client sends something after which the server sends nothing, not even
	// the end of a stream, so that only acknowledgements show that it arrived.
	Unanswered bool
}

// Options are the options that servers and clients share.
type Options struct {
	File      string
	Driver    string
	Protocols []string
	Traces    []string
	TraceFile string
	Verbose   bool
	Verify    bool

	Provider, Groups, Policy string
	CertificateType          string
	MTLS, Retry, Resumption  bool
	CongestionControl        string
	MaxMTU                   int
	HandshakeTimeout         time.Duration
	IdleTimeout              time.Duration
	MultiThreaded, Multiplex bool
	Nagle                    bool
	RxBuffer, TxBuffer       scenario.Bytes
	// KeyLog writes to the file that SSLKEYLOGFILE names; nil if it is not set.
	KeyLog io.Writer
	// Given reports whether a flag was set on the command line. A nil Given means none was.
	Given func(flag string) bool
}

func (o *Options) flags(c *cobra.Command, stacks []Stack) {
	f := c.Flags()
	f.StringVar(&o.Driver, "driver", stacks[0].Name, "transport to run on: "+names(stacks)+", or the name or path of another driver")
	f.StringArrayVar(&o.Protocols, "application-protocols", []string{"netbench"}, "ALPN `protocol` (repeatable)")
	f.StringArrayVar(&o.Traces, "trace", traceDefault(), "trace output (repeatable): disabled, throughput or stdio (env TRACE)")
	f.StringVar(&o.TraceFile, "trace-file", os.Getenv("TRACE_FILE"), "also write events to this `file` (env TRACE_FILE)")
	f.BoolVarP(&o.Verbose, "verbose", "V", false, "print the transport, the TLS provider and its library")
	f.BoolVar(&o.Verify, "verify", false, "verify the received bytes against the expected pattern")
	f.BoolVar(&o.MultiThreaded, "multithreaded", envBool("MULTITHREADED", true), "use more than one thread (env MULTITHREADED)")
	f.BoolVar(&o.Multiplex, "multiplex", envBool("MULTIPLEX", true), "allow several streams on one TCP connection (env MULTIPLEX)")
	f.BoolVar(&o.Nagle, "nagle", false, "TCP: enable Nagle's algorithm, which delays small writes; ignored on QUIC as in s2n-netbench")
	o.RxBuffer, o.TxBuffer = 8<<10, 8<<10
	f.Var(&o.RxBuffer, "rx-buffer", "TCP: size of the read buffer")
	f.Var(&o.TxBuffer, "tx-buffer", "TCP: size of the write buffer")
	f.IntVar(&o.MaxMTU, "max-mtu", envInt("MAX_MTU", 0), "largest packet in bytes; 0 uses the transport's default (env MAX_MTU)")
	f.StringVar(&o.Provider, "provider", "", "TLS provider: s2n or native")
	f.StringVar(&o.Groups, "groups", "", "key exchange groups, separated by commas")
	f.StringVar(&o.Policy, "policy", "", "security policy of s2n-tls, instead of --groups")
	f.StringVar(&o.CertificateType, "certificate-type", "", "use certificates of this type and keep them beside FILE: "+
		strings.Join(scenario.CertificateTypes(), ", "))
	f.BoolVar(&o.MTLS, "mtls", false, "require a certificate from clients")
	f.BoolVar(&o.Retry, "retry", false, "server: validate each client's address with a Retry")
	f.BoolVar(&o.Resumption, "resumption", false, "resume TLS sessions: the server sends tickets, the client uses them")
	f.StringVar(&o.CongestionControl, "congestion-control", "", "congestion control `algorithm`")
	f.DurationVar(&o.HandshakeTimeout, "handshake-timeout", 10*time.Second, "longest time that a handshake may take")
	f.DurationVar(&o.IdleTimeout, "idle-timeout", 30*time.Second, "longest time without traffic before a connection is closed")
}

func names(stacks []Stack) string {
	var out []string
	for _, s := range stacks {
		out = append(out, s.Name)
	}
	return strings.Join(out, ", ")
}

func traceDefault() []string {
	if t := os.Getenv("TRACE"); t != "" {
		return []string{t}
	}
	return []string{"throughput"}
}

func envOr(name, or string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return or
}

func envInt(name string, or int) int {
	if v, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return v
	}
	return or
}

// checkEnv returns an error for environment variables with invalid values: the flags ignore them.
func checkEnv(ints, bools []string) error {
	for _, name := range ints {
		if v := os.Getenv(name); v != "" {
			if _, err := strconv.Atoi(v); err != nil {
				return fmt.Errorf("%s=%s is not a number", name, v)
			}
		}
	}
	for _, name := range bools {
		if v := os.Getenv(name); v != "" {
			if _, err := strconv.ParseBool(v); err != nil {
				return fmt.Errorf("%s=%s is not true or false", name, v)
			}
		}
	}
	return nil
}

func envBool(name string, or bool) bool {
	if v, err := strconv.ParseBool(os.Getenv(name)); err == nil {
		return v
	}
	return or
}

// open reads the scenario and makes the transport.
func (o *Options) open(cmd *cobra.Command, stacks []Stack, args []string) (*scenario.Scenario, Transport, error) {
	o.Given = cmd.Flags().Changed
	ints := map[string][]string{"server": {"MAX_MTU", "PORT", "SERVER_ID"}, "client": {"MAX_MTU", "CLIENT_ID"}}
	if err := checkEnv(ints[cmd.Name()], []string{"MULTITHREADED", "MULTIPLEX"}); err != nil {
		return nil, nil, err
	}
	o.File = os.Getenv("SCENARIO")
	if len(args) > 0 {
		o.File = args[0]
	}
	if o.File == "" {
		return nil, nil, errors.New("no scenario: give a file or set SCENARIO")
	}
	if o.Groups != "" && o.Policy != "" {
		return nil, nil, errors.New("--groups and --policy cannot be combined: a policy sets its own groups")
	}
	if o.HandshakeTimeout <= 0 || o.IdleTimeout <= 0 {
		return nil, nil, errors.New("--handshake-timeout and --idle-timeout must be greater than 0")
	}
	for _, t := range o.Traces {
		if !slices.Contains([]string{"disabled", "throughput", "stdio"}, t) {
			return nil, nil, fmt.Errorf("--trace %s is unknown: use disabled, throughput or stdio", t)
		}
	}
	s, err := scenario.Load(o.File)
	if err != nil {
		return nil, nil, err
	}
	if file := os.Getenv("SSLKEYLOGFILE"); file != "" {
		f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, nil, fmt.Errorf("SSLKEYLOGFILE: %w", err)
		}
		o.KeyLog = f
	}
	if o.CertificateType != "" {
		if err := replaceCertificates(s, o.File, scenario.CertificateType(o.CertificateType)); err != nil {
			return nil, nil, fmt.Errorf("--certificate-type %s: %w", o.CertificateType, err)
		}
	}
	for _, st := range stacks {
		if st.Name == o.Driver {
			t, err := st.New(o)
			return s, t, err
		}
	}
	return nil, nil, fmt.Errorf("unknown driver %q", o.Driver)
}

// materials returns the certificates of server i.
func materials(s *scenario.Scenario, i uint64) *Materials {
	v := &s.Servers[i]
	return &Materials{Authorities: s.Certificates[v.CertificateAuthority].PEM, Key: s.Certificates[v.PrivateKey].PEM,
		Chain: s.Certificates[v.Certificate].PEM, ID: s.ID, Unanswered: s.Unanswered()}
}

// external returns the path of a driver that is not one of the stacks, or "" if it is one. It looks beside
// this program and then in PATH, with and without the prefix netbench-driver-.
func (o *Options) external(stacks []Stack) (string, error) {
	for _, s := range stacks {
		if s.Name == o.Driver {
			return "", nil
		}
	}
	if strings.ContainsRune(o.Driver, filepath.Separator) {
		return o.Driver, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	for _, name := range []string{"netbench-driver-" + o.Driver, o.Driver} {
		for _, path := range []string{filepath.Join(filepath.Dir(self), name), name} {
			if found, err := exec.LookPath(path); err == nil {
				return found, nil
			}
		}
	}
	return "", fmt.Errorf("unknown driver %q: %s are built in, and no program netbench-driver-%s was found beside this one or in PATH",
		o.Driver, names(stacks), o.Driver)
}

// others returns the arguments without --driver.
func others(args []string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "--driver":
			i++
		case !strings.HasPrefix(args[i], "--driver="):
			out = append(out, args[i])
		}
	}
	return out
}
