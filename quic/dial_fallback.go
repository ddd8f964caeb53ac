package quic

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/pqquic/pqquic/tlsprovider"
)

// An unanswered tells a Dial that a server has not answered the ClientHello of its connection.
type unanswered struct {
	probes uint64               // after that many probe timeouts
	conn   atomic.Pointer[Conn] // set then
	found  chan struct{}        // closed then
}

// check is called after a timeout of c. The mutex of c is held.
func (u *unanswered) check(c *Conn) {
	if c.core.UnansweredProbes() >= u.probes && u.conn.CompareAndSwap(nil, c) {
		close(u.found)
	}
}

// answeredSince reports whether the server has answered after found was closed.
func (u *unanswered) answeredSince() bool {
	c := u.conn.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.core.Err() == nil && c.core.UnansweredProbes() == 0
}

// classicalGroups are the groups of a second attempt if the configuration names none.
var classicalGroups = []tlsprovider.Group{tlsprovider.X25519, tlsprovider.P256, tlsprovider.P384}

// classicalConfig returns the configuration of a second attempt with classical key exchange, or nil if there must be
// none. The second attempt uses no session, and starts none, so that a session cannot carry the downgrade over to other
// connections, and its ClientHello is small.
func (e *Endpoint) classicalConfig(cfg *Config) (*Config, error) {
	tls := cfg.dialTLS()
	if cfg.ClassicalFallback == 0 || tls.RequirePQ {
		return nil, nil
	}
	if tls.Policy != "" {
		return nil, errors.New("quic: Config.ClassicalFallback cannot be used with tlsprovider.Config.Policy: set Groups instead")
	}
	if !offersPQ(e.cfg.Provider, tls) {
		return nil, nil
	}
	groups := slices.DeleteFunc(slices.Clone(tls.Groups), tlsprovider.Group.PostQuantum)
	if len(tls.Groups) == 0 {
		caps := e.cfg.Provider.Capabilities()
		groups = slices.DeleteFunc(slices.Clone(classicalGroups), func(g tlsprovider.Group) bool {
			_, ok := caps.Group(g)
			return !ok
		})
	}
	if len(groups) == 0 {
		return nil, nil
	}
	c, t := *cfg, *tls
	t.Groups, t.DisableTickets, t.ClientStore, t.EarlyData = groups, true, nil, false
	c.ClientTLS = &t
	return &c, nil
}

// dialEither dials with post-quantum key exchange. If the server does not answer, it makes a second attempt with the
// configuration classical, while the first one goes on. If the server answers the first one meanwhile, the second one
// does not win.
func (e *Endpoint) dialEither(ctx context.Context, remote netip.AddrPort, host string, cfg, classical *Config, mode dialMode) (*Conn, error) {
	r := newRace(ctx)
	defer r.finish()
	u := &unanswered{probes: uint64(cfg.ClassicalFallback), found: make(chan struct{})}
	first, second := mode, mode
	first.unanswered, second.classical, second.early = u, true, false
	r.run(0, func(ctx context.Context) (*Conn, error) { return e.dialVersions(ctx, remote, host, cfg, first) })
	select {
	case a := <-r.ended:
		return a.conn, a.err
	case <-u.found:
	}
	e.log.Warn("quic: no answer to the post-quantum ClientHello; dialing again with classical key exchange",
		"remote", remote, "host", host, "probes", u.probes)
	r.run(1, func(ctx context.Context) (*Conn, error) { return e.dialVersions(ctx, remote, host, classical, second) })
	var errs [2]error
	for range errs {
		a := <-r.ended
		switch {
		case a.err != nil:
			errs[a.index] = a.err
		case a.index == 1 && errs[0] == nil && u.answeredSince():
			a.conn.abandon()
			errs[1] = errAnswered
		default:
			if a.index == 1 {
				e.log.Warn("quic: connected with classical key exchange, because the post-quantum ClientHello got no answer",
					"remote", remote, "host", host, "group", a.conn.ConnectionState().TLS.Group.String())
			}
			return a.conn, nil
		}
	}
	return nil, &dialErrors{host, errs[:]}
}

// errAnswered is why a second attempt that has connected is not used.
var errAnswered = errors.New("quic: the server has answered the post-quantum ClientHello")

// isFallback reports whether the connection is a second attempt with classical key exchange.
func (c *Conn) isFallback() bool { return c.dialed != nil && c.dialed.classical }
