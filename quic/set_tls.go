package quic

import (
	"errors"
	"fmt"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A serving is what accepted connections share until Config.TLS is replaced.
type serving struct {
	own *ownTLS
	tls *preparedTLS
	cc  []*core.Config // for each loop
}

// An admitted is what a client's connection begins with.
type admitted struct {
	cfg *Config
	cc  *core.Config
	tls *preparedTLS // the connection's until its handshake is complete
}

// newServing prepares what connections accepted with own share. prepare returns the prepared own.server.
func (e *Endpoint) newServing(own *ownTLS, prepare func() (*preparedTLS, error)) (s *serving, err error) {
	cfg := own.cfg
	if cfg.TLS.DeferCertificates && cfg.GetTLSConfig == nil {
		return nil, errors.New("quic: Config.TLS.DeferCertificates is set, but Config.GetTLSConfig is nil")
	}
	if !own.deferred() {
		if err := checkProtos(cfg.TLS); err != nil {
			return nil, err
		}
	}
	if err := cfg.checkHalfRTT(); err != nil {
		return nil, err
	}
	s = &serving{own: own}
	if s.tls, err = prepare(); err != nil {
		return nil, err
	}
	for _, m := range e.loops {
		cc, err := m.serverConfig(own, s.tls.te)
		if err != nil {
			s.Close()
			return nil, err
		}
		s.cc = append(s.cc, cc)
	}
	return s, nil
}

// Close releases the configuration when the handshakes that have begun with it are complete.
func (s *serving) Close() {
	if s != nil {
		s.tls.Close()
	}
}

// current returns what a new connection of the loop begins with, or false if the Endpoint does not listen.
func (e *Endpoint) current() (a admitted, ok bool) {
	for {
		s := e.serving.Load()
		if s == nil {
			return a, false
		}
		if s.tls.hold() {
			return admitted{s.own.cfg, s.cc[e.index], s.tls}, true
		}
		// It has been replaced since.
	}
}

// SetTLS replaces Config.TLS for new connections: certificates, roots, ticket keys and everything else that cfg says. It
// prepares cfg first, while connections go on to be accepted and dialed. If it returns an error, nothing has changed.
// Otherwise, clients whose first packet is admitted after the return, and calls of Dial that begin after it if
// Config.ClientTLS is nil, have the new configuration. Handshakes that have begun are completed with the old one, which
// is released after the last of them.
//
// Sessions of the old configuration resume under the new one only if both say the same about whom to trust and who we
// are, as docs/replacing-keys.md describes, and if they share TicketKeys, on a server, or a ClientStore, on a client.
// Ticket keys of SetTicketKeys are replaced too. If a server's cfg has no TicketKeys, Config.Logger gets a warning, because the
// sessions of its clients end. Configurations of GetTLSConfig, of GetConfigForClient with a TLS that is
// not nil, and of Dial with a Config are not affected.
//
// A server's cfg must be one that Listen accepts. Before Listen, cfg is checked as a client's.
func (e *Endpoint) SetTLS(cfg *tlsprovider.Config) error {
	if cfg == nil {
		return errNilTLS
	}
	return e.replaceTLS(func(c *Config) { c.TLS = cfg }, true)
}

// SetClientTLS replaces Config.ClientTLS for calls of Dial that begin after its return, like SetTLS.
func (e *Endpoint) SetClientTLS(cfg *tlsprovider.Config) error {
	if cfg == nil {
		return errNilTLS
	}
	return e.replaceTLS(func(c *Config) { c.ClientTLS = cfg }, false)
}

// CheckDial returns the error with which every Dial with cfg would fail because of cfg itself, or nil. It does not dial.
// A program that replaces the cfg of its calls of the function Dial can thereby keep the old one if the new one is not valid.
func CheckDial(cfg *Config) error {
	full, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	if err := checkProtos(full.dialTLS()); err != nil {
		return err
	}
	p, err := newPreparedTLS(func() (tlsprovider.Endpoint, error) { return full.Provider.NewClient(full.dialTLS()) })
	if err == nil {
		p.Close()
	}
	return err
}

var errNilTLS = errors.New("quic: the configuration is nil")

// A tlsChange is a replacement of what the Endpoint does by itself: its own configurations, or that it begins to listen.
type tlsChange struct {
	old, own       *ownTLS
	was, now       *serving // nil if the Endpoint does not listen; equal if it goes on to accept as before
	replacesClient bool
	client         *preparedTLS // nil if it is prepared when it is needed
}

// replaceTLS changes the Endpoint's configuration by edit, of which it says what that changes.
func (e *Endpoint) replaceTLS(edit func(*Config), server bool) error {
	for {
		c := tlsChange{old: e.tls.own.Load(), was: e.serving.Load()}
		cfg := *c.old.cfg
		edit(&cfg)
		c.own = newOwnTLS(&cfg)
		if !server {
			c.own.server = c.old.server
		}
		c.now, c.replacesClient = c.was, !server || cfg.ClientTLS == nil
		if err := e.prepareChange(&c, server); err != nil {
			return err
		}
		switch applied, err := e.tls.apply(e.common, &c); {
		case err != nil:
			return err
		case applied:
			e.noteEarlyData()
			if c.endsSessions() {
				e.log.Warn("quic: SetTLS with a Config without TicketKeys: clients cannot resume sessions of the one before")
			}
			return nil
		}
		// Listen or another change came first.
	}
}

// endsSessions reports whether clients have sessions that end with the change only because the new configuration generates its own
// ticket keys.
func (c *tlsChange) endsSessions() bool {
	return c.was != nil && c.now != c.was && !c.old.deferred() && !c.old.server.DisableTickets &&
		!c.own.deferred() && ownTicketKeys(c.own.server)
}

// prepareChange prepares the configurations for the roles that the Endpoint has. No lock is held.
func (e *Endpoint) prepareChange(c *tlsChange, server bool) (err error) {
	p := e.cfg.Provider
	if isClosed(e.closed) {
		return ErrEndpointClosed
	}
	// The TLS of an Endpoint that listens is a server's in the first place.
	if c.replacesClient && (c.was == nil || !server) {
		if err := checkProtos(c.own.client); err != nil {
			return err
		}
		c.client, err = newPreparedTLS(func() (tlsprovider.Endpoint, error) { return p.NewClient(c.own.client) })
		if err != nil {
			return err
		}
	}
	if server && c.was != nil {
		c.now, err = e.newServing(c.own, func() (*preparedTLS, error) {
			return newPreparedTLS(func() (tlsprovider.Endpoint, error) { return p.NewServer(c.own.server) })
		})
		if err != nil {
			c.client.Close()
		}
	}
	return err
}

// serve lets the Endpoint's loops accept connections.
func (e *Endpoint) serve() error {
	for {
		own := e.tls.own.Load()
		c := tlsChange{old: own, own: own, was: e.serving.Load()}
		var err error
		if c.now, err = e.newServing(own, func() (*preparedTLS, error) { return e.tls.server(own.server) }); err != nil {
			return err
		}
		if applied, err := e.tls.apply(e.common, &c); applied || err != nil {
			return err
		}
	}
}

// apply makes a change take effect. It returns false, and releases what was prepared, if another change came first.
func (t *tlsConfigs) apply(g *common, c *tlsChange) (applied bool, err error) {
	var gone []*preparedTLS
	remove := func(known map[tlsKey]*preparedTLS, key tlsKey) {
		if p := known[key]; p != nil {
			delete(known, key)
			gone = append(gone, p)
		}
	}
	t.mu.Lock()
	switch {
	case t.closed:
		err = ErrEndpointClosed
	case t.own.Load() == c.old && g.serving.Load() == c.was:
		applied = true
	}
	if applied {
		if c.now != c.was && c.own != c.old {
			remove(t.servers, serverTLSKey(c.old, c.old.server))
			key := serverTLSKey(c.own, c.own.server)
			remove(t.servers, key)
			c.now.tls.hold()
			t.servers[key] = c.now.tls
		}
		if c.replacesClient {
			remove(t.clients, tlsKey{cfg: c.old.client})
			remove(t.clients, tlsKey{cfg: c.own.client})
			if c.client != nil {
				t.clients[tlsKey{cfg: c.own.client}] = c.client
			}
		}
		t.own.Store(c.own)
		g.serving.Store(c.now)
	}
	t.mu.Unlock()
	for _, p := range gone {
		p.Close()
	}
	unused := c.was
	if !applied {
		c.client.Close()
		unused = c.now
	}
	if c.now != c.was {
		unused.Close()
	}
	return applied, err
}

// noteEarlyData lets the loops keep early packets, if the current configuration permits early data.
func (e *Endpoint) noteEarlyData() {
	for _, m := range e.loops {
		m.mu.Lock()
		m.core.SetEarlyData(e.tls.own.Load().cfg.permitsEarlyData())
		m.mu.Unlock()
	}
}

// SetTicketKeys replaces the TicketKeys of Config.TLS for new handshakes, until SetTLS. To rotate the keys of a fleet, first
// append the new key on every server, then move it to the front on every server, and later remove the old one. It does not
// affect configurations of GetTLSConfig: return a new one instead.
func (e *Endpoint) SetTicketKeys(keys [][]byte) error {
	if isClosed(e.closed) {
		return ErrEndpointClosed
	}
	own := e.tls.own.Load()
	if own.cfg.TLS.TLS == nil && len(own.cfg.TLS.Certificates) == 0 {
		return errors.New("quic: SetTicketKeys of an Endpoint without Config.TLS.Certificates: return a Config with other TicketKeys from GetTLSConfig")
	}
	p, err := e.tls.server(own.server)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.te.SetTicketKeys(keys); err != nil {
		return fmt.Errorf("quic: %w", err)
	}
	return nil
}
