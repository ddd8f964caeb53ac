package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// quicEngine makes QUIC connections to one server.
type quicEngine struct {
	*prober
	addr atomic.Pointer[string] // set when an address has answered
}

// closeCode is H3_NO_ERROR (RFC 9114, section 8.1).
const closeCode = 0x100

func (e *quicEngine) config(p tlsprovider.Provider, tls *tlsprovider.Config) *quic.Config {
	if tls.NextProtos == nil {
		tls.NextProtos = e.ALPN
	}
	return &quic.Config{
		Provider: p, TLS: tls, ServerName: e.serverName, HandshakeTimeout: e.HandshakeTimeout,
		Versions: []quic.Version{quic.Version1, quic.Version2}, DisablePathMTUDiscovery: true, TokenLifetime: -1,
	}
}

// provider returns the first provider that has all groups, or nil.
func (e *quicEngine) provider(groups []tlsprovider.Group) tlsprovider.Provider {
	for _, p := range e.Providers {
		if len(supported(p, groups)) == len(groups) {
			return p
		}
	}
	return nil
}

// supported returns those of groups that a provider has.
func supported(p tlsprovider.Provider, groups []tlsprovider.Group) []tlsprovider.Group {
	caps := p.Capabilities()
	return slices.DeleteFunc(slices.Clone(groups), func(g tlsprovider.Group) bool {
		_, ok := caps.Group(g)
		return !ok
	})
}

func (e *quicEngine) target() string {
	if addr := e.addr.Load(); addr != nil {
		return *addr
	}
	return net.JoinHostPort(e.host, e.port)
}

func (e *quicEngine) handshake(ctx context.Context, a attempt) (*outcome, error) {
	p, groups := e.Providers[0], supported(e.Providers[0], usualGroups)
	if a.groups != nil {
		if p, groups = e.provider(a.groups), a.groups; p == nil {
			return nil, errNoProvider
		}
	}
	ctx, cancel := context.WithTimeout(ctx, e.HandshakeTimeout)
	defer cancel()
	seen := &observer{Provider: p}
	tls := &tlsprovider.Config{
		Groups: groups, InsecureSkipVerify: !a.verify, DisableTickets: true,
		VerifyPeer: func(*tlsprovider.State) error { return nil }, // so that an OCSP response is asked for
	}
	if a.verify {
		tls.RootCAs = e.Roots
	}
	cfg := e.config(seen, tls)
	if a.version != 0 {
		cfg.Versions = []quic.Version{quic.Version(a.version)}
	}
	c, err := quic.Dial(ctx, "udp", e.target(), cfg)
	if err != nil {
		return nil, quicError(err)
	}
	defer c.CloseWithError(closeCode, "")
	st := c.ConnectionState().TLS
	o := &outcome{
		addr: c.RemoteAddr().String(), group: st.Group, helloRetried: st.HelloRetried, alpn: st.ALPN,
		suite: st.CipherSuite.String(), chain: st.PeerChain, pqAuth: st.PQAuth, retry: seen.retried.Load(),
		staple: st.OCSPStaple() != nil,
	}
	if st.SignatureScheme != 0 {
		o.scheme = st.SignatureScheme.String()
	}
	return o, nil
}

func (e *quicEngine) hello(ctx context.Context, o *offer) (*reply, error) {
	if addr := e.addr.Load(); addr != nil {
		return e.helloTo(ctx, *addr, o)
	}
	addrs, err := e.addresses(ctx)
	if err != nil {
		return nil, &noAnswer{err}
	}
	var r *reply
	for _, addr := range addrs {
		if r, err = e.helloTo(ctx, addr, o); !isLost(err) {
			e.setAddr(addr)
			break
		}
	}
	return r, err
}

// setAddr makes addr the address of further probes, unless there is one already.
func (e *quicEngine) setAddr(addr string) { e.addr.CompareAndSwap(nil, &addr) }

func (e *quicEngine) helloTo(ctx context.Context, addr string, o *offer) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, e.HandshakeTimeout)
	defer cancel()
	tls := &tlsprovider.Config{InsecureSkipVerify: true, DisableTickets: true}
	c, err := quic.Dial(ctx, "udp", addr, e.config(&helloProvider{native.New(), o}, tls))
	if err == nil {
		c.CloseWithError(closeCode, "")
		return nil, errReply
	}
	var a *answered
	if errors.As(err, &a) {
		return &a.reply, nil
	}
	return nil, quicError(err)
}

