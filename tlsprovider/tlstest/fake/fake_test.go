package fake

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// pair runs a handshake to its end and returns both sessions and the sizes of what was written.
type pair struct {
	client, server tlsprovider.Session
	sizes          map[tlsprovider.Side]map[tlsprovider.Level]int
	done           [2]bool
	tickets        int
}

func newPair(t testing.TB, ce, se tlsprovider.Endpoint) *pair {
	t.Helper()
	p := &pair{sizes: map[tlsprovider.Side]map[tlsprovider.Level]int{0: {}, 1: {}}}
	var err error
	p.client, err = ce.NewSession(tlsprovider.SessionParams{Version: 1, ServerName: "server.test",
		TransportParameters: make([]byte, 60)})
	require.NoError(t, err)
	p.server, err = se.NewSession(tlsprovider.SessionParams{Version: 1})
	require.NoError(t, err)
	return p
}

func (p *pair) run(t testing.TB) error {
	t.Helper()
	var queue [2][]tlsprovider.CryptoData
	events, err := p.client.Advance(nil)
	side := tlsprovider.Client
	for idle := 0; idle < 2; {
		if err != nil {
			return err
		}
		for i := range events {
			ev := &events[i]
			switch ev.Kind {
			case tlsprovider.EventWrite:
				p.sizes[side][ev.Level] += len(ev.Data)
				queue[side.Peer()] = append(queue[side.Peer()],
					tlsprovider.CryptoData{Level: ev.Level, Data: append([]byte(nil), ev.Data...)})
			case tlsprovider.EventHandshakeDone:
				p.done[side] = true
			case tlsprovider.EventTicket:
				p.tickets++
			case tlsprovider.EventClientHello:
				require.Equal(t, "server.test", ev.ClientHello.ServerName)
				events, err = p.server.Continue(tlsprovider.Decision{ALPN: "sim", TransportParameters: make([]byte, 80), Version: 1})
				goto again
			}
		}
		side = side.Peer()
		if idle++; len(queue[side]) > 0 {
			in := queue[side]
			queue[side] = nil
			if side == tlsprovider.Client {
				events, err = p.client.Advance(in)
			} else {
				events, err = p.server.Advance(in)
			}
			idle = 0
		} else {
			events = nil
		}
	again:
	}
	return nil
}

func endpoints(t testing.TB, o Options, client, server *tlsprovider.Config) (ce, se tlsprovider.Endpoint, p *Provider) {
	t.Helper()
	p = New(o)
	client.NextProtos, server.NextProtos = []string{"sim"}, []string{"sim"}
	ce, err := p.NewClient(client)
	require.NoError(t, err)
	se, err = p.NewServer(server)
	require.NoError(t, err)
	return ce, se, p
}

// TestFlightSizes compares the sizes of flights to those of crypto/tls and s2n-tls.
func TestFlightSizes(t *testing.T) {
	for _, tc := range []struct {
		name           string
		opts           Options
		client         tlsprovider.Config
		hello          [2]int // bounds of the client's Initial flight
		serverHello    int
		clientFinished int
	}{
		{"post-quantum", Options{}, tlsprovider.Config{}, [2]int{1440, 1520}, 1178, 36},
		{"classical", Options{Classical: true}, tlsprovider.Config{}, [2]int{220, 280}, 90, 36},
		{"P-256", Options{}, tlsprovider.Config{Groups: []tlsprovider.Group{tlsprovider.P256}}, [2]int{240, 310}, 123, 36},
		{"AES-256", Options{}, tlsprovider.Config{CipherSuites: []tlsprovider.CipherSuite{tlsprovider.AES256GCM}},
			[2]int{1440, 1520}, 1178, 52},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ce, se, p := endpoints(t, tc.opts, &tc.client, &tlsprovider.Config{})
			hs := newPair(t, ce, se)
			require.NoError(t, hs.run(t))
			require.Equal(t, [2]bool{true, true}, hs.done)
			got := hs.sizes[tlsprovider.Client][tlsprovider.LevelInitial]
			require.GreaterOrEqual(t, got, tc.hello[0])
			require.LessOrEqual(t, got, tc.hello[1])
			require.Equal(t, tc.serverHello, hs.sizes[tlsprovider.Server][tlsprovider.LevelInitial])
			require.Equal(t, tc.clientFinished, hs.sizes[tlsprovider.Client][tlsprovider.LevelHandshake])
			hs.client.Close()
			hs.server.Close()
			live, _ := p.Live()
			require.Zero(t, live)
		})
	}
}

