package hello

import (
	"errors"

	"golang.org/x/crypto/cryptobyte"

	"github.com/pqquic/pqquic/tlsprovider"
)

// ErrMalformed is returned by all parsers of this package. Its alert is decode_error.
var ErrMalformed = errors.New("malformed handshake message")

// Extensions, by their IANA code points.
const (
	ExtServerName          = 0
	ExtStatusRequest       = 5
	ExtSupportedGroups     = 10
	ExtSignatureAlgorithms = 13
	ExtALPN                = 16
	ExtPreSharedKey        = 41
	ExtSupportedVersions   = 43
	ExtEarlyData           = 42
	ExtCookie              = 44
	ExtPSKModes            = 45
	ExtKeyShare            = 51
	ExtTransportParameters = 57
)

// VersionTLS13 is the only version that QUIC permits.
const VersionTLS13 = 0x0304

// A ClientHello is a parsed ClientHello. It has fields that tlsprovider.ClientHello lacks.
type ClientHello struct {
	tlsprovider.ClientHello
	Random        []byte
	SessionID     []byte
	Versions      []uint16 // of supported_versions
	Shares        []Share
	HasParameters bool   // there is a transport parameters extension, which may be empty
	PSKIdentity   []byte // the first of pre_shared_key
	Cookie        []byte // of a ClientHello that answers a HelloRetryRequest
}

// A Share is one entry of key_share.
type Share struct {
	Group tlsprovider.Group
	Data  []byte
}

// Offers reports whether the client offers a version of TLS.
func (ch *ClientHello) Offers(version uint16) bool {
	for _, v := range ch.Versions {
		if v == version {
			return true
		}
	}
	return false
}

// ParseClientHello parses the body of a ClientHello, without the four-byte header. The byte slices of the result
// share b's memory. It skips extensions that it does not know. A known extension must not occur twice.
func ParseClientHello(b []byte) (*ClientHello, error) {
	ch := new(ClientHello)
	s := cryptobyte.String(b)
	var session, suites cryptobyte.String
	if !readClientHelloStart(&s, &ch.Random, &session, &suites) {
		return nil, ErrMalformed
	}
	ch.SessionID = session
	if !readUint16s(suites, func(v uint16) {
		if v>>8 == 0x13 {
			ch.CipherSuites = append(ch.CipherSuites, tlsprovider.CipherSuite(v))
		}
	}) {
		return nil, ErrMalformed
	}
	if s.Empty() {
		return ch, nil // an old version of TLS without extensions: Offers returns false
	}
	if !extensions(&s, ch.extension) || !s.Empty() {
		return nil, ErrMalformed
	}
	return ch, nil
}

// readClientHelloStart reads what precedes the extensions.
func readClientHelloStart(s *cryptobyte.String, random *[]byte, session, suites *cryptobyte.String) bool {
	var compression cryptobyte.String
	return s.Skip(2) && s.ReadBytes(random, 32) && s.ReadUint8LengthPrefixed(session) && len(*session) <= 32 &&
		s.ReadUint16LengthPrefixed(suites) && len(*suites) > 0 &&
		s.ReadUint8LengthPrefixed(&compression) && len(compression) > 0
}

// clientShares calls f for each key share of a ClientHello's body. It reports whether it could read them all. Unlike
// ParseClientHello it allocates nothing, and does not look into other extensions.
func clientShares(b []byte, f func(group tlsprovider.Group, data []byte)) bool {
	s := cryptobyte.String(b)
	var random []byte
	var session, suites cryptobyte.String
	if !readClientHelloStart(&s, &random, &session, &suites) {
		return false
	}
	return s.Empty() || extensions(&s, func(id uint16, data cryptobyte.String) bool {
		return id != ExtKeyShare || readShares(data, f)
	}) && s.Empty()
}

// extensions calls f for each extension of a list.
func extensions(s *cryptobyte.String, f func(id uint16, data cryptobyte.String) bool) bool {
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) {
		return false
	}
	var seen uint64 // extensions below 64, which include all that f knows
	for !list.Empty() {
		var id uint16
		var data cryptobyte.String
		if !list.ReadUint16(&id) || !list.ReadUint16LengthPrefixed(&data) {
			return false
		}
		if id < 64 {
			if seen&(1<<id) != 0 {
				return false
			}
			seen |= 1 << id
		}
		if !f(id, data) {
			return false
		}
	}
	return true
}

