package native

import (
	"crypto/tls"
	"fmt"

	"github.com/pqquic/pqquic/tlsprovider"
)

// drain converts the events of crypto/tls.
func (s *session) drain() error {
	for {
		ev := s.conn.NextEvent()
		switch ev.Kind {
		case tls.QUICNoEvent:
			if s.panicked != nil { // crypto/tls does not report, for example, a panic while it makes a ticket
				return s.panicked
			}
			if s.tickets > s.reported {
				s.reported = s.tickets
				s.events = append(s.events, tlsprovider.Event{Kind: tlsprovider.EventTicket, Level: tlsprovider.LevelApp})
			}
			return nil
		case tls.QUICSetReadSecret, tls.QUICSetWriteSecret:
			if err := s.keepSecret(&ev); err != nil {
				return err
			}
		case tls.QUICWriteData:
			data := append([]byte(nil), ev.Data...)
			level := levelOf(ev.Level)
			s.watch.Add(s.e.side, level, data)
			if err := s.checkGroup(); err != nil {
				return err
			}
			s.events = append(s.events, tlsprovider.Event{Kind: tlsprovider.EventWrite, Level: level, Data: data})
		case tls.QUICTransportParameters:
			if s.e.side == tlsprovider.Client {
				if s.e.cfg.EarlyData {
					s.peerParams = append([]byte(nil), ev.Data...)
				}
				s.events = append(s.events, tlsprovider.Event{
					Kind: tlsprovider.EventTransportParameters, Data: append([]byte(nil), ev.Data...),
				})
			}
		case tls.QUICResumeSession:
			s.resuming(ev.SessionState)
		case tls.QUICStoreSession:
			if err := s.storeSession(ev.SessionState); err != nil {
				return err
			}
		case tls.QUICRejectedEarlyData:
			s.state.EarlyData = tlsprovider.EarlyDataRejected
			s.events = append(s.events, tlsprovider.Event{Kind: tlsprovider.EventEarlyRejected, Level: tlsprovider.LevelEarly})
		case tls.QUICHandshakeDone:
			if err := s.finish(); err != nil {
				return err
			}
		}
	}
}

// checkGroup enforces RequirePQ as soon as the group is known.
func (s *session) checkGroup() error {
	if g := s.watch.Group(); s.wantPQ && g != 0 && !g.PostQuantum() {
		return &tlsprovider.Error{Alert: tlsprovider.AlertInsufficientSecurity,
			Err: fmt.Errorf("native: RequirePQ is set, but %v is not post-quantum", g)}
	}
	return nil
}

// finish completes the state and makes the last checks. If one fails, no application data is sent or delivered.
func (s *session) finish() error {
	cs := s.conn.ConnectionState()
	st := &s.state
	st.ALPN, st.Resumed, st.ECHAccepted = cs.NegotiatedProtocol, cs.DidResume, cs.ECHAccepted
	st.Group, st.CipherSuite = tlsprovider.Group(cs.CurveID), tlsprovider.CipherSuite(cs.CipherSuite)
	st.HelloRetried = s.watch.Retried()
	st.ClientShareLen, st.ServerShareLen = s.watch.Shares()
	st.SignatureScheme = s.watch.Scheme(s.e.side.Peer())
	// A server's ticket holds the client's certificates, so that VerifyPeer sees them in a resumed session,
	// too. A client's session has no counterpart.
	if !cs.DidResume || s.e.side == tlsprovider.Server {
		for _, c := range cs.PeerCertificates {
			st.PeerChain = append(st.PeerChain, c.Raw)
		}
	}
	if s.e.cfg.VerifyPeer != nil && len(st.PeerChain) > 0 {
		st.SetPeerDetails(detailsOf(&cs))
	}
	switch {
	case st.EarlyData == tlsprovider.EarlyDataOffered:
		st.EarlyData = tlsprovider.EarlyDataAccepted
	case s.offersEarly:
		st.EarlyData = tlsprovider.EarlyDataRejected
	}
	s.judge()
	if err := s.checkPQAuth(&cs); err != nil {
		return err
	}
	if s.e.side == tlsprovider.Client && st.ALPN == "" {
		return &tlsprovider.Error{Alert: tlsprovider.AlertNoApplicationProtocol}
	}
	if st.EarlyData == tlsprovider.EarlyDataRejected && s.early != nil && st.ALPN != s.early.alpn {
		// "When 0-RTT is rejected, all connection characteristics that the client assumed might be incorrect. This
		// includes the choice of application protocol".
		// https://www.rfc-editor.org/rfc/rfc9001#section-4.6.2-3
		return &tlsprovider.Error{Alert: tlsprovider.AlertNoApplicationProtocol,
			Err: fmt.Errorf("native: the server rejected early data of protocol %q and chose %q", s.early.alpn, st.ALPN)}
	}
	if err := s.checkGroup(); err != nil {
		return err
	}
	if err := s.e.cfg.RunVerifyPeer(st); err != nil {
		return err
	}
	st.HandshakeDone = true
	s.exporter = exporterOf(&cs)
	s.events = append(s.events, tlsprovider.Event{Kind: tlsprovider.EventHandshakeDone})
	if s.e.side == tlsprovider.Server && !s.e.cfg.DisableTickets && ticketFits(&cs) {
		o, err := s.ticketOptions()
		if err != nil {
			return err
		}
		return s.conn.SendSessionTicket(o)
	}
	return nil
}

// detailsOf returns what Config.VerifyPeer can read in addition to the peer's chain.
func detailsOf(cs *tls.ConnectionState) (d tlsprovider.PeerDetails) {
	d.OCSPStaple = cs.OCSPResponse
	for _, chain := range cs.VerifiedChains {
		ders := make([][]byte, len(chain))
		for i, c := range chain {
			ders[i] = c.Raw
		}
		d.VerifiedChains = append(d.VerifiedChains, ders)
	}
	return d
}

func levelOf(l tls.QUICEncryptionLevel) tlsprovider.Level {
	switch l {
	case tls.QUICEncryptionLevelInitial:
		return tlsprovider.LevelInitial
	case tls.QUICEncryptionLevelEarly:
		return tlsprovider.LevelEarly
	case tls.QUICEncryptionLevelHandshake:
		return tlsprovider.LevelHandshake
	}
	return tlsprovider.LevelApp
}

func tlsLevel(l tlsprovider.Level) tls.QUICEncryptionLevel {
	switch l {
	case tlsprovider.LevelInitial:
		return tls.QUICEncryptionLevelInitial
	case tlsprovider.LevelHandshake:
		return tls.QUICEncryptionLevelHandshake
	}
	return tls.QUICEncryptionLevelApplication
}
