package native

import "github.com/pqquic/pqquic/tlsprovider"

// typeNewSessionTicket is all that may follow a handshake in QUIC, from the server (RFC 8446, 4.6.1).
const typeNewSessionTicket = 4

// postHandshake looks at the headers of messages after the handshake. crypto/tls reads a message to
// its end before it says no, and does not always say it with the alert that QUIC names.
//
// "Endpoints MUST treat the receipt of a TLS KeyUpdate message as a connection error of type 0x010a"
// https://www.rfc-editor.org/rfc/rfc9001#section-6-5
type postHandshake struct {
	header [4]byte
	have   int // bytes of header
	body   int // bytes of the message that are still to come
}

// check reads on. It returns false, and the type, for a message that must not come.
func (p *postHandshake) check(side tlsprovider.Side, data []byte) (kind byte, ok bool) {
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
		if p.header[0] != typeNewSessionTicket || side == tlsprovider.Server {
			return p.header[0], false
		}
		if p.have == len(p.header) {
			p.have = 0
			p.body = int(p.header[1])<<16 | int(p.header[2])<<8 | int(p.header[3])
		}
	}
	return 0, true
}
