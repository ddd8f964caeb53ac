package native

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A suite holds the parameters of packet protection with a TLS 1.3 cipher suite.
type suite struct {
	keyLen int
	hash   func() hash.Hash
	chacha bool
}

var suites = map[tlsprovider.CipherSuite]*suite{
	tlsprovider.AES128GCM:        {16, sha256.New, false},
	tlsprovider.AES256GCM:        {32, sha512.New384, false},
	tlsprovider.ChaCha20Poly1305: {32, sha256.New, true},
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

// expandLabel is HKDF-Expand-Label with an empty context (RFC 8446, 7.1).
func expandLabel(h func() hash.Hash, secret []byte, label string, n int) ([]byte, error) {
	info := make([]byte, 0, 32)
	info = append(info, byte(n>>8), byte(n), byte(len("tls13 ")+len(label)))
	info = append(append(info, "tls13 "...), label...)
	return hkdf.Expand(h, secret, string(append(info, 0)), n)
}

// initialSecret returns the Initial secret for the packets that one side sends.
//
// "The HKDF-Expand-Label function defined in TLS 1.3 MUST be used for Initial packets even where the TLS versions
// offered do not include TLS 1.3."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.2-9
func initialSecret(v *version, dcid []byte, from tlsprovider.Side) ([]byte, error) {
	common, err := hkdf.Extract(sha256.New, dcid, v.salt)
	if err != nil {
		return nil, err
	}
	label := "client in"
	if from == tlsprovider.Server {
		label = "server in"
	}
	return expandLabel(sha256.New, common, label, sha256.Size)
}
