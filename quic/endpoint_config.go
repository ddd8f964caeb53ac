package quic

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

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

// serverConfig returns the configuration that the loop's accepted connections share.
func (e *Endpoint) serverConfig(own *ownTLS, te tlsprovider.Endpoint) (cc *core.Config, err error) {
	cc = e.connConfig(own.cfg, tlsprovider.Server, te, "")
	if own.cfg.permitsEarlyData() {
		cc.AcceptEarlyData, cc.TicketIssuer = e.acceptEarlyData, e.ticketIssuer
	}
	if own.cfg.GetTLSConfig != nil {
		cc.SelectTLS = func(hello *tlsprovider.ClientHello) (core.TLSChoice, error) { return e.selectTLS(own, hello) }
	}
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

// selectTLS runs Config.GetTLSConfig within a TLS job of a connection that has begun with own.
func (e *Endpoint) selectTLS(own *ownTLS, hello *tlsprovider.ClientHello) (core.TLSChoice, error) {
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
	case cfg == nil && own.deferred():
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
	p, err := e.tls.server(cfg)
	if err != nil {
		return core.TLSChoice{}, fmt.Errorf("the Config that GetTLSConfig returned: %w", err)
	}
	return core.TLSChoice{TLS: p.te, NextProtos: nextProtos(cfg), VerifiesClients: cfg.VerifiesClients(), Done: p.Close}, nil
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
	return cc
}
