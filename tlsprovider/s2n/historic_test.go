//go:build pqquic_historic

package s2n

import (
	"crypto/x509"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// TestHistoricIsRefused checks that the groups of 2022 are used only by a program that accepts classical ones, and
// never by one that requires post-quantum key exchange.
func TestHistoricIsRefused(t *testing.T) {
	prov := newProvider(t)
	_, err := New()
	require.ErrorIs(t, err, ErrClassical)
	for _, part := range []string{"FOR MEASUREMENT ONLY", "SIKE is broken", "AllowClassical"} {
		require.ErrorContains(t, err, part)
	}
	require.Contains(t, prov.Capabilities().Warning, "FOR MEASUREMENT ONLY")
	for _, name := range []string{"Kyber512 R3 AVX2, BMI2", "BIKE L1 R3 ", "SIKE p434 R3 assembly"} {
		require.Contains(t, prov.Capabilities().Library, name)
	}
	faults := []tlstest.ConfigFault{
		tlstest.ClientFault("RequirePQ, default", func(c *tlsprovider.Config) { c.RequirePQ = true }, "RequirePQ is set, but policy PQ-TLS-1-0-2021-05-26 offers only"),
		tlstest.ClientFault("a group of today", func(c *tlsprovider.Config) {
			c.Groups = []tlsprovider.Group{tlsprovider.X25519MLKEM768}
		}, "X25519MLKEM768: not supported"),
		tlstest.ServerFault("a group that only a policy has", func(c *tlsprovider.Config) {
			c.Groups = []tlsprovider.Group{tlsprovider.X25519Kyber512R2}
		}, "X25519Kyber512R2: not supported"),
		tlstest.ServerFault("VerifyPeer of a server", func(c *tlsprovider.Config) {
			c.VerifyPeer = func(*tlsprovider.State) error { return nil }
		}, "VerifyPeer: not supported"),
	}
	for _, g := range policyBits {
		require.False(t, g.PostQuantum(), g)
		faults = append(faults, tlstest.ClientFault("RequirePQ, "+g.String(), func(c *tlsprovider.Config) {
			c.Groups, c.RequirePQ = []tlsprovider.Group{g}, true
		}, "RequirePQ is set"))
	}
	tlstest.RefuseConfigs(t, prov, live(native.New()), faults)
}

// TestHistoricDefault checks that the default is the policy of AWS's study, for which default_tls13 is another name,
// and that a handshake negotiates its first group.
func TestHistoricDefault(t *testing.T) {
	prov := newProvider(t)
	def, err := probe(prov.(*provider).defaultPolicy())
	require.NoError(t, err)
	tls13, err := probe("default_tls13")
	require.NoError(t, err)
	require.Equal(t, def, tls13)
	require.Equal(t, []tlsprovider.Group{0x2f39, 0x2f3a, 0x2f37, 0x2f38, 0x2f26, 0x2f0f, 0x2f28, 0x2f23, 0x2f27, 0x2f1f,
		tlsprovider.X25519, tlsprovider.P256, tlsprovider.P384}, def.Groups)
	client, server, _ := tlstest.Configs(t)
	p := newPair(t, prov, client, server)
	cs, ss := p.MustRun(t)
	require.Equal(t, tlsprovider.X25519Kyber512R3, cs.Group)
	require.Equal(t, cs.Group, ss.Group)
	require.Equal(t, []tlsprovider.Group{tlsprovider.X25519Kyber512R3, tlsprovider.X25519}, p.Hello.KeyShares)
}

// TestHistoricShares checks the sizes of the shares of each hybrid: s2n-tls of 2022 writes the length of each half
// before it. The group and the length of the share take four more bytes in the extension.
func TestHistoricShares(t *testing.T) {
	prov := newProvider(t)
	kems := []struct{ publicKey, ciphertext int }{{800, 768}, {1541, 1573}, {330, 346}}
	for i, g := range policyBits[:6] {
		curve := []int{32, 65}[i%2]
		client, server, _ := tlstest.Configs(t)
		client.Groups, server.Groups = []tlsprovider.Group{g}, []tlsprovider.Group{g}
		cs, ss := newPair(t, prov, client, server).MustRun(t)
		for _, s := range []tlsprovider.State{cs, ss} {
			require.Equal(t, g, s.Group)
			require.Equal(t, 2+curve+2+kems[i/2].publicKey, s.ClientShareLen, g)
			require.Equal(t, 2+curve+2+kems[i/2].ciphertext, s.ServerShareLen, g)
		}
	}
}

// TestHistoricManyNames checks that the cost of a certificate's names does not grow with the square of their number:
// s2n-tls of 2022 asks for each of them, before it has verified who signed the certificate.
func TestHistoricManyNames(t *testing.T) {
	prov := newProvider(t)
	shortest := func(names int) time.Duration {
		client, server, ca := tlstest.Configs(t)
		server.Certificates = []tlsprovider.Certificate{ca.Leaf(t, func(c *x509.Certificate) {
			c.DNSNames = nil
			for i := range names {
				c.DNSNames = append(c.DNSNames, fmt.Sprintf("n%d.test", i))
			}
		})}
		least := time.Duration(math.MaxInt64)
		for range 3 {
			p := newPair(t, prov, client, server)
			began := time.Now()
			side, err := p.Run(t)
			least = min(least, time.Since(began))
			require.Equal(t, tlsprovider.Client, side)
			tlstest.RequireAlert(t, tlsprovider.AlertBadCertificate, err)
		}
		return least
	}
	few, many := shortest(250), shortest(4000)
	require.Less(t, many.Seconds()/few.Seconds(), 50.0, "16 times the names took %v instead of %v", many, few)
}
