// Package messages checks TLS messages by the rules of QUIC. It is for providers whose TLS library does not
// stop after the ClientHello, or does not have QUIC's rules for messages after the handshake.
package messages

import (
	"fmt"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/hello"
)

// maxClientHello is the maximum length of a ClientHello in bytes. crypto/tls has the same limit.
const maxClientHello = 1 << 16

// A ClientHello collects the ClientHello of a client. A provider passes it to its library when it has the
// transport's Decision. The zero value is ready to use.
type ClientHello struct {
	data []byte
}

// Add appends CRYPTO bytes. It returns nil while the ClientHello is incomplete. A ClientHello that a QUIC
// server must reject is an [*tlsprovider.Error] with the alert that the RFCs require.
func (r *ClientHello) Add(in []tlsprovider.CryptoData) (*tlsprovider.ClientHello, error) {
	for _, d := range in {
		if d.Level != tlsprovider.LevelInitial {
			return nil, refuse(tlsprovider.AlertUnexpectedMessage, "%v message before the ClientHello", d.Level)
		}
		r.data = append(r.data, d.Data...)
	}
	_, body, _, declared, ok := hello.Next(r.data)
	switch {
	case len(r.data) > 0 && r.data[0] != hello.TypeClientHello:
		return nil, refuse(tlsprovider.AlertUnexpectedMessage, "message of type %d in place of a ClientHello", r.data[0])
	case declared > maxClientHello:
		return nil, refuse(tlsprovider.AlertDecodeError, "ClientHello of %d bytes; the limit is %d", declared, maxClientHello)
	case !ok:
		return nil, nil
	}
	ch, err := hello.ParseClientHello(body)
	switch {
	case err != nil:
		return nil, refuse(tlsprovider.AlertDecodeError, "%w", err)
	case !ch.Offers(hello.VersionTLS13):
		return nil, refuse(tlsprovider.AlertProtocolVersion, "the client does not offer TLS 1.3")
	case !ch.HasParameters:
		// "[...] endpoints that receive ClientHello or EncryptedExtensions messages without the
		// quic_transport_parameters extension MUST close the connection with an error of type
		// 0x016d [...]"
		// https://www.rfc-editor.org/rfc/rfc9001#section-8.2-5
		return nil, refuse(tlsprovider.AlertMissingExtension, "no transport parameters")
	}
	return &ch.ClientHello, nil
}

// Bytes returns all bytes that were added. The TLS library checks those after the ClientHello, if there are any.
func (r *ClientHello) Bytes() []byte { return r.data }

func refuse(a tlsprovider.Alert, format string, args ...any) error {
	return &tlsprovider.Error{Alert: a, Err: fmt.Errorf("messages: "+format, args...)}
}
