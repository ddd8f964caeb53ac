package s2n

import (
	"errors"

	"golang.org/x/crypto/cryptobyte"

	"github.com/pqquic/pqquic/tlsprovider"
)

// clientHello is what concerns us of a ClientHello.
type clientHello struct {
	tlsprovider.ClientHello
	versions  []uint16
	shareLens []int // of KeyShares
	hasParams bool
}

var errHello = errors.New("malformed ClientHello")

// Extensions by their IANA code points.
const (
	extServerName          = 0
	extSupportedGroups     = 10
	extSignatureAlgorithms = 13
	extALPN                = 16
	extSupportedVersions   = 43
	extKeyShare            = 51
	extTransportParams     = 57
)

// parseClientHello reads the body of a ClientHello that s2n-tls has accepted or made. What it
// returns shares b's memory where it holds bytes.
func parseClientHello(b []byte) (*clientHello, error) {
	ch := new(clientHello)
	s := cryptobyte.String(b)
	var session, suites, compression, extensions cryptobyte.String
	if !s.Skip(2+32) || !s.ReadUint8LengthPrefixed(&session) || !s.ReadUint16LengthPrefixed(&suites) ||
		!s.ReadUint8LengthPrefixed(&compression) || !s.ReadUint16LengthPrefixed(&extensions) {
		return nil, errHello
	}
	for _, v := range readUint16s(suites) {
		if v>>8 == 0x13 {
			ch.CipherSuites = append(ch.CipherSuites, tlsprovider.CipherSuite(v))
		}
	}
	for !extensions.Empty() {
		var id uint16
		var data cryptobyte.String
		if !extensions.ReadUint16(&id) || !extensions.ReadUint16LengthPrefixed(&data) {
			return nil, errHello
		}
		if !ch.extension(id, data) {
			return nil, errHello
		}
	}
	return ch, nil
}

func (ch *clientHello) extension(id uint16, data cryptobyte.String) bool {
	var list cryptobyte.String
	switch id {
	case extServerName:
		return ch.serverName(data)
	case extSupportedGroups:
		if !data.ReadUint16LengthPrefixed(&list) {
			return false
		}
		for _, v := range readUint16s(list) {
			ch.Groups = append(ch.Groups, tlsprovider.Group(v))
		}
	case extSignatureAlgorithms:
		if !data.ReadUint16LengthPrefixed(&list) {
			return false
		}
		for _, v := range readUint16s(list) {
			ch.SignatureSchemes = append(ch.SignatureSchemes, tlsprovider.SignatureScheme(v))
		}
	case extALPN:
		if !data.ReadUint16LengthPrefixed(&list) {
			return false
		}
		for !list.Empty() {
			var proto cryptobyte.String
			if !list.ReadUint8LengthPrefixed(&proto) || proto.Empty() {
				return false
			}
			ch.ALPN = append(ch.ALPN, string(proto))
		}
	case extSupportedVersions:
		if !data.ReadUint8LengthPrefixed(&list) {
			return false
		}
		ch.versions = readUint16s(list)
	case extKeyShare:
		return ch.keyShares(data)
	case extTransportParams:
		ch.TransportParameters = data
		ch.hasParams = true
	}
	return true
}

func (ch *clientHello) serverName(data cryptobyte.String) bool {
	var list, name cryptobyte.String
	var kind uint8
	if !data.ReadUint16LengthPrefixed(&list) || !list.ReadUint8(&kind) || !list.ReadUint16LengthPrefixed(&name) {
		return false
	}
	if kind == 0 {
		ch.ServerName = string(name)
	}
	return true
}

func (ch *clientHello) keyShares(data cryptobyte.String) bool {
	var list cryptobyte.String
	if !data.ReadUint16LengthPrefixed(&list) {
		return false
	}
	for !list.Empty() {
		var group uint16
		var share cryptobyte.String
		if !list.ReadUint16(&group) || !list.ReadUint16LengthPrefixed(&share) {
			return false
		}
		ch.KeyShares = append(ch.KeyShares, tlsprovider.Group(group))
		ch.shareLens = append(ch.shareLens, len(share))
	}
	return true
}

func readUint16s(s cryptobyte.String) (out []uint16) {
	var v uint16
	for s.ReadUint16(&v) {
		out = append(out, v)
	}
	return out
}
