package messages

import "github.com/pqquic/pqquic/tlsprovider"

// typeNewSessionTicket is all that may follow a handshake in QUIC, from the server (RFC 8446, 4.6.1).
const typeNewSessionTicket = 4

// PostHandshake checks the headers of the messages that follow a handshake. A TLS library may read a message to
// its end before it refuses it, and may choose another alert than QUIC demands. The zero value is ready to use.
//
// "Endpoints MUST treat the receipt of a TLS KeyUpdate message as a connection error of type 0x010a"
// https://www.rfc-editor.org/rfc/rfc9001#section-6-5
type PostHandshake struct {
	header [4]byte
	have   int // bytes of header
	body   int // bytes of the message that are still to come
}

// Check reads the next CRYPTO bytes that a side receives. Its error is an [*tlsprovider.Error] with
// unexpected_message, for a message that must not come.
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
