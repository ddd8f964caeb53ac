package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/probe"
	"github.com/pqquic/pqquic/tlsprovider"
)

// options are the options of the command line.
type options struct {
	hosts       []string
	file, ca    string
	json        bool
	requirePQ   bool
	requireAuth bool
	transports  []string
	alpn        []string
	tcpALPN     []string
	serverName  string
	port        uint16
	parallel    int

	timeout, handshakeTimeout time.Duration

	in            io.Reader
	out, problems io.Writer
}

// notPostQuantum is the error of --require-pq and --require-pq-auth.
type notPostQuantum struct {
	what  string
	hosts []string
}

func (e *notPostQuantum) Error() string {
	return fmt.Sprintf("%s is not post-quantum: %s", e.what, strings.Join(e.hosts, ", "))
}

// unreachable is the error of hosts that were not reached over any transport.
type unreachable struct{ hosts []string }

func (e *unreachable) Error() string { return "not reachable: " + strings.Join(e.hosts, ", ") }

func (o *options) run(ctx context.Context) error {
	po, err := o.probeOptions()
	if err != nil {
		return err
	}
	hosts, err := o.allHosts()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	bar := o.progress(len(hosts))
	var exchange, authentication, missing []string
	for r := range probeAll(ctx, hosts, po, o.parallel, bar.add) {
		switch {
		case !r.Reachable():
			missing = append(missing, r.Host)
		default:
			if o.requirePQ && !r.PQKeyExchange {
				exchange = append(exchange, r.Host)
			}
			if o.requireAuth && !r.PQAuthentication {
				authentication = append(authentication, r.Host)
			}
		}
		if err = bar.without(func() error { return o.print(r) }); err != nil {
			break
		}
	}
	bar.finish()
	if ctx.Err() != nil {
		err = errors.Join(err, errors.New("interrupted"))
	}
	if len(missing) > 0 {
		err = errors.Join(err, &unreachable{missing})
	}
	if len(exchange) > 0 {
		err = errors.Join(err, &notPostQuantum{"the key exchange", exchange})
	}
	if len(authentication) > 0 {
		err = errors.Join(err, &notPostQuantum{"the authentication", authentication})
	}
	return err
}

func (o *options) probeOptions() (*probe.Options, error) {
	switch {
	case o.parallel < 1:
		return nil, fmt.Errorf("--parallel is %d, and must be positive", o.parallel)
	case o.timeout <= 0 || o.handshakeTimeout <= 0:
		return nil, errors.New("--timeout and --handshake-timeout must be positive")
	case len(o.transports) == 0:
		return nil, errors.New("--transport is empty: use quic, tcp or both")
	case slices.Contains(o.transports, "quic") && len(o.alpn) == 0:
		return nil, errors.New("--alpn is empty: QUIC needs an application protocol")
	}
	po := &probe.Options{
		Providers:  probe.Providers(),
		ServerName: o.serverName, ALPN: o.alpn, TCPALPN: o.tcpALPN, Port: strconv.Itoa(int(o.port)),
		Timeout: o.timeout, HandshakeTimeout: o.handshakeTimeout,
		TicketTimeout: min(o.handshakeTimeout, 2*time.Second),
	}
	for _, t := range o.transports {
		switch t {
		case "quic":
			po.QUIC = true
		case "tcp":
			po.TCP = true
		default:
			return nil, fmt.Errorf("--transport has %q: use quic, tcp or both", t)
		}
	}
	if o.ca != "" {
		pem, err := os.ReadFile(o.ca)
		if err != nil {
			return nil, err
		}
		if po.Roots, err = tlsprovider.RootsFromPEM(pem); err != nil {
			return nil, fmt.Errorf("%s: %w", o.ca, err)
		}
	}
	return po, nil
}

// allHosts returns the hosts of the command line and of the file.
func (o *options) allHosts() ([]string, error) {
	hosts := slices.Clone(o.hosts)
	if o.file != "" {
		in := o.in
		if o.file != "-" {
			f, err := os.Open(o.file)
			if err != nil {
				return nil, err
			}
			defer f.Close()
			in = f
		}
		s := bufio.NewScanner(in)
		for s.Scan() {
			line, _, _ := strings.Cut(s.Text(), "#")
			hosts = append(hosts, strings.Fields(line)...)
		}
		if err := s.Err(); err != nil {
			return nil, fmt.Errorf("%s: %w", o.file, err)
		}
	}
	if len(hosts) == 0 {
		return nil, errors.New("no host given: name one, or give --file a list (see --help)")
	}
	for _, h := range hosts {
		if _, _, err := probe.SplitHost(h, "443"); err != nil {
			return nil, err
		}
	}
	return hosts, nil
}

// probeAll probes hosts, at most n at a time, and yields the reports in the order of the hosts. done is called after
// each.
func probeAll(ctx context.Context, hosts []string, po *probe.Options, n int, done func()) func(func(*probe.Report) bool) {
	return func(yield func(*probe.Report) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		turns := make(chan struct{}, n)
		reports := make(chan chan *probe.Report, n)
		go func() {
			defer close(reports)
			for _, h := range hosts {
				select {
				case turns <- struct{}{}:
				case <-ctx.Done():
					return
				}
				report := make(chan *probe.Report, 1)
				go func() {
					defer func() { <-turns }()
					r := probe.Host(ctx, h, po)
					done()
					report <- r
				}()
				select {
				case reports <- report:
				case <-ctx.Done():
					return
				}
			}
		}()
		for report := range reports {
			if r := <-report; ctx.Err() != nil || !yield(r) {
				return
			}
		}
	}
}

func (o *options) print(r *probe.Report) error {
	if o.json {
		return json.NewEncoder(o.out).Encode(r)
	}
	return show(o.out, r)
}
