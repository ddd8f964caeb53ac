package tlstest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"
	"math/rand/v2"
	"testing"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A reference is a simple implementation of packet protection in RFC 9001. It derives the keys again for each packet.
type reference struct {
	suite  tlsprovider.CipherSuite
	prefix string // prefix of the labels, which depends on the version
	secret []byte
}

func newReference(version uint32, suite tlsprovider.CipherSuite, secret []byte) *reference {
	prefix := "quic "
	if version == version2 {
		prefix = "quicv2 "
	}
	return &reference{suite, prefix, secret}
}

func (r *reference) expand(t testing.TB, label string, n int) []byte {
	t.Helper()
	h := func() hash.Hash { return sha256.New() }
	if r.suite == tlsprovider.AES256GCM {
		h = func() hash.Hash { return sha512.New384() }
	}
	label = "tls13 " + r.prefix + label
	info := string([]byte{byte(n >> 8), byte(n), byte(len(label))}) + label + "\x00"
	out, err := hkdf.Expand(h, r.secret, info, n)
	require.NoError(t, err)
	return out
}

func (r *reference) keyLen() int {
	if r.suite == tlsprovider.AES128GCM {
		return 16
	}
	return 32
}

func (r *reference) update(t testing.TB) { r.secret = r.expand(t, "ku", len(r.secret)) }

// seal protects a packet. It uses the header protection key of hp, the reference of the first phase.
func (r *reference) seal(t testing.TB, hp *reference, pkt []byte, headerLen int, pn uint64) {
	t.Helper()
	var aead cipher.AEAD
	key, nonce := r.expand(t, "key", r.keyLen()), r.expand(t, "iv", 12)
	if r.suite == tlsprovider.ChaCha20Poly1305 {
		var err error
		aead, err = chacha20poly1305.New(key)
		require.NoError(t, err)
	} else {
		block, err := aes.NewCipher(key)
		require.NoError(t, err)
		aead, err = cipher.NewGCM(block)
		require.NoError(t, err)
	}
	binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(nonce[4:])^pn)
	header, payload := pkt[:headerLen], pkt[headerLen:len(pkt)-tlsprovider.TagLen]
	aead.Seal(payload[:0], nonce, payload, header)

	pnLen := int(pkt[0]&3) + 1
	at := headerLen - pnLen
	mask := hp.mask(t, pkt[at+4:at+20])
	pkt[0] ^= mask[0] & 0x1f
	for i := range pnLen {
		pkt[at+i] ^= mask[1+i]
	}
}

func (r *reference) mask(t testing.TB, sample []byte) []byte {
	t.Helper()
	key, mask := r.expand(t, "hp", r.keyLen()), make([]byte, 16)
	if r.suite == tlsprovider.ChaCha20Poly1305 {
		c, err := chacha20.NewUnauthenticatedCipher(key, sample[4:])
		require.NoError(t, err)
		c.SetCounter(binary.LittleEndian.Uint32(sample))
		c.XORKeyStream(mask[:5], mask[:5])
		return mask
	}
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	block.Encrypt(mask, sample)
	return mask
}

// againstReference compares sealed packets with those of the reference, in both versions, with random sizes, numbers
// and key updates.
func (k *keys) againstReference(t *testing.T) {
	for _, version := range k.versions {
		random := rand.New(rand.NewPCG(uint64(version), 6))
		n := 32
		if k.suite == tlsprovider.AES256GCM {
			n = 48
		}
		secret := make([]byte, n)
		for i := range secret {
			secret[i] = byte(random.Uint32())
		}
		first, now := newReference(version, k.suite, secret), newReference(version, k.suite, secret)
		for _, make := range []KeyMaker{k.seal, k.open} {
			*now = *first
			keys := make(t, version, k.suite, bytes.Clone(secret))
			pn, phase := uint64(random.IntN(1000)), uint8(0)
			for range 200 {
				var tr train
				for range 1 + random.IntN(5) {
					tr.add(pn, 1+random.IntN(4), phase, bytes.Repeat([]byte{byte(pn)}, 3+random.IntN(1400)))
					pn += 1 + uint64(random.IntN(3))
				}
				want := bytes.Clone(tr.slab)
				// The reference may use algorithms that are not approved, because it only computes bytes to compare.
				fips140.WithoutEnforcement(func() {
					for i, d := range tr.seal {
						now.seal(t, first, want[d.Offset:][:tr.open[i].Len], int(d.HeaderLen), d.PacketNumber)
					}
				})
				require.NoError(t, keys.Sealer.Seal(tr.slab, tr.seal))
				require.Equal(t, want, tr.slab)
				if random.IntN(8) == 0 {
					require.NoError(t, keys.Sealer.Update())
					now.update(t)
					phase ^= 1
				}
			}
			keys.Close()
		}
	}
}
