package s2n

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/pqquic/pqquic/cgo/s2n"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/mldsa"
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

// checkPQAuth sets PQAuth of the state and enforces RequirePQAuth. A client has not sent its Finished yet.
func (s *session) checkPQAuth() error {
	var why error
	switch {
	case s.state.Resumed:
		if s.state.PQAuth = s.ticketPQAuth; !s.state.PQAuth {
			why = errors.New("the session that was resumed began without it")
		}
	case s.ep.flags()&s2n.SkipVerify != 0:
		why = errors.New("the peer's certificate was not verified")
	default:
		why = mldsa.Authenticated(s.state.SignatureScheme, s.state.PeerChain, s.ep.isRoot)
		s.state.PQAuth = why == nil
	}
	if why == nil || !s.pqAuth || s.ep.side == tlsprovider.Server && len(s.state.PeerChain) == 0 {
		return nil
	}
	return s.fail(tlsprovider.AlertInsufficientSecurity, fmt.Errorf("s2n: RequirePQAuth is set: %w", why))
}

// done makes the last checks and completes the state. If it returns an error, messages that the handshake has
// written, such as a client's Finished, are not sent.
func (s *session) done() error {
	st := s.conn.State()
	if err := s.fillState(st); err != nil {
		return err
	}
	schemes := [2]tlsprovider.SignatureScheme{s.watch.Scheme(tlsprovider.Client), s.watch.Scheme(tlsprovider.Server)}
	details, err := s.watch.fill(&s.state, s.ep.side.Peer())
	if err != nil {
		return s.fail(tlsprovider.AlertDecodeError, err)
	}
	if s.ep.cfg.VerifyPeer != nil {
		s.shareMemory(details.VerifiedChains)
		s.state.SetPeerDetails(details)
	}
	s.judge(schemes)
	if err := s.checkPQAuth(); err != nil {
		return err
	}
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

// shareMemory replaces certificates of verified paths with equal ones that are in memory anyway: those that the peer has sent
// and the trusted roots.
func (s *session) shareMemory(paths [][][]byte) {
	for _, path := range paths {
		for i, der := range path {
			same := func(other []byte) bool { return bytes.Equal(other, der) }
			if k := slices.IndexFunc(s.state.PeerChain, same); k >= 0 {
				path[i] = s.state.PeerChain[k]
			} else if roots := s.ep.roots(); slices.ContainsFunc(roots, same) {
				path[i] = roots[slices.IndexFunc(roots, same)]
			}
		}
	}
}

// fillState completes the part of the state that is known once there are keys for 1-RTT packets.
func (s *session) fillState(st s2n.State) error {
	g, err := parseGroup(st.Group)
	if err != nil {
		return s.fail(tlsprovider.AlertInternalError, err)
	}
	s.state.ALPN, s.state.Group, s.state.Resumed = st.ALPN, g, st.Resumed
	s.state.CipherSuite = tlsprovider.CipherSuite(st.CipherSuite)
	return nil
}

func (s *session) State() tlsprovider.State { return s.state }