// versions returns the QUIC versions of the server, which are also in Version Negotiation packets.
func (e *quicEngine) versions(ctx context.Context) (list []string) {
	for _, v := range []quic.Version{quic.Version1, quic.Version2} {
		_, err := e.handshake(ctx, attempt{version: uint32(v), groups: e.small})
		var other *quic.VersionNegotiationError
		switch {
		case err == nil:
			list = append(list, v.String())
		case errors.As(err, &other):
			for _, their := range other.Theirs {
				if their != quic.Version1 && their != quic.Version2 && uint32(their)&0x0f0f0f0f != 0x0a0a0a0a && !slices.Contains(list, their.String()) {
					list = append(list, their.String())
				}
			}
		}
	}
	return list
}

// resume makes two connections, of which the second one resumes the session of the first one, with early data if the
// server permits it.
func (e *quicEngine) resume(ctx context.Context) (resumed, early bool, err error) {
	// The provider that has early data may not know the algorithm of the server's certificate.
	lacksEarly := func(p tlsprovider.Provider) bool { return !p.Capabilities().ZeroRTT }
	others := slices.DeleteFunc(slices.Clone(e.Providers), func(p tlsprovider.Provider) bool { return !lacksEarly(p) })
	for _, p := range append(slices.DeleteFunc(slices.Clone(e.Providers), lacksEarly), others...) {
		if resumed, early, err = e.resumeWith(ctx, p); err == nil {
			break
		}
	}
	return resumed, early, err
}

func (e *quicEngine) resumeWith(ctx context.Context, p tlsprovider.Provider) (resumed, early bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*e.HandshakeTimeout+e.TicketTimeout)
	defer cancel()
	groups := e.small
	if groups == nil {
		groups = supported(p, usualGroups)
	}
	store := &ticketStore{ClientStore: tlsprovider.NewClientStore(0, 0), stored: make(chan struct{}, 1)}
	cfg := e.config(p, &tlsprovider.Config{
		Groups: groups, InsecureSkipVerify: true, ClientStore: store, EarlyData: p.Capabilities().ZeroRTT,
	})
	c, err := quic.Dial(ctx, "udp", e.target(), cfg)
	if err != nil {
		return false, false, quicError(err)
	}
	wait := time.NewTimer(e.TicketTimeout)
	defer wait.Stop()
	select {
	case <-store.stored:
	case <-wait.C:
	case <-c.Context().Done():
	}
	c.CloseWithError(closeCode, "")
	dial := quic.Dial
	if cfg.TLS.EarlyData {
		dial = quic.DialEarly
	}
	if c, err = dial(ctx, "udp", e.target(), cfg); err != nil {
		return false, false, quicError(err)
	}
	defer c.CloseWithError(closeCode, "")
	select {
	case <-c.HandshakeComplete():
	case <-c.Context().Done():
	case <-ctx.Done():
	}
	st := c.ConnectionState().TLS
	return st.Resumed && st.HandshakeDone, st.EarlyData == tlsprovider.EarlyDataAccepted, nil
}

// A ticketStore reports when it gets a session.
type ticketStore struct {
	tlsprovider.ClientStore
	stored chan struct{}
}

func (s *ticketStore) Put(key string, value []byte) {
	s.ClientStore.Put(key, value)
	select {
	case s.stored <- struct{}{}:
	default:
	}
}

// quicError returns a *noAnswer if the server has sent nothing that says what it thinks of the ClientHello.
func quicError(err error) error {
	var transport *quic.TransportError
	var version *quic.VersionNegotiationError
	var tls *tlsprovider.Error
	var application *quic.ApplicationError
	if errors.As(err, &version) || errors.As(err, &application) || errors.As(err, &tls) {
		return err
	}
	if errors.As(err, &transport) {
		if alert, ok := transport.Code.Alert(); ok && transport.Remote {
			return &refusal{tlsprovider.Alert(alert), err}
		}
		return err
	}
	return &noAnswer{err}
}

// addresses returns the addresses of the host, with the port.
func (p *prober) addresses(ctx context.Context) (list []string, err error) {
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", p.host)
	if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "udp", p.port)
	if err != nil {
		return nil, err
	}
	for _, ip := range ips[:min(len(ips), maxAddresses)] {
		list = append(list, netip.AddrPortFrom(ip.Unmap(), uint16(port)).String())
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s has no address", p.host)
	}
	return list, nil
}

// maxAddresses bounds the addresses of a host that are tried.
const maxAddresses = 4
