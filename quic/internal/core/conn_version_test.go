package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

const v1, v2 = wire.Version1, wire.Version2

func withVersions(client, server []wire.Version, more rigOptions) rigOptions {
	more.client = func(c *Config) { c.Versions = client }
	more.server = func(c *Config) { c.Versions = server }
	endpoint := more.endpoint
	more.endpoint = func(c *EndpointConfig) {
		if len(server) > 0 {
			c.Versions = server
		}
		if endpoint != nil {
			endpoint(c)
		}
	}
	return more
}

// Both sides end with the version that the server prefers among those of the client, whatever the length of the
// ClientHello, and with and without Retry.
func TestCompatibleVersionNegotiation(t *testing.T) {
	for _, tt := range []struct {
		name           string
		client, server []wire.Version
		want           wire.Version
	}{
		{"neither negotiates", nil, nil, v1},
		{"the server prefers version 2", []wire.Version{v2, v1}, []wire.Version{v2, v1}, v2},
		{"the server prefers version 1", []wire.Version{v2, v1}, []wire.Version{v1, v2}, v1},
		{"the client has version 1 only", []wire.Version{v1}, []wire.Version{v2, v1}, v1},
		{"the client does not negotiate", nil, []wire.Version{v2, v1}, v1},
		{"the server has version 1 only", []wire.Version{v2, v1}, []wire.Version{v1}, v1},
		{"the server does not negotiate", []wire.Version{v2, v1}, nil, v1},
		{"version 2 alone", []wire.Version{v2}, []wire.Version{v2}, v2},
		{"the client begins with version 2", []wire.Version{v2}, []wire.Version{v1, v2}, v2},
	} {
		for _, retry := range []bool{false, true} {
			for _, classical := range []bool{false, true} {
				t.Run(tt.name, func(t *testing.T) {
					o := withVersions(tt.client, tt.server, rigOptions{provider: fake.Options{Classical: classical}})
					r := newRig(t, o)
					if retry {
						r.validation = ValidateAlways
					}
					var seen []wire.Version
					r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
						if h, n := wire.ParseLongHeader(d); n > 0 && from == server {
							seen = append(seen, h.Version)
						}
						return true
					}
					r.pump()
					require.NoError(t, errOf(r.client))
					require.NotNil(t, r.server)
					require.NoError(t, errOf(r.server))
					require.True(t, r.client.tls.confirmed && r.server.tls.confirmed)
					require.Equal(t, tt.want, r.client.Version())
					require.Equal(t, tt.want, r.server.Version())
					require.Equal(t, retry, r.client.ids.retried)
					require.Equal(t, tt.want, seen[len(seen)-1])
					for _, c := range []*Conn{r.client, r.server} {
						if v := c.ext.versions; v != nil {
							require.Nil(t, v.open, "the keys of the original version are discarded")
						}
					}
				})
			}
		}
	}
}

// forged connects a client to a server whose version_information is replaced, and returns the client's error.
func forged(t *testing.T, client Config, edit func(*wire.TransportParameters)) *CloseError {
	t.Helper()
	r := newRig(t, withVersions(client.Versions, []wire.Version{v2, v1}, rigOptions{}))
	r.client.cfg.Negotiated = client.Negotiated
	r.client.version = client.firstVersion()
	c := r.client
	p := wire.DefaultTransportParameters()
	p.InitialSrcConnID, p.HasInitialSrcConnID = c.ids.peerFirst, true
	p.OriginalDstConnID, p.HasOriginalDstConnID = c.ids.originalDst, true
	p.ChosenVersion, p.HasVersionInfo = c.version, true
	p.AvailableVersions = wire.EncodeVersions(v2, v1)
	edit(&p)
	c.handlePeerParams(p.Append(nil))
	return c.Err()
}

