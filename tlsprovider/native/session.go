package native

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/hello"
	"github.com/pqquic/pqquic/tlsprovider/messages"
)

// maxHeld is the maximum length of the input that is held while the session waits for a signature. A correct
// peer sends much less.
const maxHeld = 1 << 16

var errOutOfTurn = errors.New("native: Advance while the session waits for Continue, or Continue while it does not")

// A session is one handshake. It implements tlsprovider.Session.
type session struct {
	e           *endpoint
	prepared    *prepared
	version     *version
	name        tlsprovider.ServerName // of the server, on a client
	quicVersion uint32                 // SessionParams.Version, and on a server Decision.Version
	params      []byte                 // transport parameters of a client
	conn        *tls.QUICConn
	signing     *signing     // nil unless a private key is external
	outside     bool         // a signature was requested from a Signer
	watch       *hello.Watch // nil once tickets are ignored
	post        messages.PostHandshake
	state       tlsprovider.State

	hello          messages.ClientHello // CRYPTO bytes before Continue, on a server
	waitHello      bool                 // EventClientHello was returned
	offered        []tlsprovider.Group  // by the client, on a server
	wantPQ         bool                 // RequirePQ of any endpoint that the session has had
	pqAuth         bool                 // RequirePQAuth of any endpoint that the session has had
	readLevel      tlsprovider.Level
	input          []tlsprovider.CryptoData // not passed to crypto/tls yet, of the current call unless signing is set
	held           int                      // bytes received while the session waits for a signature
	events         []tlsprovider.Event
	secrets        [4][2]*secret // by level and direction: read, write
	ticketsIgnored bool          // conn is nil; exporter is still set
	exporter       func(label string, context []byte, length int) ([]byte, error)
	tickets        int // number stored by a client

	// Early data. The fields are set if Config.EarlyData is.
	early       *earlyEntry // of the session that a client resumes with early data
	peerParams  []byte      // transport parameters of a client's server
	offersEarly bool        // the client offers early data, on a server
	ticketData  []byte      // Decision.TicketData
	chosenALPN  string      // Decision.ALPN
	acceptEarly func(*tlsprovider.EarlyDataOffer) bool

	panicked error // a callback panicked, or called runtime.Goexit
	reported int
	failed   error
	closed   bool
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
	s := &session{e: e, prepared: prepared, version: v, watch: new(hello.Watch), params: p.TransportParameters,
		quicVersion: p.Version, wantPQ: e.cfg.RequirePQ, pqAuth: e.cfg.RequirePQAuth}
	s.state.Provider, s.state.ServerName = Name, p.ServerName
	if prepared.external {
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

// isExternal reports whether a private key is not in memory.
func isExternal(key any) bool {
	switch key.(type) {
	case *ecdsa.PrivateKey, *rsa.PrivateKey, ed25519.PrivateKey:
		return false
	}
	return !isMLDSA(key)
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
		if s.signing != nil { // crypto/tls may read it after this call
			d.Data = append([]byte(nil), d.Data...)
		}
		s.input = append(s.input, d)
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
		// Without session events, crypto/tls offers and accepts early data whenever the session permits them.
		s.conn = tls.QUICClient(&tls.QUICConfig{TLSConfig: s.prepared.clientConfig(s), EnableSessionEvents: true})
		s.conn.SetTransportParameters(s.params)
		return s.after(s.signing.call(func() error { return s.conn.Start(context.Background()) }))
	}
	return s.feed()
}

// collect collects the ClientHello on a server. The whole message is parsed before crypto/tls receives it,
// because the configuration depends on it.
func (s *session) collect() ([]tlsprovider.Event, error) {
	ch, err := s.hello.Add(s.input)
	s.input = s.input[:0]
	switch {
	case err != nil:
		return nil, s.fail(err)
	case ch == nil:
		return nil, nil
	}
	s.state.ServerName, s.offered, s.offersEarly = ch.ServerName, ch.Groups, ch.EarlyData
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
			return nil, s.alert(tlsprovider.AlertInternalError, "Decision.Endpoint is not a server of this provider")
		}
		p, err := other.state()
		if err != nil {
			return nil, s.alert(tlsprovider.AlertInternalError, "%w", err)
		}
		s.e.p.live.sessions.Add(-1)
		other.p.live.sessions.Add(1)
		s.e, s.prepared, s.wantPQ = other, p, s.wantPQ || other.cfg.RequirePQ
		s.pqAuth = s.pqAuth || other.cfg.RequirePQAuth
		if p.external {
			s.signing = newSigning()
		}
	}
	if s.wantPQ && !slices.ContainsFunc(s.offered, tlsprovider.Group.PostQuantum) {
		// crypto/tls would report that there is no common group if it does not support those of the client.
		return nil, s.alert(tlsprovider.AlertInsufficientSecurity, "RequirePQ is set, but the client offers only %s",
			tlsprovider.GroupList(s.offered))
	}
	if len(s.prepared.certs) == 0 && !hasCallback(s.e.cfg.TLS) {
		return nil, s.alert(tlsprovider.AlertInternalError, "%w", errNoCertificates)
	}
	v, err := findVersion(d.Version)
	if err != nil {
		return nil, s.alert(tlsprovider.AlertInternalError, "%w", err)
	}
	s.version = v
	s.quicVersion, s.chosenALPN = d.Version, d.ALPN
	s.ticketData, s.acceptEarly = d.TicketData, d.AcceptEarlyData
	s.conn = tls.QUICServer(&tls.QUICConfig{TLSConfig: s.prepared.serverConfig(s, d.ALPN), EnableSessionEvents: true})
	params := d.TransportParameters
	if params == nil {
		params = []byte{}
	}
	s.conn.SetTransportParameters(params)
	s.input = append(s.input[:0], tlsprovider.CryptoData{Level: tlsprovider.LevelInitial, Data: s.hello.Bytes()})
	s.hello = messages.ClientHello{}
	return s.after(s.signing.call(func() error { return s.conn.Start(context.Background()) }))
}

// after processes the result of a call of crypto/tls, which has ended or waits for a signature.
func (s *session) after(waiting bool, err error) ([]tlsprovider.Event, error) {
	switch {
	case s.panicked != nil:
		return nil, s.fail(s.panicked)
	case err != nil && s.signing.failure() != nil:
		// crypto/tls does not wrap the Signer's error.
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

// feed passes the input to crypto/tls.
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
			return nil, s.alert(tlsprovider.AlertUnexpectedMessage, "received %v bytes, expected %v bytes", d.Level, s.readLevel)
		}
		if s.state.HandshakeDone {
			if err := s.post.Check(s.e.side, d.Data); err != nil {
				return nil, s.fail(err)
			}
		}
		if s.ticketsIgnored {
			continue
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
	s.watch, s.events = nil, nil // the events refer to the bytes of the last flight
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

// fail ends the session. Later calls return the same error.
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
