package native

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/hello"
	"github.com/pqquic/pqquic/tlsprovider/messages"
)

// maxHeld bounds the input that comes while a signature is waited for. Nothing that a correct peer sends
// then comes near.
const maxHeld = 1 << 16

var errOutOfTurn = errors.New("native: the session is not waiting for this call")

// A session is one handshake.
type session struct {
	e        *endpoint
	prepared *prepared
	version  *version
	name     tlsprovider.ServerName // that a client asks for
	params   []byte                 // a client's transport parameters
	conn     *tls.QUICConn
	signing  *signing // nil unless a private key lives elsewhere
	outside  bool     // a Signer was asked for a signature
	watch    hello.Watch
	post     messages.PostHandshake
	state    tlsprovider.State

	hello          messages.ClientHello // a server's: CRYPTO before Continue
	waitHello      bool                 // EventClientHello was returned
	wantPQ         bool                 // RequirePQ of any endpoint that the session has had
	readLevel      tlsprovider.Level
	input          []tlsprovider.CryptoData // not fed yet, for a signature was waited for
	held           int                      // bytes of input that came since it is
	events         []tlsprovider.Event
	secrets        [4][2]*secret // by level and direction: read, write
	ticketsIgnored bool          // conn is nil; exporter is still set
	exporter       func(label string, context []byte, length int) ([]byte, error)
	tickets        int   // stored by a client
	panicked       error // a panic in one of the program's functions
	reported       int
	failed         error
	closed         bool
}

// NewSession implements tlsprovider.Endpoint.
func (e *endpoint) NewSession(p tlsprovider.SessionParams) (tlsprovider.Session, error) {
	prepared, err := e.state()
	if err != nil {
		return nil, err
	}
	v, err := findVersion(p.Version)
	if err != nil {
		return nil, err
	}
	s := &session{e: e, prepared: prepared, version: v, params: p.TransportParameters, wantPQ: e.cfg.RequirePQ}
	s.state.Provider, s.state.ServerName = Name, p.ServerName
	if prepared.foreign {
		s.signing = newSigning()
	}
	if e.side == tlsprovider.Client {
		if s.name, err = tlsprovider.ParseServerName(p.ServerName); err != nil {
			return nil, fmt.Errorf("native: %w", err)
		}
		if s.params == nil {
			s.params = []byte{}
		}
	}
	e.p.live.sessions.Add(1)
	return s, nil
}

// isForeign reports whether a key is not in this process's memory.
func isForeign(key any) bool {
	switch key.(type) {
	case *ecdsa.PrivateKey, *rsa.PrivateKey, ed25519.PrivateKey:
		return false
	}
	return true
}

// Advance implements tlsprovider.Session.
func (s *session) Advance(in []tlsprovider.CryptoData) ([]tlsprovider.Event, error) {
	s.events = s.events[:0]
	switch {
	case s.failed != nil:
		return nil, s.failed
	case s.closed:
		return nil, errSessionClosed
	case s.waitHello:
		return nil, s.fail(&tlsprovider.Error{Alert: tlsprovider.AlertInternalError, Err: errOutOfTurn})
	}
	waiting := s.signing != nil && s.signing.pending != nil
	for _, d := range in {
		if s.held += len(d.Data); waiting && s.held > maxHeld {
			return nil, s.alert(tlsprovider.AlertUnexpectedMessage, "%d bytes while a signature is waited for", s.held)
		}
		s.input = append(s.input, tlsprovider.CryptoData{Level: d.Level, Data: append([]byte(nil), d.Data...)})
	}
	if waiting {
		if !s.signing.ready() {
			return nil, nil
		}
		s.held = 0
		return s.after(s.signing.resume())
	}
	s.held = 0
	if s.conn == nil && !s.ticketsIgnored {
		if s.e.side == tlsprovider.Server {
			return s.collect()
		}
		s.conn = tls.QUICClient(&tls.QUICConfig{TLSConfig: s.prepared.clientConfig(s)})
		s.conn.SetTransportParameters(s.params)
		return s.after(s.signing.call(func() error { return s.conn.Start(context.Background()) }))
	}
	return s.feed()
}

// collect waits for a server's whole ClientHello, which is read before crypto/tls sees it: what the
// answer depends on has to be known first.
func (s *session) collect() ([]tlsprovider.Event, error) {
	ch, err := s.hello.Add(s.input)
	s.input = s.input[:0]
	switch {
	case err != nil:
		return nil, s.fail(err)
	case ch == nil:
		return nil, nil
	}
	s.state.ServerName = ch.ServerName
	s.waitHello = true
	return append(s.events, tlsprovider.Event{Kind: tlsprovider.EventClientHello, ClientHello: ch}), nil
}

