package tlstest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/messages"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// A session is one handshake.
type session struct {
	e       *endpoint
	tls     *tls.Config
	params  []byte
	conn    *tls.QUICConn        // nil until a client starts, or a server has its Decision
	hello   messages.ClientHello // a server's
	offer   *tlsprovider.ClientHello
	post    messages.PostHandshake
	reading tlsprovider.Level
	secrets [4][2]*secret // by level, and by direction: read, write
	state   tlsprovider.State
	events  []tlsprovider.Event
	failed  error
}

func (e *endpoint) NewSession(p tlsprovider.SessionParams) (tlsprovider.Session, error) {
	c := e.tls.Load()
	if c == nil {
		return nil, errClosed
	}
	now, err := e.cfg.CurrentTime()
	if err != nil {
		return nil, err
	}
	s := &session{e: e, tls: c.Clone(), params: p.TransportParameters}
	s.tls.Time = func() time.Time { return now } // crypto/tls would call the program's clock outside of Guard
	s.state.Provider, s.state.ServerName = e.p.Name(), p.ServerName
	if e.side == tlsprovider.Client {
		name, err := tlsprovider.ParseServerName(p.ServerName)
		if err != nil {
			return nil, err
		}
		s.tls.ServerName = name.Verify
	}
	e.p.live.Add(1)
	return s, nil
}

func (s *session) Advance(in []tlsprovider.CryptoData) ([]tlsprovider.Event, error) {
	s.events = nil
	switch {
	case s.failed != nil:
		return nil, s.failed
	case s.offer != nil:
		return nil, s.fail(tlsprovider.AlertInternalError, errors.New("example: Advance before Continue"))
	case s.conn == nil && s.e.side == tlsprovider.Server:
		ch, err := s.hello.Add(in)
		if ch == nil || err != nil {
			return nil, s.failWith(err)
		}
		s.offer, s.state.ServerName = ch, ch.ServerName
		return []tlsprovider.Event{{Kind: tlsprovider.EventClientHello, ClientHello: ch}}, nil
	case s.conn == nil:
		return s.start(tls.QUICClient(&tls.QUICConfig{TLSConfig: s.tls}), in)
	}
	return s.feed(in)
}

func (s *session) Continue(d tlsprovider.Decision) ([]tlsprovider.Event, error) {
	s.events = nil
	offer := s.offer
	s.offer = nil
	switch {
	case s.failed != nil:
		return nil, s.failed
	case offer == nil, d.Endpoint != nil:
		return nil, s.fail(tlsprovider.AlertInternalError, errors.New("example: Continue without a ClientHello, or with an Endpoint"))
	case s.e.cfg.RequirePQ && !slices.ContainsFunc(offer.Groups, tlsprovider.Group.PostQuantum):
		return nil, s.fail(tlsprovider.AlertInsufficientSecurity, fmt.Errorf("example: the client offers %v", offer.Groups))
	}
	s.params, s.tls.NextProtos = d.TransportParameters, []string{d.ALPN}
	return s.start(tls.QUICServer(&tls.QUICConfig{TLSConfig: s.tls}), tlstest.Crypt(tlsprovider.LevelInitial, s.hello.Bytes()))
}

func (s *session) start(conn *tls.QUICConn, in []tlsprovider.CryptoData) ([]tlsprovider.Event, error) {
	s.conn = conn
	conn.SetTransportParameters(append([]byte{}, s.params...))
	if err := conn.Start(context.Background()); err != nil {
		return nil, s.failWith(err)
	}
	if err := s.drain(); err != nil {
		return nil, s.failWith(err)
	}
	return s.feed(in)
}

// feed passes CRYPTO bytes to crypto/tls.
func (s *session) feed(in []tlsprovider.CryptoData) ([]tlsprovider.Event, error) {
	for _, d := range in {
		if len(d.Data) > 0 && d.Level != s.reading {
			return nil, s.fail(tlsprovider.AlertUnexpectedMessage, fmt.Errorf("example: %v bytes at the level %v", d.Level, s.reading))
		}
		var err error
		if s.state.HandshakeDone {
			err = s.post.Check(s.e.side, d.Data)
		}
		if err == nil {
			err = s.conn.HandleData(tls.QUICEncryptionLevel(d.Level), d.Data)
		}
		if err == nil {
			err = s.drain()
		}
		if err != nil {
			return nil, s.failWith(err)
		}
	}
	return s.events, nil
}

