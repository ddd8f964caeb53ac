package tlstest

import (
	"crypto/rand"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
)

// An earlyPair is a client and a server whose configurations permit early data.
type earlyPair struct {
	su     *Suite
	t      *testing.T
	ce, se tlsprovider.Endpoint
	alpn   string
	accept func(*tlsprovider.EarlyDataOffer) bool
	// What happened in the last handshake.
	params   string // of EventEarlyParameters
	rejected bool
	offer    *tlsprovider.EarlyDataOffer
	client   tlsprovider.Keys
	server   tlsprovider.Keys
}

func (su *Suite) newEarlyPair(t *testing.T, edit func(client, server *tlsprovider.Config)) *earlyPair {
	t.Helper()
	client, server, _ := Configs(t)
	client.EarlyData, server.EarlyData = true, true
	if edit != nil {
		edit(client, server)
	}
	e := &earlyPair{su: su, t: t, alpn: "test", accept: func(*tlsprovider.EarlyDataOffer) bool { return true }}
	e.ce, e.se = su.Endpoints(t, client, server)
	return e
}

// connect runs a handshake and returns what became of early data on both sides.
func (e *earlyPair) connect(name string) (client, server tlsprovider.EarlyDataState) {
	e.t.Helper()
	p := PairOf(e.t, e.ce, e.se, name)
	e.params, e.rejected, e.offer = "", false, nil
	p.Decide = func(*tlsprovider.ClientHello) tlsprovider.Decision {
		return tlsprovider.Decision{ALPN: e.alpn, TransportParameters: []byte(ServerParams), Version: 1, TicketData: []byte("ticket data"),
			AcceptEarlyData: func(o *tlsprovider.EarlyDataOffer) bool {
				require.Nil(e.t, e.offer, "asked once")
				e.offer = o
				return e.accept(o)
			}}
	}
	early := func(side tlsprovider.Side) {
		st := p.Session(side).State()
		require.Equal(e.t, tlsprovider.EarlyDataOffered.String(), st.EarlyData.String())
		require.Equal(e.t, e.alpn, st.ALPN)
		require.True(e.t, st.Resumed)
		require.False(e.t, st.HandshakeDone)
	}
	p.OnEvent = func(side tlsprovider.Side, ev tlsprovider.Event) error {
		switch {
		case ev.Kind == tlsprovider.EventEarlyParameters:
			e.params = string(ev.Data)
		case ev.Kind == tlsprovider.EventEarlyRejected:
			require.Equal(e.t, tlsprovider.Client, side)
			e.rejected = true
		case ev.Kind == tlsprovider.EventKeys && ev.Level == tlsprovider.LevelEarly:
			keys, err := p.Session(side).TakeKeys(ev.Level, 1)
			require.NoError(e.t, err)
			e.t.Cleanup(keys.Close)
			early(side)
			if side == tlsprovider.Client {
				require.NotEmpty(e.t, e.params, "the parameters come before the keys")
				require.Nil(e.t, keys.Opener)
				e.client = keys
			} else {
				require.Nil(e.t, keys.Sealer)
				e.server = keys
			}
		}
		return nil
	}
	cs, ss := p.MustRun(e.t)
	return cs.EarlyData, ss.EarlyData
}

func (e *earlyPair) want(client, server tlsprovider.EarlyDataState, name, why string) {
	e.t.Helper()
	c, s := e.connect(name)
	require.Equal(e.t, client.String(), c.String(), why)
	require.Equal(e.t, server.String(), s.String(), why)
	require.Equal(e.t, client == tlsprovider.EarlyDataRejected, e.rejected, why)
}

const (
	earlyNone, earlyAccepted, earlyRejected = tlsprovider.EarlyDataNone, tlsprovider.EarlyDataAccepted, tlsprovider.EarlyDataRejected
)

// earlyData checks that a client that resumes can send early data, with the parameters of the earlier connection, and
// that the server decides about them.
func (su *Suite) earlyData(t *testing.T) {
	e := su.newEarlyPair(t, nil)
	e.want(earlyNone, earlyNone, "server.test", "there is no session")
	e.want(earlyAccepted, earlyAccepted, "server.test", "")
	require.Equal(t, ServerParams, e.params)
	require.Equal(t, "ticket data", string(e.offer.TicketData))
	require.Equal(t, "server.test", e.offer.ServerName)
	require.Equal(t, "test", e.offer.ALPN)
	require.NotZero(t, e.offer.TicketID)
	require.False(t, e.offer.Issued.IsZero())

	slab := make([]byte, 40+tlsprovider.TagLen)
	_, _ = rand.Read(slab)
	slab[0], slab[1] = 0xd3, 0 // the packet number has 4 bytes
	want := append([]byte(nil), slab[8:40]...)
	copy(slab[4:8], []byte{0, 0, 0, 7})
	require.NoError(t, e.client.Sealer.Seal(slab, []tlsprovider.SealDesc{{HeaderLen: 8, PayloadLen: 32, PacketNumber: 7}}))
	d := []tlsprovider.OpenDesc{{Len: uint32(len(slab)), PNOffset: 4}}
	require.Equal(t, 1, e.server.Opener.Open(slab, d, -1))
	require.Equal(t, tlsprovider.OpenOK, d[0].Status)
	require.Equal(t, want, slab[8:40])

	first := e.offer.TicketID
	e.accept = func(*tlsprovider.EarlyDataOffer) bool { return false }
	e.want(earlyRejected, earlyRejected, "server.test", "the server says no")
	require.NotEqual(t, first, e.offer.TicketID, "each ticket has its own")
	e.accept = func(*tlsprovider.EarlyDataOffer) bool { return true }
	e.want(earlyAccepted, earlyAccepted, "server.test", "a session that was resumed gives a ticket, too")
}

