package native

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	_ "crypto/tls" // for aeadAESGCMTLS13
	"encoding/binary"
	_ "unsafe" // for go:linkname

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/pqquic/pqquic/tlsprovider/packetkeys"
)

// tlsAEAD has the methods of the interface that crypto/tls's aeadAESGCMTLS13 returns.
type tlsAEAD interface {
	cipher.AEAD
	explicitNonceLen() int
}

// aeadAESGCMTLS13 returns the AES-GCM of TLS 1.3. In FIPS 140-3 mode it is the only approved AES-GCM
// with nonces that are not random. Go's module also has one for QUIC, but no public package exports it
// (golang/go#79219). The standard library keeps this name for use by other modules.
//
//go:linkname aeadAESGCMTLS13 crypto/tls.aeadAESGCMTLS13
func aeadAESGCMTLS13(key, nonceMask []byte) tlsAEAD

// newPhase derives the key and the IV of a key phase from a traffic secret. approved selects an AES-GCM that
// is approved in FIPS 140-3 mode. It is false for Initial keys, which are public and need no approval.
func newPhase(s *suite, v *version, secret []byte, approved bool) (k packetkeys.Phase, err error) {
	key, err := expandLabel(s, secret, v.key, s.keyLen)
	if err != nil {
		return k, err
	}
	iv, err := expandLabel(s, secret, v.iv, len(k.IV))
	if err != nil {
		return k, err
	}
	copy(k.IV[:], iv)
	switch {
	case s.chacha:
		k.AEAD, err = chacha20poly1305.New(key)
	case approved && fips140.Enabled():
		k.AEAD, k.Counted = aeadAESGCMTLS13(key, iv), true
	default:
		k.AEAD, err = newGCM(key)
	}
	clear(key)
	return k, err
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// headerKey derives the header protection key from a traffic secret.
func headerKey(s *suite, v *version, secret []byte) ([]byte, error) {
	return expandLabel(s, secret, v.hp, s.keyLen)
}

// newMask makes the Mask of a header protection key.
func newMask(s *suite, key []byte) (packetkeys.Mask, error) {
	if s.chacha {
		k := chachaKey(key)
		return k.mask, nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return packetkeys.BlockMask(block), nil
}

// A chachaKey computes header protection masks with ChaCha20 (RFC 9001, 5.4.4).
type chachaKey [chacha20.KeySize]byte

func (k *chachaKey) mask(mask *[16]byte, sample []byte) {
	*mask = [16]byte{}
	c, err := chacha20.NewUnauthenticatedCipher(k[:], sample[4:16])
	if err != nil {
		panic("BUG: " + err.Error()) // the lengths are constant
	}
	c.SetCounter(binary.LittleEndian.Uint32(sample))
	c.XORKeyStream(mask[:5], mask[:5])
}
