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

// A dialConfig is what a Transport passes to quic.Dial.
type dialConfig struct {
	base quic.Config
	err  error
	// hasName is set if the user has chosen the name that is verified.
	hasName bool
}

// prepare makes what the connections have in common, once.
func (t *Transport) prepare() {
	t.once.Do(func() {
		t.config = t.newConnConfig()
		t.dialer.base, t.dialer.err = t.quicConfig()
		t.dialer.hasName = t.dialer.base.ServerName != "" || t.TLSClientConfig != nil && t.TLSClientConfig.ServerName != ""
	})
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

// quicConfig returns the configuration of connections.
func (t *Transport) quicConfig() (quic.Config, error) {
	c := quic.Config{KeepAlivePeriod: keepAlive}
	if t.QUIC != nil {
		c = *t.QUIC
		if c.KeepAlivePeriod == 0 {
			c.KeepAlivePeriod = keepAlive
		}
	}
	if t.Provider != nil {
		c.Provider = t.Provider
	}
	own := t.TLS
	switch {
	case own != nil && t.TLSClientConfig != nil:
		return c, errors.New("http3: Transport.TLS and Transport.TLSClientConfig are both set")
	case t.TLSClientConfig != nil:
		var err error
		if own, err = tlsprovider.FromTLSConfig(t.TLSClientConfig); err != nil {
			return c, err
		}
	case own == nil && c.ClientTLS != nil:
		own = c.ClientTLS
	case own == nil && c.TLS != nil:
		own = c.TLS
	case own == nil:
		own = new(tlsprovider.Config)
	}
	prepared := *own
	prepared.NextProtos = []string{NextProto}
	hasCache := prepared.TLS != nil && prepared.TLS.ClientSessionCache != nil
	if prepared.ClientStore == nil && !hasCache && !prepared.DisableTickets { // quic.Dial would forget the sessions
		prepared.ClientStore = tlsprovider.NewClientStore(0, 0)
	}
	prepared.EarlyData = prepared.EarlyData || hasZeroRTT(c.Provider) && !prepared.DisableTickets
	if c.TokenStore == nil {
		c.TokenStore = tlsprovider.NewClientStore(0, 0)
	}
	c.TLS, c.ClientTLS = &prepared, nil
	if t.EnableDatagrams && c.MaxDatagramFrameSize == 0 {
		c.MaxDatagramFrameSize = 1<<16 - 1
	}
	nameSchemas(&c)
	return c, checkUniStreams(&c)
}

// hasZeroRTT reports whether a provider, of which nil means crypto/tls, supports early data.
func hasZeroRTT(p tlsprovider.Provider) bool { return p == nil || p.Capabilities().ZeroRTT }

// dialConfig returns the configuration of a connection.
func (t *Transport) dialConfig(to route) (*quic.Config, error) {
	t.prepare()
	if t.dialer.err != nil {
		return nil, t.dialer.err
	}
	c := t.dialer.base
	// "Upon receiving a server certificate in the TLS handshake, the client MUST verify that the certificate is an acceptable match
	// for the URI's origin server using the process described in Section 4.3.4 of [HTTP]."
	// https://www.rfc-editor.org/rfc/rfc9114#section-3.1-2
	if (t.Dial != nil || to.dial != to.origin) && !t.dialer.hasName { // otherwise, quic.Dial does the same
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
