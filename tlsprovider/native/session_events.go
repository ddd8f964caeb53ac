package native

import (
	"crypto/tls"
	"fmt"

	"github.com/pqquic/pqquic/tlsprovider"
)

// drain turns crypto/tls's events into ours.
func (s *session) drain() error {
	for {
		ev := s.conn.NextEvent()
		switch ev.Kind {
		case tls.QUICNoEvent:
			if s.panicked != nil { // while a ticket was made, say: crypto/tls does not report it
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

// checkGroup enforces RequirePQ as soon as the group is settled.
func (s *session) checkGroup() error {
	if g := s.watch.Group(); s.wantPQ && g != 0 && !g.PostQuantum() {
		return &tlsprovider.Error{Alert: tlsprovider.AlertInsufficientSecurity,
			Err: fmt.Errorf("native: %v is not post-quantum, which RequirePQ demands", g)}
	}
	return nil
}

// finish settles the state. What fails here fails before an application byte.
func (s *session) finish() error {
	cs := s.conn.ConnectionState()
	st := &s.state
	st.ALPN, st.Resumed = cs.NegotiatedProtocol, cs.DidResume
	st.Group, st.CipherSuite = tlsprovider.Group(cs.CurveID), tlsprovider.CipherSuite(cs.CipherSuite)
	st.HelloRetried = s.watch.Retried()
	st.ClientShareLen, st.ServerShareLen = s.watch.Shares()
	st.SignatureScheme = s.watch.Scheme(s.e.side.Peer())
	// A ticket of crypto/tls's server holds the client's certificates: whoever goes by them is not to meet
	// a stranger.
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
