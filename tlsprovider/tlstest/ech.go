package tlstest

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
	"golang.org/x/crypto/cryptobyte"
)

// ECHKey returns a key of an encrypted ClientHello (RFC 9849) for a server, and the list of configurations for its clients. A
// server that rejects an encrypted ClientHello authenticates as publicName.
func ECHKey(t testing.TB, publicName string) (key tls.EncryptedClientHelloKey, list []byte) {
	t.Helper()
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	id := make([]byte, 1)
	_, _ = rand.Read(id)
	var b cryptobyte.Builder
	b.AddUint16(0xfe0d) // the version, which is the number of the extension
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddBytes(id)
		b.AddUint16(0x0020) // DHKEM(X25519, HKDF-SHA256)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(private.PublicKey().Bytes()) })
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint16(1) // HKDF-SHA256
			b.AddUint16(1) // AES-128-GCM
		})
		b.AddUint8(32) // the maximum length of a name, for padding
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(publicName)) })
		b.AddUint16(0) // no extensions
	})
	key = tls.EncryptedClientHelloKey{Config: b.BytesOrPanic(), PrivateKey: private.Bytes(), SendAsRetry: true}
	return key, ECHList(key)
}

// ECHList returns the list of configurations of keys, for tls.Config.EncryptedClientHelloConfigList.
func ECHList(keys ...tls.EncryptedClientHelloKey) []byte {
	var b cryptobyte.Builder
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, k := range keys {
			b.AddBytes(k.Config)
		}
	})
	return b.BytesOrPanic()
}
