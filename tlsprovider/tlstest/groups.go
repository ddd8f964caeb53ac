package tlstest

import (
	"testing"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
)

// eachGroupAlone runs a handshake with each group of both providers' Capabilities.
func (su *Suite) eachGroupAlone(t *testing.T) {
	client, server, _ := Configs(t)
	peer := su.Server.Capabilities()
	for _, info := range su.Client.Capabilities().Groups {
		g := info.ID
		other, ok := peer.Group(g)
		if !ok {
			continue
		}
		require.Equal(t, info, other, "the providers' Capabilities differ")
		t.Run(info.Name, func(t *testing.T) {
			client, server := *client, *server
			client.Groups = []tlsprovider.Group{g}
			server.Groups = []tlsprovider.Group{g}
			client.RequirePQ, server.RequirePQ = info.PostQuantum, info.PostQuantum
			p := su.NewPair(t, &client, &server)
			cs, _ := p.MustRun(t)
			require.Equal(t, g, cs.Group)
			su.requireShares(t, cs)
			require.Equal(t, []tlsprovider.Group{g}, p.Hello.Groups)
		})
	}
}

// groupsThatAreMissing checks that a configuration with a group that the provider lacks is an error that names it.
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
	retry := su.retryGroup(t)
	if retry == 0 {
		t.Skipf("needs a common group of %s and %s that the client offers without a key share", su.Client.Name(), su.Server.Name())
	}
	client, server, _ := Configs(t)
	server.Groups = []tlsprovider.Group{retry}
	p := su.NewPair(t, client, server)
	cs, ss := p.MustRun(t)
	require.True(t, cs.HelloRetried && ss.HelloRetried)
	require.Equal(t, retry, cs.Group)
	su.requireShares(t, cs)
	require.NotContains(t, p.Hello.KeyShares, retry)
}

// requirePQ checks that a side with RequirePQ fails a classical handshake before it sends or accepts packets with its
// keys.
func (su *Suite) requirePQ(t *testing.T) {
	client, server, _ := Configs(t)
	classical := []tlsprovider.Group{su.firstGroup(t, false)}
	t.Run("configuration", func(t *testing.T) {
		c := *client
		c.Groups, c.RequirePQ = classical, true
		require.Error(t, refusal(su.Client.NewClient, &c))
	})
	su.firstGroup(t, true)
	t.Run("server", func(t *testing.T) {
		c, s := *client, *server
		c.Groups, s.RequirePQ = classical, true
		p := su.NewPair(t, &c, &s)
		side, err := p.Run(t)
		require.Equal(t, tlsprovider.Server, side)
		RequireAlert(t, tlsprovider.AlertInsufficientSecurity, err)
		require.Empty(t, p.Flights[tlsprovider.Server], "no ServerHello is sent")
	})
	t.Run("client", func(t *testing.T) {
		c, s := *client, *server
		s.Groups, c.RequirePQ = classical, true
		p := su.NewPair(t, &c, &s)
		side, err := p.Run(t)
		if side == tlsprovider.Server { // the client offered post-quantum groups only
			RequireAlert(t, tlsprovider.AlertHandshakeFailure, err)
			return
		}
		RequireAlert(t, tlsprovider.AlertInsufficientSecurity, err)
	})
}

// noCommonGroup checks the error of a handshake for each pair of different groups.
func (su *Suite) noCommonGroup(t *testing.T) {
	groups := su.groups()
	if len(groups) < 2 {
		t.Skipf("needs two common groups of %s and %s", su.Client.Name(), su.Server.Name())
	}
	client, server, _ := Configs(t)
	for _, offered := range groups {
		c := *client
		c.Groups = []tlsprovider.Group{offered}
		ce := su.newClient(t, &c)
		for _, taken := range groups {
			if taken == offered {
				continue
			}
			s := *server
			s.Groups = []tlsprovider.Group{taken}
			p := PairOf(t, ce, su.newServer(t, &s), "server.test")
			side, err := p.Run(t)
			require.Equal(t, tlsprovider.Server, side, "%v and %v", offered, taken)
			RequireAlert(t, tlsprovider.AlertHandshakeFailure, err)
			require.Empty(t, p.Flights[tlsprovider.Server])
		}
	}
}
