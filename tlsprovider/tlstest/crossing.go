package tlstest

import (
	"testing"

	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// crossing sends a message in two parts at different encryption levels. Unauthenticated bytes must not become part of
// an authenticated flight.
func (su *Suite) crossing(t *testing.T) {
	client, server, _ := Configs(t)
	t.Run("server flight", func(t *testing.T) {
		p := su.NewPair(t, client, server)
		out := p.serverFlight(t)
		// Send the first bytes of EncryptedExtensions at the Initial level and the rest at the Handshake level.
		i := 0
		for out[i].Level != tlsprovider.LevelHandshake {
			i++
		}
		head := tlsprovider.CryptoData{Level: tlsprovider.LevelInitial, Data: out[i].Data[:3]}
		rest := tlsprovider.CryptoData{Level: tlsprovider.LevelHandshake, Data: out[i].Data[3:]}
		in := append(append([]tlsprovider.CryptoData{}, out[:i]...), head, rest)
		_, err := p.Client.Advance(append(in, out[i+1:]...))
		RequireAlert(t, tlsprovider.AlertUnexpectedMessage, err)
	})
	t.Run("client Finished", func(t *testing.T) {
		for _, level := range []tlsprovider.Level{tlsprovider.LevelInitial, tlsprovider.LevelApp} {
			p := su.NewPair(t, client, server)
			events, err := p.Client.Advance(p.serverFlight(t))
			require.NoError(t, err)
			var out []tlsprovider.CryptoData
			require.NoError(t, p.Events(t, tlsprovider.Client, events, &out))
			_, err = p.Server.Advance(Crypt(level, out[len(out)-1].Data))
			RequireAlert(t, tlsprovider.AlertUnexpectedMessage, err)
		}
	})
}

// serverFlight runs a handshake until the server has sent its flight, and returns the flight.
func (p *Pair) serverFlight(t testing.TB) (out []tlsprovider.CryptoData) {
	t.Helper()
	events, err := p.Client.Advance(nil)
	require.NoError(t, err)
	var in []tlsprovider.CryptoData
	require.NoError(t, p.Events(t, tlsprovider.Client, events, &in))
	events, err = p.Server.Advance(in)
	require.NoError(t, err)
	require.NoError(t, p.Events(t, tlsprovider.Server, events, &out))
	return out
}
