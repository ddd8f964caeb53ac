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
	client, server, _ := Configs(t)
	ticket := []byte{4, 0, 0, 15, // NewSessionTicket
		0, 0, 0, 60, 1, 2, 3, 4, // lifetime, age_add
		1, 0, 0, 1, 9, 0, 0} // nonce, ticket, extensions
	request := []byte{13, 0, 0, 11, // CertificateRequest
		0, 0, 8, // context, extensions
		0, 13, 0, 4, 0, 2, 4, 3} // signature_algorithms
	for _, tt := range []struct {
		name    string
		side    tlsprovider.Side
		tickets bool
		data    []byte
		want    tlsprovider.Alert
	}{
		{"KeyUpdate to the client", tlsprovider.Client, true, []byte{24, 0, 0, 1, 0}, tlsprovider.AlertUnexpectedMessage},
		{"KeyUpdate to the server", tlsprovider.Server, true, []byte{24, 0, 0, 1, 0}, tlsprovider.AlertUnexpectedMessage},
		{"CertificateRequest", tlsprovider.Client, true, request, tlsprovider.AlertUnexpectedMessage},
		{"KeyUpdate without tickets", tlsprovider.Client, false, []byte{24, 0, 0, 1, 0}, tlsprovider.AlertUnexpectedMessage},
		{"a ticket to the server", tlsprovider.Server, true, ticket, tlsprovider.AlertUnexpectedMessage},
		{"a ticket that the client does not want", tlsprovider.Client, false, ticket, 0},
		{"KeyUpdate behind a ticket", tlsprovider.Client, false, slices.Concat(ticket, []byte{24, 0, 0, 1, 0}), tlsprovider.AlertUnexpectedMessage},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, s := *client, *server
			c.DisableTickets, s.DisableTickets = !tt.tickets, true
			p := su.NewPair(t, &c, &s)
			p.MustRun(t)
			for i := range tt.data {
				_, err := p.Session(tt.side).Advance(Crypt(tlsprovider.LevelApp, tt.data[i:i+1]))
				if err != nil {
					RequireAlert(t, tt.want, err)
					return
				}
			}
			require.Zero(t, tt.want)
		})
	}
}
