package tlsprovider

//lint:file-ignore SA1019 users of tls.Config may set its deprecated fields, so they are read here

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
)

// FromTLSConfig makes a Config of a tls.Config, for programs that have one.
//
// The native provider honours all of it, as crypto/tls does for QUIC. The s2n provider honours what
// has a counterpart in Config (certificates, protocols, CurvePreferences as the set of groups,
// ClientAuth with verification, InsecureSkipVerify, the clock, the key log, ticket settings) and
// refuses, in NewClient or NewServer and by the field's name, whatever else is set: callbacks do not
// exist in s2n-tls, the certificates of an x509.CertPool cannot be read back, and what stands beside chain
// and key in a tls.Certificate (a staple, for example) is not sent. Set Config.RootCAs or Config.ClientCAs
// to the certificates of such a pool, and use Config.VerifyPeer in place of a callback.
//
// tls.Config.ServerName is the name that quic.Dial verifies if quic.Config.ServerName is empty. What
// TLS 1.3 over QUIC has no use for (MinVersion, CipherSuites, Renegotiation and the like) is ignored,
// as crypto/tls ignores it. Keys given to tls.Config.SetSessionTicketKeys cannot be read back: give
// them as Config.TicketKeys.
//
// The tls.Config is cloned; changes to it afterwards have no effect.
func FromTLSConfig(t *tls.Config) (*Config, error) {
	if t == nil {
		return nil, errors.New("tlsprovider: FromTLSConfig of nil")
	}
	if t.MaxVersion != 0 && t.MaxVersion < tls.VersionTLS13 {
		return nil, fmt.Errorf("tlsprovider: tls.Config.MaxVersion is %s: QUIC requires TLS 1.3", tls.VersionName(t.MaxVersion))
	}
	c := &Config{
		NextProtos:         slices.Clone(t.NextProtos),
		InsecureSkipVerify: t.InsecureSkipVerify,
		KeyLogWriter:       t.KeyLogWriter,
		DisableTickets:     t.SessionTicketsDisabled,
		Time:               t.Time,
		TLS:                t.Clone(),
	}
	for _, id := range t.CurvePreferences {
		g := Group(id)
		if !slices.Contains(AllGroups(), g) {
			return nil, fmt.Errorf("tlsprovider: tls.Config.CurvePreferences: %v: %w (known: %s)", id, ErrUnsupported,
				GroupList(AllGroups()))
		}
		c.Groups = append(c.Groups, g)
	}
	for i, cert := range t.Certificates {
		converted, err := CertificateFromTLS(cert)
		if err != nil {
			return nil, fmt.Errorf("tls.Config.Certificates[%d]: %w", i, err)
		}
		c.Certificates = append(c.Certificates, converted)
	}
	if t.SessionTicketKey != [32]byte{} {
		c.TicketKeys = [][]byte{slices.Clone(t.SessionTicketKey[:])}
	}
	switch t.ClientAuth {
	case tls.VerifyClientCertIfGiven:
		c.ClientAuth = VerifyClientCertIfGiven
	case tls.RequireAndVerifyClientCert:
		c.ClientAuth = RequireClientCert
	}
	return c, nil
}
