package quic

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// tlsConfigs prepares each TLS configuration of an Endpoint once. It keeps the Endpoint's own
// configurations permanently. Of the configurations from GetTLSConfig and Dial, it keeps those that were
// used last, because a program may make a new one when its certificates change, or for each connection.
type tlsConfigs struct {
	provider  tlsprovider.Provider
	own       *tlsprovider.Config
	ownClient *tlsprovider.Config // the Endpoint's own, for dialing
	deferred  *tlsprovider.Config // own, for a server whose certificates GetTLSConfig supplies

	mu      sync.Mutex
	uses    uint64                             // number of uses so far
	last    map[clientKind]*tlsprovider.Config // last configuration from GetTLSConfig without TicketKeys
	servers map[*tlsprovider.Config]*preparedTLS
	clients map[*tlsprovider.Config]*preparedTLS
}

// A clientKind contains the values by which a server selects its configuration.
type clientKind struct{ name, proto string }

// A preparedTLS is a prepared configuration.
type preparedTLS struct {
	t        *tlsConfigs
	te       tlsprovider.Endpoint
	lastUsed uint64
	users    int  // number of connections that hold it
	evicted  bool // it is closed when its last user closes it
}

// Close releases the configuration when a connection no longer needs it.
func (p *preparedTLS) Close() {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	if p.users--; p.users == 0 && p.evicted {
		p.te.Close()
	}
}

func (t *tlsConfigs) init(cfg *Config) {
	own := cfg.TLS
	t.provider, t.own, t.ownClient = cfg.Provider, own, cfg.dialTLS()
	if own.TLS == nil && len(own.Certificates) == 0 {
		deferred := *own
		deferred.DeferCertificates = true
		t.deferred = &deferred
	}
	t.servers = make(map[*tlsprovider.Config]*preparedTLS)
	t.last = make(map[clientKind]*tlsprovider.Config)
	t.clients = make(map[*tlsprovider.Config]*preparedTLS)
}

// server prepares a configuration from Config.TLS or GetTLSConfig. RequirePQ and RequirePQAuth of Config.TLS apply to both.
func (t *tlsConfigs) server(cfg *tlsprovider.Config) (tlsprovider.Endpoint, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, err := t.prepare(t.servers, maxTLSConfigs, cfg, func(cfg *tlsprovider.Config) (tlsprovider.Endpoint, error) {
		if t.own.RequirePQ && !cfg.RequirePQ || t.own.RequirePQAuth && !cfg.RequirePQAuth {
			strict := *cfg
			strict.RequirePQ = cfg.RequirePQ || t.own.RequirePQ
			strict.RequirePQAuth = cfg.RequirePQAuth || t.own.RequirePQAuth
			cfg = &strict
		}
		return t.provider.NewServer(cfg)
	})
	if err != nil {
		return nil, err
	}
	return p.te, nil
}

// client returns a client's configuration. The caller must close it.
func (t *tlsConfigs) client(cfg *tlsprovider.Config) (*preparedTLS, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, err := t.prepare(t.clients, maxClientTLS, cfg, t.provider.NewClient)
	if err != nil {
		return nil, err
	}
	p.users++
	return p, nil
}

// clientOnce is like client for a configuration that no other connection will have.
func (t *tlsConfigs) clientOnce(cfg *tlsprovider.Config) (*preparedTLS, error) {
	te, err := t.provider.NewClient(cfg)
	if err != nil {
		return nil, fmt.Errorf("quic: %w", err)
	}
	return &preparedTLS{t: t, te: te, users: 1, evicted: true}, nil
}

// prepare returns the prepared configuration for cfg. mu is held.
func (t *tlsConfigs) prepare(
	known map[*tlsprovider.Config]*preparedTLS, limit int, cfg *tlsprovider.Config,
	make func(*tlsprovider.Config) (tlsprovider.Endpoint, error),
) (*preparedTLS, error) {
	t.uses++
	if p, ok := known[cfg]; ok {
		p.lastUsed = t.uses
		return p, nil
	}
	te, err := make(cfg)
	if err != nil {
		return nil, fmt.Errorf("quic: %w", err)
	}
	if len(known) >= limit {
		t.evict(known)
	}
	p := &preparedTLS{t: t, te: te, lastUsed: t.uses}
	known[cfg] = p
	return p, nil
}

