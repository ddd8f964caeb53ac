package native

import (
	"crypto/fips140"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/approved"
)

// judge sets FIPS and FIPSDetail of the state.
func (s *session) judge() {
	if !fips140.Enabled() {
		return
	}
	st := &s.state
	c := approved.Connection{Group: st.Group, Suite: st.CipherSuite,
		Schemes: [2]tlsprovider.SignatureScheme{s.watch.Scheme(tlsprovider.Client), s.watch.Scheme(tlsprovider.Server)}}
	if !st.Resumed && len(st.PeerChain) > 0 {
		c.PeerLeaf = st.PeerChain[0]
	}
	c.Outside = s.e.outside(s.watch.Scheme(s.e.side) != 0)
	if s.outside {
		c.Outside = "the signature was made by Certificate.Signer, outside of the module"
	}
	st.FIPS, st.FIPSDetail = approved.GoModule(fips140.Version()).Judge(c)
}

// outside returns which function of tls.Config may have replaced a part of the module in a handshake, or "" if none
// has. signed reports whether this side has made a signature.
func (e *endpoint) outside(signed bool) string {
	t, server := e.cfg.TLS, e.side == tlsprovider.Server
	switch {
	case t == nil:
		return ""
	case server && t.GetConfigForClient != nil:
		return "tls.Config.GetConfigForClient may have supplied a private key or functions outside of the module"
	case signed && (t.GetCertificate != nil || t.GetClientCertificate != nil):
		return "the private key comes from a function of tls.Config, and may be outside of the module"
	case t.Rand != nil:
		return "random numbers come from tls.Config.Rand, outside of the module"
	case server && !e.cfg.DisableTickets && (t.WrapSession != nil || t.UnwrapSession != nil):
		return "session tickets are protected by a function of tls.Config, outside of the module"
	}
	return ""
}
