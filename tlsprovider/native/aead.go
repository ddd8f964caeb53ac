package native

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	_ "crypto/tls" // for the name below
	"encoding/binary"
	_ "unsafe" // for go:linkname

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"
)

// A packetKey protects payloads of one direction in one key phase.
type packetKey struct {
	aead cipher.AEAD
	iv   [12]byte
	// counted: the AEAD applies the IV itself, and its seals count (see newCounted).
	counted bool
	// primed: a counted AEAD has sealed, so that it knows its IV.
	primed bool
}

// tlsAEAD has the methods of the interface that crypto/tls's function returns.
type tlsAEAD interface {
	cipher.AEAD
	explicitNonceLen() int
}

// aeadAESGCMTLS13 is the AES-GCM of TLS 1.3. In FIPS 140-3 mode it is the only approved AES-GCM
// that takes a nonce which is not random; Go's module has one for QUIC, which no public package
// exports (golang/go#79219). The standard library keeps this name for other modules' use.
//
//go:linkname aeadAESGCMTLS13 crypto/tls.aeadAESGCMTLS13
func aeadAESGCMTLS13(key, nonceMask []byte) tlsAEAD

// newPacketKey derives key and IV from a traffic secret. Initial keys are public: what they protect
// is no security function, so that approved is false for them.
func newPacketKey(s *suite, v *version, secret []byte, approved bool) (k packetKey, err error) {
	key, err := expandLabel(s.hash, secret, v.key, s.keyLen)
	if err != nil {
		return k, err
	}
	iv, err := expandLabel(s.hash, secret, v.iv, len(k.iv))
	if err != nil {
		return k, err
	}
	copy(k.iv[:], iv)
	switch {
	case s.chacha:
		k.aead, err = chacha20poly1305.New(key)
	case approved && fips140.Enabled():
		k.aead, k.counted = aeadAESGCMTLS13(key, iv), true
	default:
		k.aead, err = newGCM(key)
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

// nonce is the IV and the packet number, XORed (RFC 9001, 5.3).
func (k *packetKey) nonce(buf *[12]byte, pn uint64) []byte {
	if k.counted {
		binary.BigEndian.PutUint64(buf[:], pn)
		return buf[:8]
	}
	*buf = k.iv
	binary.BigEndian.PutUint64(buf[4:], binary.BigEndian.Uint64(buf[4:])^pn)
	return buf[:]
}

// prime tells a counted AEAD where numbers start. Such an AEAD takes its first seal for number 0,
// and from then on demands numbers that grow; but QUIC's do not start at 0 in a key phase that
// follows another, nor after a Retry. One seal of nothing at 0, whose result is dropped, settles it.
func (k *packetKey) prime(buf *[12]byte, pn uint64) {
	if k.counted && !k.primed {
		k.primed = true
		if pn != 0 {
			k.aead.Seal(nil, k.nonce(buf, 0), nil, nil)
		}
	}
}

// A headerKey makes masks for header protection (RFC 9001, 5.4).
type headerKey struct {
	block  cipher.Block // AES; nil for ChaCha20
	chacha [chacha20.KeySize]byte
	mask   [16]byte
}

func newHeaderKey(s *suite, v *version, secret []byte) (h headerKey, err error) {
	key, err := expandLabel(s.hash, secret, v.hp, s.keyLen)
	if err != nil {
		return h, err
	}
	if s.chacha {
		copy(h.chacha[:], key)
	} else {
		h.block, err = aes.NewCipher(key)
	}
	clear(key)
	return h, err
}

// protect masks or unmasks the first byte; the rest of the mask, for the packet number, stays in
// h.mask.
func (h *headerKey) protect(first *byte, sample []byte) {
	if h.block != nil {
		h.block.Encrypt(h.mask[:], sample[:16])
	} else {
		h.mask = [16]byte{}
		c, err := chacha20.NewUnauthenticatedCipher(h.chacha[:], sample[4:16])
		if err != nil {
			panic("BUG: " + err.Error()) // the lengths are right
		}
		c.SetCounter(binary.LittleEndian.Uint32(sample))
		c.XORKeyStream(h.mask[:5], h.mask[:5])
	}
	if *first&0x80 != 0 {
		*first ^= h.mask[0] & 0x0f
	} else {
		*first ^= h.mask[0] & 0x1f
	}
}

// unmask applies the rest of the mask to a packet number.
func (h *headerKey) unmask(pn []byte) {
	for i := range pn {
		pn[i] ^= h.mask[1+i]
	}
}