// SetTicketKeys replaces the TicketKeys of Config.TLS for new handshakes. To rotate the keys of a fleet, first append
// the new key on every server, then move it to the front on every server, and later remove the old one. It does not
// affect configurations of GetTLSConfig: return a new one instead.
func (e *Endpoint) SetTicketKeys(keys [][]byte) error {
	if isClosed(e.closed) {
		return ErrEndpointClosed
	}
	cfg := e.tls.own
	if e.tls.deferred != nil {
		return errors.New("quic: SetTicketKeys of an Endpoint without Config.TLS.Certificates: return a Config with other TicketKeys from GetTLSConfig")
	}
	te, err := e.tls.server(cfg)
	if err != nil {
		return err
	}
	if err := te.SetTicketKeys(keys); err != nil {
		return fmt.Errorf("quic: %w", err)
	}
	return nil
}

// losesTickets reports whether cfg generates its own ticket keys and replaces a configuration that an
// earlier client of the same kind received. It remembers a bounded number of kinds.
func (t *tlsConfigs) losesTickets(hello *tlsprovider.ClientHello, cfg *tlsprovider.Config) bool {
	if cfg.DisableTickets || len(cfg.TicketKeys) > 0 {
		return false
	}
	key := clientKind{name: hello.ServerName}
	if len(hello.ALPN) > 0 {
		key.proto = hello.ALPN[0]
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	last, known := t.last[key]
	if known || len(t.last) < maxClientKinds {
		t.last[key] = cfg
	}
	return known && last != cfg
}

// evict removes the least recently used configuration. Its sessions and the connections that hold it are
// not affected. If a server's session is about to start with a configuration that was prepared
// maxTLSConfigs preparations ago, its handshake fails as if GetTLSConfig had failed.
func (t *tlsConfigs) evict(known map[*tlsprovider.Config]*preparedTLS) {
	var oldest *tlsprovider.Config
	for cfg, p := range known {
		if cfg != t.own && cfg != t.ownClient && cfg != t.deferred && (oldest == nil || p.lastUsed < known[oldest].lastUsed) {
			oldest = cfg
		}
	}
	p := known[oldest]
	delete(known, oldest)
	if p.evicted = true; p.users == 0 {
		p.te.Close()
	}
}

func (t *tlsConfigs) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range []map[*tlsprovider.Config]*preparedTLS{t.servers, t.clients} {
		for _, p := range m {
			p.te.Close()
		}
		clear(m)
	}
}

// coreConfig returns the configuration of the core's Endpoint, which accepts no clients before Listen.
func (e *Endpoint) coreConfig() *core.EndpointConfig {
	return &core.EndpointConfig{
		Provider:       e.cfg.Provider,
		TokenKey:       &e.tokens,
		TokenLifetime:  e.cfg.tokenLifetime(),
		UseToken:       e.useToken,
		EarlyData:      e.cfg.permitsEarlyData(),
		ResetKey:       e.resetKey,
		SetRoute:       func(id wire.ConnID, ref core.ConnRef) { e.routes.set(id, e.conns[ref]) },
		SetRemote:      func(remote netip.AddrPort, ref core.ConnRef) { e.routes.remotes.set(remote, e.conns[ref]) },
		NewConnID:      e.newConnID,
		ConnIDLen:      e.cfg.connIDLen(),
		Rand:           e.fillRandom,
		MaxHandshakes:  e.cfg.MaxHandshakes,
		GreaseFixedBit: e.cfg.GreaseFixedBit,

		AllowReflectionPorts: e.cfg.AllowReflectionPorts,

		Versions: acceptedVersions(e.cfg.Versions),
		Epoch:    e.clock.start.UnixNano(),
		Shares:   len(e.loops),
	}
}

