package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// tcpEngine makes TLS connections over TCP to one server.
type tcpEngine struct {
	*prober
	addr string // set when an address has accepted a connection
}

// dial connects, to the address that has accepted the first connection.
func (e *tcpEngine) dial(ctx context.Context) (net.Conn, error) {
	addr := e.addr
	if addr == "" {
		addr = net.JoinHostPort(e.host, e.port)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, &noAnswer{err}
	}
	if e.addr == "" {
		e.addr = c.RemoteAddr().String()
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline) // a connection that cannot have one has failed
	}
	return c, nil
}

func (e *tcpEngine) config(a attempt) *tls.Config {
	c := &tls.Config{
		ServerName: e.serverName, NextProtos: e.TCPALPN, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: !a.verify, SessionTicketsDisabled: true,
	}
	if a.version != 0 {
		c.MinVersion, c.MaxVersion = uint16(a.version), uint16(a.version)
	}
	if a.verify && e.Roots != nil {
		c.RootCAs = x509.NewCertPool()
		for _, der := range e.Roots.DER() {
			if root, err := x509.ParseCertificate(der); err == nil {
				c.RootCAs.AddCert(root)
			}
		}
	}
	groups := a.groups
	if groups == nil {
		groups = usualGroups
	}
	for _, g := range groups {
		c.CurvePreferences = append(c.CurvePreferences, tls.CurveID(g))
	}
	return c
}

func (e *tcpEngine) handshake(ctx context.Context, a attempt) (*outcome, error) {
	// The native provider has the groups of crypto/tls.
	if len(supported(native.New(), a.groups)) < len(a.groups) {
		return nil, errNoProvider
	}
	ctx, cancel := context.WithTimeout(ctx, e.HandshakeTimeout)
	defer cancel()
	raw, err := e.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	c := tls.Client(raw, e.config(a))
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, tcpError(err)
	}
	_ = c.CloseWrite() // close_notify is a courtesy
	return e.outcome(c.ConnectionState(), raw.RemoteAddr()), nil
}

func (e *tcpEngine) outcome(st tls.ConnectionState, addr net.Addr) *outcome {
	o := &outcome{
		addr: addr.String(), group: tlsprovider.Group(st.CurveID), helloRetried: st.HelloRetryRequest,
		alpn: st.NegotiatedProtocol, suite: tls.CipherSuiteName(st.CipherSuite), oldTLS: st.Version < tls.VersionTLS13,
		staple: len(st.OCSPResponse) > 0,
	}
	// The leaf's key makes the signature of CertificateVerify.
	pq := len(st.VerifiedChains) > 0 && !o.oldTLS
	for i, c := range st.PeerCertificates {
		o.chain = append(o.chain, c.Raw)
		root := func(chain []*x509.Certificate) bool { return chain[len(chain)-1].Equal(c) }
		pq = pq && (isPQSignature(c) || i > 0 && slices.ContainsFunc(st.VerifiedChains, root)) && (i > 0 || hasPQKey(c))
	}
	o.pqAuth = pq
	return o
}

// recordHandshake and recordAlert are types of TLS records.
const (
	recordAlert     = 21
	recordHandshake = 22
	maxRecord       = 1<<14 + 256
)

func (e *tcpEngine) hello(ctx context.Context, o *offer) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, e.HandshakeTimeout)
	defer cancel()
	msg, err := o.clientHello(helloKind{serverName: e.serverName, alpn: e.TCPALPN})
	if err != nil {
		return nil, err
	}
	c, err := e.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(recordHandshake)
	b.AddUint16(tls.VersionTLS10) // what a first ClientHello has for compatibility
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(msg) })
	record, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(record); err != nil {
		return nil, &noAnswer{err}
	}
	r, err := readReply(c)
	if r != nil {
		_, _ = c.Write([]byte{recordAlert, 3, 3, 0, 2, 1, byte(alertUserCanceled)}) // a courtesy
	}
	return r, err
}

