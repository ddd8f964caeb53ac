package quic

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// Dial connects to addr, "host:port", from a new socket, which is closed with the connection. network is
// "udp", "udp4" or "udp6". If ctx ends before the handshake is complete, Dial returns an error that wraps
// the cause of ctx. Afterwards ctx has no effect. An empty host, 0.0.0.0 and [::] mean the local machine.
//
// If a host has several addresses, Dial tries them in turn, IPv6 and IPv4 alternately, each 250 ms after the one before
// or when that has failed, and returns the first connection (RFC 8305). The other attempts are ended. See
// docs/real-networks.md, also for Config.ClassicalFallback.
//
// On Linux, Dial fails at once, with an error that wraps ECONNREFUSED, if the peer's host reports by ICMP
// that nothing listens on the port. On other systems, and on the shared socket of Endpoint.Dial, such a
// Dial times out: a shared socket does not receive ICMP messages.
func Dial(ctx context.Context, network, addr string, cfg *Config) (*Conn, error) {
	return dialNew(ctx, network, addr, cfg, false)
}

// dialNew dials from a new Endpoint. early means that it returns when the connection can send.
func dialNew(ctx context.Context, network, addr string, cfg *Config, early bool) (*Conn, error) {
	if err := checkNetwork(network); err != nil {
		return nil, err
	}
	remotes, host, err := resolve(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	full, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return dialAny(ctx, host, remotes, func(ctx context.Context, remote netip.AddrPort) (*Conn, error) {
		network := "udp6"
		if remote.Addr().Is4() {
			network = "udp4"
		}
		e, err := open(network, ":0", full, 1, false)
		if err != nil {
			return nil, &dialError{remote: remote, host: host, err: err}
		}
		return e.dialAlone(ctx, remote, host, early)
	})
}

// dialAlone dials from an Endpoint that is closed with the connection.
func (e *Endpoint) dialAlone(ctx context.Context, remote netip.AddrPort, host string, early bool) (*Conn, error) {
	e.sock.ReportErrors(e.noteICMP)
	c, err := e.dial(ctx, remote, host, e.cfg, dialMode{own: true, early: early})
	if err != nil {
		e.Close()
		return nil, err
	}
	if e.cfg.DisablePathMTUDiscovery {
		e.sock.ReportErrors(nil) // after the handshake, other ICMP messages are of no use
	}
	return c, nil
}

// Dial connects to addr, "host:port", from the Endpoint's socket. If cfg is not nil, it replaces the
// Endpoint's Config for this connection, except for the fields that concern an Endpoint. Its Provider must
// be nil or the Endpoint's. Connections with the same pointer cfg.TLS share a store of session tickets, so
// later ones resume. An Endpoint keeps the 64 stores that were used last. See the function Dial for ctx.
func (e *Endpoint) Dial(ctx context.Context, addr string, cfg *Config) (*Conn, error) {
	return e.dialShared(ctx, addr, cfg, false)
}

// dialShared dials from the Endpoint's socket. early means that it returns when the connection can send.
func (e *Endpoint) dialShared(ctx context.Context, addr string, cfg *Config, early bool) (*Conn, error) {
	if len(e.loops) > 1 {
		return nil, fmt.Errorf("quic: an Endpoint with several loops (Config.Loops is %d) cannot dial: use the function Dial or another Endpoint", len(e.loops))
	}
	network := "udp"
	switch local := e.sock.LocalAddr().Addr(); {
	case local.Is4():
		network = "udp4"
	case !local.IsUnspecified():
		network = "udp6"
	}
	remotes, host, err := resolve(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	full := e.tls.own.Load().cfg
	if cfg != nil {
		own := *cfg
		if own.Provider != nil && !same(own.Provider, e.cfg.Provider) {
			return nil, fmt.Errorf("quic: Config.Provider (%s) is not the Endpoint's (%s): leave it nil, or dial from another Endpoint",
				own.Provider.Name(), e.cfg.Provider.Name())
		}
		own.Provider = e.cfg.Provider
		if full, err = own.withDefaults(); err != nil {
			return nil, err
		}
	}
	return dialAny(ctx, host, remotes, func(ctx context.Context, remote netip.AddrPort) (*Conn, error) {
		return e.dial(ctx, remote, host, full, dialMode{early: early})
	})
}

// same reports whether a and b are the same provider. Values that are not comparable are different.
func same(a, b tlsprovider.Provider) bool {
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// disableScrambling is an environment variable with the effect of Config.DisableHelloScrambling.
const disableScrambling = "PQQUIC_DISABLE_CLIENTHELLO_SCRAMBLING"

// dialMode says how a connection is dialed.
type dialMode struct {
	own   bool // the Endpoint was made for this connection
	early bool // dial returns when the connection can send, which may be before the handshake is complete
	// mayRetry is set if the first attempt may be followed by one with another version. version is that of the second.
	mayRetry bool
	version  wire.Version
	// unanswered, if set, is notified if the server does not answer. classical means that the connection replaces one
	// of which it was notified.
	unanswered *unanswered
	classical  bool
}

// dial dials and waits for the handshake.
func (e *Endpoint) dial(ctx context.Context, remote netip.AddrPort, host string, cfg *Config, mode dialMode) (*Conn, error) {
	if e.cfg.connIDLen() == 0 && cfg.ClassicalFallback > 0 {
		return nil, errEmptyIDsFallback
	}
	classical, err := e.classicalConfig(cfg)
	if err != nil {
		return nil, err
	}
	// If other attempts may follow, the Endpoint must outlive the first one.
	mode.mayRetry = len(cfg.Versions) > 1 || classical != nil
	var c *Conn
	if classical != nil {
		c, err = e.dialEither(ctx, remote, host, cfg, classical, mode)
	} else {
		c, err = e.dialVersions(ctx, remote, host, cfg, mode)
	}
	if err == nil && mode.own && mode.mayRetry {
		e.autoClose.Store(true)
		e.closeIfUnused() // the connection may have ended already
	}
	return c, err
}

// dialVersions dials again with another QUIC version if the server does not have the first one. It does not if early data
// have been written meanwhile, because the connection then belongs to the application, which gets the error.
func (e *Endpoint) dialVersions(ctx context.Context, remote netip.AddrPort, host string, cfg *Config, mode dialMode) (*Conn, error) {
	c, err := e.dialOnce(ctx, remote, host, cfg, mode)
	var other *VersionNegotiationError
	if err != nil && mode.mayRetry && errors.As(err, &other) {
		if v := commonVersion(cfg.Versions, other.Theirs); v != 0 {
			mode.version = v
			return e.dialOnce(ctx, remote, host, cfg, mode)
		}
	}
	return c, err
}

// commonVersion returns the first version of ours that a server has listed, or 0.
//
// "Otherwise, it SHALL select a mutually supported version and send a new first flight with that version".
// https://www.rfc-editor.org/rfc/rfc9368#section-2.1-4
func commonVersion(ours, theirs []Version) wire.Version {
	for _, v := range ours {
		if slices.Contains(theirs, v) {
			return wire.Version(v)
		}
	}
	return 0
}

// dialOnce dials with one QUIC version.
func (e *Endpoint) dialOnce(ctx context.Context, remote netip.AddrPort, host string, cfg *Config, mode dialMode) (*Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if err := e.checkDial(cfg, mode.early); err != nil {
		return nil, err
	}
	tls, name := cfg.dialTLS(), cfg.nameToVerify(host)
	prepare := e.tls.client
	if mode.classical {
		prepare = e.tls.clientOnce
	}
	prepared, err := prepare(tls)
	if err != nil {
		return nil, err
	}
	cc := e.connConfig(cfg, tlsprovider.Client, prepared.te, name)
	cc.Version, cc.Negotiated = mode.version, mode.version != 0
	// A second attempt with classical key exchange is for networks that drop unusual ClientHellos.
	cc.ScrambleHello = !cfg.DisableHelloScrambling && os.Getenv(disableScrambling) == "" && !mode.classical
	if cc.Version == 0 {
		cc.Version = core.FirstVersion(cc.Versions)
	}
	store, server := e.tokenStoreFor(cfg, mode.own), tokenServer(name, remote)
	if !mode.classical { // whose ClientHello must not grow
		cc.Token, cc.TokenGreases = e.takeToken(store, tokenKeyOf(server, cc.Version), cfg.GreaseFixedBit)
	}
	k, err := core.NewClientConn(e.clock.now(), cc, datagram.Path{Local: e.sock.LocalAddr(), Remote: remote})
	if err != nil {
		prepared.Close()
		return nil, fmt.Errorf("quic: %w", err)
	}
	c := newConn(context.Background(), e, k, cfg, false)
	c.tls = prepared
	c.dialed = &dialed{tokens: store, server: server, ready: make(chan struct{}), unanswered: mode.unanswered, classical: mode.classical}
	c.notify(ConnBegun)
	if err := e.add(c, nil); err != nil {
		c.discard()
		return nil, err
	}
	if mode.own && !mode.mayRetry {
		e.autoClose.Store(true)
	}
	c.quickTLS = isQuick(tls, tlsprovider.Client)
	c.mu.Lock()
	c.driveAs(&outcome{runsTLS: c.quickTLS})
	return c.awaitHandshake(ctx, remote, host, mode.early)
}

// dialed is what a client's connection needs and a server's does not.
type dialed struct {
	tokens tlsprovider.ClientStore // nil if tokens are not kept
	server string                  // its name in the keys of tokens
	ready  chan struct{}           // closed when early data can be sent
	local  netip.AddrPort          // to which the last train was sent; invalid if the socket does not report it

	unanswered *unanswered // see dial_fallback.go
	classical  bool
	icmpErr    error // reported by the network during the handshake
}

// awaitHandshake waits until the handshake of a client is complete or has failed or, if early is set, until early data
// can be sent. If ctx ends first, the connection is closed.
func (c *Conn) awaitHandshake(ctx context.Context, remote netip.AddrPort, host string, early bool) (*Conn, error) {
	var ready chan struct{}
	if early {
		ready = c.dialed.ready
	}
	life := c.Context()
	select {
	case <-ready:
		return c, nil
	case <-c.HandshakeComplete():
		return c, nil
	case <-life.Done():
		return nil, c.dialError(remote, host, context.Cause(life))
	case <-ctx.Done():
		c.abort(context.Cause(ctx), uint64(NoError))
		c.finish()
		c.mu.Lock()
		sendErr := c.sendErr
		c.mu.Unlock()
		err := context.Cause(ctx)
		if sendErr != nil {
			err = &socketError{err, sendErr}
		}
		return nil, c.dialError(remote, host, err)
	}
}

// nameToVerify returns the name of the server that was dialed as host.
func (c *Config) nameToVerify(host string) string {
	if c.ServerName != "" {
		return c.ServerName
	}
	if tls := c.dialTLS(); tls.TLS != nil && tls.TLS.ServerName != "" {
		return tls.TLS.ServerName
	}
	return host
}

// checkDial returns an error if cfg cannot be used to dial, early if that is set. An Endpoint that listens must not show
// its server's certificate to other servers by accident.
func (e *Endpoint) checkDial(cfg *Config, early bool) error {
	tls := cfg.dialTLS()
	if err := checkProtos(tls); err != nil {
		return err
	}
	own := e.tls.own.Load().cfg
	switch {
	case cfg.GreaseFixedBit && e.nonQUIC.limit > 0:
		return errGreasedNonQUIC
	case early && !tls.EarlyData:
		return errEarlyDataOff
	case e.serving.Load() != nil && tls == own.TLS && tls != own.ClientTLS && len(tls.Certificates) > 0:
		return errors.New("quic: Config.TLS.Certificates are a server's on an Endpoint that listens: set Config.ClientTLS to dial, with the certificates that servers may see, if any")
	}
	return nil
}
