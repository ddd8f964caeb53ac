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

// consult calls Config.Accept and Config.GetConfigForClient, if they are set. It returns what a client's connection begins
// with. a is what it begins with otherwise.
func (e *Endpoint) consult(in *core.Incoming, a admitted) (admitted, error) {
	info := clientInfo(in)
	if e.cfg.Accept != nil {
		err := tlsprovider.Guard("Config.Accept", func() error { return e.cfg.Accept(info) })
		e.notePanic(in.Path.Remote, err)
		if err != nil {
			a.tls.Close()
			return a, err
		}
	}
	if e.cfg.GetConfigForClient == nil {
		return a, nil
	}
	var chosen *Config
	err := tlsprovider.Guard("Config.GetConfigForClient", func() (err error) {
		chosen, err = e.cfg.GetConfigForClient(info)
		return err
	})
	e.notePanic(in.Path.Remote, err)
	if err == nil && chosen == nil {
		return a, nil
	}
	own := a
	if err == nil {
		if own, err = e.clientConfig(chosen, a); err != nil {
			err = fmt.Errorf("the Config that GetConfigForClient returned: %w", err)
			e.logFault(faultClientConfig, slog.LevelWarn, "quic: a client is refused because of its configuration", "err", err)
		}
	}
	if err != nil || own.tls != a.tls {
		a.tls.Close()
	}
	return own, err
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

// clientConfig completes a configuration that was chosen for one client. It holds another TLS configuration than shared, or
// the same one.
func (e *Endpoint) clientConfig(chosen *Config, shared admitted) (a admitted, err error) {
	own := *chosen
	if own.Provider != nil && !same(own.Provider, e.cfg.Provider) {
		return a, fmt.Errorf("quic: Config.Provider (%s) is not the Endpoint's (%s): leave it nil", own.Provider.Name(), e.cfg.Provider.Name())
	}
	own.Provider = e.cfg.Provider
	if own.TLS == nil {
		own.TLS = shared.cfg.TLS
	}
	full, err := own.withDefaults()
	if err != nil {
		return a, err
	}
	if err := full.checkHalfRTT(); err != nil {
		return a, err
	}
	tls := shared.tls
	if full.TLS != shared.cfg.TLS {
		if err := checkProtos(full.TLS); err != nil {
			return a, err
		}
		if tls, err = e.tls.server(full.TLS); err != nil {
			return a, err
		}
	}
	cc := e.connConfig(full, tlsprovider.Server, tls.te, "")
	cc.PreferredIPv4, cc.PreferredIPv6 = shared.cc.PreferredIPv4, shared.cc.PreferredIPv6
	cc.AcceptEarlyData, cc.TicketIssuer, cc.SelectTLS = shared.cc.AcceptEarlyData, shared.cc.TicketIssuer, shared.cc.SelectTLS
	return admitted{full, cc, tls}, nil
}
