package approved

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

func TestGroups(t *testing.T) {
	none := Module{}
	for _, c := range []struct {
		m      Module
		g      tlsprovider.Group
		detail string
		ok     bool
	}{
		{Go, tlsprovider.P256, "P-256", true},
		{Go, tlsprovider.P521, "P-521", true},
		{Go, tlsprovider.X25519, "X25519", false},
		{Go, 0x1234, "group 0x1234", false},
		{Go, tlsprovider.X25519MLKEM768, "X25519MLKEM768 (ML-KEM-768; X25519 is not relied on)", true},
		{Go, tlsprovider.SecP256r1MLKEM768, "SecP256r1MLKEM768", true},
		{Go, tlsprovider.MLKEM1024, "MLKEM1024", true},
		{none, tlsprovider.X25519MLKEM768, "X25519MLKEM768", false},
		{none, tlsprovider.SecP384r1MLKEM1024, "SecP384r1MLKEM1024 (P-384; ML-KEM-1024 is not relied on)", true},
		{none, tlsprovider.MLKEM1024, "MLKEM1024", false},
	} {
		detail, ok := c.m.Group(c.g)
		require.Equal(t, c.ok, ok, "%v", c.g)
		require.Equal(t, c.detail, detail)
	}
}

// TestEveryGroupIsInTable checks that every group but X25519 is in the table.
func TestEveryGroupIsInTable(t *testing.T) {
	for _, g := range tlsprovider.AllGroups() {
		if g>>8 == 0x2f {
			continue // of the variant historic
		}
		_, ok := AWSLCFIPS4.Group(g)
		require.Equal(t, g != tlsprovider.X25519, ok, "%v", g)
	}
}

func TestJudge(t *testing.T) {
	good := Connection{Group: tlsprovider.P256, Suite: tlsprovider.AES128GCM,
		Schemes: [2]tlsprovider.SignatureScheme{0x0403, 0}, PeerLeaf: leaf(t, 2048)}
	for _, c := range []struct {
		name   string
		m      Module
		edit   func(*Connection)
		ok     bool
		detail string
	}{
		{"approved", AWSLCFIPS3, func(*Connection) {}, true, "P-256, TLS_AES_128_GCM_SHA256, ecdsa_secp256r1_sha256"},
		{"group", AWSLCFIPS3, func(c *Connection) { c.Group = tlsprovider.X25519 }, false, "X25519 is not approved"},
		{"suite", AWSLCFIPS3, func(c *Connection) { c.Suite = tlsprovider.ChaCha20Poly1305 }, false,
			"TLS_CHACHA20_POLY1305_SHA256 is not approved"},
		{"own scheme", AWSLCFIPS3, func(c *Connection) { c.Schemes[1] = 0x0906 }, false, "mldsa87 is not approved"},
		{"ML-DSA in the module", AWSLCFIPS4, func(c *Connection) { c.Schemes[1] = 0x0906 }, true,
			"P-256, TLS_AES_128_GCM_SHA256, ecdsa_secp256r1_sha256, mldsa87"},
		{"short RSA key", AWSLCFIPS3, func(c *Connection) { c.PeerLeaf = leaf(t, 1024) }, false,
			"the peer's certificate: an RSA key of 1024 bits is not approved under FIPS 140-3: use 2048 or more"},
		{"short RSA key of the type id-RSASSA-PSS", AWSLCFIPS3, func(c *Connection) { c.PeerLeaf = pssLeaf(t, 1024) }, false,
			"the peer's certificate: an RSA key of 1024 bits is not approved under FIPS 140-3: use 2048 or more"},
		{"outside", AWSLCFIPS3, func(c *Connection) { c.Outside = "elsewhere" }, false, "elsewhere"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := good
			c.edit(&conn)
			ok, detail := c.m.Judge(conn)
			require.Equal(t, c.ok, ok)
			require.Equal(t, c.detail, detail)
		})
	}
}

// TestKey checks the lengths of RSA keys, also those that crypto/x509 does not parse.
func TestKey(t *testing.T) {
	require.NoError(t, Go.Key(leaf(t, 2048)))
	require.ErrorContains(t, Go.Key(leaf(t, 1024)), "RSA key of 1024 bits")
	require.NoError(t, Go.Key(pssLeaf(t, 2048)))
	require.ErrorContains(t, Go.Key(pssLeaf(t, 1024)), "RSA key of 1024 bits")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	require.NoError(t, Go.Key(issue(t, key)))

	for name, der := range map[string][]byte{
		"no certificate":                    []byte("junk"),
		"a modulus that is not an integer":  bytes.Replace(pssLeaf(t, 1024), []byte{0x02, 0x81, 0x81}, []byte{0x04, 0x81, 0x81}, 1),
		"a version that x509 does not know": bytes.Replace(leaf(t, 1024), []byte{0xa0, 3, 2, 1, 2}, []byte{0xa0, 3, 2, 1, 9}, 1),
	} {
		require.ErrorContains(t, Go.Key(der), "length of its key is unknown", name)
	}
}

// pssLeaf returns a certificate whose key has the type id-RSASSA-PSS, which crypto/x509 does not know.
func pssLeaf(t *testing.T, bits int) []byte {
	t.Helper()
	rsa, pss := []byte("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"), []byte("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a")
	der := leaf(t, bits)
	require.Equal(t, 1, bytes.Count(der, rsa))
	return bytes.Replace(der, rsa, pss, 1)
}

func leaf(t *testing.T, bits int) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	return issue(t, key)
}

func issue(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return der
}
