package messages_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/messages"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

func TestPostHandshake(t *testing.T) {
	ticket := append([]byte{4, 0, 1, 44}, make([]byte, 300)...)
	for _, step := range []int{1, 3, 1000} {
		check := func(receiver tlsprovider.Side, data []byte) error {
			var p messages.PostHandshake
			for piece := range slices.Chunk(data, step) {
				if err := p.Check(receiver, piece); err != nil {
					return err
				}
			}
			return nil
		}
		require.NoError(t, check(tlsprovider.Client, slices.Concat(ticket, []byte{4, 0, 0, 0}, ticket)))
		tlstest.RequireAlert(t, tlsprovider.AlertUnexpectedMessage, check(tlsprovider.Server, ticket))
		tlstest.RequireAlert(t, tlsprovider.AlertUnexpectedMessage, check(tlsprovider.Client, []byte{24}))
		tlstest.RequireAlert(t, tlsprovider.AlertUnexpectedMessage, check(tlsprovider.Client, slices.Concat(ticket, []byte{24})))
		// "Endpoints MUST treat the receipt of a TLS KeyUpdate message as a connection error of type 0x010a"
		// https://www.rfc-editor.org/rfc/rfc9001#section-6-5
		tlstest.RequireAlert(t, tlsprovider.AlertUnexpectedMessage, check(tlsprovider.Server, []byte{24}))
	}
}
