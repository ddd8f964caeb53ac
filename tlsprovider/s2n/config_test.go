package s2n

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

func TestConfigErrors(t *testing.T) {
	prov := newProvider(t)
	type edit func(*tlsprovider.Config)
	tests := []struct {
		name   string
		server bool
		edit   edit
		want   string
	}{
		{"no NextProtos", false, func(c *tlsprovider.Config) { c.NextProtos = nil }, "NextProtos"},
		{"empty protocol", false, func(c *tlsprovider.Config) { c.NextProtos = []string{""} }, "NextProtos"},
		{"no certificate", true, func(c *tlsprovider.Config) { c.Certificates = nil }, "Certificates"},
		{"unknown policy", false, func(c *tlsprovider.Config) { c.Policy = "nonesuch" }, `unknown security policy "nonesuch": give one of s2n-tls`},
		{"policy without TLS 1.3", false, func(c *tlsprovider.Config) { c.Policy = "20170210" }, "has no TLS 1.3"},
		{"policy without TLS 1.3", true, func(c *tlsprovider.Config) { c.Policy = "20170210" }, "has no TLS 1.3"},
		{"policy and groups", false, func(c *tlsprovider.Config) {
			c.Policy, c.Groups = "default_pq", tlsprovider.AllGroups()
		}, "leave Groups"},
		{"no groups", false, func(c *tlsprovider.Config) { c.Groups = []tlsprovider.Group{} }, "Groups is empty"},
		{"unknown group", false, func(c *tlsprovider.Config) { c.Groups = []tlsprovider.Group{0x1234} }, "group 0x1234"},
		{"suites", false, func(c *tlsprovider.Config) {
			c.CipherSuites = []tlsprovider.CipherSuite{tlsprovider.ChaCha20Poly1305}
		}, "CipherSuites without"},
		{"classical policy with RequirePQ", false, func(c *tlsprovider.Config) {
			c.Policy, c.RequirePQ = "20240503", true
		}, "RequirePQ"},
		{"ticket key", true, func(c *tlsprovider.Config) { c.TicketKeys = [][]byte{make([]byte, 16)} }, "ticket key 0"},
		{"ticket keys and client auth", true, func(c *tlsprovider.Config) {
			c.TicketKeys, c.ClientAuth, c.Roots = [][]byte{make([]byte, 32)}, tlsprovider.RequireClientCert, tlstest.NewAuthority(t).Roots()
		}, "TicketKeys of a server with ClientAuth"},
		{"client auth", true, func(c *tlsprovider.Config) { c.ClientAuth = 9 }, "ClientAuth 9"},
		{"no key", true, func(c *tlsprovider.Config) { c.Certificates[0].KeyDER = nil }, "no private key"},
		{"junk for a key", true, func(c *tlsprovider.Config) { c.Certificates[0].KeyDER = []byte("junk") }, "not DER"},
		{"junk for a certificate", true, func(c *tlsprovider.Config) { c.Certificates[0].Chain = [][]byte{[]byte("junk")} }, "certificate 0"},
		{"key of another certificate", true, func(c *tlsprovider.Config) {
			c.Certificates[0].KeyDER = tlstest.NewAuthority(t).Leaf(t, nil).KeyDER
		}, "does not belong"},
		{"both kinds of key", true, func(c *tlsprovider.Config) { c.Certificates[0].Signer = tlstest.NewAuthority(t).Key }, "both"},
		{"signer of another certificate", true, func(c *tlsprovider.Config) {
			c.Certificates[0].KeyDER, c.Certificates[0].Signer = nil, tlstest.NewAuthority(t).Key
		}, "does not belong"},
		{"signer of an unknown kind", true, func(c *tlsprovider.Config) {
			_, key, _ := ed25519.GenerateKey(rand.Reader)
			c.Certificates[0].KeyDER, c.Certificates[0].Signer = nil, key
		}, "ed25519"},
		{"Ed25519 certificate", true, func(c *tlsprovider.Config) {
			_, key, _ := ed25519.GenerateKey(rand.Reader)
			c.Certificates[0] = certificateOf(t, key)
		}, "an Ed25519 key: take one of ECDSA"},
		{"ECDSA on another curve", true, func(c *tlsprovider.Config) {
			key, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
			c.Certificates[0] = certificateOf(t, key)
		}, "an ECDSA on P-224 key: take one of ECDSA"},
		{"key that does not sign", true, func(c *tlsprovider.Config) {
			key, _ := ecdh.X25519().GenerateKey(rand.Reader)
			c.Certificates[0].KeyDER, _ = x509.MarshalPKCS8PrivateKey(key)
		}, "does not take the chain or its private key"},
		{"empty roots", false, func(c *tlsprovider.Config) { c.Roots = new(tlsprovider.Roots) }, "Roots is empty"},
		{"junk among the roots", false, func(c *tlsprovider.Config) { c.Roots.AddDER([]byte("junk")) }, "root 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, server, _ := tlstest.Configs(t)
			make, cfg := prov.NewClient, client
			if tt.server {
				make, cfg = prov.NewServer, server
			}
			tt.edit(cfg)
			before := awslc.Live().Handles
			_, err := make(cfg)
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "\n")
			require.Equal(t, before, awslc.Live().Handles)
		})
	}
}

