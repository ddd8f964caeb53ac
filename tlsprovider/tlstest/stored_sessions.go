package tlstest

import (
	"bytes"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
)

// clientStore checks that clients with one ClientStore use each other's sessions, each once, if their configurations
// agree.
func (su *Suite) clientStore(t *testing.T) {
	client, server, ca := Configs(t)
	store := tlsprovider.NewClientStore(0, 0)
	client.ClientStore = store
	se, err := su.Server.NewServer(server)
	require.NoError(t, err)
	t.Cleanup(se.Close)
	connect := func(name string, edit func(*tlsprovider.Config)) *Pair {
		t.Helper()
		cfg := *client
		if edit != nil {
			edit(&cfg)
		}
		ce, err := su.Client.NewClient(&cfg)
		require.NoError(t, err)
		t.Cleanup(ce.Close)
		return PairOf(t, ce, se, name)
	}
	resumed := func(edit func(*tlsprovider.Config)) bool {
		t.Helper()
		cs, _ := connect("server.test", edit).MustRun(t)
		return cs.Resumed
	}
	require.False(t, resumed(nil))
	require.True(t, resumed(nil), "another endpoint with the same configuration")
	for name, edit := range map[string]func(*tlsprovider.Config){
		"verification": func(c *tlsprovider.Config) { c.InsecureSkipVerify = true },
		"RequirePQ":    func(c *tlsprovider.Config) { c.RequirePQ = true },
		"roots": func(c *tlsprovider.Config) {
			c.RootCAs = ca.Roots()
			c.RootCAs.AddDER(NewAuthority(t).Roots().DER()[0])
		},
		"groups": func(c *tlsprovider.Config) { c.Groups = su.groups()[:1] },
	} {
		if name == "RequirePQ" && !su.postQuantum() {
			continue
		}
		require.False(t, resumed(edit), "the session was made with another configuration: %s", name)
	}
	cs, _ := connect("127.0.0.1", nil).MustRun(t)
	require.False(t, cs.Resumed, "the session was made with another name")

	store.Clear()
	require.False(t, resumed(nil))
	first, second := connect("server.test", nil), connect("server.test", nil)
	cs, _ = first.MustRun(t)
	require.True(t, cs.Resumed)
	store.Clear()
	cs, _ = second.MustRun(t)
	require.False(t, cs.Resumed, "a session is used once, and a cleared store has none")

	changed := *client
	ce, err := su.Client.NewClient(&changed)
	require.NoError(t, err)
	t.Cleanup(ce.Close)
	cs, _ = PairOf(t, ce, se, "server.test").MustRun(t)
	require.True(t, cs.Resumed)
	require.NoError(t, ce.SetCertificates([]tlsprovider.Certificate{ca.Leaf(t, nil)}))
	cs, _ = PairOf(t, ce, se, "server.test").MustRun(t)
	require.False(t, cs.Resumed, "the sessions in the store stand for the old certificates")
}

// savedSessions checks that a store resumes sessions after it was saved and restored.
func (su *Suite) savedSessions(t *testing.T) {
	client, server, _ := Configs(t)
	store := tlsprovider.NewClientStore(0, 0)
	client.ClientStore = store
	ce, se := su.Endpoints(t, client, server)
	PairOf(t, ce, se, "server.test").MustRun(t)
	saved, err := store.MarshalBinary()
	require.NoError(t, err)
	store.Clear()
	require.NoError(t, store.UnmarshalBinary(saved))
	cs, _ := PairOf(t, ce, se, "server.test").MustRun(t)
	require.True(t, cs.Resumed)

	for cut := range 40 {
		store.Clear()
		require.NoError(t, store.UnmarshalBinary(saved))
		key := tlsprovider.SessionKey(su.Client.Name(), 1, client.ClientBinding(), "server.test")
		value := store.Take(key)
		require.NotNil(t, value)
		store.Put(key, value[:min(cut*5, len(value)-1)])
		cs, _ = PairOf(t, ce, se, "server.test").MustRun(t)
		require.False(t, cs.Resumed, "a value that is cut")
	}
}

