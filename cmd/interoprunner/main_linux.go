// Command interoprunner runs the test cases of the QUIC interop runner without containers: see docs/interop.md. It
// prints a matrix, and its exit status is 1 if a case has failed. It needs root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/interop"
)

// inside marks the process that has a mount namespace of its own.
const inside = "INTEROPRUNNER_INSIDE"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "interoprunner:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	ours      string
	peers     []peer
	providers string
	cases     string
	short     bool
	pairs     string
	dir       string
	parallel  int
	seed      uint64
	skipped   bool
}

func run() error {
	var o options
	flag.StringVar(&o.ours, "ours", "", "`directory` of our endpoint")
	flag.Func("peer", "another stack's `name=directory`, such as quic-go=endpoint; may be repeated", o.addPeer)
	flag.StringVar(&o.providers, "providers", "native,s2n", "TLS `providers` of our endpoint")
	flag.StringVar(&o.cases, "cases", "", "names or abbreviations of the `cases` to run; empty means all")
	flag.BoolVar(&o.short, "short", false, "run only the cases that take little time")
	flag.StringVar(&o.pairs, "pairs", "", "only these `pairs`, such as native-s2n: client and server")
	flag.StringVar(&o.dir, "dir", "", "new `directory` for logs and files; empty means one that is removed if all cases pass")
	flag.IntVar(&o.parallel, "parallel", 4, "`number` of cases at a time")
	flag.Uint64Var(&o.seed, "seed", 1, "selects the packets that are lost or corrupted")
	flag.BoolVar(&o.skipped, "skipped", false, "also run the cases that an endpoint is known to fail in")
	flag.Parse()
	if os.Geteuid() != 0 {
		fmt.Println("SKIPPED: the interop cases, which need root for network namespaces")
		return nil
	}
	if os.Getenv(inside) == "" {
		return o.again()
	}
	if err := interop.PrivateMounts(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return o.run(ctx)
}

// again runs this program in a mount namespace of its own. The directory is made and removed here, where nothing is
// mounted in it.
func (o *options) again() error {
	args, temporary := os.Args[1:], o.dir == ""
	if temporary {
		var err error
		if o.dir, err = os.MkdirTemp("", "interop"); err != nil {
			return err
		}
		args = append(args, "-dir", o.dir)
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil && temporary:
		return os.RemoveAll(o.dir)
	case errors.Is(err, syscall.EPERM):
		fmt.Println("SKIPPED: the interop cases: this system permits no mount namespace")
		return nil
	case errors.As(err, &exit) && exit.ExitCode() == 1:
		os.Exit(1) // it has said why
	}
	return err
}

// endpoints returns the endpoints of the matrix: ours, and those of other stacks.
func (o *options) endpoints() (ours, others []interop.Endpoint) {
	for _, provider := range strings.Split(o.providers, ",") {
		e := interop.Endpoint{Name: provider, Dir: o.ours, Env: []string{"PQQUIC_PROVIDER=" + provider}}
		if provider == "s2n" { // it has no early data
			e.Unsupported = [2][]string{{"Z"}, {"Z"}}
		}
		ours = append(ours, e)
	}
	for _, p := range o.peers {
		e := stacks[p.name]
		e.Name, e.Dir = p.name, p.dir
		if o.skipped {
			e.Skipped = [2][]string{}
		}
		others = append(others, e)
	}
	return ours, others
}

// A peer is an endpoint of another stack.
type peer struct{ name, dir string }

// addPeer parses a value of the flag -peer.
func (o *options) addPeer(value string) error {
	name, dir, ok := strings.Cut(value, "=")
	if _, known := stacks[name]; !ok || !known {
		return fmt.Errorf("%q is not name=directory with one of the names %s", value, strings.Join(slices.Sorted(maps.Keys(stacks)), ", "))
	}
	o.peers = append(o.peers, peer{name, dir})
	return nil
}

// stacks describes the endpoints of other stacks: what they do not support as a client and as a server, and why.
var stacks = map[string]interop.Endpoint{
	// Its endpoint does not know the test case ecn, and quic-go has no compatible version negotiation and no preferred
	// address.
	"quic-go": {Unsupported: [2][]string{{"E", "V2"}, {"E", "V2", "CM"}}, Skipped: [2][]string{{"CM"}, nil}},
	// The clients of quinn and s2n-quic do not accept the nine certificates of amplificationlimit: rustls-webpki verifies
	// shorter chains only. quinn has version 1 only. Its client ignores preferred addresses, and its server goes on sending
	// from the other one.
	"quinn": {Env: []string{"STACK=quinn"}, Unsupported: [2][]string{{"V2"}, {"V2", "CM"}}, Skipped: [2][]string{{"A", "CM"}, nil}},
	// s2n-quic has version 1 only, no resumption without its unstable feature, no early data, no preferred addresses, and no
	// key update that a program asks for. Handshakes with its server can stall under 30 % of loss: see docs/interop.md.
	"s2n-quic": {Env: []string{"STACK=s2n-quic"}, Unsupported: [2][]string{{"3", "V2", "R", "Z", "U"}, {"3", "V2", "R", "Z", "CM"}},
		Skipped: [2][]string{{"A", "CM"}, {"L1", "C1"}}},
	// The endpoint of quiche has HTTP/3 only.
	"quiche": {Unsupported: [2][]string{allBut("3"), allBut("3")}},
	// aioquic has classical key exchange groups only, no ECN, and no preferred addresses.
	"aioquic": {Unsupported: [2][]string{{"E"}, {"E", "CM"}}, Skipped: [2][]string{{"CM"}, nil}},
}

// allBut returns the abbreviations of all cases but one.
func allBut(abbr string) (others []string) {
	for _, c := range interop.Cases() {
		if c.Abbr != abbr {
			others = append(others, c.Abbr)
		}
	}
	return others
}

// selected returns the cases to run.
func (o *options) selected() (cases []interop.Case, err error) {
	names := strings.FieldsFunc(o.cases, func(r rune) bool { return r == ',' || r == ' ' })
	for _, c := range interop.Cases() {
		named := slices.ContainsFunc(names, func(n string) bool { return n == c.Name || n == c.Abbr })
		if (len(names) == 0 || named) && (!o.short || c.Short) {
			cases = append(cases, c)
		}
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("no case is selected by %q", o.cases)
	}
	return cases, nil
}

func (o *options) run(ctx context.Context) error {
	cases, err := o.selected()
	if err != nil {
		return err
	}
	ours, others := o.endpoints()
	for _, e := range slices.Concat(ours, others) {
		if err := interop.Compliant(ctx, e, filepath.Join(o.dir, "compliance-"+e.Name)); err != nil {
			return err
		}
	}
	chosen := strings.FieldsFunc(o.pairs, func(r rune) bool { return r == ',' || r == ' ' })
	results := o.runAll(ctx, cases, pairsOf(ours, others, chosen))
	if err := ctx.Err(); err != nil {
		return err
	}
	failed := interop.WriteMatrix(os.Stdout, cases, results)
	if failed > 0 {
		return fmt.Errorf("%d cases have failed; their logs are in %s", failed, o.dir)
	}
	return nil
}

// A pair is two endpoints that are run against each other.
type pair struct{ client, server interop.Endpoint }

func (p *pair) name() string { return p.client.Name + "-" + p.server.Name }

// pairsOf returns the pairs of the matrix. Other stacks are run against each other only if the flag -pairs names the pair.
func pairsOf(ours, others []interop.Endpoint, chosen []string) (pairs []pair) {
	for _, us := range ours {
		for _, server := range ours {
			pairs = append(pairs, pair{us, server})
		}
		for _, them := range others {
			pairs = append(pairs, pair{us, them}, pair{them, us})
		}
	}
	if len(chosen) == 0 {
		return pairs
	}
	for _, client := range others {
		for _, server := range others {
			pairs = append(pairs, pair{client, server})
		}
	}
	return slices.DeleteFunc(pairs, func(p pair) bool { return !slices.Contains(chosen, p.name()) })
}

// runAll runs the cases for each pair, several at a time, and prints each result.
func (o *options) runAll(ctx context.Context, cases []interop.Case, pairs []pair) (results []interop.Result) {
	var wait sync.WaitGroup
	var mu sync.Mutex
	slots := make(chan struct{}, o.parallel)
	for _, c := range cases {
		for _, p := range pairs {
			slots <- struct{}{}
			if ctx.Err() != nil {
				return nil
			}
			wait.Go(func() {
				r := interop.Run(ctx, c, p.client, p.server, filepath.Join(o.dir, c.Name+"-"+p.name()), o.seed)
				mu.Lock()
				defer mu.Unlock()
				results = append(results, r)
				fmt.Printf("%-20s client %-8s server %-8s %6.1fs  %s\n", c.Name, p.client.Name, p.server.Name, r.Time.Round(100*time.Millisecond).Seconds(), r.Outcome())
				<-slots
			})
		}
	}
	wait.Wait()
	return results
}
