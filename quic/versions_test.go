//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// Both sides agree on a version, with and without a Version Negotiation packet, and the key exchange stays
// post-quantum.
func TestVersions(t *testing.T) {
	for _, tt := range []struct {
		name           string
		client, server []Version
		want           Version
	}{
		{"default", nil, nil, Version1},
		{"compatible, version 2", []Version{Version2, Version1}, []Version{Version2, Version1}, Version2},
		{"compatible, version 1", []Version{Version2, Version1}, []Version{Version1, Version2}, Version1},
		{"version 2 only", []Version{Version2}, []Version{Version2}, Version2},
		{"Version Negotiation to version 2", []Version{Version1, Version2}, []Version{Version2}, Version2},
		{"a server of version 1", []Version{Version2, Version1}, nil, Version1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sc, cc := serverConfig(), clientConfig()
			sc.Versions, cc.Versions = tt.server, tt.client
			inBubble(t, sc, cc, func(t *testing.T, w *world) {
				client, server := w.connect()
				for _, c := range []*Conn{client, server} {
					require.Equal(t, tt.want, c.ConnectionState().Version)
					require.Equal(t, tlsprovider.X25519MLKEM768, c.ConnectionState().TLS.Group)
				}
				c, s := w.stream(client, server)
				_, err := c.Write([]byte("data"))
				require.NoError(t, err)
				require.NoError(t, c.CloseWrite())
				_, err = s.Read(make([]byte, 4))
				require.NoError(t, err)
				advance(time.Second)                    // until the handshake is confirmed
				require.NoError(t, client.UpdateKeys()) // the label of version 2 as well
				_, err = s.Write([]byte("back"))
				require.NoError(t, err)
				_, err = c.Read(make([]byte, 4))
				require.NoError(t, err)
			})
		})
	}
}

// Dial begins again on its own socket, which lives until the second connection ends. If there is no common version, it
// fails with the server's versions.
func TestDialAfterVersionNegotiation(t *testing.T) {
	sc := serverConfig()
	sc.Versions = []Version{Version2}
	l, err := Listen("udp", "127.0.0.1:0", sc)
	require.NoError(t, err)
	defer l.Endpoint().Close()
	cc := clientConfig()
	cc.Versions = []Version{Version1, Version2}
	client, err := Dial(t.Context(), "udp", l.Addr().String(), cc)
	require.NoError(t, err)
	require.Equal(t, Version2, client.ConnectionState().Version)
	server, err := l.Accept(t.Context())
	require.NoError(t, err)
	s, err := client.OpenStream(t.Context())
	require.NoError(t, err)
	_, err = s.Write([]byte("x"))
	require.NoError(t, err)
	in, err := server.AcceptStream(t.Context())
	require.NoError(t, err)
	_, err = in.Read(make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, client.Close())
	require.ErrorIs(t, client.ep.Close(), nil, "it is closed already")

	for _, versions := range [][]Version{nil, {Version1}} {
		cc.Versions = versions
		_, err = Dial(t.Context(), "udp", l.Addr().String(), cc)
		var none *VersionNegotiationError
		require.ErrorAs(t, err, &none)
		require.Contains(t, none.Theirs, Version2)
		require.ErrorIs(t, err, net.ErrClosed)
	}
	ended, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	cc.Versions = []Version{Version1, Version2}
	_, err = Dial(ended, "udp", l.Addr().String(), cc)
	require.ErrorIs(t, err, cause)
}

// A session of version 2 resumes in version 2, and not in version 1.
func TestResumptionWithVersions(t *testing.T) {
	for name, open := range map[string]func() (tlsprovider.Provider, error){
		"native": func() (tlsprovider.Provider, error) { return native.New(), nil },
		"s2n":    func() (tlsprovider.Provider, error) { return s2n.New() },
	} {
		t.Run(name, func(t *testing.T) {
			p, err := open()
			if errors.Is(err, s2n.ErrNotLinked) {
				t.Skip("the s2n provider is not linked")
			}
			require.NoError(t, err)
			testResumptionWithVersions(t, p)
		})
	}
}

func testResumptionWithVersions(t *testing.T, p tlsprovider.Provider) {
	sc, cc := serverConfig(), clientConfig()
	sc.Provider, cc.Provider = p, p
	sc.Versions = []Version{Version2, Version1}
	cc.Versions = []Version{Version2}
	inBubble(t, sc, cc, func(t *testing.T, w *world) {
		for i := range 2 {
			client, _ := w.connect()
			require.Equal(t, Version2, client.ConnectionState().Version)
			require.Equal(t, i == 1, client.ConnectionState().TLS.Resumed)
			time.Sleep(time.Second) // until the tickets have arrived
			require.NoError(t, client.Close())
		}
		only1 := *cc
		only1.Versions = []Version{Version1}
		client, err := w.client.Dial(t.Context(), serverAddr, &only1)
		require.NoError(t, err)
		require.Equal(t, Version1, client.ConnectionState().Version)
		require.False(t, client.ConnectionState().TLS.Resumed, "the tickets are of version 2")
	})
}

// Clients of version 2 are asked to prove their address like those of version 1.
func TestRetryWithVersion2(t *testing.T) {
	sc, cc := serverConfig(), clientConfig()
	sc.Versions, cc.Versions = []Version{Version1, Version2}, []Version{Version2}
	sc.RequireAddressValidation = func(netip.AddrPort) bool { return true }
	var info ClientInfo
	sc.Accept = func(i ClientInfo) error { info = i; return nil }
	inBubble(t, sc, cc, func(t *testing.T, w *world) {
		w.connect()
		require.True(t, info.AddrValidated)
		require.Equal(t, Version2, info.Version)
	})
}

// A Handshake packet of either version is recognised, so that it is passed to the loop that its connection ID names.
func TestHandshakePacketsOfBothVersions(t *testing.T) {
	for _, v := range []wire.Version{wire.Version1, wire.Version2} {
		for typ, want := range map[wire.PacketType]bool{wire.PacketInitial: false, wire.Packet0RTT: false, wire.PacketHandshake: true} {
			b := wire.AppendLongHeader(nil, typ, v, wire.ConnID{}, wire.ConnID{}, nil, 0, 1)
			require.Equal(t, want, wire.HasLongType(b, wire.PacketHandshake), "%v of version %x", typ, v)
		}
	}
	require.False(t, wire.HasLongType([]byte{0xe0, 0, 0, 0}, wire.PacketHandshake))
	require.False(t, wire.HasLongType([]byte{0xe0, 9, 9, 9, 9}, wire.PacketHandshake))
}

func TestVersionsConfig(t *testing.T) {
	for _, versions := range [][]Version{{3}, {Version1, Version1}, {0x0a0a0a0a}} {
		_, err := (&Config{Versions: versions}).withDefaults()
		require.ErrorContains(t, err, "Config.Versions")
	}
	require.Equal(t, "v2", Version2.String())
}
