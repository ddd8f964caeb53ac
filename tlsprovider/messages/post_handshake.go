package messages

import "github.com/pqquic/pqquic/tlsprovider"

// typeNewSessionTicket is the only message that is allowed after a handshake in QUIC, from the server
// (RFC 8446, 4.6.1).
const typeNewSessionTicket = 4

// PostHandshake checks the headers of the messages after a handshake. A TLS library may reject a message only
// after it has read all of it, or with another alert than QUIC requires. The zero value is ready to use.
//
// "Endpoints MUST treat the receipt of a TLS KeyUpdate message as a connection error of type 0x010a"
// https://www.rfc-editor.org/rfc/rfc9001#section-6-5
type PostHandshake struct {
	header [4]byte
	have   int // bytes of header
	body   int // remaining bytes of the message
}

// Check reads the next CRYPTO bytes that a side receives. If they contain a message that is not allowed, the
// error is an [*tlsprovider.Error] with unexpected_message.
func (p *PostHandshake) Check(receiver tlsprovider.Side, data []byte) error {
	for len(data) > 0 {
		if p.body > 0 {
			n := min(p.body, len(data))
			p.body -= n
			data = data[n:]
			continue
		}
		n := copy(p.header[p.have:], data)
		p.have += n
		data = data[n:]
		if p.header[0] != typeNewSessionTicket || receiver == tlsprovider.Server {
			return refuse(tlsprovider.AlertUnexpectedMessage, "message of type %d after the handshake", p.header[0])
		}
		if p.have == len(p.header) {
			p.have = 0
			p.body = int(p.header[1])<<16 | int(p.header[2])<<8 | int(p.header[3])
		}
	}
	return nil
}
