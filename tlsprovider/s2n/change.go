package s2n

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pqquic/pqquic/cgo/s2n"
	"github.com/pqquic/pqquic/tlsprovider"
)

// ticketKeyLife is how long the endpoint's own ticket key seals tickets. After that it opens tickets for as
// long again.
const ticketKeyLife = 24 * time.Hour

// variable is what can be changed in an endpoint.
type variable struct {
	certs      []tlsprovider.Certificate
	keys       ticketKeys
	generation int // counts SetCertificates
}

// ticketKeys are the ticket keys of a server, the newest first.
type ticketKeys struct {
	secrets [][]byte  // copies that belong to one prepared, and are overwritten with it
	own     bool      // the endpoint made them
	madeAt  time.Time // when it made the newest
}

func cloneKeys(keys [][]byte) (out [][]byte) {
	for _, k := range keys {
		out = append(out, bytes.Clone(k))
	}
	return out
}

func wipe(keys [][]byte) {
	for _, k := range keys {
		clear(k)
	}
}

// A prepared is a configuration of s2n-tls with the Go values that belong to it.
type prepared struct {
	from    variable
	s2n     *s2n.Config
	signers []crypto.Signer
	binding [32]byte // of the tickets in Config.ClientStore

	mu     sync.Mutex
	s2n2   *s2n.Config // of a server's connections of QUIC version 2; nil until there is one
	users  int         // calls that use it now
	closed bool        // it is released when users is 0
}

// prepare makes a configuration, which the endpoint's Close or its next change releases. No lock but changing is held.
func (e *endpoint) prepare(v variable) (*prepared, error) {
	p := &prepared{from: v}
	if e.side == tlsprovider.Client {
		bound := e.cfg
		bound.Certificates = v.certs
		p.binding = bound.ClientBinding()
	}
	var err error
	p.s2n, p.signers, err = e.configure(&v, version1)
	return p, err
}

// use returns the current configuration. The caller must call done when it no longer passes it to C.
func (e *endpoint) use() (*prepared, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current == nil {
		return nil, errEndpointClosed
	}
	e.current.mu.Lock()
	defer e.current.mu.Unlock()
	e.current.users++
	return e.current, nil
}

func (p *prepared) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users--
	p.release()
}

// close releases the configuration when no call uses it. Sessions that were made from it continue.
func (p *prepared) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.release()
}

// release frees the configuration if it is closed and no call uses it. mu is held.
func (p *prepared) release() {
	if !p.closed || p.users > 0 {
		return
	}
	p.s2n.Close()
	if p.s2n2 != nil {
		p.s2n2.Close()
	}
	wipe(p.from.keys.secrets)
}

const (
	version1 = 1
	version2 = 0x6b3343cf
)

// forVersion2 returns the configuration of a server's connections of QUIC version 2. It has other ticket keys, so that a
// ticket is of no use in a connection of the other version. The caller has called use.
//
// "Servers MUST validate the originating version of any session ticket or token and not accept one issued from a different
// version."
// https://www.rfc-editor.org/rfc/rfc9369#section-5-2
func (e *endpoint) forVersion2(p *prepared) (*s2n.Config, error) {
	if len(p.from.keys.secrets) == 0 {
		return p.s2n, nil
	}
	p.mu.Lock()
	have := p.s2n2
	p.mu.Unlock()
	if have != nil {
		return have, nil
	}
	c, _, err := e.configure(&p.from, version2)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.s2n2 != nil { // another handshake was faster
		c.Close()
	} else {
		p.s2n2 = c
	}
	return p.s2n2, nil
}

var errNoCertificates = errors.New("s2n: Certificates is empty: a server needs a certificate")

var errEndpointClosed = errors.New("s2n: the endpoint is closed")

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
	if err != nil {
		wipe(v.keys.secrets)
		return err
	}
	old, ok := e.replace(p)
	if !ok {
		p.close()
		return errEndpointClosed
	}
	old.close()
	return nil
}

// replace makes p the current configuration. It returns the one before, or false if the endpoint is closed.
func (e *endpoint) replace(p *prepared) (old *prepared, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current == nil {
		return nil, false
	}
	old, e.current = e.current, p
	if old.from.generation != p.from.generation {
		e.tickets.clear(p.from.generation) // they belong to the previous certificates
	}
	return old, true
}

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

func (e *endpoint) SetTicketKeys(keys [][]byte) error {
	switch {
	case e.side == tlsprovider.Client:
		return errors.New("s2n: SetTicketKeys of a client: only servers have ticket keys")
	case len(keys) == 0:
		return errors.New("s2n: SetTicketKeys without a key")
	case !e.sendsTickets():
		return fmt.Errorf("s2n: SetTicketKeys of a server that sends no tickets: %w", tlsprovider.ErrUnsupported)
	}
	if err := checkTicketKeys(keys); err != nil {
		return err
	}
	e.changing.Lock()
	defer e.changing.Unlock()
	return e.change(func(v *variable) { v.keys = ticketKeys{secrets: cloneKeys(keys)} })
}

// rotate replaces a server's own ticket key if it is too old. If that fails, the server continues with the old
// key rather than fail a connection.
func (e *endpoint) rotate(now time.Time) {
	if !e.due(now) || !e.changing.TryLock() {
		return // if it is due, another goroutine changes the endpoint
	}
	defer e.changing.Unlock()
	if !e.due(now) {
		return
	}
	key, err := newTicketKey()
	if err != nil {
		return
	}
	_ = e.change(func(v *variable) {
		v.keys = ticketKeys{[][]byte{key, bytes.Clone(v.keys.secrets[0])}, true, now}
	})
}

// due reports whether the endpoint has made its newest ticket key too long ago.
func (e *endpoint) due(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.current != nil && e.current.from.keys.own && now.Sub(e.current.from.keys.madeAt) >= ticketKeyLife
}

func (e *endpoint) Close() {
	e.mu.Lock()
	old := e.current
	e.current = nil
	e.mu.Unlock()
	if old != nil {
		old.close()
	}
	e.tickets.close()
}
