package s2n

import (
	"fmt"
	"slices"

	"github.com/pqquic/pqquic/tlsprovider"
)

// checkGroup enforces RequirePQ as soon as the group is settled, before a ServerHello leaves or an
// application byte is sent.
func (s *session) checkGroup() error {
	if s.checked || !s.wantPQ {
		return nil
	}
	s.checked = true
	g, err := tlsprovider.ParseGroup(s.conn.State().Group)
	if err != nil {
		return s.fail(tlsprovider.AlertInternalError, err)
	}
	if !g.PostQuantum() {
		return s.fail(tlsprovider.AlertInsufficientSecurity,
			fmt.Errorf("s2n: a post-quantum group is required, but the peer has only %v", g))
	}
	return nil
}

// done checks what is left to check, and completes the state. What the handshake wrote meanwhile (a
// client's Finished, say) has not been sent: an error here discards it.
func (s *session) done() error {
	st := s.conn.State()
	g, err := tlsprovider.ParseGroup(st.Group)
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
			fmt.Errorf("s2n: application protocol %q was negotiated, but %q was chosen", st.ALPN, s.alpn))
	}
	if err := s.ep.cfg.RunVerifyPeer(&s.state); err != nil {
		s.failed = err
		return err
	}
	s.state.HandshakeDone = true
	return nil
}

func (s *session) State() tlsprovider.State { return s.state }
