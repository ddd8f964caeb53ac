package fake

import (
	"bytes"
	"slices"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/hello"
)

func (s *session) serverMessage(kind uint8, body, raw []byte) error {
	switch {
	case s.state == wantClientHello && kind == hello.TypeClientHello:
		return s.clientHello(body, raw)
	case s.state == wantClientHello2 && kind == hello.TypeClientHello:
		return s.clientHello2(body, raw)
	case s.state == wantCertificate && kind == hello.TypeCertificate:
		return s.peerCertificate(body, raw)
	case s.state == wantCertificateVerify && kind == hello.TypeCertificateVerify:
		return s.peerVerify(body, raw)
	case s.state == wantFinished && kind == hello.TypeFinished:
		return s.clientFinished(raw)
	}
	return s.unexpected(kind)
}

// parseHello parses a ClientHello and checks what QUIC requires.
func (s *session) parseHello(body []byte) error {
	ch, err := hello.ParseClientHello(bytes.Clone(body))
	if err != nil {
		return s.fail(tlsprovider.AlertDecodeError, "ClientHello: %w", err)
	}
	switch {
	case !ch.Offers(hello.VersionTLS13):
		return s.fail(tlsprovider.AlertProtocolVersion, "the client does not offer TLS 1.3")
	case !ch.HasParameters:
		return s.fail(tlsprovider.AlertMissingExtension, "no transport parameters")
	}
	s.hello = ch
	return nil
}

func (s *session) clientHello(body, raw []byte) error {
	if err := s.parseHello(body); err != nil {
		return err
	}
	s.transcript = sum(s.transcript, raw)
	s.st.ServerName = s.hello.ServerName
	s.state = wantDecision
	s.emit(tlsprovider.Event{Kind: tlsprovider.EventClientHello, ClientHello: &s.hello.ClientHello})
	return nil
}

// Continue implements tlsprovider.Session.
func (s *session) Continue(d tlsprovider.Decision) ([]tlsprovider.Event, error) {
	s.enter(s.p, "Session")
	defer s.leave()
	if err := s.begin("Continue"); err != nil {
		return nil, err
	}
	if s.state != wantDecision {
		return nil, s.p.misuse("Continue without an EventClientHello")
	}
	if !slices.Contains(s.hello.ALPN, d.ALPN) {
		return nil, s.fail(tlsprovider.AlertNoApplicationProtocol, "the client offers %q, and Decision.ALPN is %q",
			s.hello.ALPN, d.ALPN)
	}
	if d.Endpoint != nil {
		e, ok := d.Endpoint.(*endpoint)
		if !ok || e.side != tlsprovider.Server {
			return nil, s.fail(tlsprovider.AlertInternalError, "the Decision's Endpoint is not a server of this provider")
		}
		s.ep, s.wantPQ = e, s.wantPQ || e.cfg.RequirePQ
	}
	s.decision = d
	s.decision.TransportParameters = bytes.Clone(d.TransportParameters)
	s.st.ALPN = d.ALPN
	if err := s.negotiate(); err != nil {
		return nil, err
	}
	if err := s.run(); err != nil {
		return nil, err
	}
	return s.events, nil
}

// negotiate selects the cipher suite and the group, and requests a second ClientHello if necessary.
func (s *session) negotiate() error {
	for _, suite := range s.ep.suites {
		if slices.Contains(s.hello.CipherSuites, suite) {
			s.suite = suite
			break
		}
	}
	for _, g := range s.ep.groups {
		if slices.Contains(s.hello.Groups, g) {
			s.st.Group = g
			break
		}
	}
	if s.suite == 0 || s.st.Group == 0 {
		return s.fail(tlsprovider.AlertHandshakeFailure, "no common cipher suite or group")
	}
	s.st.CipherSuite = s.suite
	if err := s.requirePQ(s.st.Group); err != nil {
		return err
	}
	if s.p.opts.HelloRetry || !slices.Contains(s.hello.KeyShares, s.st.Group) {
		s.write(tlsprovider.LevelInitial, serverHello(nil, s.suite, s.st.Group, 0, false))
		s.state = wantClientHello2
		return nil
	}
	return s.serverFlight()
}

