package sim

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// A chain is a server's certificate chain. bytes is the size of the chain and of the signature of CertificateVerify.
type chain struct {
	label       string
	name, root  string // in tlstest's test data
	bytes       int
	authenticPQ bool
}

var chains = []chain{
	{"ECDSA P-256", "ecdsa-p256", "ecdsa-p256", 454 + 72, false},
	{"ML-DSA-44", "ml-dsa-44", "ml-dsa-44", 4047 + 2420, true},
	{"ML-DSA-65", "ml-dsa-65", "ml-dsa-65", 5576 + 3309, true},
	{"ML-DSA-87", "ml-dsa-87", "ml-dsa-87", 7534 + 4627, true},
	{"three with ML-DSA-87", "ml-dsa-long", "ml-dsa-87", 22540 + 4627, true},
}

// A visit is a way in which a client's address is validated.
type visit struct {
	label      string
	validation core.Validation
	token      bool // the client has a token of an earlier connection
}

var visits = []visit{
	{"no token", core.ValidateNever, false},
	{"Retry", core.ValidateAlways, false},
	{"token", core.ValidateAlways, true},
}

// A cost is what a handshake takes: until the client is connected, in round trips, and until both sides are, in
// datagrams.
type cost struct{ roundTrips, client, server int }

// handshakeCost runs a handshake.
func handshakeCost(t *testing.T, o Options, v visit) cost {
	t.Helper()
	key, err := o.ServerProvider.NewTokenKey(secret)
	require.NoError(t, err)
	o.Up, o.Down = Link{Delay: oneWay}, Link{Delay: oneWay}
	o.Validation = v.validation
	o.ClientTLS.DisableTickets, o.ServerTLS.DisableTickets = true, true // otherwise no certificate is sent again
	o.Config = func(c *core.Config) {
		if c.Side == tlsprovider.Server {
			c.TokenKey = key
		}
	}
	o.Endpoint = func(c *core.EndpointConfig) {
		c.TokenLifetime = time.Hour
		c.UseToken = func(core.TokenID, int64) bool { return true }
	}
	p, err := NewPair(o)
	require.NoError(t, err)
	cfg := *p.ClientConfig
	if v.token {
		first, err := p.RunTransfers(time.Minute)
		require.NoError(t, err)
		require.NoError(t, p.Run(time.Minute, func() bool { cfg.Token = first.TakeToken(); return cfg.Token != nil }))
		first.Close(p.Now(), true, 0, "")
		first.drive()
		require.NoError(t, p.RunFor(time.Minute))
		require.Nil(t, p.ServerConn())
	}
	var out cost
	p.Client.Tap = func(monotime.Time, []byte) { out.client++ }
	p.Server.Tap = func(monotime.Time, []byte) { out.server++ }
	c, err := p.Client.dial(&cfg, &App{})
	require.NoError(t, err)
	require.NoError(t, p.Run(time.Minute, func() bool {
		s := p.ServerConn()
		return s != nil && !c.Connected.IsZero() && !s.Connected.IsZero()
	}))
	require.Equal(t, v.validation == core.ValidateAlways && !v.token, c.Retried())
	require.Zero(t, c.Stats().PacketsLost)
	trips := c.Stats().HandshakeTime
	out.roundTrips = int(trips / (2 * oneWay))
	if out.server <= 16 {
		require.Zero(t, trips%(2*oneWay), "the handshake waited for a timer: %v", trips)
	} else { // the server paces what exceeds the initial congestion window
		require.Less(t, trips%(2*oneWay), 5*time.Millisecond)
	}
	return out
}

// TestHandshakesWithLongChains measures handshakes with the sizes of ML-DSA chains within the limit of three times what
// the client has sent, and compares them with the table of docs/pq-authentication.md.
//
// "Therefore, after receiving packets from an address that is not yet validated, an endpoint MUST limit the amount of data
// it sends to the unvalidated address to three times the amount of data received from that address."
// https://www.rfc-editor.org/rfc/rfc9000#section-8-2
func TestHandshakesWithLongChains(t *testing.T) {
	var table strings.Builder
	for _, k := range chains {
		fmt.Fprintf(&table, "| %s | %d |", k.label, k.bytes)
		for _, v := range visits {
			o := options(1, fake.New(fake.Options{ChainLen: k.bytes}), postQuantum...)
			c := handshakeCost(t, o, v)
			fmt.Fprintf(&table, " %d | %d + %d |", c.roundTrips, c.client, c.server)
		}
		table.WriteString("\n")
	}
	t.Logf("\n%s", table.String())
	page, err := os.ReadFile("../../../docs/pq-authentication.md")
	require.NoError(t, err)
	require.Contains(t, string(page), table.String(), "docs/pq-authentication.md has other figures")
}

