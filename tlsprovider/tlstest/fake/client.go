package fake

import (
	"bytes"
	"slices"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/hello"
)

// firstShares returns the groups for which a client sends key shares: the first group and, if that is a hybrid,
// its classical half, as in crypto/tls.
func firstShares(groups []tlsprovider.Group) []tlsprovider.Group {
	if groups[0] == tlsprovider.X25519MLKEM768 && slices.Contains(groups, tlsprovider.X25519) {
		return []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.X25519}
	}
	return groups[:1]
}

func (s *session) sendClientHello() {
	s.offer = helloParams{
		random: s.random, name: s.params.ServerName, groups: s.ep.groups, shares: firstShares(s.ep.groups),
		suites: s.ep.suites, protos: s.ep.cfg.NextProtos, params: s.params.TransportParameters,
	}
	if t, ok := s.ep.takeTicket(s.params.ServerName); ok && !s.ep.cfg.DisableTickets {
		s.offer.psk, s.psk = t.bytes, t.psk
	}
	s.write(tlsprovider.LevelInitial, clientHello(&s.offer))
	s.state = wantServerHello
}

func (s *session) clientMessage(kind uint8, body, raw []byte) error {
	switch {
	case s.state == wantServerHello && kind == hello.TypeServerHello:
		return s.serverHello(body, raw)
	case s.state == wantEncryptedExtensions && kind == hello.TypeEncryptedExtensions:
		return s.encryptedExtensions(body, raw)
	case s.state == wantCertificate && kind == hello.TypeCertificateRequest && !s.certAsked:
		s.certAsked = true
		s.transcript = sum(s.transcript, raw)
		return nil
	case s.state == wantCertificate && kind == hello.TypeCertificate:
		return s.peerCertificate(body, raw)
	case s.state == wantCertificateVerify && kind == hello.TypeCertificateVerify:
		return s.peerVerify(body, raw)
	case s.state == wantFinished && kind == hello.TypeFinished:
		return s.serverFinished(raw)
	case s.state == done && kind == hello.TypeNewSessionTicket:
		return s.newTicket(body)
	}
	return s.unexpected(kind)
}

func (s *session) serverHello(body, raw []byte) error {
	sh, err := hello.ParseServerHello(body)
	if err != nil {
		return s.fail(tlsprovider.AlertDecodeError, "ServerHello: %w", err)
	}
	switch {
	case sh.Version != hello.VersionTLS13:
		return s.fail(tlsprovider.AlertProtocolVersion, "version %#x", sh.Version)
	case !slices.Contains(s.ep.suites, sh.CipherSuite):
		return s.fail(tlsprovider.AlertIllegalParameter, "%v was not offered", sh.CipherSuite)
	case !slices.Contains(s.ep.groups, sh.Group):
		return s.fail(tlsprovider.AlertIllegalParameter, "%v was not offered", sh.Group)
	}
	s.transcript = sum(s.transcript, raw)
	if sh.Retry {
		if s.offer.retried {
			return s.fail(tlsprovider.AlertUnexpectedMessage, "second HelloRetryRequest")
		}
		s.offer.retried = true
		s.offer.shares = []tlsprovider.Group{sh.Group}
		s.write(tlsprovider.LevelInitial, clientHello(&s.offer))
		return nil
	}
	_, n := shareLens(sh.Group)
	if len(sh.Share) != n || !slices.Contains(s.offer.shares, sh.Group) {
		return s.fail(tlsprovider.AlertIllegalParameter, "bad share for %v", sh.Group)
	}
	if sh.PSK && s.offer.psk == nil {
		return s.fail(tlsprovider.AlertIllegalParameter, "a pre-shared key that was not offered")
	}
	if !sh.PSK {
		s.psk = 0
	}
	s.suite, s.st.Group, s.st.Resumed = sh.CipherSuite, sh.Group, sh.PSK
	if err := s.requirePQ(sh.Group); err != nil {
		return err
	}
	s.handshake = mum(sum(s.transcript, sh.Share), s.psk)
	if err := s.setReadLevel(tlsprovider.LevelHandshake); err != nil {
		return err
	}
	s.state = wantEncryptedExtensions
	s.keysReady(tlsprovider.LevelHandshake, true, true)
	return s.logHandshakeSecrets()
}

func (s *session) logHandshakeSecrets() error {
	if err := s.keyLog("CLIENT_HANDSHAKE_TRAFFIC_SECRET", mum(s.handshake, 1)); err != nil {
		return err
	}
	return s.keyLog("SERVER_HANDSHAKE_TRAFFIC_SECRET", mum(s.handshake, 2))
}

