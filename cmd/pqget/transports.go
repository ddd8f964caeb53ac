package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/cli"
	"github.com/pqquic/pqquic/http3"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// transports are the RoundTrippers for the versions of HTTP.
type transports struct {
	h3  *http3.Transport
	tcp *http.Transport
	// own is the one for requests.
	own http.RoundTripper

	mu    sync.Mutex
	conns map[string]*dialed // by address
	last  *dialed
}

// A dialed is a QUIC connection that was dialed last to its address.
type dialed struct {
	*quic.Conn
	isEarly bool // it was dialed with early data permitted
}

func newTransports(o *options, sessions *sessionFile) (*transports, error) {
	p, err := newProvider(o.provider)
	if err != nil {
		return nil, err
	}
	cfg := &tlsprovider.Config{RequirePQ: o.requirePQ, InsecureSkipVerify: o.insecure, EarlyData: o.earlyData}
	tcp := &tls.Config{InsecureSkipVerify: o.insecure}
	if o.earlyData && !p.Capabilities().ZeroRTT {
		return nil, cli.Usagef("provider %s has no early data; use another --provider", p.Name())
	}
	if err := o.useCA(cfg, tcp); err != nil {
		return nil, err
	}
	if o.groups != "" {
		if cfg.Groups, err = tlsprovider.ParseGroups(o.groups); err != nil {
			return nil, cli.Usagef("--groups: %w", err)
		}
		if o.requirePQ && !slices.ContainsFunc(cfg.Groups, tlsprovider.Group.PostQuantum) {
			return nil, cli.Usagef("--require-pq is set, but --groups has no post-quantum group")
		}
		for _, g := range cfg.Groups {
			tcp.CurvePreferences = append(tcp.CurvePreferences, tls.CurveID(g))
		}
	}
	if o.requirePQ {
		tcp.VerifyConnection = func(s tls.ConnectionState) error {
			if g := tlsprovider.Group(s.CurveID); !g.PostQuantum() {
				return &classicalError{g}
			}
			return nil
		}
	}
	t := &transports{conns: make(map[string]*dialed)}
	transport := &quic.Config{Provider: p}
	if sessions != nil {
		cfg.ClientStore, transport.TokenStore = sessions, sessions.ClientCache
	}
	if !o.h3 {
		transport.HandshakeTimeout = fallbackTime
	}
	t.h3 = &http3.Transport{TLS: cfg, Provider: p, QUIC: transport, Dial: t.dial, DisableCompression: true}
	t.tcp = &http.Transport{TLSClientConfig: tcp, Protocols: new(http.Protocols), Proxy: http.ProxyFromEnvironment, DisableCompression: true}
	t.tcp.Protocols.SetHTTP1(!o.h2)
	t.tcp.Protocols.SetHTTP2(!o.h1)
	t.choose(o)
	return t, nil
}

// fallbackTime is how long HTTP/3 may take to connect when HTTP/2 is the alternative.
const fallbackTime = 3 * time.Second

// choose sets own.
func (t *transports) choose(o *options) {
	var h3 http.RoundTripper = t.h3
	if o.earlyData {
		h3 = earlyRequests{h3}
	}
	switch {
	case o.h3:
		t.own = h3
	case o.h1, o.h2:
		t.own = t.tcp
	case o.altSvc:
		t.own = &http3.AltSvc{H3: t.h3, Fallback: t.tcp}
	default:
		t.own = &fallback{h3: h3, tcp: t.tcp, note: func(host string, err error) {
			if o.verbose {
				fmt.Fprintf(o.stderr, "* HTTP/3 with %s: %s: trying HTTP/2\n", host, cli.Printable(err.Error()))
			}
		}}
	}
}

func newProvider(name string) (tlsprovider.Provider, error) {
	switch name {
	case "", "s2n":
		p, err := s2n.New()
		if name == "" && errors.Is(err, s2n.ErrNotLinked) {
			return native.New(), nil
		}
		if err != nil {
			return nil, cli.Usagef("--provider s2n: %w", err)
		}
		return p, nil
	case "native":
		return native.New(), nil
	}
	return nil, cli.Usagef("--provider %s is unknown: use s2n or native", name)
}

// useCA reads --ca.
func (o *options) useCA(cfg *tlsprovider.Config, tcp *tls.Config) (err error) {
	if o.ca == "" {
		return nil
	}
	pem, err := os.ReadFile(o.ca)
	if err != nil {
		return cli.Usagef("--ca: %w", err)
	}
	if cfg.RootCAs, err = tlsprovider.RootsFromPEM(pem); err != nil {
		return cli.Usagef("--ca %s: %w", o.ca, err)
	}
	tcp.RootCAs = x509.NewCertPool()
	tcp.RootCAs.AppendCertsFromPEM(pem)
	return nil
}

// dial is an http3.Transport.Dial that remembers the connection.
func (t *transports) dial(ctx context.Context, addr string, cfg *quic.Config) (*quic.Conn, error) {
	dial := quic.Dial
	if cfg.TLS.EarlyData {
		dial = quic.DialEarly
	}
	c, err := dial(ctx, "udp", addr, cfg)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = &dialed{c, cfg.TLS.EarlyData}
	t.conns[addr] = t.last
	return c, nil
}

// connected reports whether there is a QUIC connection.
func (t *transports) connected() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range t.conns {
		if d.Context().Err() == nil {
			return true
		}
	}
	return false
}

// conn returns the QUIC connection that was dialed last to an address. With Alt-Svc, a request's connection may have been dialed to
// another one.
func (t *transports) conn(addr string) *dialed {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.conns[addr]; c != nil {
		return c
	}
	return t.last
}

func (t *transports) close() error {
	t.tcp.CloseIdleConnections()
	return t.h3.Close()
}

// A fallback sends requests over HTTP/3, and over TCP to those hosts to which there is no QUIC connection.
type fallback struct {
	h3, tcp http.RoundTripper
	note    func(host string, err error)

	mu      sync.Mutex
	without map[string]bool // hosts without HTTP/3
}

// RoundTrip implements http.RoundTripper.
func (f *fallback) RoundTrip(req *http.Request) (*http.Response, error) {
	f.mu.Lock()
	overTCP := f.without[req.URL.Host]
	f.mu.Unlock()
	if overTCP {
		return f.tcp.RoundTrip(req)
	}
	first, kept := req, (*unread)(nil)
	if req.Body != nil {
		kept = &unread{ReadCloser: req.Body}
		first = req.Clone(req.Context())
		first.Body = kept
	}
	resp, err := f.h3.RoundTrip(first)
	if err == nil || !isUnreachable(err) || kept != nil && kept.begun.Load() {
		return resp, err
	}
	f.note(req.URL.Host, err)
	f.mu.Lock()
	if f.without == nil {
		f.without = make(map[string]bool)
	}
	f.without[req.URL.Host] = true
	f.mu.Unlock()
	return f.tcp.RoundTrip(req)
}

// isUnreachable reports whether an error says that the host has no QUIC server.
func isUnreachable(err error) bool {
	return errors.Is(err, quic.ErrHandshakeTimeout) || errors.As(err, new(*quic.VersionNegotiationError)) ||
		errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)
}

// copyBuffer is the size of reads of a response.
const copyBuffer = 128 << 10