// TestHandshakesWithLongChainsRealProviders compares handshakes with certificates to those of TestHandshakesWithLongChains.
func TestHandshakesWithLongChainsRealProviders(t *testing.T) {
	for name, prov := range realProviders(t) {
		for _, k := range chains {
			if caps := prov.Capabilities(); k.authenticPQ && !caps.PQAuth() {
				continue // Go 1.26
			}
			t.Run(name+" "+k.label, func(t *testing.T) {
				for _, v := range visits {
					o := options(1, prov, postQuantum...)
					o.ClientTLS.RootCAs = tlstest.NamedRoots(t, k.root)
					o.ServerTLS.Certificates = []tlsprovider.Certificate{tlstest.NamedCertificate(t, k.name)}
					o.ClientTLS.RequirePQAuth = k.authenticPQ
					got := handshakeCost(t, o, v)
					want := handshakeCost(t, options(1, fake.New(fake.Options{ChainLen: k.bytes}), postQuantum...), v)
					require.Equal(t, want.roundTrips, got.roundTrips, v.label)
					require.InDelta(t, want.client, got.client, 1, v.label)
					require.InDelta(t, want.server, got.server, 1, v.label)
				}
			})
		}
	}
}

// resumption returns a pair whose client has connected once, with a certificate of about size bytes, which the server's
// ticket contains. The client's next ClientHello contains the ticket.
func resumption(t *testing.T, size int) *Pair {
	t.Helper()
	var names []string
	for i := range size / 64 {
		names = append(names, fmt.Sprintf("%058d.test", i))
	}
	cert := testcert.New(names...)
	o := options(1, native.New(), postQuantum...)
	o.ClientTLS.Certificates = []tlsprovider.Certificate{cert.Provider()}
	o.ServerTLS.ClientAuth, o.ServerTLS.ClientCAs = tlsprovider.RequireClientCert, cert.Roots()
	o.Up, o.Down = Link{Delay: oneWay}, Link{Delay: oneWay}
	p, err := NewPair(o)
	require.NoError(t, err)
	first, err := p.RunTransfers(time.Minute)
	require.NoError(t, err)
	require.NoError(t, p.RunFor(time.Second)) // the ticket arrives
	first.Close(p.Now(), true, 0, "")
	first.drive()
	require.NoError(t, p.RunFor(time.Minute))
	return p
}

// connect connects the client once more.
func (p *Pair) connect(t *testing.T) *Conn {
	t.Helper()
	c, err := p.Client.dial(p.ClientConfig, &App{})
	require.NoError(t, err)
	require.NoError(t, p.Run(2*time.Minute, func() bool { return !c.Connected.IsZero() || c.Err() != nil }))
	require.Nil(t, c.Err())
	return c
}

// TestTicketsWithLongChains checks clients with long chains. A server's ticket contains the chain: beyond the limit of
// a ClientHello, the client could not connect with it.
func TestTicketsWithLongChains(t *testing.T) {
	for size, resumes := range map[int]bool{1 << 10: true, 6 << 10: true, 10 << 10: false, 15 << 10: false, 25 << 10: false} {
		c := resumption(t, size).connect(t)
		require.Equal(t, resumes, c.State().Resumed, "a chain of %d bytes", size)
		require.Equal(t, 2*oneWay, c.Stats().HandshakeTime, "a chain of %d bytes", size)
	}
}

// TestLongHellosUnderLoss loses each subset of the first ten datagrams of handshakes whose ClientHello takes seven. A
// probe has at most two datagrams, but what the server acknowledges is not sent again. With -short it tests a part of
// the subsets.
func TestLongHellosUnderLoss(t *testing.T) {
	longest := time.Duration(0)
	for pattern := range seeds(t, patterns) {
		if testing.Short() && pattern%37 != 0 {
			continue
		}
		p := resumption(t, 6<<10)
		n := 0
		drop := func(int) bool {
			n++
			return n <= 10 && pattern>>(n-1)&1 == 1
		}
		p.Client.link.Drop, p.Server.link.Drop = drop, drop
		c := p.connect(t)
		require.True(t, c.State().Resumed)
		longest = max(longest, c.Stats().HandshakeTime)
	}
	t.Logf("the longest handshake took %v", longest)
	require.Less(t, longest, 15*time.Second)
}
