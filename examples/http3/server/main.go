// Command server serves files, and what was negotiated, over HTTP/1.1, HTTP/2 and HTTP/3 on one address. Without flags it
// listens on localhost with a certificate of the demonstration's authority.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pqquic/pqquic/examples/internal/demo"
	"github.com/pqquic/pqquic/http3"
	"github.com/pqquic/pqquic/tlsprovider"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options are the flags of the command line.
type options struct {
	demo.Flags
	listen, root string
	earlyData    bool
}

// run serves until ctx ends, and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	fs := flag.NewFlagSet("server", flag.ContinueOnError)
	o.RegisterTLS(fs)
	fs.StringVar(&o.listen, "listen", "127.0.0.1:4443", "`address` to listen on, with TCP and UDP")
	fs.StringVar(&o.root, "root", "", "serve the files of this `directory`")
	fs.BoolVar(&o.earlyData, "early-data", false, "accept requests in early data (0-RTT), which can be replays")
	if code, exit := o.Parse(fs, args, stdout, stderr); exit {
		return code
	}
	defer o.Close()
	if err := o.serve(ctx, stderr); err != nil {
		fmt.Fprintf(stderr, "server: %v\n", err)
		return 1
	}
	return 0
}

// serve serves until ctx ends.
func (o *options) serve(ctx context.Context, stderr io.Writer) error {
	h, err := newHandler(o.root)
	if err != nil {
		return err
	}
	srv, err := o.newServer(h, stderr)
	if err != nil {
		return err
	}
	l, pc, err := http3.ListenTCPAndUDP(o.listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w; stop the other program or choose another address with --listen", err)
	}
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l, pc, "", "") }()
	o.Say(stderr)
	if o.Cert == "" {
		if file, err := demo.CAFile(); err == nil {
			fmt.Fprintf(stderr, "server: the certificate is of the demonstration's authority, for clients with --ca %s\n", file)
		}
	}
	fmt.Fprintf(stderr, "server: ready on %s (provider %s; https://%s/)\n", pc.LocalAddr(), srv.H3.Provider.Name(), nameOf(pc.LocalAddr()))
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	bound, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := srv.Shutdown(bound); err != nil {
		_ = srv.Close() // the requests in progress have had their time
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// newServer returns the server. TCP uses crypto/tls with every provider.
func (o *options) newServer(h http.Handler, stderr io.Writer) (*http3.DualServer, error) {
	cfg, err := o.Config(stderr)
	if err != nil {
		return nil, err
	}
	cert, err := o.certificate()
	if err != nil {
		return nil, err
	}
	cfg.TLS.Certificates = []tlsprovider.Certificate{cert}
	own, err := inCryptoTLS(cert)
	if err != nil {
		return nil, err
	}
	tcp := &tls.Config{Certificates: []tls.Certificate{own}, KeyLogWriter: cfg.TLS.KeyLogWriter}
	for _, g := range cfg.TLS.Groups {
		tcp.CurvePreferences = append(tcp.CurvePreferences, tls.CurveID(g))
	}
	return &http3.DualServer{
		TCP: &http.Server{Handler: h, TLSConfig: tcp, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(stderr, "server: ", 0)},
		H3:  &http3.Server{Provider: cfg.Provider, TLS: cfg.TLS, EarlyData: o.earlyData, ErrorLog: log.New(stderr, "server: ", 0)},
	}, nil
}

func (o *options) certificate() (tlsprovider.Certificate, error) {
	if o.Cert != "" || o.Key != "" {
		return o.LoadCertificate()
	}
	host, _, err := net.SplitHostPort(o.listen)
	if err != nil {
		return tlsprovider.Certificate{}, fmt.Errorf("--listen: %w", err)
	}
	if net.ParseIP(host) != nil {
		host = ""
	}
	return demo.DemoCertificate(host)
}

// inCryptoTLS returns a certificate in the form of crypto/tls.
func inCryptoTLS(c tlsprovider.Certificate) (tls.Certificate, error) {
	key, err := x509.ParsePKCS8PrivateKey(c.KeyDER)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("the private key cannot be used for HTTP/1.1 and HTTP/2: %w", err)
	}
	return tls.Certificate{Certificate: c.Chain, PrivateKey: key}, nil
}

// nameOf returns the address for a browser on this machine, whose name is in the demonstration's certificate.
func nameOf(a net.Addr) string {
	udp, ok := a.(*net.UDPAddr)
	if !ok || !udp.IP.IsLoopback() && !udp.IP.IsUnspecified() {
		return a.String()
	}
	return net.JoinHostPort("localhost", fmt.Sprint(udp.Port))
}
