package s2n

import (
	"fmt"
	"slices"

	"github.com/pqquic/pqquic/tlsprovider"
)

// checkGroup enforces RequirePQ as soon as the group is known, before a ServerHello or application data is sent.
func (s *session) checkGroup() error {
	if s.checked || !s.wantPQ {
		return nil
	}
	s.checked = true
	g, err := parseGroup(s.conn.State().Group)
	if err != nil {
		return s.fail(tlsprovider.AlertInternalError, err)
	}
	if !g.PostQuantum() {
		return s.fail(tlsprovider.AlertInsufficientSecurity,
			fmt.Errorf("s2n: RequirePQ is set, but %v is not post-quantum", g))
	}
	return nil
}

// done makes the last checks and completes the state. If it returns an error, messages that the handshake has
// written, such as a client's Finished, are not sent.
func (s *session) done() error {
	st := s.conn.State()
	g, err := parseGroup(st.Group)
	if err != nil {
		return s.fail(tlsprovider.AlertInternalError, err)
	}
	s.state.ALPN = st.ALPN
	s.state.Group = g
	s.state.CipherSuite = tlsprovider.CipherSuite(st.CipherSuite)
	s.state.Resumed = st.Resumed
	schemes := [2]tlsprovider.SignatureScheme{s.watch.Scheme(tlsprovider.Client), s.watch.Scheme(tlsprovider.Server)}
	if err := s.watch.fill(&s.state, s.ep.side.Peer()); err != nil {
		return s.fail(tlsprovider.AlertDecodeError, err)
	}
	s.judge(schemes)
	switch {
	case s.ep.side == tlsprovider.Client && !slices.Contains(s.ep.cfg.NextProtos, st.ALPN):
		return s.fail(tlsprovider.AlertNoApplicationProtocol,
			fmt.Errorf("s2n: the server chose application protocol %q of the offered %q", st.ALPN, s.ep.cfg.NextProtos))
	case s.ep.side == tlsprovider.Server && st.ALPN != s.alpn:
		return s.fail(tlsprovider.AlertNoApplicationProtocol,
			fmt.Errorf("s2n: s2n-tls negotiated application protocol %q, but Decision.ALPN is %q", st.ALPN, s.alpn))
	}
	if err := s.ep.cfg.RunVerifyPeer(&s.state); err != nil {
		s.failed = err
		return err
	}
	s.state.HandshakeDone = true
	return nil
}

func (s *session) State() tlsprovider.State { return s.state }
