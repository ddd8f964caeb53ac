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

// opener removes the protection of Handshake packets, given a secret from a key log. The providers never
// accept a secret from outside, so it uses the standard library.
type opener struct {
	aead    cipher.AEAD
	iv      []byte
	mask    func(sample []byte) [5]byte
	largest int64
}

// newOpener derives the keys of one direction (RFC 9001, 5.1).
func newOpener(version uint32, suite uint16, secret []byte) (*opener, error) {
	prefix := "quic "
	if version == quicV2 {
		prefix = "quicv2 "
	}
	h, keyLen := sha256.New, 16
	switch suite {
	case 0x1301:
	case 0x1302:
		h, keyLen = sha512.New384, 32
	case 0x1303:
		keyLen = chacha20poly1305.KeySize
	default:
		return nil, fmt.Errorf("no packet protection for cipher suite 0x%04x", suite)
	}
	o := &opener{largest: -1}
	key, err := expandLabel(h, secret, prefix+"key", keyLen)
	if err != nil {
		return nil, err
	}
	if o.iv, err = expandLabel(h, secret, prefix+"iv", 12); err != nil {
		return nil, err
	}
	hp, err := expandLabel(h, secret, prefix+"hp", keyLen)
	if err != nil {
		return nil, err
	}
	return o, o.setCiphers(suite, key, hp)
}

func (o *opener) setCiphers(suite uint16, key, hp []byte) (err error) {
	if suite == 0x1303 {
		o.mask = func(sample []byte) (mask [5]byte) {
			c, err := chacha20.NewUnauthenticatedCipher(hp, sample[4:])
			if err != nil {
				panic(err) // the lengths are correct
			}
			c.SetCounter(uint32(sample[0]) | uint32(sample[1])<<8 | uint32(sample[2])<<16 | uint32(sample[3])<<24)
			c.XORKeyStream(mask[:], mask[:])
			return mask
		}
		o.aead, err = chacha20poly1305.New(key)
		return err
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
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	o.aead, err = cipher.NewGCM(block)
	return err
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
	pkt[0] ^= mask[0] & 0x0f
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
