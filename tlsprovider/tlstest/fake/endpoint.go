package fake

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/pqquic/pqquic/tlsprovider"
)

type endpoint struct {
	p      *Provider
	side   tlsprovider.Side
	cfg    tlsprovider.Config
	groups []tlsprovider.Group
	suites []tlsprovider.CipherSuite

	mu         sync.Mutex
	closed     bool
	certs      []tlsprovider.Certificate
	ticketKeys []uint64
	tickets    map[string][]ticket // of a client, by server name
	generation int                 // counts SetCertificates
}

// NewClient implements tlsprovider.Provider.
func (p *Provider) NewClient(cfg *tlsprovider.Config) (tlsprovider.Endpoint, error) {
	return p.newEndpoint(cfg, tlsprovider.Client)
}

// NewServer implements tlsprovider.Provider. Unlike real providers it invents a chain if there is no certificate;
// see Options.ChainLen.
func (p *Provider) NewServer(cfg *tlsprovider.Config) (tlsprovider.Endpoint, error) {
	return p.newEndpoint(cfg, tlsprovider.Server)
}

func (p *Provider) newEndpoint(cfg *tlsprovider.Config, side tlsprovider.Side) (tlsprovider.Endpoint, error) {
	if cfg == nil {
		cfg = new(tlsprovider.Config)
	}
	e := &endpoint{p: p, side: side, cfg: *cfg, groups: cfg.Groups, suites: cfg.CipherSuites, certs: cfg.Certificates}
	switch {
	case cfg.Policy != "":
		return nil, fmt.Errorf("fake: Policy %q: %w", cfg.Policy, tlsprovider.ErrUnsupported)
	case len(cfg.NextProtos) == 0:
		return nil, errors.New("fake: NextProtos is empty: QUIC requires an application protocol")
	}
	if e.groups == nil {
		e.groups = []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.X25519, tlsprovider.P256, tlsprovider.P384}
		if p.opts.Classical {
			e.groups = e.groups[1:]
		}
	}
	e.groups = sorted(e.groups)
	for _, g := range cfg.Groups {
		if !slices.Contains(e.groups, g) {
			return nil, fmt.Errorf("fake: %v: %w", g, tlsprovider.ErrUnsupported)
		}
	}
	if e.suites == nil {
		e.suites = allSuites()
	}
	for _, s := range e.suites {
		if !slices.Contains(allSuites(), s) {
			return nil, fmt.Errorf("fake: %v: %w", s, tlsprovider.ErrUnsupported)
		}
	}
	if err := checkTicketKeys(cfg.TicketKeys); err != nil {
		return nil, err
	}
	e.setTicketKeys(cfg.TicketKeys)
	return e, nil
}

// sorted returns groups in the order of preference.
func sorted(groups []tlsprovider.Group) (out []tlsprovider.Group) {
	for _, g := range allGroups() {
		if slices.Contains(groups, g.ID) {
			out = append(out, g.ID)
		}
	}
	return out
}

func checkTicketKeys(keys [][]byte) error {
	for i, k := range keys {
		if len(k) != 32 {
			return fmt.Errorf("fake: ticket key %d has %d bytes; it must have 32", i, len(k))
		}
	}
	return nil
}

func (e *endpoint) setTicketKeys(keys [][]byte) {
	e.ticketKeys = nil
	for _, k := range keys {
		e.ticketKeys = append(e.ticketKeys, sum(m2, k))
	}
	if e.ticketKeys == nil && e.side == tlsprovider.Server {
		e.ticketKeys = []uint64{e.p.next()}
	}
}

// SetCertificates implements tlsprovider.Endpoint.
func (e *endpoint) SetCertificates(certs []tlsprovider.Certificate) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.certs, e.tickets = certs, nil
	e.generation++
	return nil
}

// SetTicketKeys implements tlsprovider.Endpoint.
func (e *endpoint) SetTicketKeys(keys [][]byte) error {
	if e.side == tlsprovider.Client {
		return errors.New("fake: SetTicketKeys of a client: only servers have ticket keys")
	}
	if len(keys) == 0 {
		return errors.New("fake: SetTicketKeys without a key")
	}
	if err := checkTicketKeys(keys); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.setTicketKeys(keys)
	return nil
}

// Close implements tlsprovider.Endpoint.
func (e *endpoint) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed, e.tickets = true, nil
}

// A ticket is a pre-shared key and its name.
type ticket struct {
	psk   uint64
	bytes []byte
}

const (
	ticketLen    = 160 // about the length of real tickets
	ticketPrefix = 16  // the key and its tag
	maxTickets   = 4   // for each server name
	maxNames     = 64
)

func (e *endpoint) newTicket(psk uint64) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := make([]byte, ticketLen)
	putUint64(t, psk)
	putUint64(t[8:], mum(e.ticketKeys[0], psk))
	fill(t[ticketPrefix:], psk)
	return t
}

// openTicket returns the key in a ticket.
func (e *endpoint) openTicket(t []byte) (psk uint64, ok bool) {
	if len(t) != ticketLen {
		return 0, false
	}
	psk = getUint64(t)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, k := range e.ticketKeys {
		if getUint64(t[8:]) == mum(k, psk) {
			return psk, true
		}
	}
	return 0, false
}

// store stores a ticket of a session that began with the present certificates, and reports whether it did.
func (e *endpoint) store(name string, generation int, t ticket) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || generation != e.generation {
		return false
	}
	if e.tickets == nil {
		e.tickets = make(map[string][]ticket)
	}
	ts := e.tickets[name]
	if ts == nil && len(e.tickets) >= maxNames {
		return false
	}
	if len(ts) >= maxTickets {
		ts = ts[1:]
	}
	t.bytes = bytes.Clone(t.bytes)
	e.tickets[name] = append(ts, t)
	return true
}

// takeTicket removes the newest ticket and returns it. Each ticket is used once.
func (e *endpoint) takeTicket(name string) (t ticket, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ts := e.tickets[name]
	if len(ts) == 0 {
		return t, false
	}
	t = ts[len(ts)-1]
	e.tickets[name] = ts[:len(ts)-1]
	return t, true
}

// firstCert returns the certificate to present, if there is one.
func (e *endpoint) firstCert() (tlsprovider.Certificate, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.certs) == 0 {
		return tlsprovider.Certificate{}, false
	}
	return e.certs[0], true
}
