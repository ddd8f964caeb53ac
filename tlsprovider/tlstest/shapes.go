package tlstest

import (
	"testing"

	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A shape is a kind of handshake, which differs from others in its messages or in what it waits for.
type shape struct {
	name           string
	client, server *tlsprovider.Config
	resumed        bool // an earlier handshake has stored a ticket
	scope          scope
	needs          []feature
}

// shapes returns kinds of handshakes that together contain every message and every wait.
func (su *Suite) shapes(t testing.TB) []shape {
	t.Helper()
	plain := shape{name: "plain"}
	var ca *Authority
	plain.client, plain.server, ca = Configs(t)
	plain.client.DisableTickets, plain.server.DisableTickets = true, true
	vary := func(name string, needs []feature, edit func(c, s *tlsprovider.Config)) shape {
		c, s := *plain.client, *plain.server
		edit(&c, &s)
		return shape{name: name, client: &c, server: &s, scope: onlyTLS, needs: needs}
	}
	key := NewAuthority(t).Key
	remoteCert := tlsprovider.Certificate{Chain: ca.Issue(t, key, nil), Signer: remote{key, nil}}
	out := []shape{
		plain,
		vary("mutual", needs(clientCertificates), func(c, s *tlsprovider.Config) {
			c.Certificates = []tlsprovider.Certificate{ca.Leaf(t, nil)}
			s.ClientAuth, s.ClientCAs = tlsprovider.RequireClientCert, ca.Roots()
		}),
		vary("mutual with Signers", needs(clientCertificates, signers), func(c, s *tlsprovider.Config) {
			c.Certificates, s.Certificates = []tlsprovider.Certificate{remoteCert}, []tlsprovider.Certificate{remoteCert}
			s.ClientAuth, s.ClientCAs = tlsprovider.RequireClientCert, ca.Roots()
		}),
		vary("with tickets", needs(tickets), func(c, s *tlsprovider.Config) { c.DisableTickets, s.DisableTickets = false, false }),
	}
	if su.fake {
		return out
	}
	if retry := su.retryGroup(t); retry != 0 {
		out = append(out, vary("HelloRetryRequest", needs(handshakeDetails), func(_, s *tlsprovider.Config) {
			s.Groups = []tlsprovider.Group{retry}
		}))
	}
	resumed := out[3]
	resumed.name, resumed.resumed = "resumed", true
	return append(out, resumed)
}

// shapeEndpoints returns endpoints for a shape, which are closed at the end of the test.
func (su *Suite) shapeEndpoints(t testing.TB, sh shape) (ce, se tlsprovider.Endpoint) {
	t.Helper()
	ce, err := su.Client.NewClient(sh.client)
	require.NoError(t, err)
	t.Cleanup(ce.Close)
	se, err = su.Server.NewServer(sh.server)
	require.NoError(t, err)
	t.Cleanup(se.Close)
	return ce, se
}

// prepare removes all tickets and stores one if the shape needs it.
func (sh shape) prepare(t testing.TB, ce, se tlsprovider.Endpoint) {
	t.Helper()
	if !sh.client.DisableTickets {
		require.NoError(t, ce.SetCertificates(sh.client.Certificates)) // removes all tickets
	}
	if sh.resumed {
		p := PairOf(t, ce, se, "server.test")
		p.MustRun(t)
		require.NotZero(t, p.Tickets)
		p.Client.Close()
		p.Server.Close()
	}
}

func (sh shape) check(t testing.TB, p *Pair, cs tlsprovider.State) {
	t.Helper()
	require.Equal(t, sh.resumed, cs.Resumed)
	require.Equal(t, sh.name == "HelloRetryRequest", cs.HelloRetried)
	require.Equal(t, sh.name == "mutual with Signers", p.Signs == 2)
}

// eachShape runs f for each kind of handshake that the providers have.
func (su *Suite) eachShape(t *testing.T, f func(t *testing.T, sh shape, ce, se tlsprovider.Endpoint)) {
	for _, sh := range su.shapes(t) {
		if !su.fake || sh.scope == anyProvider {
			t.Run(sh.name, func(t *testing.T) {
				su.need(t, sh.needs...)
				ce, se := su.shapeEndpoints(t, sh)
				f(t, sh, ce, se)
			})
		}
	}
}

// fragments feeds all input in small pieces.
func (su *Suite) fragments(t *testing.T) {
	su.eachShape(t, func(t *testing.T, sh shape, ce, se tlsprovider.Endpoint) {
		for _, chunk := range []int{1, 2, 3, 7, 100, 1000} {
			sh.prepare(t, ce, se)
			p := PairOf(t, ce, se, "server.test")
			p.Chunk = chunk
			cs, _ := p.MustRun(t)
			sh.check(t, p, cs)
		}
	})
}

// everySplit splits the flights of a handshake in two at every offset and checks that the outcome is the same.
func (su *Suite) everySplit(t *testing.T) {
	su.eachShape(t, func(t *testing.T, sh shape, ce, se tlsprovider.Endpoint) {
		// The length of a flight can differ by some bytes, because the length of a signature does.
		longest := 0
		sh.prepare(t, ce, se)
		p := PairOf(t, ce, se, "server.test")
		cs, _ := p.MustRun(t)
		sh.check(t, p, cs)
		for _, flights := range p.Flights {
			for _, flight := range flights {
				longest = max(longest, len(flight))
			}
		}
		step := 1
		if testing.Short() || raceEnabled {
			step = 37
		}
		for at := 1; at < longest; at += step {
			sh.prepare(t, ce, se)
			p := PairOf(t, ce, se, "server.test")
			p.SplitAt = at
			cs, _ := p.MustRun(t)
			sh.check(t, p, cs)
			p.Client.Close()
			p.Server.Close()
		}
	})
}

// abortedAtEachEvent closes both sessions at each event of each kind of handshake and checks that nothing is left.
func (su *Suite) abortedAtEachEvent(t *testing.T) {
	n := 20
	if testing.Short() || raceEnabled {
		n = 3
	}
	su.eachShape(t, func(t *testing.T, sh shape, ce, se tlsprovider.Endpoint) {
		live := func() [2]int64 {
			require.NoError(t, ce.SetCertificates(sh.client.Certificates)) // removes all tickets
			handles, bytes := su.Live()
			return [2]int64{handles, bytes}
		}
		sh.prepare(t, ce, se)
		require.Equal(t, 1, abortAt(t, ce, se, 0))
		before := live()
		steps := 0
		for stop := 0; steps >= stop; stop++ {
			for range n {
				sh.prepare(t, ce, se)
				steps = abortAt(t, ce, se, stop)
			}
			require.Equal(t, before, live(), "aborted at event %d", stop)
		}
		require.Greater(t, steps, 8, "the handshake had too few events")
	})
}
