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

// BenchmarkPeerDetails measures what Config.VerifyPeer costs a client: the OCSP response and the verified path.
func BenchmarkPeerDetails(b *testing.B) {
	prov := newProvider(b)
	for name, verify := range map[string]func(*tlsprovider.State) error{
		"without": nil, "with": func(*tlsprovider.State) error { return nil },
	} {
		b.Run(name, func(b *testing.B) {
			client, server, _ := tlstest.Configs(b)
			client.DisableTickets, server.DisableTickets, client.VerifyPeer = true, true, verify
			server.Certificates[0].OCSPStaple = make([]byte, 500)
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