// wireVersions converts Config.Versions.
func wireVersions(versions []Version) (out []wire.Version) {
	for _, v := range versions {
		out = append(out, wire.Version(v))
	}
	return out
}

// acceptedVersions returns the versions in which a server accepts clients.
func acceptedVersions(versions []Version) []wire.Version {
	if len(versions) == 0 {
		return []wire.Version{wire.Version1}
	}
	return wireVersions(versions)
}

// serverConfig returns the configuration that accepted connections share.
func (e *Endpoint) serverConfig() (*core.Config, error) {
	own := e.cfg.TLS
	if own.DeferCertificates && e.cfg.GetTLSConfig == nil {
		return nil, errors.New("quic: Config.TLS.DeferCertificates is set, but Config.GetTLSConfig is nil")
	}
	if e.cfg.GetTLSConfig != nil && e.tls.deferred != nil {
		own = e.tls.deferred
	} else if err := checkProtos(own); err != nil {
		return nil, err
	}
	te, err := e.tls.server(own)
	if err != nil {
		return nil, err
	}
	if err := e.cfg.checkHalfRTT(); err != nil {
		return nil, err
	}
	cc := e.connConfig(e.cfg, tlsprovider.Server, te, "")
	if cc.PreferredIPv4, err = e.preferred("PreferredIPv4", e.cfg.PreferredIPv4, netip.Addr.Is4); err != nil {
		return nil, err
	}
	if cc.PreferredIPv6, err = e.preferred("PreferredIPv6", e.cfg.PreferredIPv6, netip.Addr.Is6); err != nil {
		return nil, err
	}
	return cc, nil
}

// preferred returns a preferred address with its port, or an error if no packet for it would reach the socket.
func (e *Endpoint) preferred(field string, a netip.AddrPort, isFamily func(netip.Addr) bool) (netip.AddrPort, error) {
	local := e.sock.LocalAddr()
	switch {
	case !a.Addr().IsValid():
		return netip.AddrPort{}, nil
	case !isFamily(a.Addr()) || a.Addr().Is4In6() || a.Addr().Zone() != "" || a.Addr().IsUnspecified():
		return a, fmt.Errorf("quic: Config.%s is %v, which is no address of this family", field, a)
	case !local.Addr().IsUnspecified() || !e.sock.ReportsLocalAddr():
		return a, fmt.Errorf("quic: Config.%s needs a *net.UDPConn on Linux that is bound to all addresses of the host; the socket is bound to %v", field, local)
	case a.Port() != 0 && a.Port() != local.Port():
		return a, fmt.Errorf("quic: Config.%s has the port %d, but the socket has %d", field, a.Port(), local.Port())
	}
	return netip.AddrPortFrom(a.Addr(), local.Port()), nil
}

// selectTLS runs Config.GetTLSConfig within a TLS job.
func (e *Endpoint) selectTLS(hello *tlsprovider.ClientHello) (core.TLSChoice, error) {
	var cfg *tlsprovider.Config
	err := error(ErrEndpointClosed)
	e.pool.callUser(func() {
		err = tlsprovider.Guard("Config.GetTLSConfig", func() (err error) {
			cfg, err = e.cfg.GetTLSConfig(hello)
			return err
		})
	})
	switch {
	case err != nil:
		return core.TLSChoice{}, err
	case cfg == nil && e.tls.deferred != nil:
		return core.TLSChoice{}, errors.New("quic: GetTLSConfig returned nil and Config.TLS has no certificate")
	case cfg == nil:
		return core.TLSChoice{}, nil
	}
	if err := checkProtos(cfg); err != nil {
		return core.TLSChoice{}, fmt.Errorf("the Config that GetTLSConfig returned: %w", err)
	}
	if e.tls.losesTickets(hello, cfg) {
		e.logFault(faultTickets, slog.LevelWarn, "quic: GetTLSConfig returned another Config without TicketKeys: "+
			"clients cannot resume sessions of the one before", "name", hello.ServerName)
	}
	te, err := e.tls.server(cfg)
	if err != nil {
		err = fmt.Errorf("the Config that GetTLSConfig returned: %w", err)
	}
	return core.TLSChoice{TLS: te, NextProtos: nextProtos(cfg), VerifiesClients: cfg.VerifiesClients()}, err
}

