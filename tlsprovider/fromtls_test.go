package tlsprovider_test

//lint:file-ignore SA1019 users of tls.Config may set its deprecated fields, so they are read here

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

func tlsCertificate(t *testing.T) (tls.Certificate, *tlstest.Authority) {
	t.Helper()
	ca := tlstest.NewAuthority(t)
	leaf := ca.Leaf(t, nil)
	key, err := x509.ParsePKCS8PrivateKey(leaf.KeyDER)
	require.NoError(t, err)
	return tls.Certificate{Certificate: leaf.Chain, PrivateKey: key}, ca
}

func TestFromTLSConfig(t *testing.T) {
	cert, _ := tlsCertificate(t)
	var log bytes.Buffer
	now := time.Unix(1, 0)
	from := &tls.Config{
		Certificates: []tls.Certificate{cert}, NextProtos: []string{"a", "b"},
		CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.CurveP256}, InsecureSkipVerify: true,
		KeyLogWriter: &log, Time: func() time.Time { return now }, SessionTicketsDisabled: true,
		SessionTicketKey: [32]byte{1}, ClientAuth: tls.RequireAndVerifyClientCert,
	}
	c, err := tlsprovider.FromTLSConfig(from)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, c.NextProtos)
	require.Equal(t, []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.P256}, c.Groups)
	require.Len(t, c.Certificates, 1)
	require.Equal(t, cert.Certificate, c.Certificates[0].Chain)
	require.NotEmpty(t, c.Certificates[0].KeyDER)
	require.True(t, c.InsecureSkipVerify && c.DisableTickets)
	require.Same(t, &log, c.KeyLogWriter)
	require.Equal(t, now, c.Time())
	require.Equal(t, tlsprovider.RequireClientCert, c.ClientAuth)
	require.Equal(t, [][]byte{from.SessionTicketKey[:]}, c.TicketKeys)
	from.NextProtos[0] = "changed"
	require.Equal(t, "a", c.NextProtos[0])
	require.NotSame(t, from, c.TLS)

	for _, tt := range []struct {
		name string
		cfg  *tls.Config
		want string
	}{
		{"nil", nil, "nil"},
		{"old TLS", &tls.Config{MaxVersion: tls.VersionTLS12}, "MaxVersion"},
		{"a group that no provider has", &tls.Config{CurvePreferences: []tls.CurveID{0x0100}}, "CurvePreferences"},
		{"an empty certificate", &tls.Config{Certificates: []tls.Certificate{{}}}, "Certificates[0]"},
		{"a key that does not sign", &tls.Config{Certificates: []tls.Certificate{
			{Certificate: cert.Certificate, PrivateKey: new(ecdsa.PublicKey)}}}, "Certificates[0]"},
	} {
		_, err := tlsprovider.FromTLSConfig(tt.cfg)
		require.ErrorContains(t, err, tt.want, tt.name)
	}
}

// TestEveryFieldIsClassified lists every field of tls.Config. A field that a new release of Go adds fails the
// test until it is listed.
func TestEveryFieldIsClassified(t *testing.T) {
	const (
		copied  = "copied to a field of Config"
		cloned  = "honoured by the native provider through Config.TLS; the s2n provider refuses it by name"
		ignored = "without a meaning for TLS 1.3 over QUIC"
		dial    = "read by quic.Dial"
	)
	fields := map[string]string{
		"Time": copied, "Certificates": copied, "NextProtos": copied, "ClientAuth": copied,
		"InsecureSkipVerify": copied, "SessionTicketsDisabled": copied, "SessionTicketKey": copied,
		"CurvePreferences": copied, "KeyLogWriter": copied, "MaxVersion": copied,
		"Rand": cloned, "NameToCertificate": cloned, "GetCertificate": cloned, "GetClientCertificate": cloned,
		"GetConfigForClient": cloned, "VerifyPeerCertificate": cloned, "VerifyConnection": cloned,
		"RootCAs": cloned, "ClientCAs": cloned, "ClientSessionCache": cloned, "UnwrapSession": cloned,
		"WrapSession": cloned, "EncryptedClientHelloConfigList": cloned,
		"EncryptedClientHelloRejectionVerify": cloned, "GetEncryptedClientHelloKeys": cloned,
		"EncryptedClientHelloKeys": cloned,
		"MinVersion":               ignored, "CipherSuites": ignored, "PreferServerCipherSuites": ignored,
		"DynamicRecordSizingDisabled": ignored, "Renegotiation": ignored,
		"ServerName": dial,
	}
	typ := reflect.TypeFor[tls.Config]()
	for i := range typ.NumField() {
		if f := typ.Field(i); f.IsExported() {
			require.Contains(t, fields, f.Name, "what becomes of tls.Config.%s?", f.Name)
			delete(fields, f.Name)
		}
	}
	require.Empty(t, fields, "tls.Config has no such fields")
}

func TestCertificateFromPEM(t *testing.T) {
	for _, tt := range []struct{ name, cert, key, want string }{
		{"nothing", "", "", "no CERTIFICATE block"},
		{"no key", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "junk", "no PRIVATE KEY block"},
		{"encrypted", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
			"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "decrypt it first"},
	} {
		_, err := tlsprovider.CertificateFromPEM([]byte(tt.cert), []byte(tt.key))
		require.ErrorContains(t, err, tt.want, tt.name)
	}
	_, err := tlsprovider.LoadCertificate("/nonexistent.pem", "/nonexistent.key")
	require.ErrorContains(t, err, "/nonexistent.pem")
	_, err = tlsprovider.RootsFromPEM([]byte("junk"))
	require.ErrorContains(t, err, "no CERTIFICATE block")
}

func TestGroupNames(t *testing.T) {
	for _, g := range tlsprovider.AllGroups() {
		got, err := tlsprovider.ParseGroup(g.String())
		require.NoError(t, err)
		require.Equal(t, g, got)
	}
	gs, err := tlsprovider.ParseGroups("x25519mlkem768, secp256r1,P384")
	require.NoError(t, err)
	require.Equal(t, []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.P256, tlsprovider.P384}, gs)
	_, err = tlsprovider.ParseGroups("X25519,Kyber")
	require.ErrorContains(t, err, `unknown group "Kyber"`)
	require.ErrorContains(t, err, "X25519MLKEM768", "it names what there is")
}
