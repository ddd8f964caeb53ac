package s2n

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider"
)

func TestHandshakeIsPostQuantum(t *testing.T) {
	prov := newProvider(t)
	client, server, ca := configs(t)
	p := newPair(t, prov, client, server)
	cs, ss := p.mustRun(t)
	require.Equal(t, tlsprovider.X25519MLKEM768, cs.Group)
	require.Equal(t, 1216, cs.ClientShareLen)
	require.Equal(t, 1120, cs.ServerShareLen)
	require.Equal(t, tlsprovider.AES128GCM, cs.CipherSuite)
	require.Equal(t, "test", cs.ALPN)
	require.Equal(t, "server.test", cs.ServerName)
	require.Equal(t, "server.test", ss.ServerName)
	require.Equal(t, server.Certificates[0].Chain, cs.PeerChain)
	require.Equal(t, ca.der, cs.PeerChain[1])
	require.Empty(t, ss.PeerChain)
	require.Equal(t, "ecdsa_secp256r1_sha256", cs.SignatureScheme.String())
	require.Zero(t, ss.SignatureScheme)
	require.False(t, cs.Resumed || cs.HelloRetried)
	require.Equal(t, Name, cs.Provider)

	require.Equal(t, serverParams, string(p.params))
	require.Equal(t, clientParams, string(p.hello.TransportParameters))
	require.Equal(t, "server.test", p.hello.ServerName)
	require.Equal(t, []string{"test"}, p.hello.ALPN)
	require.Equal(t, tlsprovider.X25519MLKEM768, p.hello.Groups[0])
	require.Contains(t, p.hello.KeyShares, tlsprovider.X25519MLKEM768)
	require.Contains(t, p.hello.CipherSuites, tlsprovider.AES128GCM)
	require.NotEmpty(t, p.hello.SignatureSchemes)
}

func TestKeyEvents(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := configs(t)
	p := newPair(t, prov, client, server)
	p.mustRun(t)
	type ev struct {
		level       tlsprovider.Level
		read, write bool
	}
	list := func(side tlsprovider.Side) (out []ev) {
		for _, e := range p.keys[side] {
			out = append(out, ev{e.Level, e.Read, e.Write})
		}
		return out
	}
	require.Equal(t, []ev{{tlsprovider.LevelHandshake, true, true}, {tlsprovider.LevelApp, true, true}}, list(tlsprovider.Client))
	require.Equal(t, []ev{{tlsprovider.LevelHandshake, true, true}, {tlsprovider.LevelApp, false, true}, {tlsprovider.LevelApp, true, false}},
		list(tlsprovider.Server), "a server reads 1-RTT packets after the client's Finished only")
	require.NotEmpty(t, p.flights[tlsprovider.Server][tlsprovider.LevelInitial])
	require.NotEmpty(t, p.flights[tlsprovider.Server][tlsprovider.LevelHandshake])
	require.NotEmpty(t, p.flights[tlsprovider.Client][tlsprovider.LevelHandshake])
	require.Empty(t, p.flights[tlsprovider.Client][tlsprovider.LevelApp])

	for _, level := range []tlsprovider.Level{tlsprovider.LevelHandshake, tlsprovider.LevelApp} {
		ck, err := p.client.TakeKeys(level, 1)
		require.NoError(t, err)
		defer ck.Close()
		sk, err := p.server.TakeKeys(level, 1)
		require.NoError(t, err)
		defer sk.Close()
		requireKeysFit(t, ck.Sealer, sk.Opener)
		requireKeysFit(t, sk.Sealer, ck.Opener)
		again, err := p.client.TakeKeys(level, 1)
		require.NoError(t, err)
		require.Nil(t, again.Sealer)
		require.Nil(t, again.Opener)
	}
	_, err := p.client.TakeKeys(tlsprovider.LevelApp, 0xff00001d)
	require.Error(t, err)
}

