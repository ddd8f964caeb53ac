package tlstest

import (
	"slices"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
)

// Crypt returns data as CRYPTO bytes of a level.
func Crypt(level tlsprovider.Level, data []byte) []tlsprovider.CryptoData {
	return []tlsprovider.CryptoData{{Level: level, Data: data}}
}

func (su *Suite) wrongLevels(t *testing.T) {
	client, server, _ := Configs(t)
	for _, level := range []tlsprovider.Level{tlsprovider.LevelEarly, tlsprovider.LevelHandshake, tlsprovider.LevelApp} {
		t.Run("first bytes at "+level.String(), func(t *testing.T) {
			p := su.NewPair(t, client, server)
			events, err := p.Client.Advance(nil)
			require.NoError(t, err)
			_, err = p.Server.Advance(Crypt(level, events[0].Data))
			RequireAlert(t, tlsprovider.AlertUnexpectedMessage, err)
		})
	}
	t.Run("bytes after the ClientHello", func(t *testing.T) {
		p := su.NewPair(t, client, server)
		events, err := p.Client.Advance(nil)
		require.NoError(t, err)
		_, err = p.Server.Advance(Crypt(tlsprovider.LevelInitial, append(events[0].Data, 1, 0, 0)))
		require.NoError(t, err, "the ClientHello event comes first")
		_, err = p.Server.Continue(decision(nil))
		RequireAlert(t, tlsprovider.AlertUnexpectedMessage, err)
	})
	t.Run("Initial bytes after the handshake", func(t *testing.T) {
		p := su.NewPair(t, client, server)
		p.MustRun(t)
		for _, side := range []tlsprovider.Side{tlsprovider.Client, tlsprovider.Server} {
			_, err := p.Session(side).Advance(Crypt(tlsprovider.LevelInitial, []byte{1}))
			RequireAlert(t, tlsprovider.AlertUnexpectedMessage, err)
		}
	})
}

func (su *Suite) postHandshakeMessages(t *testing.T) {
	clientConfig, serverConfig, _ := Configs(t)
	ticket := []byte{4, 0, 0, 15, // NewSessionTicket
		0, 0, 0, 60, 1, 2, 3, 4, // lifetime, age_add
		1, 0, 0, 1, 9, 0, 0} // nonce, ticket, extensions
	request := []byte{13, 0, 0, 11, // CertificateRequest
		0, 0, 8, // context, extensions
		0, 13, 0, 4, 0, 2, 4, 3} // signature_algorithms
	early := func(size ...byte) []byte { // a ticket with the extension early_data
		t := slices.Concat(ticket[:len(ticket)-2], []byte{0, byte(4 + len(size)), 0, 42, 0, byte(len(size))}, size)
		t[3] = byte(len(t) - 4)
		return t
	}
	update := []byte{24, 0, 0, 1, 0}
	const client, server = tlsprovider.Client, tlsprovider.Server
	unexpected := &tlsprovider.Error{Alert: tlsprovider.AlertUnexpectedMessage}
	violation := &tlsprovider.Error{ProtocolViolation: true}
	for _, tt := range []struct {
		name    string
		side    tlsprovider.Side
		tickets bool
		data    []byte
		want    *tlsprovider.Error
	}{
		// "Endpoints MUST treat the receipt of a TLS KeyUpdate message as a connection error of type 0x010a, equivalent
		// to a fatal TLS alert of unexpected_message; see Section 4.8."
		// https://www.rfc-editor.org/rfc/rfc9001#section-6-5
		{"KeyUpdate to the client", client, true, update, unexpected},
		{"KeyUpdate to the server", server, true, update, unexpected},
		{"KeyUpdate without tickets", client, false, update, unexpected},
		{"KeyUpdate behind a ticket", client, false, slices.Concat(ticket, update), unexpected},
		// "More specifically, servers MUST NOT send post-handshake TLS CertificateRequest messages, and clients MUST
		// treat receipt of such messages as a connection error of type PROTOCOL_VIOLATION."
		// https://www.rfc-editor.org/rfc/rfc9001#section-4.4-5
		{"CertificateRequest", client, true, request, violation},
		{"CertificateRequest without tickets", client, false, request, violation},
		{"CertificateRequest behind a ticket", client, false, slices.Concat(ticket, request), violation},
		{"CertificateRequest to the server", server, true, request, unexpected},
		{"a ticket to the server", server, true, ticket, unexpected},
		{"a ticket that the client does not want", client, false, ticket, nil},
		// "A client MUST treat receipt of a NewSessionTicket that contains an early_data extension with any other value
		// as a connection error of type PROTOCOL_VIOLATION."
		// https://www.rfc-editor.org/rfc/rfc9001#section-4.6.1-2
		{"early data of any size", client, true, early(0xff, 0xff, 0xff, 0xff), nil},
		{"early data of 4000 bytes", client, true, early(0, 0, 0x0f, 0xa0), violation},
		{"early data of no bytes", client, true, early(0, 0, 0, 0), violation},
		{"early data of 4000 bytes in a ticket that the client does not want", client, false, early(0, 0, 0x0f, 0xa0), violation},
		{"early data in a second ticket", client, false, slices.Concat(ticket, early(0xff, 0xff, 0xff, 0xfe)), violation},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, s := *clientConfig, *serverConfig
			c.DisableTickets, s.DisableTickets = !tt.tickets, true
			p := su.NewPair(t, &c, &s)
			p.MustRun(t)
			for i := range tt.data {
				_, err := p.Session(tt.side).Advance(Crypt(tlsprovider.LevelApp, tt.data[i:i+1]))
				if err == nil {
					continue
				}
				require.True(t, tt.want != nil, "%v", err)
				var e *tlsprovider.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, tt.want.ProtocolViolation, e.ProtocolViolation, "%v", err)
				if !e.ProtocolViolation {
					require.Equal(t, tt.want.Alert.String(), e.Alert.String(), "%v", err)
				}
				return
			}
			require.True(t, tt.want == nil, "there is no error")
		})
	}
}