func certificateOf(t *testing.T, key crypto.Signer) tlsprovider.Certificate {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return tlsprovider.Certificate{Chain: tlstest.NewAuthority(t).Issue(t, key, nil), KeyDER: der}
}

func TestClassicalByName(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := tlstest.Configs(t)
	client.Policy = "20240503" // what default_tls13 is upstream
	p := newPair(t, prov, client, server)
	cs, _ := p.MustRun(t)
	require.False(t, cs.Group.PostQuantum())
	for _, g := range p.Hello.Groups {
		require.False(t, g.PostQuantum())
	}
}

func TestSystemRoots(t *testing.T) {
	ca, other := tlstest.NewAuthority(t), tlstest.NewAuthority(t)
	dir := t.TempDir()
	block := func(a *tlstest.Authority) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.DER})
	}
	file := filepath.Join(dir, "bundle.pem")
	require.NoError(t, os.WriteFile(file, append(block(ca), block(other)...), 0o600))
	got, err := loadRoots([]string{"/nonexistent", file}, nil)
	require.NoError(t, err)
	require.Equal(t, [][]byte{ca.DER, other.DER}, got)
	got, err = loadRoots([]string{"/nonexistent"}, []string{"/nonexistent", dir, dir})
	require.NoError(t, err)
	require.Equal(t, [][]byte{ca.DER, other.DER}, got)
	_, err = loadRoots(nil, []string{t.TempDir()})
	require.ErrorContains(t, err, "SSL_CERT_FILE")
}

func TestTicketKeyRotation(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := tlstest.Configs(t)
	now := time.Now()
	server.Time = func() time.Time { return now }
	ce, err := prov.NewClient(client)
	require.NoError(t, err)
	defer ce.Close()
	se, err := prov.NewServer(server)
	require.NoError(t, err)
	defer se.Close()
	run := func() bool {
		cs, _ := tlstest.PairOf(t, ce, se, "server.test").MustRun(t)
		return cs.Resumed
	}
	require.False(t, run())
	first := se.(*endpoint).current
	now = now.Add(ticketKeyLife)
	require.True(t, run(), "the previous key opens")
	require.NotSame(t, first, se.(*endpoint).current)
	require.False(t, run())
	now = now.Add(ticketKeyLife)
	idle, err := se.NewSession(tlsprovider.SessionParams{})
	require.NoError(t, err)
	idle.Close()
	now = now.Add(ticketKeyLife)
	require.False(t, run(), "after two rotations the key is gone")
}

func TestVariants(t *testing.T) {
	fips := awslc.Info{FIPSMode: true, SelfTest: true, FIPSBuild: true, AWSLC: "AWS-LC FIPS 3.1.0"}
	require.NoError(t, checkVariant("fips", fips))
	require.NoError(t, checkVariant("", awslc.Info{AWSLC: "AWS-LC 5.12.0"}))
	require.ErrorContains(t, checkVariant("fips4", fips), "VARIANT=fips4")
	require.ErrorContains(t, checkVariant("fips", awslc.Info{AWSLC: "AWS-LC 5.12.0"}), "VARIANT=fips")
	broken := fips
	broken.SelfTest = false
	require.ErrorContains(t, checkVariant("fips", broken), "self-test")
}

func TestNotLinked(t *testing.T) {
	if p, err := New(); err != nil {
		require.ErrorIs(t, err, ErrNotLinked)
		require.ErrorContains(t, err, "make build")
		require.Nil(t, p)
	}
}

func TestCapabilities(t *testing.T) {
	prov := newProvider(t)
	c := prov.Capabilities()
	require.Equal(t, tlsprovider.AllGroups(), c.Groups)
	require.Contains(t, c.CipherSuites, tlsprovider.AES128GCM)
	require.NotEmpty(t, c.SignatureSchemes)
	require.True(t, c.Policies)
	require.False(t, c.ZeroRTT)
	require.Equal(t, awslc.Variant != "", c.FIPS.Enabled)
	require.Contains(t, c.Library, "AWS-LC")
	require.Equal(t, Name, prov.Name())
}

func TestDescriptorsAreTheSameBytes(t *testing.T) {
	for _, pair := range [][2]reflect.Type{
		{reflect.TypeFor[tlsprovider.SealDesc](), reflect.TypeFor[awslc.SealDesc]()},
		{reflect.TypeFor[tlsprovider.OpenDesc](), reflect.TypeFor[awslc.OpenDesc]()},
	} {
		require.Equal(t, pair[0].Size(), pair[1].Size())
		for i := range pair[0].NumField() {
			f := pair[0].Field(i)
			if f.Name == "_" {
				continue
			}
			g, ok := pair[1].FieldByName(f.Name)
			require.True(t, ok, f.Name)
			require.Equal(t, f.Offset, g.Offset, f.Name)
			require.Equal(t, f.Type.Size(), g.Type.Size(), f.Name)
		}
	}
	require.Equal(t, uint8(tlsprovider.OpenTooShort), awslc.OpenTooShort)
	require.Equal(t, uint8(tlsprovider.OpenNextPhase), awslc.OpenNextPhase)
	require.EqualValues(t, 24, unsafe.Sizeof(awslc.SealDesc{}))
	require.EqualValues(t, 32, unsafe.Sizeof(awslc.OpenDesc{}))
}