func requireKeysFit(t testing.TB, s tlsprovider.Sealer, o tlsprovider.Opener) {
	t.Helper()
	slab := append([]byte("\x43destcid!\x00\x00\x00\x07payload"), make([]byte, 16)...)
	require.NoError(t, s.Seal(slab, []tlsprovider.SealDesc{{HeaderLen: 13, PayloadLen: 7, PacketNumber: 7}}))
	train := []tlsprovider.OpenDesc{{Len: uint32(len(slab)), PNOffset: 9}}
	require.Equal(t, 1, o.Open(slab, train, -1))
	require.Equal(t, tlsprovider.OpenOK, train[0].Status)
	require.Equal(t, "payload", string(slab[train[0].HeaderLen:][:train[0].PayloadLen]))
	require.NotZero(t, s.ConfidentialityLimit())
	require.NotZero(t, o.IntegrityLimit())
}

func TestEachGroupAlone(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := configs(t)
	lens := map[tlsprovider.Group][2]int{
		tlsprovider.X25519MLKEM768: {1216, 1120}, tlsprovider.SecP256r1MLKEM768: {1249, 1153},
		tlsprovider.SecP384r1MLKEM1024: {1665, 1665}, tlsprovider.X25519: {32, 32},
		tlsprovider.P256: {65, 65}, tlsprovider.P384: {97, 97},
	}
	named := prov.Capabilities().Groups
	for _, g := range tlsprovider.AllGroups() {
		t.Run(g.String(), func(t *testing.T) {
			require.Contains(t, named, g)
			client, server := *client, *server
			client.Groups = []tlsprovider.Group{g}
			server.Groups = []tlsprovider.Group{g}
			client.RequirePQ = g.PostQuantum()
			p := newPair(t, prov, &client, &server)
			cs, _ := p.mustRun(t)
			require.Equal(t, g, cs.Group)
			require.Equal(t, lens[g], [2]int{cs.ClientShareLen, cs.ServerShareLen})
			require.Equal(t, []tlsprovider.Group{g}, p.hello.Groups)
		})
	}
}

func TestHelloRetryRequest(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := configs(t)
	server.Groups = []tlsprovider.Group{tlsprovider.SecP384r1MLKEM1024}
	p := newPair(t, prov, client, server)
	cs, ss := p.mustRun(t)
	require.True(t, cs.HelloRetried && ss.HelloRetried)
	require.Equal(t, tlsprovider.SecP384r1MLKEM1024, cs.Group)
	require.Equal(t, 1665, cs.ClientShareLen)
	require.NotContains(t, p.hello.KeyShares, tlsprovider.SecP384r1MLKEM1024)
}

func TestFragmentedInput(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := configs(t)
	for _, chunk := range []int{1, 2, 3, 7, 100, 1000} {
		p := newPair(t, prov, client, server)
		p.chunk = chunk
		cs, _ := p.mustRun(t)
		require.Equal(t, tlsprovider.X25519MLKEM768, cs.Group)
	}
}

func TestRequirePQ(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := configs(t)
	classical := []tlsprovider.Group{tlsprovider.P256} // which default_fips has, too
	t.Run("server", func(t *testing.T) {
		c, s := *client, *server
		c.Groups, s.RequirePQ = classical, true
		p := newPair(t, prov, &c, &s)
		side, err := p.run(t)
		require.Equal(t, tlsprovider.Server, side)
		requireAlert(t, tlsprovider.AlertInsufficientSecurity, err)
		require.Empty(t, p.flights[tlsprovider.Server], "no ServerHello leaves")
	})
	t.Run("client", func(t *testing.T) {
		c, s := *client, *server
		s.Groups, c.RequirePQ = classical, true
		p := newPair(t, prov, &c, &s)
		side, err := p.run(t)
		require.Equal(t, tlsprovider.Client, side)
		requireAlert(t, tlsprovider.AlertInsufficientSecurity, err)
	})
	t.Run("configuration", func(t *testing.T) {
		c := *client
		c.Groups, c.RequirePQ = classical, true
		_, err := prov.NewClient(&c)
		require.ErrorContains(t, err, "RequirePQ")
	})
}

