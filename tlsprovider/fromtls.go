package tlsprovider

//lint:file-ignore SA1019 users of tls.Config may set its deprecated fields, so they are read here

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
)

// FromTLSConfig returns a Config for a tls.Config, which it clones.
//
// The native provider supports all fields, as crypto/tls does for QUIC, except for a server's EncryptedClientHelloKeys and
// GetEncryptedClientHelloKeys: see docs/encrypted-client-hello.md. The s2n provider supports the fields
// that have a counterpart in Config: certificates, protocols, CurvePreferences as the set of groups,
// ClientAuth with verification, InsecureSkipVerify, the clock, the key log and ticket settings. If another
// field is set, NewClient or NewServer returns an error that names it. s2n-tls has no callbacks: use
// Config.VerifyPeer in place of one. It is not possible to read the certificates of an x509.CertPool: set
// Config.RootCAs or Config.ClientCAs. The OCSP staple of a tls.Certificate is sent; its timestamps and
// signature schemes are not supported.
//
// quic.Dial verifies the name tls.Config.ServerName if quic.Config.ServerName is empty. Fields that TLS 1.3
// over QUIC does not use, such as MinVersion, CipherSuites and Renegotiation, are ignored, as in crypto/tls.
// Keys passed to tls.Config.SetSessionTicketKeys cannot be read: set Config.TicketKeys.
func FromTLSConfig(t *tls.Config) (*Config, error) {
	if t == nil {
		return nil, errors.New("tlsprovider: FromTLSConfig: the tls.Config is nil")
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