func (ch *ClientHello) extension(id uint16, data cryptobyte.String) bool {
	switch id {
	case ExtServerName:
		return ch.serverName(data)
	case ExtSupportedGroups:
		return readUint16List(data, &ch.Groups)
	case ExtSignatureAlgorithms:
		return readUint16List(data, &ch.SignatureSchemes)
	case ExtALPN:
		return readProtos(data, &ch.ALPN)
	case ExtSupportedVersions:
		var list cryptobyte.String
		return data.ReadUint8LengthPrefixed(&list) && data.Empty() &&
			readUint16s(list, func(v uint16) { ch.Versions = append(ch.Versions, v) })
	case ExtKeyShare:
		return readShares(data, func(group tlsprovider.Group, share []byte) {
			ch.KeyShares = append(ch.KeyShares, group)
			ch.Shares = append(ch.Shares, Share{group, share})
		})
	case ExtTransportParameters:
		ch.TransportParameters, ch.HasParameters = data, true
	case ExtEarlyData:
		ch.EarlyData = true
		return data.Empty()
	case ExtPreSharedKey:
		var identities, identity cryptobyte.String
		ok := data.ReadUint16LengthPrefixed(&identities) && identities.ReadUint16LengthPrefixed(&identity) &&
			len(identity) > 0
		ch.PSKIdentity = identity
		return ok
	case ExtCookie:
		var cookie cryptobyte.String
		ok := data.ReadUint16LengthPrefixed(&cookie) && data.Empty() && len(cookie) > 0
		ch.Cookie = cookie
		return ok
	}
	return true
}

func (ch *ClientHello) serverName(data cryptobyte.String) bool {
	var list cryptobyte.String
	if !data.ReadUint16LengthPrefixed(&list) || !data.Empty() || list.Empty() {
		return false
	}
	for !list.Empty() {
		var kind uint8
		var name cryptobyte.String
		if !list.ReadUint8(&kind) || !list.ReadUint16LengthPrefixed(&name) || name.Empty() {
			return false
		}
		if kind != 0 {
			continue
		}
		if ch.ServerName != "" {
			return false // at most one name of each type (RFC 6066, 3)
		}
		ch.ServerName = string(name)
	}
	return true
}

// readShares calls f for each entry of a ClientHello's key_share.
func readShares(data cryptobyte.String, f func(group tlsprovider.Group, share []byte)) bool {
	var list cryptobyte.String
	if !data.ReadUint16LengthPrefixed(&list) || !data.Empty() {
		return false
	}
	for !list.Empty() {
		var group uint16
		var share cryptobyte.String
		if !list.ReadUint16(&group) || !list.ReadUint16LengthPrefixed(&share) || share.Empty() {
			return false
		}
		f(tlsprovider.Group(group), share)
	}
	return true
}

func readProtos(data cryptobyte.String, out *[]string) bool {
	var list cryptobyte.String
	if !data.ReadUint16LengthPrefixed(&list) || !data.Empty() || list.Empty() {
		return false
	}
	for !list.Empty() {
		var proto cryptobyte.String
		if !list.ReadUint8LengthPrefixed(&proto) || proto.Empty() {
			return false
		}
		*out = append(*out, string(proto))
	}
	return true
}

// readUint16List reads a list of numbers that is preceded by its length in bytes. The list must not be empty.
func readUint16List[T ~uint16](data cryptobyte.String, out *[]T) bool {
	var list cryptobyte.String
	if !data.ReadUint16LengthPrefixed(&list) || !data.Empty() || list.Empty() {
		return false
	}
	*out = make([]T, 0, len(list)/2)
	return readUint16s(list, func(v uint16) { *out = append(*out, T(v)) })
}

func readUint16s(s cryptobyte.String, f func(uint16)) bool {
	for !s.Empty() {
		var v uint16
		if !s.ReadUint16(&v) {
			return false
		}
		f(v)
	}
	return true
}
