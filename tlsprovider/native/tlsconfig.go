package native

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"

	"github.com/pqquic/pqquic/tlsprovider"
)

// checkTLSConfig returns errors that crypto/tls would return only in a handshake.
func checkTLSConfig(cfg *tlsprovider.Config, side tlsprovider.Side) error {
	t := cfg.TLS
	if side == tlsprovider.Server && len(cfg.Certificates) == 0 && !cfg.DeferCertificates && !hasCallback(t) {
		return errNoCertificates
	}
	if side == tlsprovider.Server && cfg.ClientAuth != tlsprovider.NoClientCert && cfg.ClientCAs == nil &&
		(t == nil || t.ClientCAs == nil) {
		return errors.New("native: ClientAuth without ClientCAs: set ClientCAs to the authorities that issue client certificates")
	}
	if side == tlsprovider.Server && cfg.EarlyData && (cfg.ClientAuth != tlsprovider.NoClientCert || cfg.VerifyPeer != nil ||
		t != nil && (t.ClientAuth != tls.NoClientCert || t.VerifyConnection != nil || t.VerifyPeerCertificate != nil)) {
		return fmt.Errorf("native: EarlyData of a server that verifies clients: %w: early data would be delivered before the client is verified: set EarlyData or the verification, but not both",
			tlsprovider.ErrUnsupported)
	}
	if t == nil {
		return nil
	}
	if t.MaxVersion != 0 && t.MaxVersion < tls.VersionTLS13 {
		return errors.New("native: tls.Config.MaxVersion: QUIC requires TLS 1.3")
	}
	return nil
}

// checkECH returns an error for a configuration of the encrypted ClientHello (ECH) that cannot work. A server cannot have keys:
// the transport decides by the name, the protocols and the parameters of the ClientHello before crypto/tls decrypts it. For a
// client it builds a ClientHello, because crypto/tls parses the list only in a handshake, and checks its groups.
func checkECH(cfg *tlsprovider.Config, side tlsprovider.Side, groups []tls.CurveID) error {
	t := cfg.TLS
	switch {
	case t == nil:
		return nil
	case side == tlsprovider.Server && t.EncryptedClientHelloKeys != nil:
		return errServerECH("EncryptedClientHelloKeys")
	case side == tlsprovider.Server && t.GetEncryptedClientHelloKeys != nil:
		return errServerECH("GetEncryptedClientHelloKeys")
	case side == tlsprovider.Server || t.EncryptedClientHelloConfigList == nil:
		return nil
	}
	plain, err := offerOf(groups)
	if err != nil {
		return err
	}
	outer, err := offerWith(groups, t.EncryptedClientHelloConfigList)
	switch {
	case err != nil:
		return fmt.Errorf("native: tls.Config.EncryptedClientHelloConfigList: %w", err)
	case !slices.Equal(outer.groups, plain.groups):
		return fmt.Errorf("native: tls.Config.EncryptedClientHelloConfigList: the outer ClientHello of crypto/tls offers %s, but %s is configured",
			tlsprovider.GroupList(outer.groups), tlsprovider.GroupList(plain.groups))
	}
	return nil
}

func errServerECH(field string) error {
	return fmt.Errorf("native: tls.Config.%s: %w: a QUIC server decides by the ClientHello before crypto/tls decrypts it",
		field, tlsprovider.ErrUnsupported)
}

// hasCallback reports whether t has a callback that supplies a server's certificates.
func hasCallback(t *tls.Config) bool {
	return t != nil && (t.GetCertificate != nil || t.GetConfigForClient != nil)
}

// prepare makes the tls.Config of the sessions. No lock but changing is held. The fields of Config override those of Config.TLS, from which
// FromTLSConfig has copied them.
func (e *endpoint) prepare(v variable) (*prepared, error) {
	certs, external, err := certificates(v.certs)
	if err != nil {
		return nil, err
	}
	cfg := e.cfg
	cfg.Certificates = v.certs
	t := new(tls.Config)
	if e.cfg.TLS != nil {
		t = e.cfg.TLS.Clone()
	}
	name, roots := "RootCAs", e.cfg.RootCAs
	if e.side == tlsprovider.Server {
		name, roots = "ClientCAs", e.cfg.ClientCAs
	}
	cas, err := pool(roots)
	if err != nil {
		return nil, fmt.Errorf("native: %s: %w", name, err)
	}
	// "Clients MUST NOT offer TLS versions older than 1.3."
	// https://www.rfc-editor.org/rfc/rfc9001#section-4.2-3
	t.MinVersion, t.MaxVersion = tls.VersionTLS13, tls.VersionTLS13
	t.NextProtos = slices.Clone(e.cfg.NextProtos)
	t.Certificates = certs
	t.CurvePreferences = e.groups
	// "A client MUST authenticate the identity of the server."
	// https://www.rfc-editor.org/rfc/rfc9001#section-4.4-2
	t.InsecureSkipVerify = e.cfg.InsecureSkipVerify
	t.KeyLogWriter = e.cfg.KeyLogWriter
	t.Time = e.cfg.Time
	t.SessionTicketsDisabled = e.cfg.DisableTickets
	p := &prepared{from: v, base: t, certs: certs, external: external || returnsKeys(t)}
	if e.side == tlsprovider.Client {
		if cas != nil {
			t.RootCAs = cas
		}
		if !e.cfg.DisableTickets {
			p.binding = cfg.ClientBinding()
			p.cache = newTicketCache(t.ClientSessionCache, p.binding, v.generation)
		}
		return p, nil
	}
	if cas != nil {
		t.ClientCAs = cas
	}
	t.ClientAuth = clientAuth(&e.cfg)
	if !e.cfg.DisableTickets {
		keys, err := boundKeys(v.keys.secrets, &cfg)
		if err != nil {
			return nil, err
		}
		t.SetSessionTicketKeys(keys)
		if p.ticketKeys2, err = version2Keys(keys); err != nil {
			return nil, err
		}
		clear(keys)
	}
	p.byALPN = make(map[serverKey]*tls.Config)
	return p, nil
}

