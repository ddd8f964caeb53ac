package quic

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/pqquic/pqquic/tlsprovider"
)

// tlsConfigs prepares each TLS configuration of an Endpoint once. It keeps the Endpoint's own
// configurations until they are replaced. Of the configurations from GetTLSConfig and Dial, it keeps those that were
// used last, because a program may make a new one when its certificates change, or for each connection.
type tlsConfigs struct {
	provider tlsprovider.Provider
	own      atomic.Pointer[ownTLS]

	// mu is a leaf, and is not held while a provider prepares or releases a configuration.
	mu      sync.Mutex
	closed  bool
	uses    uint64                             // number of uses so far
	last    map[clientKind]*tlsprovider.Config // last configuration from GetTLSConfig without TicketKeys
	servers map[tlsKey]*preparedTLS
	clients map[tlsKey]*preparedTLS
}

// An ownTLS has the Endpoint's own configurations. SetTLS and SetClientTLS replace it.
type ownTLS struct {
	cfg            *Config // the Endpoint's, with the current TLS and ClientTLS
	server, client *tlsprovider.Config
}

// newOwnTLS returns the configurations of cfg. If GetTLSConfig supplies all certificates, that of a server is a copy with
// DeferCertificates.
func newOwnTLS(cfg *Config) *ownTLS {
	own := &ownTLS{cfg: cfg, server: cfg.TLS, client: cfg.dialTLS()}
	if cfg.GetTLSConfig != nil && cfg.TLS.TLS == nil && len(cfg.TLS.Certificates) == 0 {
		deferred := *cfg.TLS
		deferred.DeferCertificates = true
		own.server = &deferred
	}
	return own
}

// deferred reports whether GetTLSConfig must supply the certificates of each client's connection.
func (o *ownTLS) deferred() bool { return o.server != o.cfg.TLS }

// A tlsKey names a prepared configuration: what the program has passed, and what Config.TLS demanded of a server's then.
type tlsKey struct {
	cfg                      *tlsprovider.Config
	requirePQ, requirePQAuth bool
}

// A clientKind contains the values by which a server selects its configuration.
type clientKind struct{ name, proto string }

// A preparedTLS is a configuration that is prepared or being prepared. It is closed when neither the table nor a connection
// holds it any more.
type preparedTLS struct {
	ready chan struct{} // closed when te or err is set
	te    tlsprovider.Endpoint
	err   error

	refs     atomic.Int64
	lastUsed uint64 // guarded by tlsConfigs.mu
}

