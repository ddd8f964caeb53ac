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
				s.events = append(s.events, tlsprovider.Event{
					Kind: tlsprovider.EventTransportParameters, Data: append([]byte(nil), ev.Data...),
				})
			}
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
	st.ALPN, st.Resumed = cs.NegotiatedProtocol, cs.DidResume
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
	s.judge()
	if s.e.side == tlsprovider.Client && st.ALPN == "" {
		return &tlsprovider.Error{Alert: tlsprovider.AlertNoApplicationProtocol}
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
	if s.e.side == tlsprovider.Server && !s.e.cfg.DisableTickets {
		return s.conn.SendSessionTicket(tls.QUICSessionTicketOptions{})
	}
	return nil
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
