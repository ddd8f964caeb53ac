package inspect

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// Handshake message types (RFC 8446, 4).
const (
	typeClientHello         = 1
	typeServerHello         = 2
	typeEncryptedExtensions = 8
	typeCertificate         = 11
	typeCertificateRequest  = 13
	typeCertificateVerify   = 15
	typeFinished            = 20
	typeCompressedCert      = 25
)

// Extensions (IANA, TLS ExtensionType Values).
const (
	extServerName        = 0
	extSupportedGroups   = 10
	extALPN              = 16
	extSignatureSchemes  = 13
	extPreSharedKey      = 41
	extEarlyData         = 42
	extSupportedVersions = 43
	extKeyShare          = 51
	extTransportParams   = 57
	extECH               = 0xfe0d
)

// maxListed bounds each list of a report: a hello of 64 KiB could hold 32,000 code points.
const maxListed = 64

// A Share is one key share as it was on the wire.
type Share struct {
	Group
	Bytes int `json:"bytes"`
	// Halves are the two parts of a hybrid in wire order. It is empty if the share is not a hybrid or has
	// the wrong size.
	Halves []half `json:"halves,omitempty"`
	// Prefixed reports whether each half has its length in front of it, in two bytes.
	Prefixed bool `json:"halves_have_lengths,omitempty"`
	// WrongSize reports whether the size differs from that of the group's shares.
	WrongSize bool `json:"wrong_size,omitempty"`
}

// A ClientHello is a client's offer.
type ClientHello struct {
	ServerName string   `json:"server_name,omitempty"`
	ALPN       []string `json:"alpn,omitempty"`
	Suites     []Named  `json:"cipher_suites"`
	Groups     []Group  `json:"supported_groups"`
	Shares     []Share  `json:"key_shares"`
	Schemes    []Named  `json:"signature_schemes,omitempty"`
	Versions   []string `json:"versions,omitempty"`
	PSK        bool     `json:"pre_shared_key,omitempty"`
	EarlyData  bool     `json:"early_data,omitempty"`
	// ECH reports whether there is an encrypted_client_hello extension. The real name and offer may be
	// inside it; GREASE looks the same.
	ECH bool `json:"encrypted_client_hello,omitempty"`
	// Parameters are the client's QUIC transport parameters, which are not encrypted.
	Parameters []Parameter `json:"transport_parameters,omitempty"`
	Bytes      int         `json:"bytes"`

	random  [32]byte
	session []byte
}

// A ServerHello is a server's choice. A HelloRetryRequest has the same format.
type ServerHello struct {
	Version string `json:"version"`
	Suite   Named  `json:"cipher_suite"`
	// Group is the chosen group: the key share's, or in a HelloRetryRequest the requested one.
	Group *Group `json:"group,omitempty"`
	Share *Share `json:"key_share,omitempty"`
	PSK   bool   `json:"pre_shared_key,omitempty"`
	Bytes int    `json:"bytes"`

	retry   bool
	version uint16
	session []byte
}

var errHello = errors.New("malformed")

// helloRetryRandom marks a ServerHello as a HelloRetryRequest (RFC 8446, 4.1.3).
var helloRetryRandom = sha256.Sum256([]byte("HelloRetryRequest"))

// extensions calls f for each extension of a list.
func extensions(s cryptobyte.String, f func(id uint16, body cryptobyte.String) error) error {
	if s.Empty() {
		return nil
	}
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || !s.Empty() {
		return errHello
	}
	for !list.Empty() {
		var id uint16
		var body cryptobyte.String
		if !list.ReadUint16(&id) || !list.ReadUint16LengthPrefixed(&body) {
			return errHello
		}
		if err := f(id, body); err != nil {
			return fmt.Errorf("extension %d: %w", id, err)
		}
	}
	return nil
}

func parseClientHello(msg []byte) (*ClientHello, error) {
	h := &ClientHello{Bytes: len(msg)}
	s := cryptobyte.String(msg[4:])
	var legacy uint16
	var random []byte
	var session, suites, compression cryptobyte.String
	if !s.ReadUint16(&legacy) || !s.ReadBytes(&random, 32) || !s.ReadUint8LengthPrefixed(&session) ||
		!s.ReadUint16LengthPrefixed(&suites) || !s.ReadUint8LengthPrefixed(&compression) {
		return nil, errHello
	}
	copy(h.random[:], random)
	h.session = bytes.Clone(session)
	for _, id := range uint16s(suites) {
		h.Suites = append(h.Suites, suiteOf(id))
	}
	if err := extensions(s, h.extension); err != nil {
		return nil, err
	}
	if len(h.Versions) == 0 {
		h.Versions = []string{tlsVersionName(legacy)}
	}
	return h, nil
}

