package native

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/packetkeys"
)

const maxConnIDLen = 20

// OpenInitial implements tlsprovider.Provider.
//
// Initial keys are public (RFC 9001, 7), and their use is no security function. It runs outside of the
// enforcement of GODEBUG=fips140=only, as do InitialKeys and RetryTag.
func (p *Provider) OpenInitial(version uint32, dcid, pkt []byte, pnOffset int) (out tlsprovider.InitialPacket, ok bool) {
	v := versions[version]
	if v == nil || len(dcid) > maxConnIDLen {
		return out, false
	}
	if fips140.Enforced() {
		fips140.WithoutEnforcement(func() { out, ok = openInitial(v, dcid, pkt, pnOffset) })
		return out, ok
	}
	return openInitial(v, dcid, pkt, pnOffset)
}

func openInitial(v *version, dcid, pkt []byte, pnOffset int) (out tlsprovider.InitialPacket, ok bool) {
	initial, err := initialSecret(v, dcid)
	if err != nil {
		return out, false
	}
	secret, err := initialSecretOf(tlsprovider.Client, initial)
	if err != nil {
		return out, false
	}
	hp, err := headerKey(initialSuite, v, secret)
	if err != nil {
		return out, false
	}
	mask, err := newMask(initialSuite, hp)
	if err != nil {
		return out, false
	}
	key, err := newPhase(initialSuite, v, secret, false)
	if err != nil {
		return out, false
	}
	return packetkeys.OpenInitial(key, mask, pkt, pnOffset)
}

// InitialKeys implements tlsprovider.Provider.
func (p *Provider) InitialKeys(version uint32, dcid []byte, side tlsprovider.Side) (k tlsprovider.Keys, err error) {
	v, err := findVersion(version)
	if err != nil {
		return k, err
	}
	if len(dcid) > maxConnIDLen {
		return k, fmt.Errorf("native: connection ID of %d bytes; the maximum is 20", len(dcid))
	}
	fips140.WithoutEnforcement(func() { k, err = p.initialKeys(v, dcid, side) })
	return k, err
}

func (p *Provider) initialKeys(v *version, dcid []byte, side tlsprovider.Side) (k tlsprovider.Keys, err error) {
	initial, err := initialSecret(v, dcid)
	if err != nil {
		return k, err
	}
	ours, err := initialSecretOf(side, initial)
	if err != nil {
		return k, err
	}
	theirs, err := initialSecretOf(side.Peer(), initial)
	if err != nil {
		return k, err
	}
	s, err := newSealer(&p.live, keyParams{id: tlsprovider.AES128GCM, version: v, secret: ours})
	if err != nil {
		return k, err
	}
	o, err := newOpener(&p.live, keyParams{id: tlsprovider.AES128GCM, version: v, secret: theirs})
	if err != nil {
		s.Close()
		return k, err
	}
	return tlsprovider.Keys{Sealer: s, Opener: o}, nil
}

// retryAEADs returns the AEADs for Retry tags by QUIC version. They are safe for concurrent use.
var retryAEADs = sync.OnceValue(func() map[uint32]cipher.AEAD {
	m := make(map[uint32]cipher.AEAD)
	fips140.WithoutEnforcement(func() {
		for id, v := range versions {
			aead, err := newGCM(v.retryKey)
			if err != nil {
				panic("BUG: " + err.Error()) // the keys are constants
			}
			m[id] = aead
		}
	})
	return m
})

// RetryTag implements tlsprovider.Provider.
func (p *Provider) RetryTag(version uint32, originalDCID, retry []byte) (tag [16]byte, err error) {
	v, err := findVersion(version)
	if err != nil {
		return tag, err
	}
	if len(originalDCID) > maxConnIDLen {
		return tag, fmt.Errorf("native: connection ID of %d bytes; the maximum is 20", len(originalDCID))
	}
	// The Retry Pseudo-Packet (RFC 9001, 5.8).
	pseudo := make([]byte, 0, 1+len(originalDCID)+len(retry))
	pseudo = append(pseudo, byte(len(originalDCID)))
	pseudo = append(append(pseudo, originalDCID...), retry...)
	retryAEADs()[version].Seal(tag[:0], v.retryNonce, nil, pseudo)
	return tag, nil
}

var errShortSecret = errors.New("native: the secret must have at least 32 bytes")

// keyIDLen is the length of the key ID at the start of a token. It identifies the key that sealed the token,
// so that no decryption is needed to reject a token of another key.
const keyIDLen = 4

type tokenKey struct {
	id   [keyIDLen]byte
	aead cipher.AEAD
}

// NewTokenKey implements tlsprovider.Provider. A sealed token is {key ID 4, nonce 12, ciphertext, tag 16}.
func (p *Provider) NewTokenKey(secret []byte) (tlsprovider.TokenKey, error) {
	if len(secret) < 32 {
		return nil, errShortSecret
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "pqquic token key", 32)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	id, err := hkdf.Key(sha256.New, secret, nil, "pqquic token key id", keyIDLen)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &tokenKey{id: [keyIDLen]byte(id), aead: aead}, nil
}

func (k *tokenKey) Seal(dst, plaintext, aad []byte) ([]byte, error) {
	return k.aead.Seal(append(dst, k.id[:]...), nil, plaintext, aad), nil
}

func (k *tokenKey) Open(dst, sealed, aad []byte) ([]byte, bool) {
	if len(sealed) < keyIDLen || [keyIDLen]byte(sealed) != k.id {
		return dst, false
	}
	out, err := k.aead.Open(dst, nil, sealed[keyIDLen:], aad)
	if err != nil {
		return dst, false
	}
	return out, true
}

func (k *tokenKey) Close() {}

type resetKey struct{ key []byte }

// NewResetKey implements tlsprovider.Provider.
func (p *Provider) NewResetKey(secret []byte) (tlsprovider.ResetKey, error) {
	if len(secret) < 32 {
		return nil, errShortSecret
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "pqquic reset key", 32)
	if err != nil {
		return nil, err
	}
	return &resetKey{key}, nil
}

func (k *resetKey) Token(connID []byte) [16]byte {
	h := hmac.New(sha256.New, k.key)
	h.Write(connID)
	var sum [sha256.Size]byte
	return [16]byte(h.Sum(sum[:0]))
}

func (k *resetKey) Close() {}
