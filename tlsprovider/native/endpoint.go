package native

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pqquic/pqquic/tlsprovider"
)

// ticketKeyLife is how long the endpoint's own ticket key seals tickets. After that it opens tickets for as
// long again.
const ticketKeyLife = 24 * time.Hour

var errEndpointClosed = errors.New("native: the endpoint is closed")

// An endpoint is a configuration that was checked. It implements tlsprovider.Endpoint.
type endpoint struct {
	p      *Provider
	side   tlsprovider.Side
	cfg    tlsprovider.Config // Certificates and TicketKeys are the first ones: see variable
	groups []tls.CurveID

	changing sync.Mutex // held by one change while it prepares; handshakes do not wait for it

	mu      sync.Mutex
	current *prepared // nil once closed
}

// variable is what can be changed in an endpoint.
type variable struct {
	certs      []tlsprovider.Certificate
	keys       ticketKeys
	generation int // counts SetCertificates
}

// ticketKeys are a server's ticket keys before the configuration is mixed into them, the newest first.
type ticketKeys struct {
	secrets [][]byte  // copies that belong to one prepared, and are overwritten with it
	own     bool      // the endpoint made them
	madeAt  time.Time // when it made the newest
}

// A prepared is the configuration of the sessions of an endpoint. A change of the endpoint makes a new one;
// existing sessions keep theirs.
type prepared struct {
	from     variable
	base     *tls.Config
	certs    []tls.Certificate
	external bool         // a private key is external, or a callback may return one that is
	cache    *ticketCache // of a client
	binding  [32]byte     // of a client's sessions in Config.ClientStore

	mu     sync.Mutex
	byALPN map[serverKey]*tls.Config // of a server

	ticketKeys2 [][32]byte // of a server's connections of QUIC version 2
}

// NewClient implements tlsprovider.Provider.
func (p *Provider) NewClient(cfg *tlsprovider.Config) (tlsprovider.Endpoint, error) {
	return p.newEndpoint(cfg, tlsprovider.Client)
}

// NewServer implements tlsprovider.Provider.
func (p *Provider) NewServer(cfg *tlsprovider.Config) (tlsprovider.Endpoint, error) {
	return p.newEndpoint(cfg, tlsprovider.Server)
}

func (p *Provider) newEndpoint(cfg *tlsprovider.Config, side tlsprovider.Side) (tlsprovider.Endpoint, error) {
	if cfg == nil {
		cfg = new(tlsprovider.Config)
	}
	if err := p.check(cfg, side); err != nil {
		return nil, err
	}
	e := &endpoint{p: p, side: side, cfg: *cfg}
	var err error
	if e.groups, err = chooseGroups(cfg.Groups); err != nil {
		return nil, err
	}
	if err := checkECH(cfg, side, e.groups); err != nil {
		return nil, err
	}
	if cfg.RequirePQ && cfg.Groups != nil && !slices.ContainsFunc(cfg.Groups, tlsprovider.Group.PostQuantum) {
		return nil, fmt.Errorf("native: RequirePQ is set, but Groups (%s) has no post-quantum group",
			tlsprovider.GroupList(cfg.Groups))
	}
	if err := checkTicketKeys(cfg.TicketKeys); err != nil {
		return nil, err
	}
	v := variable{certs: cfg.Certificates}
	if side == tlsprovider.Server && !cfg.DisableTickets {
		if v.keys, err = e.firstTicketKeys(); err != nil {
			return nil, err
		}
	}
	if e.current, err = e.prepare(v); err != nil {
		return nil, err
	}
	return e, nil
}

func (p *Provider) check(cfg *tlsprovider.Config, side tlsprovider.Side) error {
	if cfg.Policy != "" {
		return fmt.Errorf("native: Policy %q: %w: use the s2n provider, or set Groups instead", cfg.Policy, tlsprovider.ErrUnsupported)
	}
	// "Endpoints MUST explicitly negotiate an application protocol."
	// https://www.rfc-editor.org/rfc/rfc9000#section-7-10
	if len(cfg.NextProtos) == 0 && (side == tlsprovider.Client || !cfg.DeferCertificates) {
		return errors.New("native: NextProtos is empty: QUIC requires an application protocol")
	}
	for _, proto := range cfg.NextProtos {
		if len(proto) == 0 || len(proto) > 255 {
			return fmt.Errorf("native: NextProtos: %q must have 1 to 255 bytes", proto)
		}
	}
	if cfg.ClientAuth > tlsprovider.RequireClientCert {
		return fmt.Errorf("native: ClientAuth %d: %w", cfg.ClientAuth, tlsprovider.ErrUnsupported)
	}
	if cfg.CipherSuites != nil {
		for _, have := range p.Capabilities().CipherSuites {
			if !slices.Contains(cfg.CipherSuites, have) {
				return fmt.Errorf("native: CipherSuites without %v: %w: crypto/tls always enables it: leave CipherSuites nil",
					have, tlsprovider.ErrUnsupported)
			}
		}
	}
	if err := p.checkRequirePQAuth(cfg, side); err != nil {
		return err
	}
	return checkTLSConfig(cfg, side)
}

// firstTicketKeys returns copies of the configured ticket keys, or a random one if there are none.
func (e *endpoint) firstTicketKeys() (ticketKeys, error) {
	if len(e.cfg.TicketKeys) > 0 {
		return ticketKeys{secrets: cloneKeys(e.cfg.TicketKeys)}, nil
	}
	now, err := e.cfg.CurrentTime()
	return ticketKeys{[][]byte{newTicketKey()}, true, now}, err
}