func (s *session) encryptedExtensions(body, raw []byte) error {
	ee, err := hello.ParseEncryptedExtensions(body)
	if err != nil {
		return s.fail(tlsprovider.AlertDecodeError, "EncryptedExtensions: %w", err)
	}
	switch {
	case !slices.Contains(s.ep.cfg.NextProtos, ee.ALPN):
		return s.fail(tlsprovider.AlertNoApplicationProtocol, "application protocol %q was not offered", ee.ALPN)
	case !ee.HasParameters:
		return s.fail(tlsprovider.AlertMissingExtension, "no transport parameters")
	}
	s.transcript = sum(s.transcript, raw)
	s.st.ALPN = ee.ALPN
	s.emit(tlsprovider.Event{Kind: tlsprovider.EventTransportParameters, Level: tlsprovider.LevelHandshake,
		Data: bytes.Clone(ee.TransportParameters)})
	s.state = wantCertificate
	if s.st.Resumed {
		s.state = wantFinished
	}
	return nil
}

// peerCertificate processes the Certificate of the peer, on both sides.
func (s *session) peerCertificate(body, raw []byte) error {
	certs, err := hello.ParseCertificate(body)
	if err != nil {
		return s.fail(tlsprovider.AlertDecodeError, "Certificate: %w", err)
	}
	s.transcript = sum(s.transcript, raw)
	if len(certs.Chain) == 0 {
		switch {
		case s.side == tlsprovider.Client:
			return s.fail(tlsprovider.AlertDecodeError, "the server sent no certificate")
		case s.ep.cfg.ClientAuth == tlsprovider.RequireClientCert:
			return s.fail(tlsprovider.AlertCertificateRequired, "the client sent no certificate")
		}
		s.state = wantFinished
		return nil
	}
	for _, der := range certs.Chain {
		s.st.PeerChain = append(s.st.PeerChain, bytes.Clone(der))
	}
	s.state = wantCertificateVerify
	return nil
}

func (s *session) peerVerify(body, raw []byte) error {
	if _, _, err := hello.ParseCertificateVerify(body); err != nil {
		return s.fail(tlsprovider.AlertDecodeError, "CertificateVerify: %w", err)
	}
	s.transcript = sum(s.transcript, raw)
	s.state = wantFinished
	return nil
}

// peerFinished checks that the peer's Finished covers the same transcript.
func (s *session) peerFinished(raw []byte) error {
	if !bytes.Equal(raw, finished(s.suite, mum(mum(s.handshake, uint64(s.side.Peer())), s.transcript))) {
		return s.fail(tlsprovider.AlertDecryptError, "wrong Finished")
	}
	s.transcript = sum(s.transcript, raw)
	return nil
}

func (s *session) writeFinished() {
	s.write(tlsprovider.LevelHandshake, finished(s.suite, mum(mum(s.handshake, uint64(s.side)), s.transcript)))
}

func (s *session) serverFinished(raw []byte) error {
	if err := s.peerFinished(raw); err != nil {
		return err
	}
	s.app = mum(s.handshake, s.transcript)
	if !s.certAsked {
		return s.clientFinish()
	}
	cert, _ := s.ep.firstCert()
	s.write(tlsprovider.LevelHandshake, certificate(cert.Chain))
	if len(cert.Chain) == 0 {
		return s.clientFinish()
	}
	return s.verifyMessage(s.clientFinish)
}

func (s *session) clientFinish() error {
	s.writeFinished()
	if err := s.setReadLevel(tlsprovider.LevelApp); err != nil {
		return err
	}
	s.keysReady(tlsprovider.LevelApp, true, true)
	if err := s.keyLog("CLIENT_TRAFFIC_SECRET_0", mum(s.app, 1)); err != nil {
		return err
	}
	if err := s.keyLog("SERVER_TRAFFIC_SECRET_0", mum(s.app, 2)); err != nil {
		return err
	}
	return s.complete()
}

func (s *session) newTicket(body []byte) error {
	t, ok := parseTicket(body)
	if !ok || len(t) < ticketPrefix {
		return s.fail(tlsprovider.AlertDecodeError, "NewSessionTicket")
	}
	if s.ep.cfg.DisableTickets || s.ticketsIgnored {
		return nil
	}
	if !s.ep.store(s.params.ServerName, s.generation, ticket{psk: getUint64(t), bytes: t}) {
		return nil
	}
	s.emit(tlsprovider.Event{Kind: tlsprovider.EventTicket, Level: tlsprovider.LevelApp})
	return nil
}
