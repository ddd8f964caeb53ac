package pkcs11key

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"
)

// digestOf returns a random digest of a hash function.
func digestOf(t testing.TB, h crypto.Hash) []byte {
	d := make([]byte, h.Size())
	_, err := rand.Read(d)
	require.NoError(t, err)
	return d
}

func TestSignECDSA(t *testing.T) {
	s := newSoftToken(t)
	for i, kind := range []keyKind{p256, p384, p521} {
		s.generate(kind, string(kind), byte(i))
	}
	token := s.open()
	for i, kind := range []keyKind{p256, p384, p521} {
		t.Run(string(kind), func(t *testing.T) {
			for _, find := range []func() (*Key, error){
				func() (*Key, error) { return token.Key(string(kind), nil) },
				func() (*Key, error) { return token.Key("", []byte{byte(i)}) },
				func() (*Key, error) { return token.Key(string(kind), []byte{byte(i)}) },
			} {
				key, err := find()
				require.NoError(t, err)
				for h := range hashes {
					digest := digestOf(t, h)
					_, input, err := key.mechanism(digest, h)
					require.NoError(t, err)
					require.LessOrEqual(t, len(input), (key.Public().(*ecdsa.PublicKey).Params().BitSize+7)/8)
					sig, err := key.Sign(nil, digest, h)
					require.NoError(t, err)
					require.True(t, ecdsa.VerifyASN1(key.Public().(*ecdsa.PublicKey), digest, sig), "%v", h)
				}
			}
		})
	}
	_, err := token.Key("", nil)
	require.ErrorContains(t, err, "needs a label or an ID")
}

func TestSignRSA(t *testing.T) {
	s := newSoftToken(t)
	s.generate(rsa2048, "rsa", 1)
	key, err := s.open().Key("rsa", nil)
	require.NoError(t, err)
	pub := key.Public().(*rsa.PublicKey)
	require.Equal(t, 2048, pub.N.BitLen())
	for h := range hashes {
		digest := digestOf(t, h)
		for _, salt := range []int{rsa.PSSSaltLengthEqualsHash, rsa.PSSSaltLengthAuto, 20} {
			opts := &rsa.PSSOptions{SaltLength: salt, Hash: h}
			sig, err := key.Sign(nil, digest, opts)
			require.NoError(t, err)
			require.NoError(t, rsa.VerifyPSS(pub, h, digest, sig, opts))
		}
		sig, err := key.Sign(nil, digest, h)
		require.NoError(t, err)
		require.NoError(t, rsa.VerifyPKCS1v15(pub, h, digest, sig))
	}

	_, err = key.Sign(nil, make([]byte, 20), crypto.SHA1)
	require.ErrorContains(t, err, "SHA-1 is not supported: use SHA-256")
	_, err = key.Sign(nil, make([]byte, 31), crypto.SHA256)
	require.ErrorContains(t, err, "the digest has 31 bytes, but one of SHA-256 has 32")
	_, err = key.Sign(nil, []byte("a message"), crypto.Hash(0))
	require.ErrorContains(t, err, "not supported")
}

func TestShortRSAKey(t *testing.T) {
	s := newSoftToken(t)
	s.generate(rsa1024, "short", 1)
	key, err := s.open().Key("short", nil)
	require.NoError(t, err)
	_, err = key.Sign(nil, digestOf(t, crypto.SHA512), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA512})
	require.ErrorContains(t, err, "pkcs11key: token \"test\"")
	k := Key{public: &rsa.PublicKey{N: key.Public().(*rsa.PublicKey).N, E: 3}}
	k.public.(*rsa.PublicKey).N.Rsh(k.public.(*rsa.PublicKey).N, 512)
	_, _, err = k.mechanism(digestOf(t, crypto.SHA512), &rsa.PSSOptions{Hash: crypto.SHA512})
	require.ErrorContains(t, err, "a key of 512 bits is too short for RSA-PSS with SHA-512")
}

