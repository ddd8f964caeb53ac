package s2n

//lint:file-ignore SA1019 users of tls.Config may set its deprecated fields, so they are read here

import (
	"crypto/tls"
	"fmt"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider"
)

// checkTLSConfig returns an error if a field of a tls.Config is set that s2n-tls does not support. FromTLSConfig
// has copied the supported fields to Config. Other fields have no meaning in TLS 1.3 over QUIC.
func checkTLSConfig(cfg *tlsprovider.Config, side tlsprovider.Side) error {
	t := cfg.TLS
	if t == nil {
		return nil
	}
	refuse := func(field, instead string) error {
		return fmt.Errorf("s2n: tls.Config.%s: %w; %s", field, tlsprovider.ErrUnsupported, instead)
	}
	for _, f := range unsupportedFields(t) {
		if f.set {
			return refuse(f.name, f.instead)
		}
	}
	for i, c := range t.Certificates {
		for _, f := range unsupportedCertificateFields(&c) {
			if f.set {
				return refuse(fmt.Sprintf("Certificates[%d].%s", i, f.name), f.instead)
			}
		}
	}
	pool, roots, name := t.RootCAs, cfg.RootCAs, "RootCAs"
	if side == tlsprovider.Server {
		pool, roots, name = t.ClientCAs, cfg.ClientCAs, "ClientCAs"
	}
	if pool != nil && roots == nil {
		return refuse(name, "the certificates of a pool cannot be read back: set Config."+name+" to the same ones")
	}
	if t.MaxVersion != 0 && t.MaxVersion < tls.VersionTLS13 {
		return refuse("MaxVersion", "QUIC requires TLS 1.3")
	}
	if t.ClientAuth == tls.RequestClientCert || t.ClientAuth == tls.RequireAnyClientCert {
		return refuse("ClientAuth", "client certificates are always verified: use VerifyClientCertIfGiven or RequireAndVerifyClientCert")
	}
	if awslc.Variant == historic && t.SessionTicketKey != [32]byte{} {
		return refuse("SessionTicketKey", "the s2n-tls of the variant historic does not resume sessions")
	}
	if side == tlsprovider.Server && t.SessionTicketKey != [32]byte{} && t.ClientAuth != tls.NoClientCert {
		return refuse("SessionTicketKey", "a server with ClientAuth sends no tickets, because s2n-tls does not put the client's certificate into them")
	}
	return nil
}

type unsupportedField struct {
	name    string
	set     bool
	instead string
}

func unsupportedFields(t *tls.Config) []unsupportedField {
	const callback = "callbacks do not exist in s2n-tls: "
	const noECH = "s2n-tls has no Encrypted ClientHello: the server's name would be sent in the clear: clients can use the native provider"
	return []unsupportedField{
		{"Rand", t.Rand != nil, "randomness is the module's"},
		{"NameToCertificate", t.NameToCertificate != nil, "certificates are chosen by the names in them: leave it nil"},
		{"GetCertificate", t.GetCertificate != nil, callback + "use Certificates, or the endpoint's SetCertificates"},
		{"GetClientCertificate", t.GetClientCertificate != nil, callback + "use Certificates"},
		{"GetConfigForClient", t.GetConfigForClient != nil, callback + "choose a configuration after the ClientHello"},
		{"VerifyPeerCertificate", t.VerifyPeerCertificate != nil, callback + "use Config.VerifyPeer"},
		{"VerifyConnection", t.VerifyConnection != nil, callback + "use Config.VerifyPeer"},
		{"ClientSessionCache", t.ClientSessionCache != nil, "tickets stay with the endpoint"},
		{"UnwrapSession", t.UnwrapSession != nil, callback + "use Config.TicketKeys"},
		{"WrapSession", t.WrapSession != nil, callback + "use Config.TicketKeys"},
		{"EncryptedClientHelloConfigList", t.EncryptedClientHelloConfigList != nil, noECH},
		{"EncryptedClientHelloRejectionVerify", t.EncryptedClientHelloRejectionVerify != nil, noECH},
		{"EncryptedClientHelloKeys", t.EncryptedClientHelloKeys != nil, noECH},
		{"GetEncryptedClientHelloKeys", t.GetEncryptedClientHelloKeys != nil, noECH},
	}
}

// unsupportedCertificateFields lists the fields of a tls.Certificate that s2n-tls does not support.
func unsupportedCertificateFields(c *tls.Certificate) []unsupportedField {
	return []unsupportedField{
		{"OCSPStaple", awslc.Variant == historic && len(c.OCSPStaple) > 0, "the variant historic does not show staples: leave it nil"},
		{"SignedCertificateTimestamps", c.SignedCertificateTimestamps != nil, "timestamps are not sent beside a certificate: leave it nil"},
		{"SupportedSignatureAlgorithms", c.SupportedSignatureAlgorithms != nil, "signature schemes belong to the Policy"},
	}
}
