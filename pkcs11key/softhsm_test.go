package pkcs11key

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

const testPIN = "2468"

// softHSM returns the path of SoftHSM's library. The test is skipped if SoftHSM is not installed.
func softHSM(t testing.TB) string {
	_, err := exec.LookPath("softhsm2-util")
	for _, pattern := range []string{"/usr/lib*/softhsm/libsofthsm2.so", "/usr/lib*/*/softhsm/libsofthsm2.so",
		"/usr/lib*/pkcs11/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"} {
		if found, _ := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return found[0]
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("CI=true, but SoftHSM is not installed: run scripts/bootstrap test")
	}
	t.Skip("NOT CHECKED: SoftHSM is not installed (scripts/bootstrap test)")
	return ""
}

// A softToken is a token of SoftHSM in a folder of its own.
type softToken struct {
	testing.TB
	cfg Config
	dir string // of all tokens
}

// newSoftToken makes a token with the label "test" and points the library to its folder.
func newSoftToken(t testing.TB) *softToken {
	s := &softToken{TB: t, dir: filepath.Join(t.TempDir(), "tokens")}
	s.cfg = Config{Library: softHSM(t), Token: "test", PIN: func() (string, error) { return testPIN, nil }}
	require.NoError(t, os.Mkdir(s.dir, 0o700))
	conf := s.dir + ".conf"
	require.NoError(t, os.WriteFile(conf, []byte("directories.tokendir = "+s.dir+"\nobjectstore.backend = file\n"), 0o600))
	setenv(t, "SOFTHSM2_CONF", conf)
	s.addToken("test")
	return s
}

func setenv(t testing.TB, name, value string) {
	t.(interface{ Setenv(name, value string) }).Setenv(name, value)
}

// addToken makes another token.
func (s *softToken) addToken(label string) {
	out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", testPIN, "--so-pin", "13579").CombinedOutput()
	require.NoError(s, err, "%s", out)
}

// open opens the token and closes it at the end of the test.
func (s *softToken) open() *Token {
	s.Helper()
	token, err := Open(s.cfg)
	require.NoError(s, err)
	s.Cleanup(token.Close)
	return token
}

// ecParams are the values of CKA_EC_PARAMS.
func ecParams(s testing.TB, oid ...int) []byte {
	der, err := asn1.Marshal(asn1.ObjectIdentifier(oid))
	require.NoError(s, err)
	return der
}

// A keyKind is a kind of keys that generate makes.
type keyKind string

const (
	p256    keyKind = "ECDSA P-256"
	p384    keyKind = "ECDSA P-384"
	p521    keyKind = "ECDSA P-521"
	k256    keyKind = "ECDSA secp256k1"
	rsa2048 keyKind = "RSA 2048"
	rsa1024 keyKind = "RSA 1024"
	dsa     keyKind = "generic" // of a type that TLS does not have
)

// generate makes a key pair in the token. Attributes replace those that the private key would have.
func (s *softToken) generate(kind keyKind, label string, id byte, private ...*pkcs11.Attribute) {
	s.Helper()
	token := s.open()
	mechanism := uint(pkcs11.CKM_EC_KEY_PAIR_GEN)
	public := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, label), pkcs11.NewAttribute(pkcs11.CKA_ID, []byte{id})}
	switch kind {
	case p256:
		public = append(public, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, ecParams(s, 1, 2, 840, 10045, 3, 1, 7)))
	case p384:
		public = append(public, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, ecParams(s, 1, 3, 132, 0, 34)))
	case p521:
		public = append(public, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, ecParams(s, 1, 3, 132, 0, 35)))
	case k256:
		public = append(public, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, ecParams(s, 1, 3, 132, 0, 10)))
	case rsa1024, rsa2048:
		mechanism = pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN
		bits := map[keyKind]int{rsa1024: 1024, rsa2048: 2048}[kind]
		public = append(public, pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, bits),
			pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}))
	}
	attributes := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, label), pkcs11.NewAttribute(pkcs11.CKA_ID, []byte{id})}
	if len(private) == 0 {
		private = []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_SIGN, true)}
	}
	s.inWriteSession(token, func(ctx *pkcs11.Ctx, sh pkcs11.SessionHandle) {
		_, _, err := ctx.GenerateKeyPair(sh, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, public, append(attributes, private...))
		require.NoError(s, err)
	})
	token.Close()
}

// inWriteSession calls f with a session that may change the token.
func (s *softToken) inWriteSession(token *Token, f func(*pkcs11.Ctx, pkcs11.SessionHandle)) {
	require.NoError(s, token.use(func(ctx *pkcs11.Ctx, _ *session) error {
		slot, _, err := token.findToken(ctx)
		require.NoError(s, err)
		sh, err := ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
		require.NoError(s, err)
		defer func() { require.NoError(s, ctx.CloseSession(sh)) }()
		f(ctx, sh)
		return nil
	}))
}

// destroy removes the objects of a class with this label.
func (s *softToken) destroy(token *Token, class uint, label string) {
	s.inWriteSession(token, func(ctx *pkcs11.Ctx, sh pkcs11.SessionHandle) {
		handles, err := findObjects(ctx, sh, (&Key{label: label}).template(class))
		require.NoError(s, err)
		require.NotEmpty(s, handles)
		for _, h := range handles {
			require.NoError(s, ctx.DestroyObject(sh, h))
		}
	})
}

// certificate returns the self-signed certificate of a key for "localhost", and the file that it is in.
func certificate(t testing.TB, key crypto.Signer) (der []byte, file string) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: fmt.Sprintf("%T", key)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA:        true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	file = filepath.Join(t.TempDir(), "cert.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return der, file
}

// identity returns a certificate of a key, and the roots that verify it.
func identity(t testing.TB, key *Key) (tlsprovider.Certificate, *tlsprovider.Roots) {
	der, file := certificate(t, key)
	cert, err := key.Certificate(file)
	require.NoError(t, err)
	roots := new(tlsprovider.Roots)
	roots.AddDER(der)
	return cert, roots
}
