// Package pq runs scenarios on package quic.
package pq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/cmd/internal/driver"
	"github.com/pqquic/pqquic/cmd/internal/drivercli"
	"github.com/pqquic/pqquic/cmd/internal/scenario"
	"github.com/pqquic/pqquic/cmd/internal/stats"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/quic/congestion"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// New returns the stack for a command line.
func New(o *drivercli.Options) (drivercli.Transport, error) {
	algorithm, err := algorithm(o.CongestionControl)
	if err != nil {
		return nil, err
	}
	if o.MaxMTU != 0 && o.MaxMTU != 1200 {
		return nil, fmt.Errorf("--max-mtu %d is not supported: package quic finds out itself what the path carries, unless it is 1200", o.MaxMTU)
	}
	if err := o.RefuseTCP(); err != nil {
		return nil, err
	}
	p, err := provider(o.Provider)
	if err != nil {
		return nil, err
	}
	t := &transport{opt: o, provider: p, algorithm: algorithm}
	if o.Policy != "" && !p.Capabilities().Policies {
		return nil, fmt.Errorf("--policy is not supported: provider %s has no security policies; use --groups", p.Name())
	}
	if t.groups, err = parseGroups(o.Groups); err != nil {
		return nil, err
	}
	return t, nil
}

// algorithm returns the congestion control with this name.
func algorithm(name string) (congestion.Algorithm, error) {
	if name == "" {
		return congestion.CUBIC(), nil
	}
	for _, a := range []congestion.Algorithm{congestion.CUBIC(), congestion.BBR(), congestion.NewReno()} {
		if a.String() == name {
			return a, nil
		}
	}
	return congestion.Algorithm{}, fmt.Errorf("--congestion-control %s is not supported: use cubic, bbr or newreno", name)
}

func parseGroups(list string) ([]tlsprovider.Group, error) {
	if list == "" {
		return nil, nil
	}
	return tlsprovider.ParseGroups(list)
}

// provider returns the TLS provider with this name. The default is s2n where it is linked, else native.
func provider(name string) (tlsprovider.Provider, error) {
	switch name {
	case "", "s2n":
		p, err := newS2N()
		if name == "" && errors.Is(err, s2n.ErrNotLinked) {
			return native.New(), nil
		}
		return p, err
	case "native":
		return native.New(), nil
	}
	return nil, fmt.Errorf("unknown provider %q: use s2n or native", name)
}

// VersionNote returns what the program's version must say about the linked libraries. It is empty in most variants.
func VersionNote() string {
	if p, err := s2n.New(s2n.AllowClassical()); err == nil && p.Capabilities().Warning != "" {
		return "\n" + p.Capabilities().Library + "\n" + p.Capabilities().Warning
	}
	return ""
}

// newS2N returns the s2n provider. In the variant historic, which is for measurements, it prints the warning of the
// provider and accepts key exchanges that are not post-quantum.
func newS2N() (tlsprovider.Provider, error) {
	p, err := s2n.New()
	if !errors.Is(err, s2n.ErrClassical) || awslc.Variant != "historic" {
		return p, err
	}
	if p, err = s2n.New(s2n.AllowClassical()); err == nil {
		fmt.Fprintln(os.Stderr, p.Capabilities().Warning)
	}
	return p, err
}

type transport struct {
	opt       *drivercli.Options
	provider  tlsprovider.Provider
	groups    []tlsprovider.Group
	algorithm congestion.Algorithm
}

func (t *transport) Stack() driver.Stack {
	c := t.provider.Capabilities()
	return driver.Stack{Classify: classify, Provenance: stats.Provenance{Transport: "pqquic", Provider: t.provider.Name(),
		Library: c.Library, FIPS: c.FIPS.Enabled}}
}

func (t *transport) config(m *drivercli.Materials) (*quic.Config, error) {
	cert, err := tlsprovider.CertificateFromPEM([]byte(m.Chain), []byte(m.Key))
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	roots, err := tlsprovider.RootsFromPEM([]byte(m.Authorities))
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	tls := &tlsprovider.Config{Groups: t.groups, Policy: t.opt.Policy, NextProtos: t.opt.Protocols, RootCAs: roots,
		Certificates: []tlsprovider.Certificate{cert}, DisableTickets: !t.opt.Resumption}
	if t.opt.KeyLog != nil {
		tls.KeyLogWriter = t.opt.KeyLog
	}
	// s2n-netbench's scenarios need this many streams. A stream beyond the limit would wait for others to
	// end, which may wait for it.
	return &quic.Config{Provider: t.provider, TLS: tls, HandshakeTimeout: t.opt.HandshakeTimeout,
		MaxIdleTimeout: t.opt.IdleTimeout, MaxIncomingStreams: 1 << 20, MaxIncomingUniStreams: 1 << 20,
		CongestionControl: t.algorithm, DisablePathMTUDiscovery: t.opt.MaxMTU != 0}, nil
}

