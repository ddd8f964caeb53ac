package s2n

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// fuzzEndpoints returns a client and a server, which all sessions of a fuzz worker share.
var fuzzEndpoints = sync.OnceValues(func() (ends [2]tlsprovider.Endpoint, err error) {
	prov, err := New(AllowClassical())
	if err != nil {
		return ends, err
	}
	cfg := &tlsprovider.Config{NextProtos: []string{"test"}, InsecureSkipVerify: true}
	if ends[tlsprovider.Client], err = prov.NewClient(cfg); err != nil {
		return ends, err
	}
	server := &tlsprovider.Config{NextProtos: []string{"test"}, Certificates: []tlsprovider.Certificate{fuzzCert}}
	ends[tlsprovider.Server], err = prov.NewServer(server)
	return ends, err
})

var fuzzCert tlsprovider.Certificate

// FuzzPeerBytes passes arbitrary bytes of a peer to a session, at any level and in pieces.
func FuzzPeerBytes(f *testing.F) {
	newProvider(f)
	fuzzCert = tlstest.NewAuthority(f).Leaf(f, nil)
	ends, err := fuzzEndpoints()
	require.NoError(f, err)
	client, server, _ := tlstest.Configs(f)
	client.InsecureSkipVerify = true
	prov := newProvider(f)
	p := newPair(f, prov, client, server)
	p.MustRun(f)
	for _, side := range []tlsprovider.Side{tlsprovider.Client, tlsprovider.Server} {
		for level, data := range p.Flights[side] {
			f.Add(uint8(side.Peer()), uint8(level), uint16(len(data)), data)
			f.Add(uint8(side.Peer()), uint8(level), uint16(7), data)
		}
	}
	f.Fuzz(func(t *testing.T, side, level uint8, piece uint16, data []byte) {
		s, err := ends[side&1].NewSession(tlsprovider.SessionParams{Version: 1, ServerName: "server.test", TransportParameters: []byte{1}})
		require.NoError(t, err)
		defer s.Close()
		_, err = s.Advance(nil)
		require.NoError(t, err)
		for len(data) > 0 {
			n := min(len(data), int(piece)+1)
			events, err := s.Advance([]tlsprovider.CryptoData{{Level: tlsprovider.Level(level & 3), Data: data[:n]}})
			if err == nil && len(events) > 0 && events[0].Kind == tlsprovider.EventClientHello {
				_, err = s.Continue(tlsprovider.Decision{ALPN: "test", TransportParameters: []byte{1}})
			}
			if err != nil {
				var e *tlsprovider.Error
				require.ErrorAs(t, err, &e)
				require.NotZero(t, e.Alert)
				return
			}
			data = data[n:]
		}
	})
}