// The client's checks against a downgrade.
func TestClientChecksVersionInformation(t *testing.T) {
	both := []wire.Version{v2, v1}
	for _, tt := range []struct {
		name   string
		client Config
		edit   func(*wire.TransportParameters)
		fails  bool
	}{
		{"nothing is wrong", Config{Versions: both}, func(*wire.TransportParameters) {}, false},
		// "[C]lients MUST validate that the server's Chosen Version is equal to the Negotiated Version; if they do not
		// match, the client MUST close the connection with a version negotiation error."
		// https://www.rfc-editor.org/rfc/rfc9368#section-4-11
		{"another Chosen Version than that of the packets", Config{Versions: both},
			func(p *wire.TransportParameters) { p.ChosenVersion = v2 }, true},
		// "If a client receives Version Information where the server's Chosen Version was not sent by the client as part of
		// its Available Versions, the client MUST close the connection with a version negotiation error."
		// https://www.rfc-editor.org/rfc/rfc9368#section-4-8
		{"a Chosen Version that was not offered", Config{Versions: []wire.Version{v1}},
			func(p *wire.TransportParameters) { p.ChosenVersion = 77 }, true},
		{"no version_information", Config{Versions: both}, func(p *wire.TransportParameters) { p.HasVersionInfo = false }, false},
		// "If a client has reacted to a Version Negotiation packet and the server's Version Information was missing, the
		// client MUST close the connection with a version negotiation error."
		// https://www.rfc-editor.org/rfc/rfc9368#section-4-8
		{"no version_information after Version Negotiation", Config{Versions: both, Negotiated: true, Version: v2},
			func(p *wire.TransportParameters) { p.HasVersionInfo = false }, true},
		{"the same to version 1, of which servers need not know it", Config{Versions: both, Negotiated: true, Version: v1},
			func(p *wire.TransportParameters) { p.HasVersionInfo = false }, false},
		{"Version Negotiation without a better version", Config{Versions: both, Negotiated: true, Version: v1},
			func(p *wire.TransportParameters) { p.AvailableVersions = wire.EncodeVersions(v1) }, false},
		// "If the client would have selected a different version, the client MUST close the connection with a version
		// negotiation error."
		// https://www.rfc-editor.org/rfc/rfc9368#section-4-9
		{"Version Negotiation that hid a better version", Config{Versions: both, Negotiated: true, Version: v1},
			func(*wire.TransportParameters) {}, true},
		// "[If] the client reacted to a Version Negotiation packet and the server's Available Versions field is empty, the
		// client MUST close the connection with a version negotiation error."
		// https://www.rfc-editor.org/rfc/rfc9368#section-4-9
		{"Version Negotiation and no Available Versions", Config{Versions: both, Negotiated: true, Version: v1},
			func(p *wire.TransportParameters) { p.AvailableVersions = "" }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := forged(t, tt.client, tt.edit)
			if !tt.fails {
				require.Nil(t, err)
				return
			}
			require.NotNil(t, err)
			require.Equal(t, wire.VersionNegotiationError, wire.ErrorCode(err.Code), "%v", err)
		})
	}
}

// "If the two differ, the server MUST close the connection with a version negotiation error."
// https://www.rfc-editor.org/rfc/rfc9368#section-4-5
func TestServerChecksChosenVersion(t *testing.T) {
	r := newRig(t, withVersions([]wire.Version{v1, v2}, []wire.Version{v2, v1}, rigOptions{}))
	p := wire.DefaultTransportParameters()
	p.InitialSrcConnID, p.HasInitialSrcConnID = r.client.ids.local[0].id, true
	p.ChosenVersion, p.HasVersionInfo, p.AvailableVersions = v2, true, wire.EncodeVersions(v1, v2)
	r.client.tls.params = p.Append(nil)
	r.pump()
	require.NotNil(t, r.server.Err())
	require.Equal(t, wire.VersionNegotiationError, wire.ErrorCode(r.server.Err().Code))
	require.Equal(t, wire.VersionNegotiationError, wire.ErrorCode(r.client.Err().Code))
	require.Equal(t, v1, r.server.Version(), "no upgrade")
}