func (t *transport) Listen(addr string, m *drivercli.Materials) (driver.Listener, error) {
	cfg, err := t.config(m)
	if err != nil {
		return nil, err
	}
	if t.opt.MTLS && t.opt.Resumption && t.provider.Name() == "s2n" {
		return nil, errors.New("--resumption with --mtls is not supported by provider s2n: s2n-tls servers send no tickets with client certificates")
	}
	if t.opt.MTLS {
		cfg.TLS.ClientAuth, cfg.TLS.ClientCAs = tlsprovider.RequireClientCert, cfg.TLS.RootCAs
	}
	if t.opt.Retry {
		cfg.RequireAddressValidation = func(netip.AddrPort) bool { return true }
	}
	cfg.AcceptBacklog = 4096
	l, err := quic.Listen("udp", addr, cfg)
	if err != nil {
		return nil, err
	}
	return &listener{l}, nil
}

func (t *transport) Client(local string, m *drivercli.Materials) (driver.Transport, error) {
	if t.opt.Retry {
		return nil, errors.New("--retry applies only to servers")
	}
	cfg, err := t.config(m)
	if err != nil {
		return nil, err
	}
	if !t.opt.MTLS {
		cfg.TLS.Certificates = nil
	}
	if scenario.UnusualName("0." + m.ID + ".net") {
		verifyUnusual(cfg.TLS, m.Authorities)
	}
	pc, err := net.ListenPacket("udp", net.JoinHostPort(local, "0"))
	if err != nil {
		return nil, err
	}
	e, err := quic.NewEndpoint(pc, cfg)
	if err != nil {
		return nil, errors.Join(err, pc.Close())
	}
	return &client{e: e, cfg: cfg}, nil
}

type listener struct{ l *quic.Listener }

func (l *listener) Accept(ctx context.Context) (driver.Conn, error) {
	c, err := l.l.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c}, nil
}

func (l *listener) Addr() net.Addr { return l.l.Addr() }
func (l *listener) Close() error   { return l.l.Endpoint().Close() }

type conn struct {
	*quic.Conn
	once     sync.Once
	acceptor *driver.Acceptor
}

func (c *conn) Abort(reason string)   { _ = c.CloseWithError(1, reason) }
func (c *conn) Done() <-chan struct{} { return c.Context().Done() }

func (c *conn) Info() driver.Info {
	s := c.ConnectionState().TLS
	return driver.Info{ServerName: s.ServerName, Group: s.Group.String(), CipherSuite: s.CipherSuite.String(), Resumed: s.Resumed,
		HandshakeTime: c.Stats().HandshakeTime}
}

func (c *conn) OpenStream(ctx context.Context, id uint64, bidirectional bool) (driver.Stream, error) {
	if !bidirectional {
		s, err := c.Conn.OpenUniStream(ctx)
		if err != nil {
			return nil, wrap(err)
		}
		return driver.NewIDStream(&sendStream{s}, id), nil
	}
	s, err := c.Conn.OpenStream(ctx)
	if err != nil {
		return nil, wrap(err)
	}
	return driver.NewIDStream(&stream{s}, id), nil
}

// AcceptStream accepts a stream of either kind.
func (c *conn) AcceptStream(ctx context.Context) (driver.Stream, uint64, error) {
	c.once.Do(func() { c.acceptor = driver.NewAcceptor(c.acceptBoth, c.acceptUni) })
	return c.acceptor.Accept(ctx)
}

func (c *conn) acceptBoth(ctx context.Context) (driver.Stream, error) {
	s, err := c.Conn.AcceptStream(ctx)
	if err != nil {
		return nil, wrap(err)
	}
	return &stream{s}, nil
}

func (c *conn) acceptUni(ctx context.Context) (driver.Stream, error) {
	s, err := c.Conn.AcceptUniStream(ctx)
	if err != nil {
		return nil, wrap(err)
	}
	return &receiveStream{s}, nil
}

type client struct {
	e   *quic.Endpoint
	cfg *quic.Config
}

func (c *client) Dial(ctx context.Context, addr, name string) (driver.Conn, error) {
	cfg := *c.cfg
	cfg.ServerName = name
	q, err := c.e.Dial(ctx, addr, &cfg)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: q}, nil
}

func (c *client) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = c.e.Shutdown(ctx)
	return c.e.Close()
}

// verifyUnusual replaces the verification of host names that crypto/x509 rejects because a label begins
// with a hyphen. The chain is verified as usual.
func verifyUnusual(t *tlsprovider.Config, authorities string) {
	t.InsecureSkipVerify = true
	t.VerifyPeer = func(s *tlsprovider.State) error {
		if s.Resumed {
			return nil // already verified by the connection that is resumed
		}
		chain, err := s.PeerCertificates()
		if err != nil {
			return err
		}
		return scenario.VerifyChain(chain, authorities, s.ServerName)
	}
}