// drain translates the events of crypto/tls. Their data must be copied.
func (s *session) drain() error {
	for {
		ev := s.conn.NextEvent()
		e := tlsprovider.Event{Level: tlsprovider.Level(ev.Level), Data: bytes.Clone(ev.Data)}
		switch ev.Kind {
		case tls.QUICNoEvent:
			return nil
		case tls.QUICWriteData:
			e.Kind = tlsprovider.EventWrite
		case tls.QUICSetReadSecret, tls.QUICSetWriteSecret:
			e.Kind, e.Read, e.Write = tlsprovider.EventKeys, ev.Kind == tls.QUICSetReadSecret, ev.Kind == tls.QUICSetWriteSecret
			dir := 1
			if e.Read {
				dir, s.reading = 0, e.Level
			}
			s.secrets[e.Level][dir] = &secret{tlsprovider.CipherSuite(ev.Suite), e.Data}
			e.Data = nil
			if e.Level == tlsprovider.LevelApp && e.Write {
				// A server's State is asked for now. crypto/tls has the group only at the end.
				s.state.ALPN, s.state.CipherSuite = s.tls.NextProtos[0], tlsprovider.CipherSuite(ev.Suite)
			}
		case tls.QUICTransportParameters:
			if s.e.side == tlsprovider.Server {
				continue // they are in the ClientHello
			}
			e.Kind = tlsprovider.EventTransportParameters
		case tls.QUICHandshakeDone:
			e.Kind = tlsprovider.EventHandshakeDone
			if err := s.finish(); err != nil {
				return err
			}
		default:
			continue
		}
		s.events = append(s.events, e)
	}
}

// finish fills in the state and asks the program's VerifyPeer.
func (s *session) finish() error {
	cs, st := s.conn.ConnectionState(), &s.state
	st.ALPN, st.Group, st.CipherSuite = cs.NegotiatedProtocol, tlsprovider.Group(cs.CurveID), tlsprovider.CipherSuite(cs.CipherSuite)
	for _, c := range cs.PeerCertificates {
		st.PeerChain = append(st.PeerChain, c.Raw)
	}
	if s.e.cfg.VerifyPeer != nil {
		st.SetPeerDetails(tlsprovider.PeerDetails{VerifiedChains: rawChains(cs.VerifiedChains)})
	}
	if st.ALPN == "" {
		return &tlsprovider.Error{Alert: tlsprovider.AlertNoApplicationProtocol}
	}
	if err := s.e.cfg.RunVerifyPeer(st); err != nil {
		return err
	}
	st.HandshakeDone = true
	return nil
}

func rawChains(chains [][]*x509.Certificate) [][][]byte {
	out := make([][][]byte, len(chains))
	for i, chain := range chains {
		for _, c := range chain {
			out[i] = append(out[i], c.Raw)
		}
	}
	return out
}

func (s *session) State() tlsprovider.State { return s.state }

func (s *session) Export(string, []byte, int) ([]byte, error) {
	return nil, fmt.Errorf("example: exporters: %w", tlsprovider.ErrUnsupported)
}

// IgnoreTickets has nothing to free: there are no tickets.
func (s *session) IgnoreTickets() {}

func (s *session) Close() {
	if s.failed == errClosed {
		return
	}
	s.failed, s.secrets = errClosed, [4][2]*secret{}
	s.e.p.live.Add(-1)
	if s.conn != nil {
		_ = s.conn.Close()
	}
}

// fail ends the handshake, which returns the same error from now on.
func (s *session) fail(a tlsprovider.Alert, err error) error {
	s.failed = &tlsprovider.Error{Alert: a, Err: err}
	return s.failed
}

// failWith finds the alert of an error of crypto/tls.
func (s *session) failWith(err error) error {
	var own *tlsprovider.Error
	var alert tls.AlertError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		s.failed = own
		return own
	case errors.As(err, &unknown):
		return s.fail(tlsprovider.AlertUnknownCA, err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return s.fail(tlsprovider.AlertCertificateExpired, err)
	case errors.As(err, &alert):
		return s.fail(tlsprovider.Alert(alert), err)
	}
	return s.fail(tlsprovider.AlertInternalError, err)
}