// A client follows a server to another version only with an authentic packet, and only if it has offered the version.
// Junk does not let it derive keys without end.
func TestForgedVersionOfServer(t *testing.T) {
	r := newRig(t, withVersions([]wire.Version{v2, v1}, []wire.Version{v1}, rigOptions{}))
	for range 50 {
		b := wire.AppendLongHeader(nil, wire.PacketInitial, v2, r.client.ids.src(), r.connID(), nil, 0, 2)
		hdr := len(b)
		b = append(b, make([]byte, 1190)...)
		wire.PatchLength(b, hdr, 1190)
		r.client.HandleTrain(r.now, Train{Path: Path{Remote: serverAddr}, Data: b, SegmentSize: len(b)})
	}
	require.EqualValues(t, maxVersionSwitches, r.client.ids.versionTries)
	require.EqualValues(t, 50, r.client.Stats().Drops[DropUnknownVersion])
	require.Equal(t, v1, r.client.Version())
	r.pump()
	require.NoError(t, errOf(r.client))
	require.True(t, r.client.tls.confirmed)
}

// "An endpoint MUST drop packets using any other version."
// https://www.rfc-editor.org/rfc/rfc9369#section-4.1-7
func TestOtherVersionAfterNegotiation(t *testing.T) {
	r := connected(t, withVersions([]wire.Version{v2, v1}, []wire.Version{v2, v1}, rigOptions{}))
	require.Equal(t, v2, r.server.Version())
	before := r.server.Stats().Drops[DropUnknownVersion]
	for _, typ := range []wire.PacketType{wire.PacketInitial, wire.PacketHandshake} {
		b := wire.AppendLongHeader(nil, typ, v1, r.server.ids.local[0].id, r.client.ids.src(), nil, 9, 2)
		hdr := len(b)
		b = append(b, make([]byte, 1190)...)
		wire.PatchLength(b, hdr, 1190)
		r.server.HandleTrain(r.now, Train{Path: Path{Remote: clientAddr}, Data: b, SegmentSize: len(b)})
	}
	require.Equal(t, before+2, r.server.Stats().Drops[DropUnknownVersion])
}

// A client that acts on a Version Negotiation packet ignores the next one.
//
// "A client that makes a connection attempt based on information received from a Version Negotiation packet MUST ignore
// any Version Negotiation packets it receives in response to that connection attempt."
// https://www.rfc-editor.org/rfc/rfc9368#section-4-2
func TestSecondVersionNegotiation(t *testing.T) {
	for _, negotiated := range []bool{false, true} {
		r := newRig(t, rigOptions{client: func(c *Config) {
			c.Versions, c.Version, c.Negotiated = []wire.Version{v2, v1}, v2, negotiated
		}})
		src, dst := r.client.ids.src(), r.client.ids.originalDst
		vn := wire.AppendVersionNegotiation(nil, 0, src.Bytes(), dst.Bytes(), v1, 0x1a2a3a4a)
		r.client.HandleTrain(r.now, Train{Path: Path{Remote: serverAddr}, Data: vn, SegmentSize: len(vn)})
		require.Equal(t, negotiated, r.client.Err() == nil)
	}
}

// "Servers MUST validate the originating version of any session ticket or token and not accept one issued from a different
// version."
// https://www.rfc-editor.org/rfc/rfc9369#section-5-2
func TestTokensOfAnotherVersion(t *testing.T) {
	remote := netip.MustParseAddrPort("192.0.2.9:99")
	for _, mark := range []tokenMark{retryToken, newToken} {
		r := newRig(t, rigOptions{})
		token, err := sealToken(r.endpoint.cfg.TokenKey, tokenScope{mark, v2, remote}, unixNano(r.endpoint.cfg.Epoch, r.now), nil)
		require.NoError(t, err)
		r.endpoint.clamp(r.now)
		_, _, ok := r.endpoint.openToken(tokenScope{mark, v2, remote}, token, time.Hour)
		require.True(t, ok)
		_, _, ok = r.endpoint.openToken(tokenScope{mark, v1, remote}, token, time.Hour)
		require.False(t, ok)
	}
}
