package tlstest

import (
	"slices"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
)

func (su *Suite) eachGroupAlone(t *testing.T) {
	client, server, _ := Configs(t)
	lens := map[tlsprovider.Group][2]int{
		tlsprovider.X25519MLKEM768: {1216, 1120}, tlsprovider.SecP256r1MLKEM768: {1249, 1153},
		tlsprovider.SecP384r1MLKEM1024: {1665, 1665}, tlsprovider.X25519: {32, 32},
		tlsprovider.P256: {65, 65}, tlsprovider.P384: {97, 97},
	}
	for _, g := range tlsprovider.AllGroups() {
		if !su.has(t, g) {
			continue
		}
		t.Run(g.String(), func(t *testing.T) {
			client, server := *client, *server
			client.Groups = []tlsprovider.Group{g}
			server.Groups = []tlsprovider.Group{g}
			client.RequirePQ = g.PostQuantum()
			p := su.NewPair(t, &client, &server)
			cs, _ := p.MustRun(t)
			require.Equal(t, g, cs.Group)
			require.Equal(t, lens[g], [2]int{cs.ClientShareLen, cs.ServerShareLen})
			require.Equal(t, []tlsprovider.Group{g}, p.Hello.Groups)
		})
	}
}

func (su *Suite) helloRetryRequest(t *testing.T) {
	client, server, _ := Configs(t)
	server.Groups = []tlsprovider.Group{tlsprovider.SecP384r1MLKEM1024}
	p := su.NewPair(t, client, server)
	cs, ss := p.MustRun(t)
	require.True(t, cs.HelloRetried && ss.HelloRetried)
	require.Equal(t, tlsprovider.SecP384r1MLKEM1024, cs.Group)
	require.Equal(t, 1665, cs.ClientShareLen)
	require.NotContains(t, p.Hello.KeyShares, tlsprovider.SecP384r1MLKEM1024)
}

func (su *Suite) requirePQ(t *testing.T) {
	client, server, _ := Configs(t)
	classical := []tlsprovider.Group{tlsprovider.P256} // which default_fips has, too
	t.Run("server", func(t *testing.T) {
		c, s := *client, *server
		c.Groups, s.RequirePQ = classical, true
		p := su.NewPair(t, &c, &s)
		side, err := p.Run(t)
		require.Equal(t, tlsprovider.Server, side)
		RequireAlert(t, tlsprovider.AlertInsufficientSecurity, err)
		require.Empty(t, p.Flights[tlsprovider.Server], "no ServerHello leaves")
	})
	t.Run("client", func(t *testing.T) {
		c, s := *client, *server
		s.Groups, c.RequirePQ = classical, true
		p := su.NewPair(t, &c, &s)
		side, err := p.Run(t)
		require.Equal(t, tlsprovider.Client, side)
		RequireAlert(t, tlsprovider.AlertInsufficientSecurity, err)
	})
	t.Run("configuration", func(t *testing.T) {
		c := *client
		c.Groups, c.RequirePQ = classical, true
		_, err := su.Client.NewClient(&c)
		require.ErrorContains(t, err, "RequirePQ")
	})
}

// has reports whether both sides have a group. All have all of them, but for X25519, which Go's module
// does not offer alone in FIPS 140-3 mode.
func (su *Suite) has(t testing.TB, g tlsprovider.Group) bool {
	t.Helper()
	has := true
	for _, p := range []tlsprovider.Provider{su.Client, su.Server} {
		c := p.Capabilities()
		if !slices.Contains(c.Groups, g) {
			require.True(t, g == tlsprovider.X25519 && c.FIPS.Enabled, "%s lacks %v", p.Name(), g)
			has = false
		}
	}
	return has
}

func (su *Suite) noCommonGroup(t *testing.T) {
	for _, pair := range [][2]tlsprovider.Group{
		{tlsprovider.P256, tlsprovider.P384},
		{tlsprovider.X25519, tlsprovider.X25519MLKEM768},
		{tlsprovider.SecP384r1MLKEM1024, tlsprovider.X25519MLKEM768},
		{tlsprovider.X25519MLKEM768, tlsprovider.P256},
	} {
		if !su.has(t, pair[0]) || !su.has(t, pair[1]) {
			continue
		}
		client, server, _ := Configs(t)
		client.Groups, server.Groups = pair[:1], pair[1:]
		p := su.NewPair(t, client, server)
		side, err := p.Run(t)
		require.Equal(t, tlsprovider.Server, side)
		RequireAlert(t, tlsprovider.AlertHandshakeFailure, err)
		require.Empty(t, p.Flights[tlsprovider.Server])
	}
}
