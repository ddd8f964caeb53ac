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
	st, own := &s.state, s.watch.Scheme(s.e.side)
	c := approved.Connection{Group: st.Group, Suite: st.CipherSuite,
		Schemes: [2]tlsprovider.SignatureScheme{s.watch.Scheme(tlsprovider.Client), s.watch.Scheme(tlsprovider.Server)}}
	if !st.Resumed && len(st.PeerChain) > 0 {
		c.PeerLeaf = st.PeerChain[0]
	}
	switch {
	case s.outside:
		c.Outside = "the signature was made by Certificate.Signer, outside of the module"
	case own != 0 && s.e.choosesKey():
		c.Outside = "the private key comes from a function of tls.Config, and may be outside of the module"
	}
	st.FIPS, st.FIPSDetail = approved.Go.Judge(c)
}

// choosesKey reports whether a callback of tls.Config may choose the private key of a handshake.
func (e *endpoint) choosesKey() bool {
	t := e.cfg.TLS
	return t != nil && (t.GetCertificate != nil || t.GetClientCertificate != nil || t.GetConfigForClient != nil)
}
