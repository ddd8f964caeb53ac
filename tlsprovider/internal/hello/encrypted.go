package hello

import (
	"golang.org/x/crypto/cryptobyte"

	"github.com/pqquic/pqquic/tlsprovider"
)

// EncryptedExtensions holds the extensions of an EncryptedExtensions message that QUIC uses.
type EncryptedExtensions struct {
	ALPN                string
	TransportParameters []byte
	HasParameters       bool
}

// ParseEncryptedExtensions parses the message's body. TransportParameters shares b's memory.
func ParseEncryptedExtensions(b []byte) (*EncryptedExtensions, error) {
	ee := new(EncryptedExtensions)
	s := cryptobyte.String(b)
	ok := extensions(&s, func(id uint16, data cryptobyte.String) bool {
		switch id {
		case ExtALPN:
			var protos []string
			if !readProtos(data, &protos) || len(protos) != 1 {
				return false
			}
			ee.ALPN = protos[0]
		case ExtTransportParameters:
			ee.TransportParameters, ee.HasParameters = data, true
		}
		return true
	})
	if !ok || !s.Empty() {
		return nil, ErrMalformed
	}
	return ee, nil
}

// ParseCertificate returns the chain of a Certificate message's body, sharing its memory.
//
// It accepts exactly what RFC 8446, section 4.4.2, describes: there is no request context, each entry has its
// extensions, and nothing follows the list. Another parser of the same message therefore finds the same
// certificates. It does not parse the certificates themselves.
func ParseCertificate(b []byte) ([][]byte, error) {
	s := cryptobyte.String(b)
	var context, list cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&context) || !context.Empty() || !s.ReadUint24LengthPrefixed(&list) || !s.Empty() {
		return nil, ErrMalformed
	}
	var chain [][]byte
	for !list.Empty() {
		var cert, ext cryptobyte.String
		if !list.ReadUint24LengthPrefixed(&cert) || !list.ReadUint16LengthPrefixed(&ext) || cert.Empty() {
			return nil, ErrMalformed
		}
		chain = append(chain, cert)
	}
	return chain, nil
}

// ParseCertificateVerify returns the scheme and the signature of the message's body.
func ParseCertificateVerify(b []byte) (tlsprovider.SignatureScheme, []byte, error) {
	s := cryptobyte.String(b)
	var scheme uint16
	var sig cryptobyte.String
	if !s.ReadUint16(&scheme) || !s.ReadUint16LengthPrefixed(&sig) || !s.Empty() {
		return 0, nil, ErrMalformed
	}
	return tlsprovider.SignatureScheme(scheme), sig, nil
}
