package native_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// A server does not resume a session in a connection of another QUIC version, even if the client does not keep them apart.
//
// "Servers MUST validate the originating version of any session ticket or token and not accept one issued from a different
// version."
// https://www.rfc-editor.org/rfc/rfc9369#section-5-2
func TestTicketsOfAnotherVersion(t *testing.T) {
	const v1, v2 = 1, 0x6b3343cf
	for _, keys := range [][][]byte{nil, {make([]byte, 32)}} {
		client, server, _ := tlstest.Configs(t)
		store := tlsprovider.NewClientStore(0, 0)
		client.ClientStore, server.TicketKeys = store, keys
		p := native.New()
		ce, err := p.NewClient(client)
		require.NoError(t, err)
		t.Cleanup(ce.Close)
		se, err := p.NewServer(server)
		require.NoError(t, err)
		t.Cleanup(se.Close)
		key := func(version uint32) string {
			return tlsprovider.SessionKey(native.Name, version, client.ClientBinding(), "server.test")
		}
		connect := func(version uint32) bool {
			cs, err := ce.NewSession(tlsprovider.SessionParams{Version: version, ServerName: "server.test", TransportParameters: []byte("client's")})
			require.NoError(t, err)
			t.Cleanup(cs.Close)
			ss, err := se.NewSession(tlsprovider.SessionParams{Version: version})
			require.NoError(t, err)
			t.Cleanup(ss.Close)
			pair := &tlstest.Pair{Client: cs, Server: ss, Decide: func(*tlsprovider.ClientHello) tlsprovider.Decision {
				return tlsprovider.Decision{ALPN: "test", TransportParameters: []byte("server's"), Version: version}
			}}
			state, _ := pair.MustRun(t)
			return state.Resumed
		}
		for _, from := range []uint32{v1, v2} {
			for _, to := range []uint32{v1, v2} {
				store.Clear()
				require.False(t, connect(from))
				session := store.Take(key(from))
				require.NotNil(t, session)
				store.Clear()
				store.Put(key(to), session)
				require.Equal(t, from == to, connect(to), "from %08x to %08x", from, to)
			}
		}
	}
}