// connConfig converts a Config for the core.
func (e *Endpoint) connConfig(cfg *Config, side tlsprovider.Side, te tlsprovider.Endpoint, name string) *core.Config {
	protos := cfg.TLS
	if side == tlsprovider.Client {
		protos = cfg.dialTLS()
	}
	cc := &core.Config{
		Side: side, Provider: e.cfg.Provider, TLS: te, ServerName: name,
		NextProtos:             nextProtos(protos),
		Rand:                   e.fillRandom,
		NewConnID:              e.newConnID,
		ConnIDLifetime:         cfg.ConnIDLifetime,
		RotateHandshakeIDs:     cfg.RotateHandshakeConnID,
		ResetToken:             func(id wire.ConnID) [16]byte { return e.resetKey.Token(id.Bytes()) },
		HandshakeTimeout:       cfg.HandshakeTimeout,
		IdleTimeout:            max(cfg.MaxIdleTimeout, 0),
		KeepAlive:              cfg.KeepAlivePeriod,
		KeyUpdateAfter:         cfg.KeyUpdateInterval,
		DatagramSize:           defaultDatagram,
		NewController:          recovery.ForAlgorithm(cfg.CongestionControl, e.controllerPanicked),
		DisableActiveMigration: cfg.DisableActiveMigration,
		IgnorePreferredAddress: cfg.IgnorePreferredAddress,
		AllowReflectionPorts:   e.cfg.AllowReflectionPorts,
		NewTrace:               e.newTrace(cfg.Qlog, side),
		Streams: streams.Config{
			RecvWindow: cfg.StreamWindow, MaxRecvWindow: cfg.MaxStreamWindow,
			ConnWindow: cfg.ConnWindow, MaxConnWindow: cfg.MaxConnWindow,
			SendBuffer: cfg.StreamSendBuffer,
			MaxBidi:    max(cfg.MaxIncomingStreams, 0), MaxUni: max(cfg.MaxIncomingUniStreams, 0),
			ResetStreamAt: cfg.EnableResetStreamAt,
			AbortRate:     max(cfg.MaxAbortedStreams, 0),
			SendMemory:    e.sendMemory, RecvMemory: e.recvMemory,
		},
		Versions:          wireVersions(cfg.Versions),
		GreaseFixedBit:    cfg.GreaseFixedBit,
		ECN:               !cfg.DisableECN,
		AckFrequency:      cfg.EnableAckFrequency,
		SpinBit:           cfg.EnableSpinBit,
		MaxDatagramFrame:  uint64(cfg.MaxDatagramFrameSize),
		DatagramSendQueue: cfg.DatagramSendQueue, DatagramReceiveQueue: cfg.DatagramReceiveQueue,
	}
	if !cfg.DisablePathMTUDiscovery && e.sock.DontFragment() {
		cc.MaxProbeSize = cfg.MaxUDPPayload
	}
	if idle := cc.IdleTimeout; idle > 0 && cc.KeepAlive > 0 {
		cc.KeepAlive = min(cc.KeepAlive, idle/2)
	}
	if side == tlsprovider.Server && e.cfg.tokenLifetime() > 0 && e.cfg.AddressValidation != ValidateNever {
		cc.TokenKey, cc.Epoch = &e.tokens, e.clock.start.UnixNano()
	}
	cc.HalfRTT = side == tlsprovider.Server && cfg.EnableHalfRTT
	if side == tlsprovider.Server && e.cfg.permitsEarlyData() {
		cc.AcceptEarlyData, cc.TicketIssuer = e.acceptEarlyData, e.ticketIssuer
	}
	if side == tlsprovider.Server && e.cfg.GetTLSConfig != nil {
		cc.SelectTLS = e.selectTLS
	}
	return cc
}
