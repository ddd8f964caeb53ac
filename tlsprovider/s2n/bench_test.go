package s2n

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// BenchmarkHandshakePair measures both sides of a handshake in memory, with verification of chain and name, and
// TakeKeys.
func BenchmarkHandshakePair(b *testing.B) {
	prov := newProvider(b)
	for _, g := range []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.X25519, tlsprovider.P256} {
		b.Run(g.String(), func(b *testing.B) {
			client, server, _ := tlstest.Configs(b)
			client.Groups, server.Groups = []tlsprovider.Group{g}, []tlsprovider.Group{g}
			client.DisableTickets, server.DisableTickets = true, true
			ce, se := newEndpoints(b, prov, client, server)
			b.ReportAllocs()
			for b.Loop() {
				if err := tlstest.Lean(ce, se); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestLeanPairHandshakes(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := tlstest.Configs(t)
	ce, se := newEndpoints(t, prov, client, server)
	require.NoError(t, tlstest.Lean(ce, se))
}