// earlyDataOff checks that early data need the permission of both sides, and that those of a session are bound to its
// key exchange.
func (su *Suite) earlyDataOff(t *testing.T) {
	for name, edit := range map[string]func(client, server *tlsprovider.Config){
		"client":  func(client, _ *tlsprovider.Config) { client.EarlyData = false },
		"server":  func(_, server *tlsprovider.Config) { server.EarlyData = false },
		"tickets": func(_, server *tlsprovider.Config) { server.DisableTickets = true },
	} {
		e := su.newEarlyPair(t, edit)
		for range 2 {
			e.want(earlyNone, earlyNone, "server.test", name)
			require.Empty(t, e.params)
			require.Nil(t, e.offer)
		}
	}
	// A server that does not permit early data any more rejects them.
	keys := [][]byte{make([]byte, 32)}
	client, server, _ := Configs(t)
	client.EarlyData, server.EarlyData, server.TicketKeys = true, true, keys
	e := &earlyPair{su: su, t: t, alpn: "test", accept: func(*tlsprovider.EarlyDataOffer) bool { return true }}
	e.ce, e.se = su.Endpoints(t, client, server)
	e.want(earlyNone, earlyNone, "server.test", "")
	off := *server
	off.EarlyData = false
	e.se = su.newServer(t, &off)
	e.want(earlyRejected, earlyRejected, "server.test", "the new configuration does not permit early data")
	require.Nil(t, e.offer)
}

// earlyDataRequirePQ checks that a session of a classical key exchange gives no early data under RequirePQ: early data
// are protected by that key exchange alone.
func (su *Suite) earlyDataRequirePQ(t *testing.T) {
	keys := [][]byte{make([]byte, 32)}
	client, server, _ := Configs(t)
	client.EarlyData, server.EarlyData, server.TicketKeys = true, true, keys
	client.Groups = []tlsprovider.Group{tlsprovider.P256}
	e := &earlyPair{su: su, t: t, alpn: "test", accept: func(*tlsprovider.EarlyDataOffer) bool { return true }}
	e.ce, e.se = su.Endpoints(t, client, server)
	e.want(earlyNone, earlyNone, "server.test", "")
	e.want(earlyAccepted, earlyAccepted, "server.test", "neither side requires a post-quantum group")

	// The server's Decision adds RequirePQ. The ticket is from the classical handshake; the client offers a hybrid.
	store := tlsprovider.NewClientStore(0, 0)
	both := *client
	both.ClientStore, both.Groups = store, nil
	classical := both
	classical.Groups = client.Groups
	e.ce = su.newClient(t, &classical)
	e.want(earlyNone, earlyNone, "server.test", "")
	value := store.Take(tlsprovider.SessionKey(su.Client.Name(), 1, classical.ClientBinding(), "server.test"))
	require.NotNil(t, value)
	store.Put(tlsprovider.SessionKey(su.Client.Name(), 1, both.ClientBinding(), "server.test"), value)
	e.ce = su.newClient(t, &both)
	e.se = su.newServer(t, server)
	strict := *server
	strict.RequirePQ = true
	p := PairOf(t, e.ce, e.se, "server.test")
	asked := false
	p.Decide = func(*tlsprovider.ClientHello) tlsprovider.Decision {
		d := decision(su.newServer(t, &strict))
		d.AcceptEarlyData = func(*tlsprovider.EarlyDataOffer) bool { asked = true; return true }
		return d
	}
	cs, ss := p.MustRun(t)
	require.False(t, asked)
	require.Equal(t, earlyRejected.String(), ss.EarlyData.String())
	require.Equal(t, earlyRejected.String(), cs.EarlyData.String())
	require.True(t, cs.Group.PostQuantum())

	both.RequirePQ = true
	store.Put(tlsprovider.SessionKey(su.Client.Name(), 1, both.ClientBinding(), "server.test"), value)
	e.ce = su.newClient(t, &both)
	e.want(earlyNone, earlyNone, "server.test", "the client requires it")
	require.Empty(t, e.params)
}
