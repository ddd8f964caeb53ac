// Command pq_server accepts post-quantum QUIC connections, prints what was negotiated, and sends a
// greeting. Without flags it works with pq_client on the same machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/pqquic/pqquic/examples/internal/demo"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	var f demo.Flags
	fs := flag.NewFlagSet("pq_server", flag.ContinueOnError)
	f.Register(fs)
	listen := fs.String("listen", "127.0.0.1:4433", "`address` to listen on")
	echo := fs.Bool("echo", false, "after the greeting line, echo what the client sends")
	message := fs.String("message", "Hello from pq_server", "the `greeting`")
	once := fs.Bool("once", false, "exit after one connection")
	if code, exit := f.Parse(fs, args, stdout, stderr); exit {
		return code
	}
	defer f.Close()
	s := &server{flags: &f, echo: *echo, greeting: *message, out: stdout, err: stderr}
	if err := s.serve(*listen, *once); err != nil {
		fmt.Fprintf(stderr, "pq_server: %v\n", err)
		return 1
	}
	return 0
}

type server struct {
	flags    *demo.Flags
	echo     bool
	greeting string

	mu       sync.Mutex // around out and err
	out, err io.Writer
}

// maxMessage bounds the message that is read before the greeting is sent.
const maxMessage = 64 << 10

func (s *server) serve(addr string, once bool) error {
	cfg, err := s.config()
	if err != nil {
		return err
	}
	l, err := quic.Listen("udp", addr, cfg)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w; stop the other program or choose another address with --listen", err)
	}
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s.flags.Say(s.err)
	fmt.Fprintf(s.err, "pq_server: ready on %s (provider %s, %s)\n", l.Addr(), cfg.Provider.Name(),
		demo.FIPSText(cfg.Provider.Capabilities().FIPS))
	var wg sync.WaitGroup
	for {
		c, err := l.Accept(ctx)
		if err != nil {
			break
		}
		wg.Go(func() { s.handle(ctx, c) })
		if once {
			select {
			case <-c.Context().Done():
			case <-ctx.Done():
			}
			break
		}
	}
	// New clients are refused. Existing connections get a moment to finish.
	bound, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = l.Endpoint().Shutdown(bound)
	_ = l.Endpoint().Close()
	wg.Wait()
	return nil
}

func (s *server) config() (*quic.Config, error) {
	cfg, err := s.flags.Config(s.err)
	if err != nil {
		return nil, err
	}
	var cert tlsprovider.Certificate
	if s.flags.Cert != "" || s.flags.Key != "" {
		cert, err = s.flags.LoadCertificate()
	} else {
		cert, err = demo.DemoCertificate(s.flags.ServerName)
	}
	if err != nil {
		return nil, err
	}
	cfg.TLS.Certificates = []tlsprovider.Certificate{cert}
	if s.flags.CA != "" {
		cfg.TLS.ClientAuth = tlsprovider.RequireClientCert
		cfg.TLS.ClientCAs, err = demo.LoadRoots(s.flags.CA)
	}
	return cfg, err
}

// handle serves one connection: each stream gets a greeting.
func (s *server) handle(ctx context.Context, c *quic.Conn) {
	o := demo.OutcomeOf(c)
	s.mu.Lock()
	if s.flags.JSON {
		_ = o.PrintJSON(s.out)
	} else {
		fmt.Fprintf(s.out, "connection from %s\n", c.RemoteAddr())
		o.Print(s.out)
	}
	s.mu.Unlock()
	var streams sync.WaitGroup
	defer c.Close()
	defer streams.Wait()
	for {
		st, err := c.AcceptStream(ctx)
		if err != nil {
			return
		}
		streams.Go(func() {
			if err := s.handleStream(st); err != nil && !errors.Is(err, net.ErrClosed) {
				s.mu.Lock()
				defer s.mu.Unlock()
				fmt.Fprintf(s.err, "pq_server: stream %d from %s: %v\n", st.ID(), c.RemoteAddr(), err)
			}
		})
	}
}

func (s *server) handleStream(st *quic.Stream) error {
	defer st.Close()
	if s.echo {
		if _, err := fmt.Fprintf(st, "%s\n", s.greeting); err != nil {
			return err
		}
		_, err := io.Copy(st, st)
		return err
	}
	msg, err := io.ReadAll(io.LimitReader(st, maxMessage))
	if err != nil {
		return err
	}
	s.mu.Lock()
	if !s.flags.JSON {
		fmt.Fprintf(s.out, "  message       %q\n", msg)
	}
	s.mu.Unlock()
	_, err = fmt.Fprintf(st, "%s (%s)\n", s.greeting, st.Conn().ConnectionState().TLS.Group)
	return err
}
