package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

var preferredAddr = netip.MustParseAddrPort("192.0.2.200:443")

func withPreferred(c *Config) { c.PreferredIPv4 = preferredAddr }

// A client probes the preferred address once the handshake is confirmed, and moves when the path is validated.
//
// "A client that migrates to a preferred address MUST validate the address it chooses before migrating; see Section 21.5.3."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.6.2-1
// "A client MUST NOT send non-probing frames to a preferred address prior to validating that address; see Section 8."
// https://www.rfc-editor.org/rfc/rfc9000#section-21.5.3-2
// "If path validation of the server's preferred address succeeds, the client MUST abandon validation of the original
// address and migrate to using the server's preferred address."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.6.3-2
func TestClientUsesPreferredAddress(t *testing.T) {
	r := newRig(t, rigOptions{server: withPreferred})
	r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
		// The client's probes go to the other address, which the rig does not know.
		return from == tlsprovider.Server || d[0]&0x80 != 0 || r.client.mig == nil || len(d) != MinInitialSize
	}
	r.pump()
	require.True(t, r.client.tls.confirmed)
	require.True(t, r.client.migrating())
	p := r.client.knownPath(&Path{Remote: preferredAddr})
	require.NotNil(t, p)
	require.EqualValues(t, 1, p.dst)
	require.Equal(t, serverAddr, r.client.Path().Remote)
	ch := wire.PathResponse{Data: p.check.challenges[0].data}
	r.client.HandleTrain(r.now, Train{Path: Path{Remote: preferredAddr}, Data: r.packet(client, recovery.SpaceApp, ch.Append(nil), nil)})
	require.NoError(t, errOf(r.client))
	require.Equal(t, preferredAddr, r.client.Path().Remote)
	require.NoError(t, r.client.CheckInvariants())
}

// A server goes on sending from the address of the handshake after the client has moved: it has answered the challenge from
// there, which is permitted. The client must not lose the server, so it keeps the path while packets arrive, and gives it up
// afterwards.
//
// "A PATH_RESPONSE frame received on any network path validates the path on which the PATH_CHALLENGE was sent."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.3-1
func TestServerStaysAtFirstAddress(t *testing.T) {
	r := newRig(t, rigOptions{server: withPreferred})
	r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
		return from == tlsprovider.Server || d[0]&0x80 != 0 || r.client.mig == nil || len(d) != MinInitialSize
	}
	r.pump()
	give := func(from netip.AddrPort, b []byte) {
		r.client.HandleTrain(r.now, Train{Path: Path{Remote: from}, Data: r.packet(client, recovery.SpaceApp, b, nil)})
		require.NoError(t, errOf(r.client))
		require.NoError(t, r.client.CheckInvariants())
	}
	first := Path{Remote: serverAddr}
	ch := wire.PathResponse{Data: r.client.knownPath(&Path{Remote: preferredAddr}).check.challenges[0].data}
	give(serverAddr, ch.Append(nil))
	require.Equal(t, preferredAddr, r.client.Path().Remote)
	for _, gap := range []time.Duration{time.Millisecond, 5 * time.Second, 5 * time.Second} {
		r.now = r.now.Add(gap)
		r.client.HandleTimeout(r.now)
		give(serverAddr, []byte{byte(wire.FramePing)})
		require.NotNil(t, r.client.knownPath(&first))
	}
	drops := r.client.Stats().Drops
	require.Zero(t, drops.Total())
	for range 2 { // the connection lives on, but not from there
		r.now = r.now.Add(pathLinger / 2)
		r.client.HandleTimeout(r.now)
		give(preferredAddr, []byte{byte(wire.FramePing)})
	}
	require.Nil(t, r.client.knownPath(&first))
}