func TestALPN(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := configs(t)
	client.NextProtos = []string{"one", "two"}
	p := newPair(t, prov, client, server)
	p.alpn = "two"
	cs, _ := p.mustRun(t)
	require.Equal(t, []string{"one", "two"}, p.hello.ALPN)
	require.Equal(t, "two", cs.ALPN)

	for _, bad := range []string{"", "three"} {
		p := newPair(t, prov, client, server)
		p.alpn = bad
		side, err := p.run(t)
		require.Equal(t, tlsprovider.Server, side)
		requireAlert(t, tlsprovider.AlertNoApplicationProtocol, err)
		require.Empty(t, p.flights[tlsprovider.Server], "no ServerHello leaves")
	}
}

func TestExporters(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := configs(t)
	p := newPair(t, prov, client, server)
	_, err := p.client.Export("EXPORTER-test", nil, 32)
	require.Error(t, err, "before the handshake")
	p.mustRun(t)
	for _, n := range []int{1, 32, 100, 8160} {
		a, err := p.client.Export("EXPORTER-test", []byte("context"), n)
		require.NoError(t, err)
		b, err := p.server.Export("EXPORTER-test", []byte("context"), n)
		require.NoError(t, err)
		require.Equal(t, a, b)
		require.Len(t, a, n)
		other, err := p.server.Export("EXPORTER-test", []byte("other"), n)
		require.NoError(t, err)
		if n >= 32 {
			require.NotEqual(t, a, other)
		}
	}
	a, err := p.client.Export("EXPORTER-test", nil, 32)
	require.NoError(t, err)
	b, err := p.server.Export("EXPORTER-test", []byte{}, 32)
	require.NoError(t, err)
	require.Equal(t, a, b)
	for _, bad := range []int{0, -1, 8161} {
		_, err = p.client.Export("EXPORTER-test", nil, bad)
		require.Error(t, err)
	}
	_, err = p.client.Export(strings.Repeat("x", 250), nil, 32)
	require.Error(t, err)
	p.client.Close()
	_, err = p.client.Export("EXPORTER-test", nil, 32)
	require.Error(t, err)
}

func TestKeyLog(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := configs(t)
	var cl, sl bytes.Buffer
	client.KeyLogWriter, server.KeyLogWriter = &cl, &sl
	newPair(t, prov, client, server).mustRun(t)
	require.Equal(t, cl.String(), sl.String())
	for _, label := range []string{
		"CLIENT_HANDSHAKE_TRAFFIC_SECRET ", "SERVER_HANDSHAKE_TRAFFIC_SECRET ",
		"CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 ",
	} {
		require.Equal(t, 1, strings.Count(cl.String(), label), label)
	}
	require.True(t, strings.HasSuffix(cl.String(), "\n"))
}

func TestResumption(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := configs(t)
	ce, err := prov.NewClient(client)
	require.NoError(t, err)
	defer ce.Close()
	se, err := prov.NewServer(server)
	require.NoError(t, err)
	defer se.Close()

	p := pairOf(t, ce, se, "server.test")
	cs, _ := p.mustRun(t)
	require.False(t, cs.Resumed)
	require.Equal(t, 1, p.tickets)
	p = pairOf(t, ce, se, "server.test")
	cs, _ = p.mustRun(t)
	require.True(t, cs.Resumed)
	require.Equal(t, tlsprovider.X25519MLKEM768, cs.Group)
	require.Nil(t, cs.PeerChain)
	require.Zero(t, cs.SignatureScheme)
	require.Equal(t, 1216, cs.ClientShareLen)
	// s2n-tls sends no ticket on a resumed connection; a ticket serves once.
	require.Zero(t, p.tickets)
	full := func(why string) {
		t.Helper()
		p := pairOf(t, ce, se, "server.test")
		cs, _ := p.mustRun(t)
		require.False(t, cs.Resumed, why)
		require.Equal(t, 1, p.tickets)
	}
	resumed := func(why string) {
		t.Helper()
		cs, _ := pairOf(t, ce, se, "server.test").mustRun(t)
		require.True(t, cs.Resumed, why)
	}
	full("the ticket was used")
	cs, _ = pairOf(t, ce, se, "127.0.0.1").mustRun(t)
	require.False(t, cs.Resumed, "a ticket is for one name")

	key, newer := bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{8}, 32)
	require.NoError(t, se.SetTicketKeys([][]byte{key}))
	full("the old key is gone")
	require.NoError(t, se.SetTicketKeys([][]byte{newer, key}))
	resumed("the old key still opens")
	full("the ticket was used")
	require.NoError(t, se.SetTicketKeys([][]byte{newer}))
	resumed("the first key seals")
	full("the ticket was used")
	require.NoError(t, ce.SetCertificates(nil))
	full("tickets stand for the old certificates")
}

