package messages

import (
	"fmt"
	"math"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/hello"
)

// PostHandshake checks the messages after a handshake. QUIC allows only NewSessionTicket, from the server. A TLS library
// may reject another message only after it has read all of it, or with another error than QUIC requires. The zero value
// is ready to use.
//
// "Endpoints MUST treat the receipt of a TLS KeyUpdate message as a connection error of type 0x010a"
// https://www.rfc-editor.org/rfc/rfc9001#section-6-5
type PostHandshake struct {
	header [hello.HeaderLen]byte
	have   int // bytes of header
	body   int // remaining bytes of the message
	ticket ticketReader
}

// Check reads the next CRYPTO bytes that a side receives. If they contain something that is not allowed, the
// error is an [*tlsprovider.Error].
func (p *PostHandshake) Check(receiver tlsprovider.Side, data []byte) error {
	for len(data) > 0 {
		if p.body > 0 {
			n := min(p.body, len(data))
			if err := p.ticket.read(data[:n]); err != nil {
				return err
			}
			p.body -= n
			data = data[n:]
			continue
		}
		n := copy(p.header[p.have:], data)
		p.have += n
		data = data[n:]
		if err := checkType(receiver, p.header[0]); err != nil {
			return err
		}
		if p.have == len(p.header) {
			p.have = 0
			p.body = int(p.header[1])<<16 | int(p.header[2])<<8 | int(p.header[3])
			p.ticket = ticketReader{}
		}
	}
	return nil
}

// checkType refuses messages by their type.
//
// "More specifically, servers MUST NOT send post-handshake TLS CertificateRequest messages, and clients MUST treat
// receipt of such messages as a connection error of type PROTOCOL_VIOLATION."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.4-5
func checkType(receiver tlsprovider.Side, kind byte) error {
	switch {
	case receiver == tlsprovider.Client && kind == hello.TypeNewSessionTicket:
		return nil
	case receiver == tlsprovider.Client && kind == hello.TypeCertificateRequest:
		return violation(tlsprovider.AlertUnexpectedMessage, "CertificateRequest after the handshake")
	}
	return refuse(tlsprovider.AlertUnexpectedMessage, "message of type %d after the handshake", kind)
}

// violation returns an error for what TLS permits and QUIC does not.
func violation(a tlsprovider.Alert, format string, args ...any) error {
	return &tlsprovider.Error{Alert: a, Err: fmt.Errorf("messages: "+format, args...), ProtocolViolation: true}
}

// A ticketReader finds the early_data extension in the body of a NewSessionTicket message, which may arrive in pieces.
// Other faults of the message are for the TLS library.
type ticketReader struct {
	field     ticketField
	have      uint32 // bytes of the field that were read
	number    uint32 // the last four of them
	size      uint32 // length of the variable field that is next or being read
	extension uint32 // type of the extension that is being read
}

type ticketField uint8

const (
	ticketTimes ticketField = iota // ticket_lifetime and ticket_age_add
	nonceLen
	nonceBytes
	ticketLen
	ticketBytes
	extensionsLen
	extensionType
	extensionLen
	extensionBytes
)

func (r *ticketReader) read(data []byte) error {
	for _, b := range data {
		r.number = r.number<<8 | uint32(b)
		r.have++
		for r.have == r.fieldLen() { // several times if the next field is empty
			if err := r.next(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *ticketReader) fieldLen() uint32 {
	switch r.field {
	case ticketTimes:
		return 8
	case nonceLen:
		return 1
	case nonceBytes, ticketBytes, extensionBytes:
		return r.size
	}
	return 2
}

// next begins the next field.
//
// "A client MUST treat receipt of a NewSessionTicket that contains an early_data extension with any other value as a
// connection error of type PROTOCOL_VIOLATION."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.6.1-2
func (r *ticketReader) next() error {
	n := r.number
	r.have, r.number = 0, 0
	switch r.field {
	case nonceLen, ticketLen, extensionLen:
		r.size = n
	case extensionType:
		r.extension = n
	case extensionBytes:
		if r.extension == hello.ExtEarlyData && (r.size != 4 || n != math.MaxUint32) {
			return violation(tlsprovider.AlertIllegalParameter, "a ticket's max_early_data_size is %#x; QUIC has 0xffffffff only", n)
		}
		r.field = extensionType
		return nil
	}
	r.field++
	return nil
}
