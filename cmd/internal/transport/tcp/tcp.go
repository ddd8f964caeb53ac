// Package tcp runs scenarios on TLS 1.3 over TCP with crypto/tls, as a well-known baseline. Streams are
// multiplexed with the frames of s2n-netbench.
package tcp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/driver"
	"github.com/pqquic/pqquic/cmd/internal/drivercli"
	"github.com/pqquic/pqquic/cmd/internal/scenario"
	"github.com/pqquic/pqquic/cmd/internal/stats"
	"github.com/pqquic/pqquic/tlsprovider"
)

// New returns the stack for a command line.
func New(o *drivercli.Options) (drivercli.Transport, error) {
	for _, c := range []struct {
		set  bool
		flag string
	}{
		{o.Provider != "" && o.Provider != "native", "--provider " + o.Provider}, {o.Policy != "", "--policy"},
		{o.Retry, "--retry"}, {o.CongestionControl != "", "--congestion-control"}, {o.MaxMTU != 0, "--max-mtu"},
	} {
		if c.set {
			return nil, fmt.Errorf("%s is not supported by the tcp driver: it uses crypto/tls and the kernel's TCP", c.flag)
		}
	}
	if !o.Multiplex {
		return nil, errors.New("--multiplex=false is not supported by the tcp driver: it always multiplexes")
	}
	return &transport{o}, nil
}

type transport struct{ opt *drivercli.Options }

func (t *transport) Stack() driver.Stack {
	return driver.Stack{Classify: Classify, Provenance: stats.Provenance{Transport: "tcp", Provider: "crypto/tls",
		Library: "crypto/tls " + runtime.Version()}}
}

// Config returns the crypto/tls configuration of one side. Named sets a client's ServerName.
func Config(o *drivercli.Options, m *drivercli.Materials, server bool) (*tls.Config, error) {
	cert, err := tls.X509KeyPair([]byte(m.Chain), []byte(m.Key))
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(m.Authorities)) {
		return nil, errors.New("certificate authority: no certificate found")
	}
	c := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: o.Protocols, RootCAs: roots,
		SessionTicketsDisabled: !o.Resumption, KeyLogWriter: o.KeyLog}
	if o.Groups != "" {
		groups, err := tlsprovider.ParseGroups(o.Groups)
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			c.CurvePreferences = append(c.CurvePreferences, tls.CurveID(g))
		}
	}
	if server || o.MTLS {
		c.Certificates = []tls.Certificate{cert}
	}
	if server && o.MTLS {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, roots
	}
	if !server && o.Resumption {
		c.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	return c, nil
}

// Named returns a client's configuration for the server with this name. A name that crypto/x509 rejects
// because a label begins with a hyphen is verified separately.
func Named(c *tls.Config, name, authorities string) *tls.Config {
	c = c.Clone()
	c.ServerName = name
	if scenario.UnusualName(name) {
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(s tls.ConnectionState) error {
			return scenario.VerifyChain(s.PeerCertificates, authorities, name)
		}
	}
	return c
}

func (t *transport) Listen(addr string, m *drivercli.Materials) (driver.Listener, error) {
	cfg, err := Config(t.opt, m, true)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	out := &listener{l: l, cfg: cfg, opt: t.opt, accepted: make(chan accepted), ended: make(chan struct{})}
	go out.run()
	return out, nil
}

type accepted struct {
	c   *conn
	err error
}

type listener struct {
	l        net.Listener
	cfg      *tls.Config
	opt      *drivercli.Options
	accepted chan accepted
	ended    chan struct{}
	once     sync.Once
}

// run accepts connections. Handshakes run concurrently.
func (l *listener) run() {
	for {
		c, err := l.l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			l.hand(accepted{err: &driver.HandshakeError{Err: err}})
			continue
		}
		go func() {
			began := time.Now()
			q, err := secure(context.Background(), tls.Server(tune(c, l.opt), l.cfg), l.opt, began)
			if err != nil {
				err = &driver.HandshakeError{Err: errors.Join(err, c.Close())}
			}
			l.hand(accepted{q, err})
		}()
	}
}

func (l *listener) hand(a accepted) {
	select {
	case l.accepted <- a:
	case <-l.ended:
		if a.c != nil {
			a.c.Abort("the server is shutting down")
		}
	}
}

// secure performs the handshake.
func secure(ctx context.Context, c *tls.Conn, o *drivercli.Options, began time.Time) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, o.HandshakeTimeout)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	s := c.ConnectionState()
	return newConn(c, driver.Info{ServerName: s.ServerName, Group: tlsprovider.Group(s.CurveID).String(),
		CipherSuite: tls.CipherSuiteName(s.CipherSuite), Resumed: s.DidResume, HandshakeTime: time.Since(began)},
		int(o.RxBuffer), int(o.TxBuffer), o.IdleTimeout), nil
}

func tune(c net.Conn, o *drivercli.Options) net.Conn {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetNoDelay(!o.Nagle) // a socket that is gone fails soon anyway
	}
	return &socket{Conn: c}
}

// socket records whether the peer has closed the TCP connection, which crypto/tls does not distinguish from
// the end of the TLS connection.
type socket struct {
	net.Conn
	ended bool
}

func (s *socket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	s.ended = s.ended || err == io.EOF
	return n, err
}

func (l *listener) Accept(ctx context.Context) (driver.Conn, error) {
	select {
	case a := <-l.accepted:
		if a.err != nil {
			return nil, a.err
		}
		return a.c, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-l.ended:
		return nil, net.ErrClosed
	}
}

func (l *listener) Addr() net.Addr { return l.l.Addr() }

func (l *listener) Close() error {
	l.once.Do(func() { close(l.ended) })
	return l.l.Close()
}

func (t *transport) Client(local string, m *drivercli.Materials) (driver.Transport, error) {
	cfg, err := Config(t.opt, m, false)
	if err != nil {
		return nil, err
	}
	c := &client{opt: t.opt, cfg: cfg, authorities: m.Authorities}
	ip := net.ParseIP(local)
	if ip == nil {
		return nil, fmt.Errorf("%q is not an IP address", local)
	}
	if !ip.IsUnspecified() {
		c.local = &net.TCPAddr{IP: ip}
	}
	return c, nil
}

type client struct {
	opt         *drivercli.Options
	cfg         *tls.Config
	authorities string
	local       net.Addr
}

func (c *client) Dial(ctx context.Context, addr, name string) (driver.Conn, error) {
	began := time.Now()
	raw, err := (&net.Dialer{LocalAddr: c.local}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	q, err := secure(ctx, tls.Client(tune(raw, c.opt), Named(c.cfg, name, c.authorities)), c.opt, began)
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return q, nil
}

func (c *client) Close() error { return nil }

// Classify returns the class of an error of crypto/tls.
func Classify(err error) string {
	var alert tls.AlertError
	var op *net.OpError
	switch {
	case errors.Is(err, errIdle):
		return driver.ClassIdle
	case errors.As(err, new(*FrameError)):
		return "transport error frame"
	case errors.As(err, &alert):
		return fmt.Sprintf("tls alert %v", tlsprovider.Alert(alert))
	case errors.As(err, &op) && op.Op == "remote error":
		return "tls " + op.Err.Error()
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return "tls certificate"
	case errors.As(err, new(tls.RecordHeaderError)):
		return "tls not TLS"
	}
	return ""
}
