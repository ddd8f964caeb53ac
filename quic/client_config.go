package quic

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/tlsprovider"
)

// clientInfo describes a client to the callbacks.
func clientInfo(in *core.Incoming) ClientInfo {
	return ClientInfo{
		RemoteAddr: in.Path.Remote, LocalAddr: in.Path.Local, AddrValidated: in.Validated,
		Version: Version(in.Version), ID: in.OriginalDstID.String(),
	}
}

// consult calls Config.Accept and Config.GetConfigForClient, if they are set. It returns the configuration of a
// client's connection, in both forms. shared is the core's form of the Endpoint's own.
func (e *Endpoint) consult(in *core.Incoming, shared *core.Config) (*Config, *core.Config, error) {
	if e.cfg.Accept == nil && e.cfg.GetConfigForClient == nil {
		return e.cfg, shared, nil
	}
	info := clientInfo(in)
	if e.cfg.Accept != nil {
		err := tlsprovider.Guard("Config.Accept", func() error { return e.cfg.Accept(info) })
		e.notePanic(in.Path.Remote, err)
		if err != nil {
			return nil, nil, err
		}
	}
	if e.cfg.GetConfigForClient == nil {
		return e.cfg, shared, nil
	}
	var chosen *Config
	err := tlsprovider.Guard("Config.GetConfigForClient", func() (err error) {
		chosen, err = e.cfg.GetConfigForClient(info)
		return err
	})
	e.notePanic(in.Path.Remote, err)
	if err != nil || chosen == nil {
		return e.cfg, shared, err
	}
	cfg, cc, err := e.clientConfig(chosen, shared)
	if err != nil {
		err = fmt.Errorf("the Config that GetConfigForClient returned: %w", err)
		e.logFault(faultClientConfig, slog.LevelWarn, "quic: a client is refused because of its configuration", "err", err)
	}
	return cfg, cc, err
}

// connContext calls Config.ConnContext, if it is set, and returns a context that does not end.
func (e *Endpoint) connContext(in *core.Incoming) (context.Context, error) {
	ctx := context.Background()
	if e.cfg.ConnContext == nil {
		return ctx, nil
	}
	err := tlsprovider.Guard("Config.ConnContext", func() error {
		if own := e.cfg.ConnContext(ctx, clientInfo(in)); own != nil {
			ctx = context.WithoutCancel(own)
		}
		return nil
	})
	e.notePanic(in.Path.Remote, err)
	return ctx, err
}

// clientConfig completes a configuration that was chosen for one client.
func (e *Endpoint) clientConfig(chosen *Config, shared *core.Config) (*Config, *core.Config, error) {
	own := *chosen
	if own.Provider != nil && !same(own.Provider, e.cfg.Provider) {
		return nil, nil, fmt.Errorf("quic: Config.Provider (%s) is not the Endpoint's (%s): leave it nil", own.Provider.Name(), e.cfg.Provider.Name())
	}
	own.Provider = e.cfg.Provider
	if own.TLS == nil {
		own.TLS = e.cfg.TLS
	}
	full, err := own.withDefaults()
	if err != nil {
		return nil, nil, err
	}
	if err := full.checkHalfRTT(); err != nil {
		return nil, nil, err
	}
	te := shared.TLS
	if full.TLS != e.cfg.TLS {
		if err := checkProtos(full.TLS); err != nil {
			return nil, nil, err
		}
		if te, err = e.tls.server(full.TLS); err != nil {
			return nil, nil, err
		}
	}
	cc := e.connConfig(full, tlsprovider.Server, te, "")
	cc.PreferredIPv4, cc.PreferredIPv6 = shared.PreferredIPv4, shared.PreferredIPv6
	return full, cc, nil
}
