package native

import (
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
	cfg    tlsprovider.Config
	groups []tls.CurveID

	mu       sync.Mutex
	current  *prepared // nil once closed
	certs    []tls.Certificate
	external bool // a private key is external

	keys    [][32]byte
	ownKeys bool // the endpoint made its ticket keys, the newest at madeAt
	madeAt  time.Time

	generation int // counts SetCertificates
}

// A prepared is the configuration of the sessions of an endpoint. A change of the endpoint makes a new one;
// existing sessions keep theirs.
type prepared struct {
	base     *tls.Config
	certs    []tls.Certificate
	external bool
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
	if cfg.RequirePQ && cfg.Groups != nil && !slices.ContainsFunc(cfg.Groups, tlsprovider.Group.PostQuantum) {
		return nil, fmt.Errorf("native: RequirePQ is set, but Groups (%s) has no post-quantum group",
			tlsprovider.GroupList(cfg.Groups))
	}
	if e.certs, e.external, err = certificates(cfg.Certificates); err != nil {
		return nil, err
	}
	now, err := cfg.CurrentTime()
	if err != nil {
		return nil, err
	}
	if err := e.setTicketKeys(cfg.TicketKeys, now); err != nil {
		return nil, err
	}
	if e.current, err = e.prepare(); err != nil {
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

// setTicketKeys sets the keys that the configured ticket keys and the configuration make, or a random one if there are
// none.
func (e *endpoint) setTicketKeys(keys [][]byte, now time.Time) error {
	out := make([][32]byte, 0, len(keys))
	binding := e.cfg.ServerBinding()
	for i, k := range keys {
		if len(k) != 32 {
			return fmt.Errorf("native: ticket key %d has %d bytes; it must have 32", i, len(k))
		}
		bound, err := hkdf.Key(sha256.New, k, nil, "pqquic ticket key "+string(binding[:]), 32)
		if err != nil {
			return err
		}
		out = append(out, [32]byte(bound))
		clear(bound)
	}
	e.ownKeys = len(out) == 0
	if e.ownKeys && e.side == tlsprovider.Server {
		out, e.madeAt = [][32]byte{newTicketKey()}, now
	}
	e.keys = out
	return nil
}

func newTicketKey() (key [32]byte) {
	_, _ = rand.Read(key[:]) // never fails
	return key
}

// SetCertificates implements tlsprovider.Endpoint.
func (e *endpoint) SetCertificates(certs []tlsprovider.Certificate) error {
	out, external, err := certificates(certs)
	if err != nil {
		return err
	}
	if e.side == tlsprovider.Server && len(out) == 0 {
		return errNoCertificates
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.certs, e.external, e.cfg.Certificates = out, external, certs
	e.generation++
	return e.replaceLocked()
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
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.setTicketKeys(keys, e.madeAt); err != nil {
		return err
	}
	return e.replaceLocked()
}

func (e *endpoint) replaceLocked() error {
	if e.current == nil {
		return errEndpointClosed
	}
	p, err := e.prepare()
	if err == nil {
		e.current = p
	}
	return err
}

// state returns the configuration for a new session. It replaces the endpoint's own ticket key if that is too
// old.
func (e *endpoint) state() (*prepared, error) {
	now, err := e.cfg.CurrentTime() // before the lock, because it calls the program's clock
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current == nil {
		return nil, errEndpointClosed
	}
	if e.side == tlsprovider.Server && e.ownKeys && now.Sub(e.madeAt) >= ticketKeyLife {
		e.keys, e.madeAt = [][32]byte{newTicketKey(), e.keys[0]}, now
		if err := e.replaceLocked(); err != nil {
			return nil, err
		}
	}
	return e.current, nil
}

// Close implements tlsprovider.Endpoint.
func (e *endpoint) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.current = nil
	clear(e.keys)
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
