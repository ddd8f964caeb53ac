// Package probe asks a server over QUIC and over TLS over TCP which key exchange groups, certificates, versions and
// features it has. What a TLS library does not do, such as a ClientHello without key shares, it sends itself, and ends the
// handshake with the answer.
package probe

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/inspect"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// Options configure probes. All fields but Roots and ServerName must be set.
type Options struct {
	QUIC, TCP bool // the transports
	// Providers are the TLS providers for QUIC: see Providers.
	Providers []tlsprovider.Provider
	// Roots are the authorities that are trusted; nil means the system's.
	Roots *tlsprovider.Roots
	// ServerName, if set, is the name that is requested and verified in place of the host.
	ServerName    string
	ALPN, TCPALPN []string // of QUIC, and of TLS over TCP
	// Port is the port of hosts that do not name one.
	Port string
	// HandshakeTimeout bounds each handshake, TicketTimeout the time that a session ticket may take after one, and Timeout
	// all of a host.
	HandshakeTimeout, TicketTimeout, Timeout time.Duration
}

// parallel is the number of handshakes with one server over one transport at a time.
const parallel = 4

// An engine makes connections over one transport.
type engine interface {
	// handshake makes a complete handshake. It returns errNoProvider if no TLS library has the groups, a *refusal if
	// the server has refused the handshake, and a *noAnswer if it has not answered.
	handshake(context.Context, attempt) (*outcome, error)
	// hello sends a ClientHello and returns the answer.
	hello(context.Context, *offer) (*reply, error)
	versions(context.Context) []string
	resume(context.Context) (resumed, early bool, err error)
}

// An attempt says what a handshake offers.
type attempt struct {
	groups  []tlsprovider.Group // nil means the usual ones
	verify  bool
	version uint32 // of QUIC or TLS; 0 means the usual ones
}

// An outcome is the result of a handshake.
type outcome struct {
	addr         string
	group        tlsprovider.Group
	helloRetried bool
	alpn, suite  string
	scheme       string
	chain        [][]byte
	staple       bool // the server sent an OCSP response
	pqAuth       bool
	retry        bool
	oldTLS       bool // older than TLS 1.3
}

// A refusal is an alert of the server.
type refusal struct {
	alert tlsprovider.Alert
	err   error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// noAnswer is the error of a handshake that the server has not answered.
type noAnswer struct{ err error }

func (n *noAnswer) Error() string { return n.err.Error() }
func (n *noAnswer) Unwrap() error { return n.err }

var errNoProvider = errors.New("no TLS library of this program has the group")

func isLost(err error) bool {
	var n *noAnswer
	return errors.As(err, &n)
}

func isAlert(err error, a tlsprovider.Alert) bool {
	var r *refusal
	return errors.As(err, &r) && r.alert == a
}

// A prober probes one host.
type prober struct {
	*Options
	host, port, serverName string
	// small are groups of which a ClientHello fits in one datagram, for probes that are about something else. They are
	// nil until the usual handshake has failed.
	small []tlsprovider.Group
}

// SplitHost returns the host and the port of HOST, HOST:PORT, [IPV6] or [IPV6]:PORT.
func SplitHost(s, defaultPort string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(s)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"), defaultPort
		if strings.Count(host, ":") == 1 {
			return "", "", fmt.Errorf("%q is not HOST or HOST:PORT", s)
		}
	}
	if host == "" || port == "" || strings.ContainsAny(host+port, "/ @") {
		return "", "", fmt.Errorf("%q is not HOST or HOST:PORT", s)
	}
	return host, port, nil
}

// Providers returns the native provider and, if it is linked, s2n. The first one has ML-DSA, if one of them has, because it
// is used for everything that it supports.
func Providers() []tlsprovider.Provider {
	n := native.New()
	s, err := s2n.New()
	if err != nil {
		return []tlsprovider.Provider{n}
	}
	if own, other := n.Capabilities(), s.Capabilities(); !own.PQAuth() && other.PQAuth() {
		return []tlsprovider.Provider{s, n}
	}
	return []tlsprovider.Provider{n, s}
}

// Host probes a host, which is HOST or HOST:PORT.
func Host(ctx context.Context, name string, o *Options) *Report {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	r := &Report{Host: name}
	host, port, err := SplitHost(name, o.Port)
	if err != nil {
		r.Error = err.Error()
		r.conclude()
		return r
	}
	p := &prober{Options: o, host: host, port: port, serverName: host}
	if o.ServerName != "" {
		p.serverName = o.ServerName
	}
	var wait sync.WaitGroup
	if o.QUIC {
		q := *p
		r.QUIC = newTransport()
		wait.Go(func() { q.survey(ctx, &quicEngine{prober: &q}, r.QUIC) })
	}
	if o.TCP {
		q := *p
		r.TCP = newTransport()
		q.Options = new(Options)
		*q.Options = *o
		wait.Go(func() { q.survey(ctx, &tcpEngine{prober: &q}, r.TCP) })
	}
	wait.Wait()
	r.conclude()
	return r
}

func newTransport() *Transport {
	return &Transport{Versions: []string{}, Groups: []string{}, LostGroups: []string{}, Notes: []string{}}
}

func hasPQKey(c *x509.Certificate) bool {
	_, _, pq := inspect.Algorithms(c)
	return pq
}
