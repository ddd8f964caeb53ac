package awslc

import (
	"errors"
	"io"
	"unsafe"
)

// Initial is the result of OpenInitial.
type Initial struct {
	HeaderLen, PayloadLen int
	PacketNumber          uint64
}

// OpenInitial opens the first packet of a client in place. It keeps no state.
func OpenInitial(version uint32, dcid, pkt []byte, pnOffset int) (Initial, bool) {
	if pnOffset <= 0 || pnOffset >= len(pkt) {
		return Initial{}, false
	}
	return openInitial(version, dcid, pkt, pnOffset)
}

// RetryTag computes the Retry Integrity Tag of a Retry packet without its tag.
func RetryTag(version uint32, odcid, retry []byte) (tag [16]byte, err error) {
	if err := Linked(); err != nil {
		return tag, err
	}
	if !retryTag(version, odcid, retry, &tag) {
		return tag, errors.New("awslc: no Retry tag: unknown version, or a connection ID or packet that is too long")
	}
	return tag, nil
}

type random struct{}

func (random) Read(b []byte) (int, error) {
	if err := Linked(); err != nil {
		return 0, err
	}
	if len(b) > 0 && !randBytes(b) {
		return 0, errors.New("awslc: the random generator failed")
	}
	return len(b), nil
}

// Rand is the module's random generator. It is safe for concurrent use.
var Rand io.Reader = random{}

var errSecret = errors.New("awslc: the secret must have at least 32 bytes")

// A TokenKey seals and opens address tokens. It is safe for concurrent use until Close.
type TokenKey struct{ p unsafe.Pointer }

// TokenOverhead is the number of bytes that Seal adds to the plaintext.
const TokenOverhead = 32

// NewTokenKey derives a key and its ID from secret, which has at least 32 bytes.
func NewTokenKey(secret []byte) (*TokenKey, error) {
	if err := Linked(); err != nil {
		return nil, err
	}
	if p := tokenNew(secret); p != nil {
		return &TokenKey{p}, nil
	}
	return nil, errSecret
}

// Seal appends the sealed plaintext to dst.
func (k *TokenKey) Seal(dst, plaintext, aad []byte) ([]byte, error) {
	if k.p == nil {
		return nil, errClosed
	}
	out := grow(dst, len(plaintext)+TokenOverhead)
	n := tokenSeal(k.p, out[len(dst):], plaintext, aad)
	if n == 0 {
		return nil, errors.New("awslc: sealing a token failed")
	}
	return out[:len(dst)+n], nil
}

// Open appends the plaintext to dst. It returns false if sealed was not made by Seal with this key and aad.
func (k *TokenKey) Open(dst, sealed, aad []byte) ([]byte, bool) {
	if k.p == nil || len(sealed) < TokenOverhead {
		return nil, false
	}
	out := grow(dst, len(sealed))
	n := tokenOpen(k.p, out[len(dst):], sealed, aad)
	if n == 0 {
		return nil, false
	}
	return out[:len(dst)+n-1], true
}

// Close frees the key. It is idempotent.
func (k *TokenKey) Close() {
	tokenFree(k.p)
	k.p = nil
}

// grow returns dst with capacity for n more bytes.
func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst[:len(dst)+n]
	}
	out := make([]byte, len(dst)+n)
	copy(out, dst)
	return out
}

// A ResetKey derives stateless reset tokens. It is safe for concurrent use until Close.
type ResetKey struct{ p unsafe.Pointer }

// NewResetKey derives a key from secret, which has at least 32 bytes.
func NewResetKey(secret []byte) (*ResetKey, error) {
	if err := Linked(); err != nil {
		return nil, err
	}
	if p := resetNew(secret); p != nil {
		return &ResetKey{p}, nil
	}
	return nil, errSecret
}

// Token returns the token of a connection ID. If the module fails to compute it, Token returns random bytes: the
// peer then ignores the reset, and the token cannot be guessed.
func (k *ResetKey) Token(connID []byte) (token [16]byte) {
	if k.p == nil || !resetToken(k.p, connID, &token) {
		randBytes(token[:])
	}
	return token
}

// Close frees the key. It is idempotent.
func (k *ResetKey) Close() {
	resetFree(k.p)
	k.p = nil
}
