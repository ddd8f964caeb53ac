package tlstest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// everySplit cuts every flight of a handshake in two at every place: the outcome does not depend on it.
func (su *Suite) everySplit(t *testing.T) {
	client, server, _ := Configs(t)
	ce, err := su.Client.NewClient(client)
	require.NoError(t, err)
	defer ce.Close()
	se, err := su.Server.NewServer(server)
	require.NoError(t, err)
	defer se.Close()

	// A certificate's signature may make a flight some bytes longer or shorter than the last one.
	longest := 0
	p := PairOf(t, ce, se, "server.test")
	p.MustRun(t)
	for _, flights := range p.Flights {
		for _, flight := range flights {
			longest = max(longest, len(flight))
		}
	}
	step := 1
	if testing.Short() {
		step = 37
	}
	for at := 1; at < longest; at += step {
		p := PairOf(t, ce, se, "server.test")
		p.SplitAt = at
		cs, _ := p.MustRun(t)
		require.Equal(t, tlsprovider.X25519MLKEM768, cs.Group, "split at %d", at)
		p.Client.Close()
		p.Server.Close()
	}
}

// crossing sends one message at two encryption levels: unauthenticated bytes must not become part of
// an authenticated flight.
func (su *Suite) crossing(t *testing.T) {
	client, server, _ := Configs(t)
	t.Run("server flight", func(t *testing.T) {
		p := su.NewPair(t, client, server)
		out := p.serverFlight(t)
		// The first bytes of EncryptedExtensions at the Initial level, the rest where it belongs.
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

// serverFlight runs a handshake to the point where the server has answered.
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
