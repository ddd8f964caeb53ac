// Package drivercli is the command line that all of netbench's drivers share: server FILE and client
// FILE, with the flags and the environment of s2n-netbench's.
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

// Failed says that the driver did its work, and that something in it failed.
type Failed struct{ Err error }

func (f *Failed) Error() string { return f.Err.Error() }
func (f *Failed) Unwrap() error { return f.Err }

// A Stack is a transport that a program has.
type Stack struct {
	Name string
	// New refuses, with the reason, options that the transport cannot honour.
	New func(*Options) (Transport, error)
}

// A Transport is a Stack with its options.
type Transport interface {
	Stack() driver.Stack
	Listen(addr string, m *Materials) (driver.Listener, error)
	// Client dials from the local IP address.
	Client(local string, m *Materials) (driver.Transport, error)
}

// Materials are the certificates of a run, in PEM. A client's are for mutual TLS.
type Materials struct {
	Authorities, Key, Chain string
	// ID is the scenario's, of which the names that clients ask for are made.
	ID string
	// Unanswered says that a client sends something after which the server sends nothing, not even
	// the end of a stream, so that nothing but acknowledgements tell that it arrived.
	Unanswered bool
}

// Options are those of both sides.
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
	// KeyLog is the file that SSLKEYLOGFILE names, if any.
	KeyLog io.Writer
	// Given tells whether a flag stands on the command line; nil for no.
	Given func(flag string) bool
}

func (o *Options) flags(c *cobra.Command, stacks []Stack) {
	f := c.Flags()
	f.StringVar(&o.Driver, "driver", stacks[0].Name, "what to run on: "+names(stacks)+", or a driver by its name or path")
	f.StringArrayVar(&o.Protocols, "application-protocols", []string{"netbench"}, "ALPN `protocol` (repeatable)")
	f.StringArrayVar(&o.Traces, "trace", traceDefault(), "what to print (repeatable): disabled, throughput or stdio (env TRACE)")
	f.StringVar(&o.TraceFile, "trace-file", os.Getenv("TRACE_FILE"), "write events to this `file` too (env TRACE_FILE)")
	f.BoolVarP(&o.Verbose, "verbose", "V", false, "print what the driver runs on")
	f.BoolVar(&o.Verify, "verify", false, "verify that what is received is what was to be sent")
	f.BoolVar(&o.MultiThreaded, "multithreaded", envBool("MULTITHREADED", true), "use more than one thread (env MULTITHREADED)")
	f.BoolVar(&o.Multiplex, "multiplex", envBool("MULTIPLEX", true), "more than one stream on a TCP connection, always (env MULTIPLEX)")
	f.BoolVar(&o.Nagle, "nagle", false, "TCP: let small writes wait; ignored on QUIC, as s2n-netbench does")
	o.RxBuffer, o.TxBuffer = 8<<10, 8<<10
	f.Var(&o.RxBuffer, "rx-buffer", "TCP: size of the buffer for reading")
	f.Var(&o.TxBuffer, "tx-buffer", "TCP: size of the buffer for writing")
	f.IntVar(&o.MaxMTU, "max-mtu", envInt("MAX_MTU", 0), "largest packet in bytes; 0: as the transport has it (env MAX_MTU)")
	f.StringVar(&o.Provider, "provider", "", "TLS provider: s2n or native")
	f.StringVar(&o.Groups, "groups", "", "key exchange groups, separated by commas")
	f.StringVar(&o.Policy, "policy", "", "security policy of s2n-tls, instead of --groups")
	f.StringVar(&o.CertificateType, "certificate-type", "", "use certificates of this type, which are kept beside FILE: "+
		strings.Join(scenario.CertificateTypes(), ", "))
	f.BoolVar(&o.MTLS, "mtls", false, "clients show a certificate too")
	f.BoolVar(&o.Retry, "retry", false, "server: validate each client's address by a Retry")
	f.BoolVar(&o.Resumption, "resumption", false, "resume TLS sessions: on the server, send tickets; on the client, use them")
	f.StringVar(&o.CongestionControl, "congestion-control", "", "congestion control `algorithm`")
	f.DurationVar(&o.HandshakeTimeout, "handshake-timeout", 10*time.Second, "how long a handshake may take")
	f.DurationVar(&o.IdleTimeout, "idle-timeout", 30*time.Second, "how long a connection may be silent")
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

// checkEnv is an error about variables whose value is none of their kind: flags have ignored it.
func checkEnv(ints, bools []string) error {
	for _, name := range ints {
		if v := os.Getenv(name); v != "" {
			if _, err := strconv.Atoi(v); err != nil {
				return fmt.Errorf("%s=%s: want a number", name, v)
			}
		}
	}
	for _, name := range bools {
		if v := os.Getenv(name); v != "" {
			if _, err := strconv.ParseBool(v); err != nil {
				return fmt.Errorf("%s=%s: want true or false", name, v)
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
		return nil, nil, errors.New("no scenario: name a file, or set SCENARIO")
	}
	if o.Groups != "" && o.Policy != "" {
		return nil, nil, errors.New("--groups and --policy exclude each other: a policy has groups of its own")
	}
	if o.HandshakeTimeout <= 0 || o.IdleTimeout <= 0 {
		return nil, nil, errors.New("--handshake-timeout and --idle-timeout take more than 0")
	}
	for _, t := range o.Traces {
		if !slices.Contains([]string{"disabled", "throughput", "stdio"}, t) {
			return nil, nil, fmt.Errorf("--trace %s: want disabled, throughput or stdio", t)
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

// materials are the certificates of one of the servers.
func materials(s *scenario.Scenario, i uint64) *Materials {
	v := &s.Servers[i]
	return &Materials{Authorities: s.Certificates[v.CertificateAuthority].PEM, Key: s.Certificates[v.PrivateKey].PEM,
		Chain: s.Certificates[v.Certificate].PEM, ID: s.ID, Unanswered: s.Unanswered()}
}

// external is the program of a driver that is not one of the stacks; empty if it is. It is looked for
// beside this program and then in PATH, with and without netbench-driver- in front of its name.
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
	return "", fmt.Errorf("no driver %q: %s are built in, and there is no program netbench-driver-%s beside this one or in PATH",
		o.Driver, names(stacks), o.Driver)
}

// others are the arguments without --driver.
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