// hold adds a reference, unless the last one is gone.
func (p *preparedTLS) hold() bool {
	for {
		n := p.refs.Load()
		if n == 0 {
			return false
		}
		if p.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Close drops a reference. Sessions that have begun go on.
func (p *preparedTLS) Close() {
	if p != nil && p.refs.Add(-1) == 0 && p.te != nil {
		p.te.Close()
	}
}

func (t *tlsConfigs) init(cfg *Config) {
	t.provider = cfg.Provider
	t.own.Store(newOwnTLS(cfg))
	t.servers = make(map[tlsKey]*preparedTLS)
	t.last = make(map[clientKind]*tlsprovider.Config)
	t.clients = make(map[tlsKey]*preparedTLS)
}

// server returns a server's configuration, which the caller must close. RequirePQ and RequirePQAuth of Config.TLS apply to
// all.
func (t *tlsConfigs) server(cfg *tlsprovider.Config) (*preparedTLS, error) {
	key := serverTLSKey(t.own.Load(), cfg)
	return t.get(t.servers, maxTLSConfigs, key, func() (tlsprovider.Endpoint, error) { return t.newServer(key) })
}

// serverTLSKey returns the key of a configuration of a server whose own is given.
func serverTLSKey(own *ownTLS, cfg *tlsprovider.Config) tlsKey {
	return tlsKey{cfg, cfg.RequirePQ || own.server.RequirePQ, cfg.RequirePQAuth || own.server.RequirePQAuth}
}

func (t *tlsConfigs) newServer(key tlsKey) (tlsprovider.Endpoint, error) {
	cfg := key.cfg
	if key.requirePQ != cfg.RequirePQ || key.requirePQAuth != cfg.RequirePQAuth {
		strict := *cfg
		strict.RequirePQ, strict.RequirePQAuth = key.requirePQ, key.requirePQAuth
		cfg = &strict
	}
	return t.provider.NewServer(cfg)
}

// client returns a client's configuration, which the caller must close.
func (t *tlsConfigs) client(cfg *tlsprovider.Config) (*preparedTLS, error) {
	return t.get(t.clients, maxClientTLS, tlsKey{cfg: cfg}, func() (tlsprovider.Endpoint, error) { return t.provider.NewClient(cfg) })
}

// clientOnce is like client for a configuration that no other connection will have.
func (t *tlsConfigs) clientOnce(cfg *tlsprovider.Config) (*preparedTLS, error) {
	return newPreparedTLS(func() (tlsprovider.Endpoint, error) { return t.provider.NewClient(cfg) })
}

// newPreparedTLS prepares a configuration that is not in a table.
func newPreparedTLS(make func() (tlsprovider.Endpoint, error)) (*preparedTLS, error) {
	p := unpreparedTLS()
	p.prepare(make)
	return p, p.err
}

func unpreparedTLS() *preparedTLS {
	p := &preparedTLS{ready: make(chan struct{}), err: errPreparing}
	p.refs.Store(1)
	return p
}

// errPreparing remains if a provider, or code of the application that it calls, panics.
var errPreparing = errors.New("quic: the preparation of a TLS configuration was interrupted")

func (p *preparedTLS) prepare(make func() (tlsprovider.Endpoint, error)) {
	defer close(p.ready)
	te, err := make()
	if err != nil {
		p.err = fmt.Errorf("quic: %w", err)
		return
	}
	p.te, p.err = te, nil
}

// get returns the prepared configuration for a key, which the caller must close. Others that need the same one wait while
// it is being prepared, and nobody else.
func (t *tlsConfigs) get(
	known map[tlsKey]*preparedTLS, limit int, key tlsKey, make func() (tlsprovider.Endpoint, error),
) (*preparedTLS, error) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil, ErrEndpointClosed
	}
	t.uses++
	p, isKnown := known[key]
	var evicted *preparedTLS
	if !isKnown {
		p = unpreparedTLS() // a reference of the table
		if len(known) >= limit {
			evicted = t.evict(known)
		}
		known[key] = p
	}
	p.lastUsed = t.uses
	p.refs.Add(1)
	t.mu.Unlock()
	evicted.Close()
	if !isKnown {
		defer func() {
			if p.err != nil {
				t.drop(known, key, p)
			}
		}()
		p.prepare(make)
	}
	if <-p.ready; p.err != nil {
		p.Close()
		return nil, p.err
	}
	return p, nil
}

// drop removes a configuration from a table, if it is there.
func (t *tlsConfigs) drop(known map[tlsKey]*preparedTLS, key tlsKey, p *preparedTLS) {
	t.mu.Lock()
	found := known[key] == p
	if found {
		delete(known, key)
	}
	t.mu.Unlock()
	if found {
		p.Close()
	}
}

// evict removes and returns the least recently used configuration that is not the Endpoint's own. Its sessions and the
// connections that hold it are not affected. mu is held.
func (t *tlsConfigs) evict(known map[tlsKey]*preparedTLS) *preparedTLS {
	own := t.own.Load()
	var oldest tlsKey
	for key, p := range known {
		if key.cfg != own.server && key.cfg != own.client && (oldest.cfg == nil || p.lastUsed < known[oldest].lastUsed) {
			oldest = key
		}
	}
	p := known[oldest]
	delete(known, oldest)
	return p
}

// ownTicketKeys reports whether a server with cfg seals tickets with keys that no other configuration has.
func ownTicketKeys(cfg *tlsprovider.Config) bool {
	return !cfg.DisableTickets && len(cfg.TicketKeys) == 0 && (cfg.TLS == nil || cfg.TLS.WrapSession == nil)
}

// losesTickets reports whether cfg generates its own ticket keys and replaces a configuration that an
// earlier client of the same kind received. It remembers a bounded number of kinds.
func (t *tlsConfigs) losesTickets(hello *tlsprovider.ClientHello, cfg *tlsprovider.Config) bool {
	if !ownTicketKeys(cfg) {
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

func (t *tlsConfigs) close() {
	t.mu.Lock()
	t.closed = true
	var all []*preparedTLS
	for _, m := range []map[tlsKey]*preparedTLS{t.servers, t.clients} {
		for _, p := range m {
			all = append(all, p)
		}
		clear(m)
	}
	t.mu.Unlock()
	for _, p := range all {
		p.Close()
	}
}
