package awslc

import (
	"errors"
	"io"
	"unsafe"
)

// Initial says where OpenInitial found what.
type Initial struct {
	HeaderLen, PayloadLen int
	PacketNumber          uint64
}

// OpenInitial opens a client's first packet in place and keeps nothing.
func OpenInitial(version uint32, dcid, pkt []byte, pnOffset int) (Initial, bool) {
	if pnOffset <= 0 || pnOffset >= len(pkt) {
		return Initial{}, false
	}
	return openInitial(version, dcid, pkt, pnOffset)
}

// RetryTag computes the Retry Integrity Tag over a Retry packet that lacks it.
func RetryTag(version uint32, odcid, retry []byte) (tag [16]byte, err error) {
	if err := Linked(); err != nil {
		return tag, err
	}
	if !retryTag(version, odcid, retry, &tag) {
		return tag, errors.New("awslc: no Retry tag for this version or length")
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

// Rand is the module's random generator, safe for concurrent use.
var Rand io.Reader = random{}

var errSecret = errors.New("awslc: the secret has to be 32 bytes or more")

// TokenKey seals what a peer carries for us. Safe for concurrent use until Close.
type TokenKey struct{ p unsafe.Pointer }

// TokenOverhead is what sealing adds.
const TokenOverhead = 32

// NewTokenKey derives a key and its id from secret, 32 bytes or more.
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

// Open appends the plaintext to dst.
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

// grow returns dst with n bytes of room behind its length.
func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst[:len(dst)+n]
	}
	out := make([]byte, len(dst)+n)
	copy(out, dst)
	return out
}

// ResetKey derives stateless reset tokens. Safe for concurrent use until Close.
type ResetKey struct{ p unsafe.Pointer }

// NewResetKey derives a key from secret, 32 bytes or more.
func NewResetKey(secret []byte) (*ResetKey, error) {
	if err := Linked(); err != nil {
		return nil, err
	}
	if p := resetNew(secret); p != nil {
		return &ResetKey{p}, nil
	}
	return nil, errSecret
}

// Token is the token of a connection ID. A module that fails to compute it yields random bytes: a
// reset that nobody recognizes, rather than one that somebody can guess.
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
