package hello

import (
	"bytes"

	"golang.org/x/crypto/cryptobyte"

	"github.com/pqquic/pqquic/tlsprovider"
)

// RetryRandom is the random of a ServerHello that is a HelloRetryRequest: the SHA-256 of
// "HelloRetryRequest" (RFC 8446, 4.1.3).
var RetryRandom = [32]byte{
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
}

// A ServerHello or a HelloRetryRequest.
type ServerHello struct {
	Random      []byte
	CipherSuite tlsprovider.CipherSuite
	Version     uint16 // of supported_versions; 0 if that is missing
	Retry       bool   // it is a HelloRetryRequest
	Group       tlsprovider.Group
	Share       []byte // nil in a HelloRetryRequest
	PSK         bool   // the server accepted a pre-shared key and resumes a session
	Cookie      []byte
}

// ParseServerHello parses the body of a ServerHello. Byte slices of the result share b's memory.
func ParseServerHello(b []byte) (*ServerHello, error) {
	sh := new(ServerHello)
	s := cryptobyte.String(b)
	var session cryptobyte.String
	var suite uint16
	if !s.Skip(2) || !s.ReadBytes(&sh.Random, 32) || !s.ReadUint8LengthPrefixed(&session) ||
		len(session) > 32 || !s.ReadUint16(&suite) || !s.Skip(1) {
		return nil, ErrMalformed
	}
	sh.CipherSuite = tlsprovider.CipherSuite(suite)
	sh.Retry = bytes.Equal(sh.Random, RetryRandom[:])
	if s.Empty() {
		return sh, nil // an old version of TLS without extensions: Version is 0
	}
	if !extensions(&s, sh.extension) || !s.Empty() {
		return nil, ErrMalformed
	}
	return sh, nil
}

func (sh *ServerHello) extension(id uint16, data cryptobyte.String) bool {
	switch id {
	case ExtSupportedVersions:
		return data.ReadUint16(&sh.Version) && data.Empty()
	case ExtPreSharedKey:
		sh.PSK = true
	case ExtCookie:
		var cookie cryptobyte.String
		ok := data.ReadUint16LengthPrefixed(&cookie) && data.Empty() && len(cookie) > 0
		sh.Cookie = cookie
		return ok
	case ExtKeyShare:
		var group uint16
		if !data.ReadUint16(&group) {
			return false
		}
		sh.Group = tlsprovider.Group(group)
		if sh.Retry {
			return data.Empty()
		}
		var share cryptobyte.String
		ok := data.ReadUint16LengthPrefixed(&share) && data.Empty() && len(share) > 0
		sh.Share = share
		return ok
	}
	return true
}