// returnsKeys reports whether a callback of t may return an external private key.
func returnsKeys(t *tls.Config) bool {
	return t.GetCertificate != nil || t.GetClientCertificate != nil || t.GetConfigForClient != nil
}

// clientAuth returns the setting for crypto/tls. It keeps the two settings that ClientAuth does not have, which
// request a certificate and do not verify it.
func clientAuth(cfg *tlsprovider.Config) tls.ClientAuthType {
	if t := cfg.TLS; t != nil && (t.ClientAuth == tls.RequestClientCert || t.ClientAuth == tls.RequireAnyClientCert) {
		return t.ClientAuth
	}
	switch cfg.ClientAuth {
	case tlsprovider.VerifyClientCertIfGiven:
		return tls.VerifyClientCertIfGiven
	case tlsprovider.RequireClientCert:
		return tls.RequireAndVerifyClientCert
	}
	return tls.NoClientCert
}

// clientConfig makes the configuration of one session.
func (p *prepared) clientConfig(s *session) *tls.Config {
	t := p.base.Clone()
	s.guardCallbacks(t)
	t.ServerName = s.name.Verify // crypto/tls does not send an address
	t.ClientSessionCache = nil
	switch {
	case p.cache != nil && s.e.cfg.ClientStore != nil:
		t.ClientSessionCache = &storedSessions{s.e.cfg.ClientStore, s}
	case p.cache != nil:
		t.ClientSessionCache = &sessionCache{p.cache, s}
	}
	certs := s.signing.wrap(p.certs)
	t.Certificates = certs
	if t.GetClientCertificate == nil && len(certs) > 0 {
		t.GetClientCertificate = chooseClientCertificate(certs)
	}
	return t
}

// maxALPN is the maximum number of configurations that a prepared keeps. Further sessions get their own.
const maxALPN = 16

// serverConfig returns the configuration for an application protocol. Sessions share it unless it has external
// private keys or callbacks, which need their session.
func (p *prepared) serverConfig(s *session, alpn string) *tls.Config {
	if p.external || hasCallbacks(p.base) {
		t := s.withALPN(p.base, alpn)
		t.Certificates = s.signing.wrap(p.certs)
		return t
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := serverKey{alpn, s.quicVersion}
	t := p.byALPN[key]
	if t == nil {
		t = s.withALPN(p.base, alpn)
		if len(p.byALPN) < maxALPN {
			p.byALPN[key] = t
		}
	}
	return t
}

// withALPN returns a copy of base with one application protocol, the one that the transport has chosen, and with the ticket
// keys of the connection's version.
func (s *session) withALPN(base *tls.Config, alpn string) *tls.Config {
	t := base.Clone()
	t.NextProtos = []string{alpn}
	if s.quicVersion == version2 && len(s.prepared.ticketKeys2) > 0 {
		t.SetSessionTicketKeys(s.prepared.ticketKeys2)
	}
	s.guardCallbacks(t)
	if get := t.GetConfigForClient; get != nil {
		t.GetConfigForClient = func(info *tls.ClientHelloInfo) (*tls.Config, error) {
			other, err := get(info)
			if other == nil || err != nil {
				return other, err
			}
			other = other.Clone()
			s.guardCallbacks(other)
			certs := make([]tls.Certificate, len(other.Certificates))
			for i, c := range other.Certificates {
				certs[i] = s.outsideKey(c)
			}
			other.Certificates = certs
			other.GetConfigForClient = nil
			other.NextProtos = []string{alpn}
			other.MinVersion, other.MaxVersion = tls.VersionTLS13, tls.VersionTLS13
			return other, nil
		}
	}
	return t
}
