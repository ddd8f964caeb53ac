package tlstest

import (
	"testing"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
)

// eachGroupAlone runs a handshake with each group of both providers' Capabilities.
func (su *Suite) eachGroupAlone(t *testing.T) {
	client, server, _ := Configs(t)
	lens := map[tlsprovider.Group][2]int{
		tlsprovider.X25519MLKEM768: {1216, 1120}, tlsprovider.SecP256r1MLKEM768: {1249, 1153},
		tlsprovider.SecP384r1MLKEM1024: {1665, 1665}, tlsprovider.X25519: {32, 32},
		tlsprovider.P256: {65, 65}, tlsprovider.P384: {97, 97}, tlsprovider.P521: {133, 133},
		tlsprovider.MLKEM1024: {1568, 1568},
	}
	peer := su.Server.Capabilities()
	for _, info := range su.Client.Capabilities().Groups {
		g := info.ID
		other, ok := peer.Group(g)
		if !ok {
			continue
		}
		require.Equal(t, info, other, "both providers describe it alike")
		t.Run(info.Name, func(t *testing.T) {
			client, server := *client, *server
			client.Groups = []tlsprovider.Group{g}
			server.Groups = []tlsprovider.Group{g}
			client.RequirePQ, server.RequirePQ = info.PostQuantum, info.PostQuantum
			p := su.NewPair(t, &client, &server)
			cs, _ := p.MustRun(t)
			require.Equal(t, g, cs.Group)
			if want, ok := lens[g]; ok {
				require.Equal(t, want, [2]int{cs.ClientShareLen, cs.ServerShareLen})
			}
			require.Equal(t, []tlsprovider.Group{g}, p.Hello.Groups)
		})
	}
}

// groupsThatAreMissing names each group that a provider does not have.
func (su *Suite) groupsThatAreMissing(t *testing.T) {
	caps := su.Client.Capabilities()
	for _, g := range tlsprovider.AllGroups() {
		if _, ok := caps.Group(g); ok {
			continue
		}
		client, _, _ := Configs(t)
		client.Groups = []tlsprovider.Group{g}
		_, err := su.Client.NewClient(client)
		require.ErrorIs(t, err, tlsprovider.ErrUnsupported)
		require.ErrorContains(t, err, g.String())
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

// has reports whether both sides have a group. All have all of the groups that tests name, except
// X25519, which no provider offers alone in FIPS 140-3 mode.
func (su *Suite) has(t testing.TB, g tlsprovider.Group) bool {
	t.Helper()
	has := true
	for _, p := range []tlsprovider.Provider{su.Client, su.Server} {
		c := p.Capabilities()
		if _, ok := c.Group(g); !ok {
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