func TestChainLen(t *testing.T) {
	ce, se, _ := endpoints(t, Options{ChainLen: 40 << 10}, &tlsprovider.Config{}, &tlsprovider.Config{})
	hs := newPair(t, ce, se)
	require.NoError(t, hs.run(t))
	require.Greater(t, hs.sizes[tlsprovider.Server][tlsprovider.LevelHandshake], 40<<10)
	require.Len(t, hs.client.State().PeerChain[0], 40<<10)
}

func TestHelloRetryAndResumption(t *testing.T) {
	ce, se, _ := endpoints(t, Options{HelloRetry: true, Tickets: 2}, &tlsprovider.Config{}, &tlsprovider.Config{})
	for i := range 3 {
		hs := newPair(t, ce, se)
		require.NoError(t, hs.run(t))
		st := hs.client.State()
		require.True(t, st.HelloRetried)
		require.Equal(t, 1216, st.ClientShareLen)
		require.Equal(t, 1120, st.ServerShareLen)
		require.Equal(t, i > 0, st.Resumed)
		require.Equal(t, 2, hs.tickets)
	}
}

func TestDeterministic(t *testing.T) {
	flight := func(seed uint64) []byte {
		ce, _, p := endpoints(t, Options{Seed: seed}, &tlsprovider.Config{}, &tlsprovider.Config{})
		s, err := ce.NewSession(tlsprovider.SessionParams{Version: 1, ServerName: "a"})
		require.NoError(t, err)
		defer s.Close()
		ev, err := s.Advance(nil)
		require.NoError(t, err)
		random := make([]byte, 40)
		_, err = p.Rand().Read(random)
		require.NoError(t, err)
		return append(random, ev[0].Data...)
	}
	require.Equal(t, flight(1), flight(1))
	require.NotEqual(t, flight(1), flight(2))
}

func TestMisuse(t *testing.T) {
	p := New(Options{})
	keys, err := p.InitialKeys(1, []byte("12345678"), tlsprovider.Client)
	require.NoError(t, err)
	seal := func(pn byte) { // pn is the last byte of the header
		slab := make([]byte, 64)
		slab[0], slab[1] = 0xc0, pn
		require.NoError(t, keys.Sealer.Seal(slab, []tlsprovider.SealDesc{{HeaderLen: 2, PayloadLen: 20, PacketNumber: uint64(pn)}}))
	}
	seal(5)
	require.Panics(t, func() { seal(5) }, "a packet number is sealed once")
	require.Panics(t, func() { seal(4) }, "packet numbers grow")
	seal(9)
	keys.Close()
	keys.Close()
	require.Panics(t, func() { seal(10) }, "use after Close")
	require.Zero(t, func() int64 { n, _ := p.Live(); return n }())

	ep, err := p.NewClient(&tlsprovider.Config{NextProtos: []string{"x"}})
	require.NoError(t, err)
	s, err := ep.NewSession(tlsprovider.SessionParams{Version: 1, ServerName: "a"})
	require.NoError(t, err)
	ev, err := s.Advance(nil)
	require.NoError(t, err)
	data := ev[0].Data
	_, err = s.Advance(nil)
	require.NoError(t, err)
	require.Equal(t, byte(0xdb), data[0], "event data ends with the next call")
	s.Close()
	require.Panics(t, func() { _, _ = s.Advance(nil) })
}

func BenchmarkHandshakePair(b *testing.B) {
	ce, se, _ := endpoints(b, Options{Tickets: -1}, &tlsprovider.Config{}, &tlsprovider.Config{})
	b.ReportAllocs()
	for b.Loop() {
		hs := newPair(b, ce, se)
		if err := hs.run(b); err != nil {
			b.Fatal(err)
		}
		hs.client.Close()
		hs.server.Close()
	}
}