// ticketsOfAnotherVersion checks that a server does not resume a session in a connection of another QUIC version, even if the
// client does not keep them apart.
//
// "Servers MUST validate the originating version of any session ticket or token and not accept one issued from a different
// version."
// https://www.rfc-editor.org/rfc/rfc9369#section-5-2
func (su *Suite) ticketsOfAnotherVersion(t *testing.T) {
	const v1, v2 = 1, 0x6b3343cf
	for _, keys := range [][][]byte{nil, {make([]byte, 32)}} {
		client, server, _ := Configs(t)
		store := tlsprovider.NewClientStore(0, 0)
		client.ClientStore, server.TicketKeys = store, keys
		ce, se := su.Endpoints(t, client, server)
		key := func(version uint32) string {
			return tlsprovider.SessionKey(su.Client.Name(), version, client.ClientBinding(), "server.test")
		}
		connect := func(version uint32, other bool) bool {
			t.Helper()
			cs, err := ce.NewSession(tlsprovider.SessionParams{Version: version, ServerName: "server.test", TransportParameters: []byte(ClientParams)})
			require.NoError(t, err)
			t.Cleanup(cs.Close)
			ss, err := se.NewSession(tlsprovider.SessionParams{Version: version})
			require.NoError(t, err)
			t.Cleanup(ss.Close)
			d := tlsprovider.Decision{ALPN: "test", TransportParameters: []byte(ServerParams), Version: version}
			if other {
				d.Endpoint = se
			}
			pair := &Pair{Client: cs, Server: ss, Decide: func(*tlsprovider.ClientHello) tlsprovider.Decision { return d }}
			state, _ := pair.MustRun(t)
			return state.Resumed
		}
		for _, other := range []bool{false, su.has(decisionEndpoint)} {
			for _, from := range []uint32{v1, v2} {
				for _, to := range []uint32{v1, v2} {
					store.Clear()
					require.False(t, connect(from, other))
					session := store.Take(key(from))
					require.NotNil(t, session)
					store.Clear()
					store.Put(key(to), session)
					require.Equal(t, from == to, connect(to, other), "from %08x to %08x", from, to)
				}
			}
		}
		require.NoError(t, se.SetCertificates(server.Certificates))
		store.Clear()
		require.False(t, connect(v2, false))
		require.True(t, connect(v2, false), "also after the configuration has changed")
	}
}

// ticketKeysOfAFleet checks that servers with the same TicketKeys resume each other's sessions if their configurations
// agree, and only then.
func (su *Suite) ticketKeysOfAFleet(t *testing.T) {
	client, server, _ := Configs(t)
	server.TicketKeys = [][]byte{bytes.Repeat([]byte{7}, 32)}
	ce, first := su.Endpoints(t, client, server)
	for name, tt := range map[string]struct {
		edit func(*tlsprovider.Config)
		want bool
	}{
		"the same configuration": {nil, true},
		"an older key":           {func(c *tlsprovider.Config) { c.TicketKeys = [][]byte{bytes.Repeat([]byte{8}, 32), c.TicketKeys[0]} }, true},
		"protocols":              {func(c *tlsprovider.Config) { c.NextProtos = append([]string{"first"}, c.NextProtos...) }, false},
		"RequirePQ":              {func(c *tlsprovider.Config) { c.RequirePQ = true }, false},
	} {
		if name == "RequirePQ" && !su.postQuantum() {
			continue
		}
		cfg := *server
		if tt.edit != nil {
			tt.edit(&cfg)
		}
		other, err := su.Server.NewServer(&cfg)
		require.NoError(t, err)
		t.Cleanup(other.Close)
		require.NoError(t, ce.SetCertificates(nil)) // the client drops its tickets
		PairOf(t, ce, first, "server.test").MustRun(t)
		cs, _ := PairOf(t, ce, other, "server.test").MustRun(t)
		require.Equal(t, tt.want, cs.Resumed, name)
	}
}

// A brokenStore panics in one of its methods.
type brokenStore struct{ take, put bool }

func (s brokenStore) Take(string) []byte {
	if s.take {
		panic("a mistake of the program")
	}
	return nil
}

func (s brokenStore) Put(string, []byte) {
	if s.put {
		panic("a mistake of the program")
	}
}

// clientStorePanics checks that a store that panics fails the client's session, and nothing else.
func (su *Suite) clientStorePanics(t *testing.T) {
	for _, store := range []brokenStore{{take: true}, {put: true}} {
		client, server, _ := Configs(t)
		client.ClientStore = store
		p := su.NewPair(t, client, server)
		side, err := p.Run(t)
		require.Equal(t, tlsprovider.Client, side)
		RequireAlert(t, tlsprovider.AlertInternalError, err)
		var pe *tlsprovider.PanicError
		require.ErrorAs(t, err, &pe)
		require.Equal(t, "Config.ClientStore", pe.Callback)
		require.Equal(t, store.put, p.Done[tlsprovider.Client], "a ticket arrives after the handshake")
	}
}
