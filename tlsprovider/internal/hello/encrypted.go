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

// Certificates is what a Certificate message contains. It shares the message's memory.
type Certificates struct {
	Chain  [][]byte
	Staple []byte // the OCSP response of the first certificate; nil if there is none
}

// ParseCertificate parses a Certificate message's body.
//
// It accepts exactly what RFC 8446, section 4.4.2, describes: there is no request context, each entry has its
// extensions, and nothing follows the list. Another parser of the same message therefore finds the same
// certificates. It does not parse the certificates themselves.
func ParseCertificate(b []byte) (out Certificates, err error) {
	s := cryptobyte.String(b)
	var context, list cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&context) || !context.Empty() || !s.ReadUint24LengthPrefixed(&list) || !s.Empty() {
		return Certificates{}, ErrMalformed
	}
	for !list.Empty() {
		var cert cryptobyte.String
		if !list.ReadUint24LengthPrefixed(&cert) || cert.Empty() {
			return Certificates{}, ErrMalformed
		}
		ok := extensions(&list, func(id uint16, data cryptobyte.String) bool {
			return id != ExtStatusRequest || len(out.Chain) > 0 || readStaple(data, &out.Staple)
		})
		if !ok {
			return Certificates{}, ErrMalformed
		}
		out.Chain = append(out.Chain, cert)
	}
	return out, nil
}

// readStaple reads a CertificateStatus (RFC 6066, section 8).
//
// "Specifically, the body of the "status_request" extension from the server MUST be a CertificateStatus structure as defined in
// [RFC6066], which is interpreted as defined in [RFC6960]."
// https://www.rfc-editor.org/rfc/rfc8446#section-4.4.2.1
//
// "If the client opts to send an OCSP response, the body of its "status_request" extension MUST be a CertificateStatus structure
// as defined in [RFC6066]."
// https://www.rfc-editor.org/rfc/rfc8446#section-4.4.2.1
func readStaple(data cryptobyte.String, staple *[]byte) bool {
	const ocsp = 1
	var kind uint8
	var response cryptobyte.String
	if !data.ReadUint8(&kind) || kind != ocsp || !data.ReadUint24LengthPrefixed(&response) || response.Empty() || !data.Empty() {
		return false
	}
	*staple = response
	return true
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