func (s *session) clientHello2(body, raw []byte) error {
	first := s.hello
	if err := s.parseHello(body); err != nil {
		return err
	}
	if !bytes.Equal(first.TransportParameters, s.hello.TransportParameters) ||
		len(s.hello.KeyShares) != 1 || s.hello.KeyShares[0] != s.st.Group {
		return s.fail(tlsprovider.AlertIllegalParameter, "the second ClientHello does not answer the HelloRetryRequest")
	}
	s.transcript = sum(s.transcript, raw)
	return s.serverFlight()
}

// serverFlight sends the messages from ServerHello to Finished.
func (s *session) serverFlight() error {
	for _, share := range s.hello.Shares {
		want, _ := shareLens(share.Group)
		if share.Group == s.st.Group && len(share.Data) != want {
			return s.fail(tlsprovider.AlertIllegalParameter, "bad share for %v", share.Group)
		}
	}
	if !s.ep.cfg.DisableTickets {
		s.psk, s.st.Resumed = s.ep.openTicket(s.hello.PSKIdentity)
	}
	share := s.p.next()
	var random [32]byte
	fill(random[:], s.random)
	s.write(tlsprovider.LevelInitial, serverHello(random[:], s.suite, s.st.Group, share, s.st.Resumed))
	_, n := shareLens(s.st.Group)
	shareBytes := make([]byte, n)
	fill(shareBytes, share)
	s.handshake = mum(sum(s.transcript, shareBytes), s.psk)
	if err := s.setReadLevel(tlsprovider.LevelHandshake); err != nil {
		return err
	}
	s.keysReady(tlsprovider.LevelHandshake, true, true)
	if err := s.logHandshakeSecrets(); err != nil {
		return err
	}
	s.write(tlsprovider.LevelHandshake, encryptedExtensions(s.decision.ALPN, s.decision.TransportParameters))
	if s.st.Resumed {
		s.state = wantFinished
		return s.serverFinish()
	}
	s.state = wantFinished
	if s.ep.cfg.ClientAuth != tlsprovider.NoClientCert {
		s.write(tlsprovider.LevelHandshake, certificateRequest())
		s.state = wantCertificate
	}
	s.write(tlsprovider.LevelHandshake, certificate(s.chain()))
	return s.verifyMessage(s.serverFinish)
}

// chain returns the server's chain, or an invented certificate of Options.ChainLen bytes.
func (s *session) chain() [][]byte {
	if cert, ok := s.ep.firstCert(); ok {
		return cert.Chain
	}
	der := make([]byte, min(s.p.opts.ChainLen, 1<<20))
	fill(der, s.p.opts.Seed)
	return [][]byte{der}
}

func (s *session) serverFinish() error {
	s.writeFinished()
	s.app = mum(s.handshake, s.transcript)
	s.keysReady(tlsprovider.LevelApp, false, true)
	if err := s.keyLog("CLIENT_TRAFFIC_SECRET_0", mum(s.app, 1)); err != nil {
		return err
	}
	return s.keyLog("SERVER_TRAFFIC_SECRET_0", mum(s.app, 2))
}

func (s *session) clientFinished(raw []byte) error {
	if err := s.peerFinished(raw); err != nil {
		return err
	}
	if err := s.setReadLevel(tlsprovider.LevelApp); err != nil {
		return err
	}
	s.keysReady(tlsprovider.LevelApp, true, false)
	if err := s.complete(); err != nil {
		return err
	}
	if s.ep.cfg.DisableTickets {
		return nil
	}
	for range max(s.p.opts.Tickets, 0) {
		t := newSessionTicket(s.ep.newTicket(s.p.next()))
		s.emit(tlsprovider.Event{Kind: tlsprovider.EventWrite, Level: tlsprovider.LevelApp, Data: t})
	}
	return nil
}