func (h *ClientHello) extension(id uint16, body cryptobyte.String) error {
	var list cryptobyte.String
	ok := true
	switch id {
	case extServerName:
		h.ServerName, ok = serverName(body)
	case extALPN:
		h.ALPN, ok = protocolNames(body)
	case extSupportedGroups:
		ok = body.ReadUint16LengthPrefixed(&list)
		h.Groups = groupList(list)
	case extSignatureSchemes:
		ok = body.ReadUint16LengthPrefixed(&list)
		for _, id := range uint16s(list) {
			h.Schemes = append(h.Schemes, schemeOf(id))
		}
	case extSupportedVersions:
		ok = body.ReadUint8LengthPrefixed(&list)
		for _, v := range uint16s(list) {
			if !isGREASE(v) {
				h.Versions = append(h.Versions, tlsVersionName(v))
			}
		}
	case extKeyShare:
		ok = body.ReadUint16LengthPrefixed(&list)
		for ok && !list.Empty() && len(h.Shares) < maxListed {
			var share *Share
			if share, ok = readShare(&list, false); ok {
				h.Shares = append(h.Shares, *share)
			}
		}
	case extTransportParams:
		h.Parameters, ok = parseParameters(body)
	case extPreSharedKey:
		h.PSK = true
	case extEarlyData:
		h.EarlyData = true
	case extECH:
		h.ECH = true
	}
	if !ok {
		return errHello
	}
	return nil
}

// IsRetryRequest reports whether the message is a HelloRetryRequest.
func (h *ServerHello) IsRetryRequest() bool { return h.retry }

// ParseServerHello parses a ServerHello or a HelloRetryRequest, which begins with the header of a handshake message.
func ParseServerHello(msg []byte) (*ServerHello, error) {
	if len(msg) < 4 || msg[0] != typeServerHello {
		return nil, errHello
	}
	h := &ServerHello{Bytes: len(msg)}
	s := cryptobyte.String(msg[4:])
	var random []byte
	var session cryptobyte.String
	var suite uint16
	var compression uint8
	if !s.ReadUint16(&h.version) || !s.ReadBytes(&random, 32) || !s.ReadUint8LengthPrefixed(&session) ||
		!s.ReadUint16(&suite) || !s.ReadUint8(&compression) {
		return nil, errHello
	}
	h.session = bytes.Clone(session)
	h.retry = bytes.Equal(random, helloRetryRandom[:])
	h.Suite = suiteOf(suite)
	err := extensions(s, h.extension)
	h.Version = tlsVersionName(h.version)
	return h, err
}

func (h *ServerHello) extension(id uint16, body cryptobyte.String) error {
	ok := true
	switch id {
	case extSupportedVersions:
		ok = body.ReadUint16(&h.version)
	case extPreSharedKey:
		h.PSK = true
	case extKeyShare:
		if h.retry {
			var group uint16
			ok = body.ReadUint16(&group)
			g := GroupOf(group)
			h.Group = &g
			break
		}
		if h.Share, ok = readShare(&body, true); ok {
			h.Group = &h.Share.Group
		}
	}
	if !ok {
		return errHello
	}
	return nil
}

// readShare reads a KeyShareEntry.
func readShare(s *cryptobyte.String, server bool) (*Share, bool) {
	var id uint16
	var key cryptobyte.String
	if !s.ReadUint16(&id) || !s.ReadUint16LengthPrefixed(&key) {
		return nil, false
	}
	share := &Share{Group: GroupOf(id), Bytes: len(key)}
	halves := groups[id].client
	if server {
		halves = groups[id].server
	}
	sum := 0
	for _, h := range halves {
		sum += h.Bytes
	}
	// The first draft of the hybrid design put a length of two bytes before each half.
	prefixed := (strings.HasSuffix(share.Name, experiment) || strings.HasSuffix(share.Name, broken)) && len(key) == sum+4 &&
		int(key[0])<<8+int(key[1]) == halves[0].Bytes
	switch {
	case sum == 0:
	case sum == len(key), prefixed:
		share.Halves, share.Prefixed = halves, prefixed
	default:
		share.WrongSize = true
	}
	return share, true
}

func serverName(s cryptobyte.String) (string, bool) {
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) {
		return "", false
	}
	for !list.Empty() {
		var kind uint8
		var name cryptobyte.String
		if !list.ReadUint8(&kind) || !list.ReadUint16LengthPrefixed(&name) {
			return "", false
		}
		if kind == 0 {
			return string(name), true
		}
	}
	return "", true
}

func protocolNames(s cryptobyte.String) (names []string, ok bool) {
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) {
		return nil, false
	}
	for !list.Empty() && len(names) < maxListed {
		var name cryptobyte.String
		if !list.ReadUint8LengthPrefixed(&name) {
			return nil, false
		}
		names = append(names, string(name))
	}
	return names, true
}

func groupList(s cryptobyte.String) (out []Group) {
	for _, id := range uint16s(s) {
		out = append(out, GroupOf(id))
	}
	return out
}

// uint16s reads a list of code points and returns the first maxListed of them.
func uint16s(s cryptobyte.String) (out []uint16) {
	var v uint16
	for len(out) < maxListed && s.ReadUint16(&v) {
		out = append(out, v)
	}
	return out
}
