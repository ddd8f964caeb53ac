package s2n

//lint:file-ignore SA1019 users of tls.Config may set its deprecated fields, so they are read here

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// accepted lists the fields of tls.Config that may be set, with the reason. Setting another field, such as one that a
// later release of Go adds, must be an error.
var accepted = map[string]string{
	"Time": "honoured", "NextProtos": "honoured", "InsecureSkipVerify": "honoured", "CurvePreferences": "honoured",
	"SessionTicketsDisabled": "honoured", "SessionTicketKey": "honoured", "KeyLogWriter": "honoured",
	"Certificates": "honoured", "ServerName": "the name that quic.Dial verifies",
	"CipherSuites":                "crypto/tls ignores it in TLS 1.3",
	"PreferServerCipherSuites":    "crypto/tls ignores it",
	"MinVersion":                  "QUIC has TLS 1.3 only",
	"DynamicRecordSizingDisabled": "QUIC has no records",
	"Renegotiation":               "TLS 1.3 has none",
}

// fill sets a field to a value that is not zero.
func fill(t *testing.T, name string, v reflect.Value) {
	t.Helper()
	switch name {
	case "ClientAuth": // the two that are not honoured
		v.Set(reflect.ValueOf(tls.RequireAnyClientCert))
		return
	case "MaxVersion":
		v.SetUint(tls.VersionTLS12)
		return
	case "Time":
		v.Set(reflect.ValueOf(time.Now))
		return
	case "CurvePreferences":
		v.Set(reflect.ValueOf([]tls.CurveID{tls.CurveP256}))
		return
	case "Certificates":
		return // set already
	case "ClientSessionCache":
		v.Set(reflect.ValueOf(tls.NewLRUClientSessionCache(1)))
		return
	case "Rand":
		v.Set(reflect.ValueOf(strings.NewReader("random")))
		return
	case "KeyLogWriter":
		v.Set(reflect.ValueOf(io.Discard))
		return
	}
	switch v.Kind() {
	case reflect.Func:
		v.Set(reflect.MakeFunc(v.Type(), func([]reflect.Value) []reflect.Value { panic("not to be called") }))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		if v.Index(0).Kind() == reflect.String {
			v.Index(0).SetString("test")
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("set")
	case reflect.Array:
		v.Index(0).SetUint(1)
	case reflect.Uint16:
		v.SetUint(tls.VersionTLS13)
	case reflect.Int:
		v.SetInt(1)
	default:
		require.Fail(t, "this test does not know how to set tls.Config."+name, v.Type().String())
	}
	require.False(t, v.IsZero(), name)
}

// goCertificate returns a certificate for tls.Config.
func goCertificate(t *testing.T, ca *tlstest.Authority) tls.Certificate {
	t.Helper()
	leaf := ca.Leaf(t, nil)
	key, err := x509.ParsePKCS8PrivateKey(leaf.KeyDER)
	require.NoError(t, err)
	return tls.Certificate{Certificate: leaf.Chain, PrivateKey: key}
}

// TestTLSConfigFields sets each field of a tls.Config on both sides and checks that it is supported or has no
// meaning, or else is an error that names it.
func TestTLSConfigFields(t *testing.T) {
	prov := newProvider(t)
	ca := tlstest.NewAuthority(t)
	typ := reflect.TypeFor[tls.Config]()
	tickets := prov.Capabilities().Tickets
	for i := range typ.NumField() {
		f := typ.Field(i)
		if !f.IsExported() {
			continue
		}
		for _, side := range []tlsprovider.Side{tlsprovider.Client, tlsprovider.Server} {
			t.Run(f.Name+" of the "+side.String(), func(t *testing.T) {
				err := startWith(t, prov, side, ca, func(c *tls.Config) { fill(t, f.Name, reflect.ValueOf(c).Elem().Field(i)) })
				ofTheOther := f.Name == "RootCAs" && side == tlsprovider.Server || f.Name == "ClientCAs" && side == tlsprovider.Client
				noTickets := f.Name == "SessionTicketKey" && !tickets
				if accepted[f.Name] != "" && !noTickets || ofTheOther {
					require.NoError(t, err)
					return
				}
				require.ErrorContains(t, err, "tls.Config."+f.Name)
				require.NotContains(t, err.Error(), "\n")
			})
		}
	}
}

// startWith makes an endpoint from a tls.Config after edit has changed it.
func startWith(t *testing.T, prov tlsprovider.Provider, side tlsprovider.Side, ca *tlstest.Authority, edit func(*tls.Config)) error {
	t.Helper()
	c := &tls.Config{NextProtos: []string{"test"}, Certificates: []tls.Certificate{goCertificate(t, ca)}}
	edit(c)
	cfg, err := tlsprovider.FromTLSConfig(c)
	if err != nil {
		return err
	}
	if c.RootCAs == nil {
		cfg.RootCAs = ca.Roots()
	}
	if c.ClientCAs == nil {
		cfg.ClientCAs = ca.Roots()
	}
	start := prov.NewClient
	if side == tlsprovider.Server {
		start = prov.NewServer
	}
	e, err := start(cfg)
	if err == nil {
		e.Close()
	}
	return err
}

// TestTLSCertificateFields checks that fields of a tls.Certificate that are not supported are errors.
func TestTLSCertificateFields(t *testing.T) {
	prov := newProvider(t)
	ca := tlstest.NewAuthority(t)
	accepted := map[string]bool{"Certificate": true, "PrivateKey": true, "Leaf": true, "OCSPStaple": prov.Capabilities().OCSPStaples}
	typ := reflect.TypeFor[tls.Certificate]()
	for i := range typ.NumField() {
		f := typ.Field(i)
		err := startWith(t, prov, tlsprovider.Server, ca, func(c *tls.Config) {
			if !accepted[f.Name] || f.Name == "OCSPStaple" {
				fill(t, f.Name, reflect.ValueOf(&c.Certificates[0]).Elem().Field(i))
			}
		})
		if accepted[f.Name] {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, tlsprovider.ErrUnsupported)
		require.ErrorContains(t, err, "tls.Config.Certificates[0]."+f.Name)
	}
}

func TestTLSConfigPairsOfFields(t *testing.T) {
	prov := newProvider(t)
	ca := tlstest.NewAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	cfg, err := tlsprovider.FromTLSConfig(&tls.Config{RootCAs: pool, NextProtos: []string{"test"}})
	require.NoError(t, err)
	cfg.RootCAs = ca.Roots()
	e, err := prov.NewClient(cfg)
	require.NoError(t, err, "RootCAs says what the pool holds")
	e.Close()
	err = startWith(t, prov, tlsprovider.Server, ca, func(c *tls.Config) {
		c.SessionTicketKey[0], c.ClientAuth = 1, tls.RequireAndVerifyClientCert
	})
	require.ErrorContains(t, err, "tls.Config.SessionTicketKey")
	require.NoError(t, startWith(t, prov, tlsprovider.Server, ca, func(c *tls.Config) { c.ClientAuth = tls.VerifyClientCertIfGiven }))
	require.NoError(t, startWith(t, prov, tlsprovider.Server, ca, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS13 }))
	require.Error(t, startWith(t, prov, tlsprovider.Client, ca, func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{0x0100} }))
}
