package inspect

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/cryptobyte"
)

// opener removes the protection of packets of one direction, given a secret from a key log. The providers never
// accept a secret from outside, so it uses the standard library.
type opener struct {
	suite   uint16
	hash    func() hash.Hash
	keyLen  int
	prefix  string // of the labels
	aead    cipher.AEAD
	iv      []byte
	mask    func(sample []byte) [5]byte
	largest int64
}

// newOpener derives the keys of one direction (RFC 9001, 5.1).
func newOpener(version uint32, suite uint16, secret []byte) (*opener, error) {
	o := &opener{suite: suite, hash: sha256.New, keyLen: 16, prefix: "quic ", largest: -1}
	if version == quicV2 {
		o.prefix = "quicv2 "
	}
	switch suite {
	case 0x1301:
	case 0x1302:
		o.hash, o.keyLen = sha512.New384, 32
	case 0x1303:
		o.keyLen = chacha20poly1305.KeySize
	default:
		return nil, fmt.Errorf("no packet protection for cipher suite 0x%04x", suite)
	}
	hp, err := o.expand(secret, "hp", o.keyLen)
	if err != nil {
		return nil, err
	}
	if err := o.setMask(hp); err != nil {
		return nil, err
	}
	return o, o.setKey(secret)
}

// expand derives a value from a secret.
func (o *opener) expand(secret []byte, label string, n int) ([]byte, error) {
	return expandLabel(o.hash, secret, o.prefix+label, n)
}

// setKey derives the key and the IV from a secret.
func (o *opener) setKey(secret []byte) error {
	key, err := o.expand(secret, "key", o.keyLen)
	if err != nil {
		return err
	}
	if o.iv, err = o.expand(secret, "iv", 12); err != nil {
		return err
	}
	if o.suite == 0x1303 {
		o.aead, err = chacha20poly1305.New(key)
		return err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	o.aead, err = cipher.NewGCM(block)
	return err
}

// setMask sets the function that makes the masks of headers.
func (o *opener) setMask(hp []byte) error {
	if o.suite == 0x1303 {
		o.mask = func(sample []byte) (mask [5]byte) {
			c, err := chacha20.NewUnauthenticatedCipher(hp, sample[4:])
			if err != nil {
				panic(err) // the lengths are correct
			}
			c.SetCounter(uint32(sample[0]) | uint32(sample[1])<<8 | uint32(sample[2])<<16 | uint32(sample[3])<<24)
			c.XORKeyStream(mask[:], mask[:])
			return mask
		}
		return nil
	}
	header, err := aes.NewCipher(hp)
	if err != nil {
		return err
	}
	o.mask = func(sample []byte) (mask [5]byte) {
		var out [16]byte
		header.Encrypt(out[:], sample)
		copy(mask[:], out[:])
		return mask
	}
	return nil
}

// expandLabel is HKDF-Expand-Label with an empty context (RFC 8446, 7.1).
func expandLabel(h func() hash.Hash, secret []byte, label string, n int) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint16(uint16(n))
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte("tls13 " + label)) })
	b.AddUint8(0)
	info, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return hkdf.Expand(h, secret, string(info), n)
}

// open opens a packet in place and returns its payload.
func (o *opener) open(pkt []byte, pnOffset int) ([]byte, bool) {
	if len(pkt) < pnOffset+4+16 {
		return nil, false
	}
	mask := o.mask(pkt[pnOffset+4:][:16])
	hidden := byte(0x0f) // bits of the first byte: RFC 9001, section 5.4.1
	if pkt[0]&0x80 == 0 {
		hidden = 0x1f
	}
	pkt[0] ^= mask[0] & hidden
	n := int(pkt[0]&3) + 1
	pn := int64(0)
	for i := range n {
		pkt[pnOffset+i] ^= mask[1+i]
		pn = pn<<8 | int64(pkt[pnOffset+i])
	}
	pn = decodeNumber(o.largest, pn, n*8)
	nonce := make([]byte, 12)
	copy(nonce, o.iv)
	for i := range 8 {
		nonce[11-i] ^= byte(pn >> (8 * i))
	}
	payload, err := o.aead.Open(pkt[pnOffset+n:pnOffset+n], nonce, pkt[pnOffset+n:], pkt[:pnOffset+n])
	if err != nil {
		return nil, false
	}
	o.largest = max(o.largest, pn)
	return payload, true
}

// decodeNumber decodes a packet number (RFC 9000, A.3).
func decodeNumber(largest, truncated int64, bits int) int64 {
	expected, window := largest+1, int64(1)<<bits
	candidate := expected&^(window-1) | truncated
	switch {
	case candidate <= expected-window/2 && candidate < 1<<62-window:
		return candidate + window
	case candidate > expected+window/2 && candidate >= window:
		return candidate - window
	}
	return candidate
}
