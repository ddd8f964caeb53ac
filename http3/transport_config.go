package http3

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A dialConfig is what a Transport passes to quic.Dial. SetTLS replaces it.
type dialConfig struct {
	base quic.Config
	err  error
	// hasName is set if the user has chosen the name that is verified.
	hasName bool
	store   tlsprovider.ClientStore // the Transport's own, or nil
}

// prepare makes what the connections have in common, once.
func (t *Transport) prepare() {
	t.once.Do(func() {
		t.config = t.newConnConfig()
		t.tokens = tlsprovider.NewClientStore(0, 0)
		d, err := t.quicConfig(nil, nil)
		d.err = err
		t.dialer = d
	})
}

// SetTLS replaces the TLS configuration, with the effect of quic.Endpoint.SetTLS: the requests that follow use connections
// that are dialed with cfg, whose NextProtos are not used, and requests in progress keep theirs. If it returns an error, nothing
// has changed. It must not be used with Dial functions that ignore their configuration.
func (t *Transport) SetTLS(cfg *tlsprovider.Config) error {
	if cfg == nil {
		return errors.New("http3: SetTLS with a configuration that is nil")
	}
	t.prepare()
	t.mu.Lock()
	store := t.dialer.store
	t.mu.Unlock()
	d, err := t.quicConfig(cfg, store)
	if err == nil {
		err = quic.CheckDial(&d.base)
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.dialer = d
	old := t.conns
	t.conns = nil // those that are being dialed are closed when they are ready, and their requests dial again
	var conns []*ClientConn
	for _, p := range old {
		if p.cc != nil {
			conns = append(conns, p.cc)
		}
	}
	t.mu.Unlock()
	for _, cc := range conns {
		cc.retire()
	}
	return nil
}

// defaultMaxHeader is what net/http's HTTP/2 accepts.
const defaultMaxHeader = 10 << 20

func (t *Transport) newConnConfig() *connConfig {
	c := &connConfig{maxHeader: defaultMaxHeader}
	if t.MaxResponseHeaderBytes > 0 {
		c.maxHeader = int(min(t.MaxResponseHeaderBytes, 1<<30))
	}
	capacity := withDefault(t.MaxTableCapacity, 4096)
	c.encoderCapacity = capacity
	c.settings = frame.List{
		MaxFieldSectionSize: uint64(c.maxHeader), Datagrams: t.EnableDatagrams, QPACKMaxTableCapacity: uint64(capacity),
	}
	if capacity > 0 {
		c.settings.QPACKBlockedStreams = uint64(withDefault(t.MaxBlockedStreams, 16))
	}
	for id, v := range t.AdditionalSettings {
		c.settings.Other = append(c.settings.Other, frame.Setting{ID: id, Value: v})
	}
	return c
}

// keepAlive is the interval of PINGs. Connections without requests end after Transport.IdleConnTimeout.
//
// "HTTP clients are expected to request that the transport keep connections open while there are responses outstanding for
// requests or server pushes"
// https://www.rfc-editor.org/rfc/rfc9114#section-5.1-2
const keepAlive = 10 * time.Second

// quicConfig sets the configuration of connections. If own is nil, TLS is that of the Transport's fields.
func (t *Transport) quicConfig(own *tlsprovider.Config, store tlsprovider.ClientStore) (d dialConfig, err error) {
	c := &d.base
	c.KeepAlivePeriod = keepAlive
	if t.QUIC != nil {
		*c = *t.QUIC
		if c.KeepAlivePeriod == 0 {
			c.KeepAlivePeriod = keepAlive
		}
	}
	if t.Provider != nil {
		c.Provider = t.Provider
	}
	if own == nil {
		if own, err = t.ownTLS(c); err != nil {
			return d, err
		}
	}
	prepared := *own
	prepared.NextProtos = []string{NextProto}
	hasCache := prepared.TLS != nil && prepared.TLS.ClientSessionCache != nil
	if prepared.ClientStore == nil && !hasCache && !prepared.DisableTickets { // quic.Dial would forget the sessions
		if store == nil {
			store = tlsprovider.NewClientStore(0, 0)
		}
		prepared.ClientStore = store
	}
	d.store = store
	prepared.EarlyData = prepared.EarlyData || hasZeroRTT(c.Provider) && !prepared.DisableTickets
	if c.TokenStore == nil {
		c.TokenStore = t.tokens
	}
	c.TLS, c.ClientTLS = &prepared, nil
	d.hasName = c.ServerName != "" || prepared.TLS != nil && prepared.TLS.ServerName != ""
	if t.EnableDatagrams && c.MaxDatagramFrameSize == 0 {
		c.MaxDatagramFrameSize = 1<<16 - 1
	}
	nameSchemas(c)
	return d, checkUniStreams(c)
}

// ownTLS returns the TLS configuration that the Transport's fields name.
func (t *Transport) ownTLS(c *quic.Config) (*tlsprovider.Config, error) {
	switch {
	case t.TLS != nil && t.TLSClientConfig != nil:
		return nil, errors.New("http3: Transport.TLS and Transport.TLSClientConfig are both set")
	case t.TLSClientConfig != nil:
		return tlsprovider.FromTLSConfig(t.TLSClientConfig)
	case t.TLS != nil:
		return t.TLS, nil
	case c.ClientTLS != nil:
		return c.ClientTLS, nil
	case c.TLS != nil:
		return c.TLS, nil
	}
	return new(tlsprovider.Config), nil
}

// hasZeroRTT reports whether a provider, of which nil means crypto/tls, supports early data.
func hasZeroRTT(p tlsprovider.Provider) bool { return p == nil || p.Capabilities().ZeroRTT }

// dialConfig returns the configuration of a connection.
func (t *Transport) dialConfig(to route) (*quic.Config, error) {
	t.prepare()
	t.mu.Lock()
	d := t.dialer
	t.mu.Unlock()
	if d.err != nil {
		return nil, d.err
	}
	c := d.base
	// "Upon receiving a server certificate in the TLS handshake, the client MUST verify that the certificate is an acceptable match
	// for the URI's origin server using the process described in Section 4.3.4 of [HTTP]."
	// https://www.rfc-editor.org/rfc/rfc9114#section-3.1-2
	if (t.Dial != nil || to.dial != to.origin) && !d.hasName { // otherwise, quic.Dial does the same
		host, _, err := net.SplitHostPort(to.origin)
		if err != nil {
			return nil, err
		}
		c.ServerName = host
	}
	return &c, nil
}

// NewClientConn begins HTTP/3 on a connection that was dialed with the protocol "h3". See ClientConn. The Transport's fields apply
// to it, but it is not in the Transport's pool.
func (t *Transport) NewClientConn(qc *quic.Conn) (*ClientConn, error) {
	return t.newClientConn(qc, qc.RemoteAddr().String())
}

// NewClientConn is Transport.NewClientConn with the defaults of a Transport.
func NewClientConn(qc *quic.Conn) (*ClientConn, error) { return new(Transport).NewClientConn(qc) }

func (t *Transport) newClientConn(qc *quic.Conn, addr string) (*ClientConn, error) {
	t.prepare()
	s := qc.ConnectionState().TLS
	if s.ALPN != NextProto && (s.HandshakeDone || s.ALPN != "") {
		err := fmt.Errorf("http3: the connection to %s has the application protocol %q instead of %q", addr, s.ALPN, NextProto)
		return nil, errors.Join(err, qc.CloseWithError(uint64(ErrCodeVersionFallback), "not HTTP/3"))
	}
	cc := &ClientConn{t: t, addr: addr}
	if err := cc.begin(qc); err != nil {
		_ = cc.Close() // never fails
		return nil, err
	}
	return cc, nil
}
