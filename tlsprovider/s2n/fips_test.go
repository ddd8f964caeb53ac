package s2n

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/approved"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// TestModuleOf checks, among others, that a FIPS build of AWS-LC in AWS_LC_DIR does not make the default variant a
// FIPS variant.
func TestModuleOf(t *testing.T) {
	module := awslc.Info{FIPSMode: true, SelfTest: true, FIPSBuild: true, Crypto: "AWS-LC FIPS 3.6.0"}
	for _, c := range []struct {
		name string
		edit func(*awslc.Info)
		fips bool
		want approved.Module
	}{
		{"3.x", func(*awslc.Info) {}, true, approved.AWSLCFIPS3},
		{"4.x", func(i *awslc.Info) { i.Crypto = "AWS-LC FIPS 4.0.0" }, true, approved.AWSLCFIPS4},
		{"default variant", func(i *awslc.Info) { i.FIPSBuild, i.SelfTest = false, false }, false, approved.Module{}},
		{"mode off", func(i *awslc.Info) { i.FIPSMode = false }, false, approved.Module{}},
		{"self-test failed", func(i *awslc.Info) { i.SelfTest = false }, false, approved.Module{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			info := module
			c.edit(&info)
			fips, got := moduleOf(info)
			require.Equal(t, c.fips, fips)
			require.Equal(t, c.want, got)
		})
	}
}

// newFIPSProvider skips a test if the program is not a FIPS variant. `make test` runs it with the tag.
func newFIPSProvider(t *testing.T) tlsprovider.Provider {
	prov := newProvider(t)
	if !strings.HasPrefix(awslc.Variant, "fips") {
		require.False(t, prov.Capabilities().FIPS.Enabled)
		t.Skip("needs the tag pqquic_fips or pqquic_fips4")
	}
	return prov
}

func TestFIPSRefusals(t *testing.T) {
	prov := newFIPSProvider(t)
	tlstest.RefuseConfigs(t, prov, live(native.New()), []tlstest.ConfigFault{
		tlstest.ClientFault("X25519", func(c *tlsprovider.Config) {
			c.Groups = []tlsprovider.Group{tlsprovider.X25519}
		}, "Groups offers X25519, which AWS-LC FIPS"),
		tlstest.ServerFault("X25519 among others", func(c *tlsprovider.Config) {
			c.Groups = []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.X25519}
		}, "Groups offers X25519, which AWS-LC FIPS"),
		tlstest.ClientFault("policy", func(c *tlsprovider.Config) { c.Policy = "default_pq" },
			"policy default_pq offers X25519, TLS_CHACHA20_POLY1305_SHA256"),
		tlstest.ServerFault("short RSA key", func(c *tlsprovider.Config) {
			key, err := rsa.GenerateKey(rand.Reader, 1024)
			require.NoError(t, err)
			c.Certificates[0] = tlstest.CertificateOf(t, key)
		}, "an RSA key of 1024 bits is not approved"),
	})
}

func TestFIPSState(t *testing.T) {
	prov := newFIPSProvider(t)
	client, server, _ := tlstest.Configs(t)
	cs, ss := newPair(t, prov, client, server).MustRun(t)
	want := "X25519MLKEM768 (ML-KEM-768; X25519 is not relied on), TLS_AES_128_GCM_SHA256, ecdsa_secp256r1_sha256"
	for _, s := range []tlsprovider.State{cs, ss} {
		require.True(t, s.FIPS)
		require.Equal(t, want, s.FIPSDetail)
	}
}

// TestFIPSStateWithMLDSA checks that ML-DSA is approved where the module has it.
func TestFIPSStateWithMLDSA(t *testing.T) {
	prov := newFIPSProvider(t)
	if awslc.Variant != "fips4" {
		t.Skip("needs the tag pqquic_fips4: AWS-LC-FIPS 3.x has no ML-DSA")
	}
	cfg := &tlsprovider.Config{NextProtos: []string{"test"}, RootCAs: tlstest.NamedRoots(t, "ml-dsa-65"),
		Certificates: []tlsprovider.Certificate{tlstest.NamedCertificate(t, "ml-dsa-65")}}
	cs, ss := newPair(t, prov, cfg, cfg).MustRun(t)
	for _, s := range []tlsprovider.State{cs, ss} {
		require.True(t, s.FIPS, s.FIPSDetail)
		require.Contains(t, s.FIPSDetail, "mldsa65")
	}
}

// TestFIPSStateWithSigner checks that State.FIPS is false on a server whose signature was made by a Signer, outside
// of its module, and true on the client, whose module has verified the signature.
func TestFIPSStateWithSigner(t *testing.T) {
	prov := newFIPSProvider(t)
	client, server, ca := tlstest.Configs(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	server.Certificates = []tlsprovider.Certificate{{Chain: ca.Issue(t, key, nil), Signer: key}}
	cs, ss := newPair(t, prov, client, server).MustRun(t)
	require.True(t, cs.FIPS)
	require.False(t, ss.FIPS)
	require.Contains(t, ss.FIPSDetail, "Certificate.Signer")
}

func TestFIPSStateResumed(t *testing.T) {
	prov := newFIPSProvider(t)
	client, server, _ := tlstest.Configs(t)
	ce, se := newEndpoints(t, prov, client, server)
	tlstest.PairOf(t, ce, se, "server.test").MustRun(t)
	cs, ss := tlstest.PairOf(t, ce, se, "server.test").MustRun(t)
	require.True(t, cs.Resumed)
	require.True(t, cs.FIPS)
	require.False(t, ss.FIPS)
	require.Contains(t, ss.FIPSDetail, "ticket")
}
