package native

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"sync"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A suite holds the parameters of packet protection with a TLS 1.3 cipher suite.
type suite struct {
	keyLen, hashLen int
	hash            func() hash.Hash
	chacha          bool
	expansions      sync.Pool // of *expansion
}

var suites = map[tlsprovider.CipherSuite]*suite{
	tlsprovider.AES128GCM:        {keyLen: 16, hashLen: 32, hash: sha256.New},
	tlsprovider.AES256GCM:        {keyLen: 32, hashLen: 48, hash: sha512.New384},
	tlsprovider.ChaCha20Poly1305: {keyLen: 32, hashLen: 32, hash: sha256.New, chacha: true},
}

// initialSuite protects Initial packets (RFC 9001, 5.2).
var initialSuite = suites[tlsprovider.AES128GCM]

// A version holds the parameters of packet protection in a QUIC version.
type version struct {
	salt        []byte
	retryKey    []byte
	retryNonce  []byte
	key, iv, hp string // labels
	ku          string
}

const (
	version1 = 1
	version2 = 0x6b3343cf
)

// versions holds the constants of RFC 9001, 5.1, 5.2 and 5.8, and RFC 9369, 3.3.
var versions = map[uint32]*version{
	version1: {
		salt:       []byte("\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a"),
		retryKey:   []byte("\xbe\x0c\x69\x0b\x9f\x66\x57\x5a\x1d\x76\x6b\x54\xe3\x68\xc8\x4e"),
		retryNonce: []byte("\x46\x15\x99\xd3\x5d\x63\x2b\xf2\x23\x98\x25\xbb"),
		key:        "quic key", iv: "quic iv", hp: "quic hp", ku: "quic ku",
	},
	version2: {
		salt:       []byte("\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9"),
		retryKey:   []byte("\x8f\xb4\xb0\x1b\x56\xac\x48\xe2\x60\xfb\xcb\xce\xad\x7c\xcc\x92"),
		retryNonce: []byte("\xd8\x69\x69\xbc\x2d\x7c\x6d\x99\x90\xef\xb0\x4a"),
		key:        "quicv2 key", iv: "quicv2 iv", hp: "quicv2 hp", ku: "quicv2 ku",
	},
}

func findVersion(v uint32) (*version, error) {
	if found := versions[v]; found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("native: QUIC version 0x%08x is not supported", v)
}

// An expansion supplies one call of crypto/hkdf with hash states. The call makes three or four of them and drops them,
// and a connection makes about thirty calls, so hash states were 12 KB of its garbage.
type expansion struct {
	states []hash.Hash
	used   int
	next   func() hash.Hash
}

func newExpansion(s *suite) *expansion {
	x := new(expansion)
	x.next = func() hash.Hash {
		if x.used == len(x.states) {
			x.states = append(x.states, s.hash())
		}
		h := x.states[x.used]
		x.used++
		h.Reset()
		return h
	}
	return x
}

// expandLabel is HKDF-Expand-Label with an empty context (RFC 8446, 7.1).
func expandLabel(s *suite, secret []byte, label string, n int) ([]byte, error) {
	x, _ := s.expansions.Get().(*expansion)
	if x == nil {
		x = newExpansion(s)
	}
	var buf [32]byte
	info := append(buf[:0], byte(n>>8), byte(n), byte(len("tls13 ")+len(label)))
	info = append(append(info, "tls13 "...), label...)
	out, err := hkdf.Expand(x.next, secret, string(append(info, 0)), n)
	x.used = 0
	s.expansions.Put(x)
	return out, err
}

// initialSecret returns the secret from which the Initial secrets of both sides are derived.
func initialSecret(v *version, dcid []byte) ([]byte, error) {
	return hkdf.Extract(sha256.New, dcid, v.salt)
}

// initialSecretOf returns the Initial secret for the packets that one side sends.
//
// "The HKDF-Expand-Label function defined in TLS 1.3 MUST be used for Initial packets even where the TLS versions
// offered do not include TLS 1.3."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.2-9
func initialSecretOf(from tlsprovider.Side, initial []byte) ([]byte, error) {
	label := "client in"
	if from == tlsprovider.Server {
		label = "server in"
	}
	return expandLabel(initialSuite, initial, label, sha256.Size)
}