// Continue implements tlsprovider.Session.
func (s *session) Continue(d tlsprovider.Decision) ([]tlsprovider.Event, error) {
	s.events = s.events[:0]
	switch {
	case s.failed != nil:
		return nil, s.failed
	case s.closed:
		return nil, errSessionClosed
	case !s.waitHello:
		return nil, s.alert(tlsprovider.AlertInternalError, "%w", errOutOfTurn)
	}
	s.waitHello = false
	if d.Endpoint != nil {
		other, ok := d.Endpoint.(*endpoint)
		if !ok || other.side != tlsprovider.Server {
			return nil, s.alert(tlsprovider.AlertInternalError, "the decision's endpoint is not a native server")
		}
		p, err := other.state()
		if err != nil {
			return nil, s.alert(tlsprovider.AlertInternalError, "%w", err)
		}
		s.e.p.live.sessions.Add(-1)
		other.p.live.sessions.Add(1)
		s.e, s.prepared, s.wantPQ = other, p, s.wantPQ || other.cfg.RequirePQ
		if p.foreign {
			s.signing = newSigning()
		}
	}
	if len(s.prepared.certs) == 0 && !hasCallback(s.e.cfg.TLS) {
		return nil, s.alert(tlsprovider.AlertInternalError, "%w", errNoCertificates)
	}
	v, err := findVersion(d.Version)
	if err != nil {
		return nil, s.alert(tlsprovider.AlertInternalError, "%w", err)
	}
	s.version = v
	s.conn = tls.QUICServer(&tls.QUICConfig{TLSConfig: s.prepared.serverConfig(s, d.ALPN)})
	params := d.TransportParameters
	if params == nil {
		params = []byte{}
	}
	s.conn.SetTransportParameters(params)
	s.input = append(s.input[:0], tlsprovider.CryptoData{Level: tlsprovider.LevelInitial, Data: s.hello.Bytes()})
	s.hello = messages.ClientHello{}
	return s.after(s.signing.call(func() error { return s.conn.Start(context.Background()) }))
}

// after goes on when a call of crypto/tls has ended, or waits for a signature.
func (s *session) after(waiting bool, err error) ([]tlsprovider.Event, error) {
	switch {
	case s.panicked != nil:
		return nil, s.fail(s.panicked)
	case err != nil && s.signing.failure() != nil:
		// crypto/tls keeps only its text.
		return nil, s.alert(tlsprovider.AlertInternalError, "signing: %w", s.signing.failure())
	case err != nil:
		return nil, s.fail(err)
	}
	if waiting {
		s.outside = true
		return append(s.events, tlsprovider.Event{Kind: tlsprovider.EventSign, Sign: s.signing.pending}), nil
	}
	if err := s.drain(); err != nil {
		return nil, s.fail(err)
	}
	return s.feed()
}

// feed hands input to crypto/tls.
func (s *session) feed() ([]tlsprovider.Event, error) {
	for len(s.input) > 0 {
		d := s.input[0]
		s.input = s.input[1:]
		if len(d.Data) == 0 {
			continue
		}
		if d.Level != s.readLevel {
			// "If the packet is from a previously installed encryption level, it MUST NOT contain
			// data that extends past the end of previously received data in that flow."
			// https://www.rfc-editor.org/rfc/rfc9001#section-4.1.3-10.2
			return nil, s.alert(tlsprovider.AlertUnexpectedMessage, "%v bytes while %v bytes are expected", d.Level, s.readLevel)
		}
		if s.state.HandshakeDone {
			if err := s.post.Check(s.e.side, d.Data); err != nil {
				return nil, s.fail(err)
			}
		}
		if s.ticketsIgnored {
			continue // a ticket that nobody waits for
		}
		s.watch.Add(s.e.side.Peer(), d.Level, d.Data)
		waiting, err := s.signing.call(func() error { return s.conn.HandleData(tlsLevel(d.Level), d.Data) })
		if err != nil || waiting || s.panicked != nil {
			return s.after(waiting, err)
		}
		if err := s.drain(); err != nil {
			return nil, s.fail(err)
		}
	}
	return s.events, nil
}

// State implements tlsprovider.Session.
func (s *session) State() tlsprovider.State { return s.state }

// IgnoreTickets implements tlsprovider.Session.
func (s *session) IgnoreTickets() {
	if s.ticketsIgnored || s.closed || s.failed != nil || !s.state.HandshakeDone {
		return
	}
	s.ticketsIgnored = true
	_ = s.conn.Close()
	s.signing.close()
	s.conn, s.prepared, s.input, s.signing = nil, nil, nil, nil
}

// Close implements tlsprovider.Session.
func (s *session) Close() {
	if s.closed {
		return
	}
	s.closed = true
	s.e.p.live.sessions.Add(-1)
	s.signing.close()
	if s.conn != nil {
		_ = s.conn.Close()
	}
	for l := range s.secrets {
		for d := range s.secrets[l] {
			if sec := s.secrets[l][d]; sec != nil {
				clear(sec.bytes)
				s.secrets[l][d] = nil
			}
		}
	}
	s.input, s.hello, s.events = nil, messages.ClientHello{}, nil
}

// fail ends the session; it goes on returning the same error.
func (s *session) fail(err error) error {
	var own *tlsprovider.Error
	if !errors.As(err, &own) {
		own = &tlsprovider.Error{Alert: alertOf(err), Err: err}
	}
	s.failed = own
	return own
}

func (s *session) alert(a tlsprovider.Alert, format string, args ...any) error {
	return s.fail(&tlsprovider.Error{Alert: a, Err: fmt.Errorf("native: "+format, args...)})
}
