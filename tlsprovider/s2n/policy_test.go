package s2n

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider"
)

// TestEveryRowPrefersAES128 checks that every policy prefers AES-128-GCM, which costs the least. A server uses its
// own order of preference.
func TestEveryRowPrefersAES128(t *testing.T) {
	newProvider(t)
	const classical = 1<<3 | 1<<4 | 1<<5 | 1<<7 // of policyBits
	policies := []string{"default_pq", "default_fips"}
	if awslc.Variant == historic {
		policies = []string{"PQ-TLS-1-0-2021-05-26", "default_tls13"}
	}
	for mask := 1; mask < 1<<len(policyBits); mask++ {
		if awslc.Variant != "openssl" || mask&classical != 0 { // s2n-tls omits rows without a group
			policies = append(policies, fmt.Sprintf("pqquic_%02x", mask))
		}
	}
	for _, policy := range policies {
		o, err := probe(policy)
		require.NoError(t, err, policy)
		require.Equal(t, tlsprovider.AES128GCM, o.CipherSuites[0], policy)
		if strings.HasPrefix(awslc.Variant, "fips") && policy != "default_pq" {
			// ChaCha20-Poly1305 is not approved: see cgo/c/tests/awslc/test_fips.c.
			require.NotContains(t, o.CipherSuites, tlsprovider.ChaCha20Poly1305, policy)
		}
	}
}

// TestDefaultTLS13Policy checks that s2n-tls's policy default_tls13 is post-quantum in the linked library. With
// PQ_DEFAULT_POLICY=OFF it is classical, and the provider's default is still post-quantum. TestOverrides in
// scripts/checks runs this test with such a library.
func TestDefaultTLS13Policy(t *testing.T) {
	p := newProvider(t)
	needPostQuantum(t, p)
	o, err := probe("default_tls13")
	require.NoError(t, err)
	wantPQ := os.Getenv("PQQUIC_TEST_CLASSICAL_DEFAULT") != "1"
	require.Equal(t, wantPQ, slices.ContainsFunc(o.Groups, tlsprovider.Group.PostQuantum),
		"default_tls13 offers %s", tlsprovider.GroupList(o.Groups))
	require.Equal(t, tlsprovider.X25519MLKEM768, p.Capabilities().Groups[0].ID)
	cfg := &tlsprovider.Config{Policy: "default_tls13", NextProtos: []string{"test"}}
	_, err = p.NewClient(cfg)
	require.NoError(t, err)
	_, err = p.NewClient(&tlsprovider.Config{RequirePQ: true, NextProtos: []string{"test"}})
	require.NoError(t, err, "the provider's own default")
}

// TestPolicyWithPureMLKEM checks s2n-tls's policies for CNSA 2.0, which offer ML-KEM-1024 alone.
func TestPolicyWithPureMLKEM(t *testing.T) {
	prov := newProvider(t)
	needPostQuantum(t, prov)
	lib, err := awslc.Library()
	require.NoError(t, err)
	require.True(t, lib.MLDSA || awslc.Variant != "", "the default variant supports ML-DSA")
	if !lib.MLDSA {
		require.NotContains(t, prov.Capabilities().SignatureSchemes, tlsprovider.SignatureScheme(0x0906))
	}
	for _, policy := range []string{"cnsa_2", "cnsa_1_2_interop"} {
		c, err := prov.NewClient(&tlsprovider.Config{Policy: policy, RequirePQ: true, NextProtos: []string{"test"}})
		// ML-DSA is not part of the validation of AWS-LC-FIPS 3.x, and s2n-tls lacks a function of some releases of
		// 4.x. cnsa_2 allows nothing else.
		if awslc.Variant == "fips" || policy == "cnsa_2" && !lib.MLDSA {
			require.ErrorIs(t, err, tlsprovider.ErrUnsupported)
			require.ErrorContains(t, err, "mldsa87")
			continue
		}
		require.NoError(t, err, policy)
		c.Close()
	}
	if awslc.Variant == "fips" {
		return
	}
	mldsa, err := os.ReadFile("testdata/mldsa87.pem") // Go's crypto/x509 cannot make such a certificate
	require.NoError(t, err)
	mldsa87, err := tlsprovider.CertificateFromPEM(mldsa, mldsa)
	require.NoError(t, err)
	for policy, cert := range map[string]tlsprovider.Certificate{"cnsa_2": mldsa87, "cnsa_1_2_interop": selfSignedP384(t)} {
		if policy == "cnsa_2" && !lib.MLDSA {
			continue
		}
		t.Run(policy, func(t *testing.T) {
			roots := new(tlsprovider.Roots)
			roots.AddDER(cert.Chain[0])
			client := &tlsprovider.Config{Policy: policy, RequirePQ: true, NextProtos: []string{"test"}, RootCAs: roots}
			server := &tlsprovider.Config{Policy: policy, RequirePQ: true, NextProtos: []string{"test"},
				Certificates: []tlsprovider.Certificate{cert}}
			cs, ss := newPair(t, prov, client, server).MustRun(t)
			for _, s := range []tlsprovider.State{cs, ss} {
				require.Equal(t, tlsprovider.MLKEM1024, s.Group)
				require.Equal(t, [2]int{1568, 1568}, [2]int{s.ClientShareLen, s.ServerShareLen})
			}
		})
	}
}

// selfSignedP384 returns a self-signed certificate that CNSA allows.
func selfSignedP384(t *testing.T) tlsprovider.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"server.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		SignatureAlgorithm: x509.ECDSAWithSHA384}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return tlsprovider.Certificate{Chain: [][]byte{der}, KeyDER: keyDER}
}

// TestPolicyWithUnknownGroup checks that a policy with an unknown group is an error.
func TestPolicyWithUnknownGroup(t *testing.T) {
	p := newProvider(t).(*provider)
	o := &offer{Groups: []tlsprovider.Group{policyBits[0], 0x1234}}
	err := p.checkOffer(&tlsprovider.Config{Policy: "future"}, "future", o)
	require.ErrorIs(t, err, tlsprovider.ErrUnsupported)
	require.ErrorContains(t, err, "policy future offers group 0x1234")
}

// TestPolicyBits checks that the policy for each bit offers exactly the group of policyBits.
func TestPolicyBits(t *testing.T) {
	newProvider(t)
	if awslc.Variant != historic { // whose AllGroups has those of other libraries and policies, too
		require.ElementsMatch(t, tlsprovider.AllGroups(), policyBits)
	}
	for i, g := range policyBits {
		o, err := probe(fmt.Sprintf("pqquic_%02x", 1<<i))
		if awslc.Variant == "openssl" && g.PostQuantum() {
			require.ErrorIs(t, err, errNoPolicy)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, []tlsprovider.Group{g}, o.Groups)
	}
}