// A server answers at its preferred address, and moves there when a client has moved and is validated.
//
// "The server MUST send non-probing packets from its original address until it receives a non-probing packet from the client
// at its preferred address and until the server has validated the new path."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.6.2-2
// "The server MUST probe on the path toward the client from its preferred address."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.6.2-3
func TestServerAtPreferredAddress(t *testing.T) {
	for _, first := range []string{"validated", "moved"} {
		r := connected(t, rigOptions{server: withPreferred, client: func(c *Config) { c.IgnorePreferredAddress = true }})
		require.False(t, r.client.migrating())
		r.server.path.Local = serverAddr // the rig's packets have no local address
		at := Path{Local: preferredAddr, Remote: clientAddr}
		give := func(b []byte) []sentOn {
			r.server.HandleTrain(r.now, Train{Path: at, Data: b, SegmentSize: len(b)})
			require.NoError(t, r.server.CheckInvariants())
			return r.serverSends()
		}
		sent := give(r.padded([]wire.Frame{wire.PathChallenge{Data: [8]byte{1}}}, r.unusedID()))
		require.Contains(t, sent[0].frames, wire.Frame(wire.PathResponse{Data: [8]byte{1}}))
		ch, d := challengeOn(t, clientAddr, sent)
		require.Equal(t, fullOrMore, d.size)
		require.Equal(t, serverAddr, r.server.Path().Local)
		if first == "moved" {
			give(r.packet(server, recovery.SpaceApp, wire.Ping{}.Append(nil), nil))
			require.Equal(t, serverAddr, r.server.Path().Local, "the path is not validated")
			give(r.packet(server, recovery.SpaceApp, wire.PathResponse(ch).Append(nil), nil))
		} else {
			give(r.packet(server, recovery.SpaceApp, wire.PathResponse(ch).Append(nil), nil))
			require.Equal(t, serverAddr, r.server.Path().Local, "the client has not moved")
			give(r.packet(server, recovery.SpaceApp, wire.Ping{}.Append(nil), nil))
		}
		require.Equal(t, preferredAddr, r.server.Path().Local)
		require.Equal(t, clientAddr, r.server.Path().Remote)
	}
}

// Packets reach the preferred address of a server from another source than that of the handshake. The server validates it,
// and sends it no more than three times what has come from there.
//
// "If packets received at the server's preferred address have a different source address than observed from the client
// during the handshake, the server MUST protect against potential attacks as described in Sections 9.3.1 and 9.3.2."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.6.3-3
func TestPreferredAddressFromElsewhere(t *testing.T) {
	r := connected(t, rigOptions{server: withPreferred, client: func(c *Config) { c.IgnorePreferredAddress = true }})
	r.server.path.Local = serverAddr
	r.serverWrites(60_000)
	r.serverSends() // fills the window
	at := Path{Local: preferredAddr, Remote: otherAddr}
	received, sent, id := 0, 0, r.unusedID()
	for range 10 {
		d := r.packet(server, recovery.SpaceApp, []byte{byte(wire.FramePing), 0, 0, 0}, id)
		received += len(d)
		r.server.HandleTrain(r.now, Train{Path: at, Data: d, SegmentSize: len(d)})
		out := r.serverSends()
		if sent == 0 {
			challengeOn(t, otherAddr, out)
		}
		sent += bytesTo(otherAddr, out)
		require.LessOrEqual(t, sent, 3*received)
		for _, s := range r.expireServer() {
			if s.to == otherAddr {
				sent += s.size
			}
		}
		require.LessOrEqual(t, sent, 3*received)
	}
	require.NoError(t, errOf(r.server))
	require.Equal(t, serverAddr, r.server.Path().Local, "the new path is not validated")
}

// A server on the Internet cannot make a client send to the client's own network.
func TestPreferredAddressesThatAreIgnored(t *testing.T) {
	public, private, loopback := "203.0.113.1:443", "10.0.0.1:443", "127.0.0.1:443"
	for _, tc := range []struct {
		from, to string
		want     bool
	}{
		{public, "203.0.113.2:443", true}, {public, public, false}, {public, "203.0.113.1:444", true},
		{public, private, false}, {public, loopback, false}, {public, "169.254.1.1:443", false},
		{public, "224.0.0.1:443", false}, {public, "0.0.0.0:443", false}, {public, "203.0.113.2:0", false},
		{private, "192.168.0.1:443", true}, {private, loopback, false}, {private, public, true},
		{loopback, "127.0.0.2:443", true}, {loopback, private, true}, {loopback, public, true},
		{"[2001:db8::1]:443", "[fd00::1]:443", false}, {"[2001:db8::1]:443", "[2001:db8::2]:443", true},
		{"[2001:db8::1]:443", "[fe80::1]:443", false},
	} {
		require.Equal(t, tc.want, mayPrefer(netip.MustParseAddrPort(tc.from), netip.MustParseAddrPort(tc.to)), "%s to %s", tc.from, tc.to)
	}
}
