package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/capture"
	"github.com/pqquic/pqquic/cmd/internal/inspect"
)

// options are the options of the command line.
type options struct {
	files     []string
	listen    string
	keyLog    string
	pcapOut   string
	json      bool
	brief     bool
	requirePQ bool
	duration  time.Duration
	ports     []uint

	out, problems io.Writer
}

// notPostQuantum is the error of --require-pq.
type notPostQuantum struct{ stats inspect.Stats }

func (e *notPostQuantum) Error() string {
	if e.stats.Connections == 0 {
		return "no TLS handshake was found, so --require-pq fails"
	}
	return fmt.Sprintf("%d of %d handshakes are not post-quantum", e.stats.Connections-e.stats.PostQuantum, e.stats.Connections)
}

func (o *options) run(ctx context.Context) (err error) {
	switch {
	case o.listen != "" && len(o.files) > 0:
		return errors.New("--listen and files cannot be combined")
	case slices.ContainsFunc(o.ports, func(p uint) bool { return p < 1 || p > 65535 }):
		return errors.New("--port must be from 1 to 65535")
	case o.listen == "" && len(o.files) == 0:
		return errors.New("no capture given: name a file, use - for standard input, or give --listen an interface (see --help)")
	}
	keys := new(inspect.KeyLog)
	if o.keyLog != "" {
		f, err := os.Open(o.keyLog)
		if err != nil {
			return err
		}
		err = keys.Read(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", o.keyLog, err)
		}
		if keys.Len() == 0 {
			fmt.Fprintf(o.problems, "pqinspect: %s contains no handshake secrets\n", o.keyLog)
		}
	}
	filter, closeFilter, err := o.openFilter()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeFilter()) }()
	show := newPrinter(o)
	in := inspect.New(inspect.Options{KeyLog: keys, Report: show.connection, Ports: ports(o.ports)})
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt ends the program immediately
	if o.listen != "" && o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}

	var failed error
	open, names := openFile, o.files
	if o.listen != "" {
		open, names = o.openLive, []string{o.listen}
	}
	for _, name := range names {
		if err := readAll(ctx, name, open, in, keys, filter); err != nil {
			// The part that could be read is still reported.
			fmt.Fprintln(o.problems, "pqinspect:", err)
			failed = errors.Join(failed, err)
		}
	}
	stats := in.Finish()
	if err := show.end(stats); err != nil {
		return err
	}
	switch {
	case failed != nil:
		return errors.New("some input could not be read")
	case o.requirePQ && (stats.Connections == 0 || stats.PostQuantum < stats.Connections):
		return &notPostQuantum{stats}
	}
	return nil
}

func openFile(name string) (capture.Source, error) { return capture.Open(name) }

// openLive opens a network interface.
func (o *options) openLive(name string) (capture.Source, error) {
	s, err := capture.Listen(name)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(o.problems, "pqinspect: capturing on %s; press Ctrl-C to stop\n", name)
	return s, nil
}

func (o *options) openFilter() (*capture.Writer, func() error, error) {
	if o.pcapOut == "" {
		return nil, func() error { return nil }, nil
	}
	if out, err := os.Stat(o.pcapOut); err == nil {
		for _, name := range o.files {
			if in, err := os.Stat(name); err == nil && os.SameFile(in, out) {
				return nil, nil, fmt.Errorf("--pcap-out would overwrite the input %s: choose another file", name)
			}
		}
	}
	f, err := os.OpenFile(o.pcapOut, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, nil, err
	}
	w := capture.NewWriter(f)
	return w, func() error { return errors.Join(w.Close(), f.Close()) }, nil
}

// readAll reads a source to its end.
func readAll(ctx context.Context, name string, open func(string) (capture.Source, error), in *inspect.Inspector, keys *inspect.KeyLog, filter *capture.Writer) error {
	s, err := open(name)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { s.Close() })()
	defer s.Close()
	for n := 1; ; n++ {
		f, err := s.Next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, os.ErrClosed), ctx.Err() != nil && err != nil:
			return nil
		case err != nil:
			return fmt.Errorf("%s: frame %d: %w", name, n, err)
		}
		if lines := s.Secrets(); len(lines) > 0 {
			keys.Add(lines)
		}
		if in.Frame(f) && filter != nil {
			if err := filter.Write(f); err != nil {
				return err
			}
		}
	}
}

func ports(list []uint) (out []uint16) {
	for _, p := range list {
		out = append(out, uint16(p))
	}
	return out
}

// printer prints connections.
type printer struct {
	o     *options
	table *table
	json  *json.Encoder
	err   error
}

func newPrinter(o *options) *printer {
	p := &printer{o: o}
	switch {
	case o.json:
		p.json = json.NewEncoder(o.out)
	case o.brief:
		p.table = newTable(o.out)
	}
	return p
}

func (p *printer) connection(c *inspect.Connection) {
	switch {
	case p.json != nil:
		p.fail(p.json.Encode(c))
	case p.table != nil:
		p.fail(p.table.row(c))
	default:
		p.fail(describe(p.o.out, c))
	}
}

func (p *printer) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *printer) end(s inspect.Stats) error {
	if p.json != nil {
		p.fail(p.json.Encode(map[string]inspect.Stats{"summary": s}))
		return p.err
	}
	if p.table != nil {
		fmt.Fprintln(p.o.out)
	}
	_, err := fmt.Fprintf(p.o.out, "%s in %s: %d post-quantum, %d classical, %d unknown\n",
		count(s.Connections, "handshake"), count(s.Frames, "frame"), s.PostQuantum, s.Classical, s.Unknown)
	p.fail(err)
	if s.Truncated > 0 {
		fmt.Fprintf(p.o.out, "%s cut short by the capture (tcpdump -s 0 keeps them whole)\n", count(s.Truncated, "frame"))
	}
	if s.Orphans > 0 {
		fmt.Fprintf(p.o.out, "%s of connections whose first packet is not in the capture\n", count(s.Orphans, "Initial packet"))
	}
	if s.Evicted > 0 {
		fmt.Fprintf(p.o.out, "%s reported early: too many concurrent connections\n", count(s.Evicted, "connection"))
	}
	return p.err
}

func count(n int64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