func TestKeyErrors(t *testing.T) {
	s := newSoftToken(t)
	s.generate(p256, "one", 1)
	s.generate(p256, "twin", 2)
	s.generate(p256, "twin", 3)
	s.generate(k256, "koblitz", 4)
	s.generate(p256, "silent", 5, pkcs11.NewAttribute(pkcs11.CKA_SIGN, false), pkcs11.NewAttribute(pkcs11.CKA_DERIVE, true))
	token := s.open()
	for _, tt := range []struct {
		name, label string
		id          []byte
		want        string
	}{
		{"missing label", "none", nil, `pkcs11key: token "test": there is no private key "none": the token has `},
		{"list", "none", nil, `"one" (ID 01)`},
		{"missing ID", "", []byte{9}, "there is no private key with the ID 09"},
		{"label of another ID", "one", []byte{2}, `there is no private key "one" (ID 02)`},
		{"two keys", "twin", nil, `2 or more private keys are "twin": use label and ID together`},
		{"curve", "koblitz", nil, "the key is on the curve 1.3.132.0.10: use P-256, P-384 or P-521"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := token.Key(tt.label, tt.id)
			require.ErrorContains(t, err, tt.want)
		})
	}
	key, err := token.Key("twin", []byte{3})
	require.NoError(t, err)
	require.Equal(t, `ECDSA key on P-256 "twin" (ID 03) in token "test"`, key.String())

	key, err = token.Key("silent", nil)
	require.NoError(t, err)
	_, err = key.Sign(nil, digestOf(t, crypto.SHA256), crypto.SHA256)
	require.ErrorIs(t, err, pkcs11.Error(pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED))
	require.ErrorContains(t, err, "the key may not sign: make it with CKA_SIGN")
}

// Without a public key object, the public key is that of a certificate, or the public part of an RSA private key.
func TestPublicKeyOfCertificate(t *testing.T) {
	s := newSoftToken(t)
	s.generate(p256, "ec", 1)
	s.generate(rsa2048, "rsa", 2)
	token := s.open()
	ec, err := token.Key("ec", nil)
	require.NoError(t, err)
	rsaKey, err := token.Key("rsa", nil)
	require.NoError(t, err)
	der, _ := certificate(t, ec)
	s.destroy(token, pkcs11.CKO_PUBLIC_KEY, "ec")
	s.destroy(token, pkcs11.CKO_PUBLIC_KEY, "rsa")

	again, err := token.Key("rsa", nil)
	require.NoError(t, err)
	require.True(t, again.Public().(*rsa.PublicKey).Equal(rsaKey.Public()))
	_, err = token.Key("ec", nil)
	require.ErrorContains(t, err, `no public key object and no certificate with the ID or label of the private key "ec": store one of them`)

	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	s.inWriteSession(token, func(ctx *pkcs11.Ctx, sh pkcs11.SessionHandle) {
		_, err := ctx.CreateObject(sh, []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE), pkcs11.NewAttribute(pkcs11.CKA_CERTIFICATE_TYPE, pkcs11.CKC_X_509),
			pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_ID, []byte{1}),
			pkcs11.NewAttribute(pkcs11.CKA_SUBJECT, parsed.RawSubject), pkcs11.NewAttribute(pkcs11.CKA_VALUE, der),
		})
		require.NoError(t, err)
	})
	again, err = token.Key("ec", nil)
	require.NoError(t, err)
	require.True(t, again.Public().(*ecdsa.PublicKey).Equal(ec.Public()))
}

func TestCertificateErrors(t *testing.T) {
	s := newSoftToken(t)
	s.generate(p256, "one", 1)
	s.generate(p256, "other", 2)
	token := s.open()
	one, err := token.Key("one", nil)
	require.NoError(t, err)
	other, err := token.Key("other", nil)
	require.NoError(t, err)
	_, file := certificate(t, one)
	_, err = one.Certificate(file)
	require.NoError(t, err)
	_, err = other.Certificate(file)
	require.ErrorContains(t, err, `does not belong to the ECDSA key on P-256 "other" in token "test"`)
	_, err = one.Certificate(filepath.Join(t.TempDir(), "none.pem"))
	require.ErrorIs(t, err, os.ErrNotExist)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	_, err = one.Certificate(empty)
	require.ErrorContains(t, err, "has no CERTIFICATE block")
}

// Tokens are not trusted to return well-formed values.
func TestMalformedValues(t *testing.T) {
	curve := ecParams(t, 1, 2, 840, 10045, 3, 1, 7)
	for _, tt := range []struct {
		params, point []byte
		want          string
	}{
		{nil, nil, "does not name the curve"},
		{append(curve, 0), nil, "does not name the curve"},
		{curve, nil, "not on the curve"},
		{curve, []byte{4, 2, 1, 2}, "not on the curve"},
		{curve, make([]byte, 65), "not on the curve"},
	} {
		_, err := parseECDSA(tt.params, tt.point)
		require.ErrorContains(t, err, tt.want)
	}
	for _, sig := range [][]byte{nil, {1}, {1, 2, 3}} {
		_, err := encodeECDSA(sig)
		require.ErrorContains(t, err, "the token returned an ECDSA signature of")
	}
	require.EqualValues(t, 1<<32-1, parseULong(nil))
}
