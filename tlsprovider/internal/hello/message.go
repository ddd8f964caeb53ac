package hello

// Handshake message types (RFC 8446, 4).
const (
	TypeClientHello         = 1
	TypeServerHello         = 2
	TypeNewSessionTicket    = 4
	TypeEncryptedExtensions = 8
	TypeCertificate         = 11
	TypeCertificateRequest  = 13
	TypeCertificateVerify   = 15
	TypeFinished            = 20
	TypeKeyUpdate           = 24
)

// HeaderLen is the length of a handshake message's header: a type and a 24-bit length.
const HeaderLen = 4

// Next returns the first handshake message of b and the bytes after it. ok is false if the message is not
// complete. declared is the length of the body in the header, or -1 if the header is not complete, so that the
// caller can reject a message that is too long before it is complete.
func Next(b []byte) (kind uint8, body, rest []byte, declared int, ok bool) {
	if len(b) < HeaderLen {
		return 0, nil, b, -1, false
	}
	n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	if len(b) < HeaderLen+n {
		return b[0], nil, b, n, false
	}
	return b[0], b[HeaderLen : HeaderLen+n], b[HeaderLen+n:], n, true
}
