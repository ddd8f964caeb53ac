// Command pq_server accepts post-quantum QUIC connections, prints what was negotiated, and sends a
// greeting. Without flags it works with pq_client on the same machine. At SIGHUP it reads its certificate again.
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
	var wg sync.WaitGroup
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	wg.Go(func() { s.reloadOn(ctx, hup, l.Endpoint(), *cfg.TLS) })
	s.flags.Say(s.err)
	fmt.Fprintf(s.err, "pq_server: ready on %s (provider %s, %s)\n", l.Addr(), cfg.Provider.Name(),
		demo.FIPSText(cfg.Provider.Capabilities().FIPS))
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
	stop()
	wg.Wait()
	return nil
}

func (s *server) config() (*quic.Config, error) {
	cfg, err := s.flags.Config(s.err)
	if err != nil {
		return nil, err
	}
	return cfg, s.readFiles(cfg.TLS)
}

// readFiles sets what is read from files: the certificate, and the authorities of clients.
func (s *server) readFiles(cfg *tlsprovider.Config) error {
	var cert tlsprovider.Certificate
	var err error
	if s.flags.Cert != "" || s.flags.Key != "" {
		cert, err = s.flags.LoadCertificate()
	} else {
		cert, err = demo.DemoCertificate(s.flags.ServerName)
	}
	if err != nil {
		return err
	}
	cfg.Certificates = []tlsprovider.Certificate{cert}
	if s.flags.CA != "" {
		cfg.ClientAuth = tlsprovider.RequireClientCert
		cfg.ClientCAs, err = demo.LoadRoots(s.flags.CA)
	}
	return err
}

// reloadOn reads the files again at each signal, until ctx ends. Connections and handshakes go on.
func (s *server) reloadOn(ctx context.Context, signals <-chan os.Signal, e *quic.Endpoint, cfg tlsprovider.Config) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
		next := cfg
		err := s.readFiles(&next)
		if err == nil {
			err = e.SetTLS(&next)
		}
		s.mu.Lock()
		if err != nil {
			fmt.Fprintf(s.err, "pq_server: the certificate stays: %v\n", err)
		} else {
			fmt.Fprintln(s.err, "pq_server: certificate reloaded")
		}
		s.mu.Unlock()
	}
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