func checkTicketKeys(keys [][]byte) error {
	for i, k := range keys {
		if len(k) != 32 {
			return fmt.Errorf("native: ticket key %d has %d bytes; it must have 32", i, len(k))
		}
	}
	return nil
}

func newTicketKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return key
}

func cloneKeys(keys [][]byte) (out [][]byte) {
	for _, k := range keys {
		out = append(out, bytes.Clone(k))
	}
	return out
}

// boundKeys returns the keys that ticket keys and a configuration make.
func boundKeys(secrets [][]byte, cfg *tlsprovider.Config) ([][32]byte, error) {
	binding := cfg.ServerBinding()
	out := make([][32]byte, 0, len(secrets))
	for _, k := range secrets {
		bound, err := hkdf.Key(sha256.New, k, nil, "pqquic ticket key "+string(binding[:]), 32)
		if err != nil {
			return nil, err
		}
		out = append(out, [32]byte(bound))
		clear(bound)
	}
	return out, nil
}

// SetCertificates implements tlsprovider.Endpoint.
func (e *endpoint) SetCertificates(certs []tlsprovider.Certificate) error {
	if e.side == tlsprovider.Server && len(certs) == 0 {
		return errNoCertificates
	}
	e.changing.Lock()
	defer e.changing.Unlock()
	return e.change(func(v *variable) {
		v.certs = certs
		v.keys.secrets = cloneKeys(v.keys.secrets)
		v.generation++
	})
}

var errNoCertificates = errors.New("native: Certificates is empty: a server needs a certificate")

// SetTicketKeys implements tlsprovider.Endpoint.
func (e *endpoint) SetTicketKeys(keys [][]byte) error {
	switch {
	case e.side == tlsprovider.Client:
		return errors.New("native: SetTicketKeys of a client: only servers have ticket keys")
	case len(keys) == 0:
		return errors.New("native: SetTicketKeys without a key")
	case e.cfg.DisableTickets:
		return fmt.Errorf("native: SetTicketKeys of a server with DisableTickets: %w", tlsprovider.ErrUnsupported)
	}
	if err := checkTicketKeys(keys); err != nil {
		return err
	}
	e.changing.Lock()
	defer e.changing.Unlock()
	return e.change(func(v *variable) { v.keys = ticketKeys{secrets: cloneKeys(keys)} })
}

// change prepares another configuration for new sessions. changing is held, so that no other change is lost. edit must not
// block, and must copy secrets that it keeps.
func (e *endpoint) change(edit func(*variable)) error {
	e.mu.Lock()
	if e.current == nil {
		e.mu.Unlock()
		return errEndpointClosed
	}
	v := e.current.from
	edit(&v)
	e.mu.Unlock()
	p, err := e.prepare(v)
	if err == nil {
		err = e.replace(p)
	}
	if err != nil {
		wipe(v.keys.secrets)
	}
	return err
}

func (e *endpoint) replace(p *prepared) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current == nil {
		return errEndpointClosed
	}
	wipe(e.current.from.keys.secrets)
	e.current = p
	return nil
}

func wipe(keys [][]byte) {
	for _, k := range keys {
		clear(k)
	}
}

// state returns the configuration for a new session. It replaces the endpoint's own ticket key if that is too
// old.
func (e *endpoint) state() (*prepared, error) {
	now, err := e.cfg.CurrentTime() // before the lock, because it calls the program's clock
	if err != nil {
		return nil, err
	}
	p, err := e.now()
	if err != nil || !p.from.keys.due(now) || !e.changing.TryLock() {
		return p, err // another goroutine replaces the key
	}
	defer e.changing.Unlock()
	if p, err = e.now(); err == nil && p.from.keys.due(now) {
		// If it fails, the server continues with the old key rather than fail a connection.
		_ = e.change(func(v *variable) {
			v.keys = ticketKeys{[][]byte{newTicketKey(), bytes.Clone(v.keys.secrets[0])}, true, now}
		})
	}
	return e.now()
}

// now returns the current configuration.
func (e *endpoint) now() (*prepared, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current == nil {
		return nil, errEndpointClosed
	}
	return e.current, nil
}

// due reports whether the endpoint has made its newest ticket key too long ago.
func (k *ticketKeys) due(now time.Time) bool {
	return k.own && now.Sub(k.madeAt) >= ticketKeyLife
}

// Close implements tlsprovider.Endpoint.
func (e *endpoint) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current != nil {
		wipe(e.current.from.keys.secrets)
		e.current = nil
	}
}

// A serverKey names a configuration of a server's sessions.
type serverKey struct {
	alpn    string
	version uint32
}

// version2Keys returns the ticket keys of connections of QUIC version 2, which are derived from those of version 1: a ticket
// is of no use in a connection of the other version.
//
// "Servers MUST validate the originating version of any session ticket or token and not accept one issued from a different
// version."
// https://www.rfc-editor.org/rfc/rfc9369#section-5-2
func version2Keys(keys [][32]byte) ([][32]byte, error) {
	out := make([][32]byte, 0, len(keys))
	for _, k := range keys {
		other, err := hkdf.Key(sha256.New, k[:], nil, "pqquic ticket key QUIC version 2", 32)
		if err != nil {
			return nil, err
		}
		out = append(out, [32]byte(other))
		clear(other)
	}
	return out, nil
}