// readReply reads records until they contain a ServerHello or an alert.
func readReply(r io.Reader) (*reply, error) {
	var msg []byte
	for {
		var header [5]byte
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return nil, &noAnswer{err}
		}
		size := int(header[3])<<8 | int(header[4])
		if header[1] != 3 || size == 0 || size > maxRecord {
			return nil, errNotTLS
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(r, body); err != nil {
			return nil, &noAnswer{err}
		}
		switch {
		case header[0] == recordAlert && size == 2:
			alert := tlsprovider.Alert(body[1])
			return nil, &refusal{alert, fmt.Errorf("the server answers with the alert %v", alert)}
		case header[0] != recordHandshake:
			return nil, errNotTLS
		}
		msg = append(msg, body...)
		if reply, err := parseReply(msg); reply != nil || err != nil {
			return reply, err
		}
	}
}

var errNotTLS = errors.New("the server's answer is not TLS")

// versions returns the versions of TLS that the server takes.
func (e *tcpEngine) versions(ctx context.Context) (list []string) {
	for _, v := range []uint16{tls.VersionTLS13, tls.VersionTLS12, tls.VersionTLS11, tls.VersionTLS10} {
		if _, err := e.handshake(ctx, attempt{version: uint32(v), groups: e.small}); err == nil {
			list = append(list, tls.VersionName(v))
		}
	}
	return list
}

func (e *tcpEngine) resume(ctx context.Context) (resumed, early bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*e.HandshakeTimeout+e.TicketTimeout)
	defer cancel()
	cfg := e.config(attempt{groups: e.small})
	cfg.SessionTicketsDisabled = false
	cache := &ticketCache{ClientSessionCache: tls.NewLRUClientSessionCache(4), stored: make(chan struct{}, 1)}
	cfg.ClientSessionCache = cache
	for range 2 {
		raw, err := e.dial(ctx)
		if err != nil {
			return false, false, err
		}
		c := tls.Client(raw, cfg)
		if err := c.HandshakeContext(ctx); err != nil {
			raw.Close()
			return false, false, tcpError(err)
		}
		if resumed = c.ConnectionState().DidResume; !resumed {
			cache.wait(c, e.TicketTimeout)
		}
		c.Close()
	}
	return resumed, false, nil
}

// A ticketCache reports when it gets a session.
type ticketCache struct {
	tls.ClientSessionCache
	stored chan struct{}
}

func (t *ticketCache) Put(key string, s *tls.ClientSessionState) {
	t.ClientSessionCache.Put(key, s)
	if s != nil {
		select {
		case t.stored <- struct{}{}:
		default:
		}
	}
}

// wait waits for a ticket. Tickets of TLS 1.3 follow the handshake, and are processed by Read.
func (t *ticketCache) wait(c *tls.Conn, timeout time.Duration) {
	_ = c.SetReadDeadline(time.Now().Add(timeout))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for buf := make([]byte, 1024); ; {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	}()
	select {
	case <-t.stored:
		_ = c.SetReadDeadline(time.Unix(1, 0)) // ends Read
		<-ended
	case <-ended:
	}
}

// tcpError returns a *noAnswer if the server has sent nothing that says what it thinks of the ClientHello.
func tcpError(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return &refusal{alertNamed(op.Err.Error()), err}
	}
	var verify *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	switch {
	case errors.As(err, &header):
		return errNotTLS
	case errors.As(err, &verify), strings.HasPrefix(err.Error(), "tls: "):
		return err
	}
	return &noAnswer{err}
}

// alertNamed returns the alert with the name that crypto/tls gives it in an error, such as "tls: handshake failure", or 0.
func alertNamed(text string) tlsprovider.Alert {
	name := strings.ReplaceAll(strings.TrimPrefix(text, "tls: "), " ", "_")
	for a := tlsprovider.Alert(1); a < 128; a++ {
		if a.String() == name || bytes.EqualFold([]byte(tls.AlertError(a).Error()), []byte(text)) {
			return a
		}
	}
	return 0
}