func TestTicketsOff(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := configs(t)
	for _, side := range []tlsprovider.Side{tlsprovider.Client, tlsprovider.Server} {
		c, s := *client, *server
		if side == tlsprovider.Client {
			c.DisableTickets = true
		} else {
			s.DisableTickets = true
		}
		p := newPair(t, prov, &c, &s)
		p.mustRun(t)
		require.Zero(t, p.tickets)
	}
}

func TestDecisionReplacesEndpoint(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := configs(t)
	other := newAuthority(t)
	cfg := *server
	cfg.Certificates = []tlsprovider.Certificate{other.leaf(t, nil)}
	cfg.Groups = []tlsprovider.Group{tlsprovider.SecP256r1MLKEM768}
	e, err := prov.NewServer(&cfg)
	require.NoError(t, err)
	defer e.Close()
	client.Roots = other.roots()
	p := newPair(t, prov, client, server)
	p.decide = func(*tlsprovider.ClientHello) tlsprovider.Decision {
		return tlsprovider.Decision{Endpoint: e, ALPN: "test", TransportParameters: []byte(serverParams), Version: 1}
	}
	cs, _ := p.mustRun(t)
	require.Equal(t, cfg.Certificates[0].Chain, cs.PeerChain)
	require.Equal(t, tlsprovider.SecP256r1MLKEM768, cs.Group)
}

func TestVersion2Keys(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := configs(t)
	p := newPair(t, prov, client, server)
	p.mustRun(t)
	ck, err := p.client.TakeKeys(tlsprovider.LevelApp, 0x6b3343cf)
	require.NoError(t, err)
	defer ck.Close()
	sk, err := p.server.TakeKeys(tlsprovider.LevelApp, 0x6b3343cf)
	require.NoError(t, err)
	defer sk.Close()
	requireKeysFit(t, ck.Sealer, sk.Opener)
}

// Closed at any moment, a pair leaves nothing behind.
func TestNothingIsLeft(t *testing.T) {
	prov := newProvider(t)
	client, server, _ := configs(t)
	ce, err := prov.NewClient(client)
	require.NoError(t, err)
	se, err := prov.NewServer(server)
	require.NoError(t, err)
	defer ce.Close()
	defer se.Close()
	once := func(stop int) {
		p := pairOf(t, ce, se, "server.test")
		p.decide = func(*tlsprovider.ClientHello) tlsprovider.Decision {
			if stop == 1 {
				p.server.Close()
			}
			return tlsprovider.Decision{ALPN: "test", TransportParameters: []byte(serverParams), Version: 1}
		}
		if stop == 2 {
			p.chunk = 1000
			events, err := p.client.Advance(nil)
			require.NoError(t, err)
			for _, e := range events {
				_, err := p.server.Advance([]tlsprovider.CryptoData{{Level: e.Level, Data: e.Data[:500]}})
				require.NoError(t, err)
			}
		} else if stop != 0 {
			_, err := p.run(t)
			require.Equal(t, stop == 1, err != nil)
		}
		if stop == 4 {
			k, err := p.server.TakeKeys(tlsprovider.LevelApp, 1)
			require.NoError(t, err)
			k.Close()
		}
		p.client.Close()
		p.server.Close()
		p.client.Close()
	}
	for stop := range 5 {
		once(stop)
	}
	once(3) // a ticket is in the cache
	before := awslc.Live()
	for range 20 {
		for stop := range 5 {
			once(stop)
		}
	}
	once(3)
	after := awslc.Live()
	require.Equal(t, before.Handles, after.Handles)
	require.InDelta(t, before.TLSBytes, after.TLSBytes, 64, "tickets differ by bytes")
}
