package tlstest

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
)

// defaultHandshake runs a handshake with configurations that have no Groups.
func (su *Suite) defaultHandshake(t *testing.T) {
	client, server, ca := Configs(t)
	p := su.NewPair(t, client, server)
	cs, ss := p.MustRun(t)
	require.Equal(t, su.groups()[0], cs.Group)
	su.requireShares(t, cs)
	for _, provider := range []tlsprovider.Provider{su.Client, su.Server} {
		require.Contains(t, provider.Capabilities().CipherSuites, cs.CipherSuite)
	}
	require.Equal(t, "test", cs.ALPN)
	require.Equal(t, "server.test", cs.ServerName)
	require.Equal(t, "server.test", ss.ServerName)
	require.Equal(t, server.Certificates[0].Chain, cs.PeerChain)
	require.Equal(t, ca.DER, cs.PeerChain[1])
	require.Empty(t, ss.PeerChain)
	if su.has(handshakeDetails) {
		require.Equal(t, ecdsaP256, cs.SignatureScheme)
	}
	require.Zero(t, ss.SignatureScheme)
	require.False(t, cs.Resumed || cs.HelloRetried)
	require.Equal(t, su.Client.Name(), cs.Provider)
	require.Equal(t, su.Server.Name(), ss.Provider)

	require.Equal(t, ServerParams, string(p.Params))
	require.Equal(t, ClientParams, string(p.Hello.TransportParameters))
	require.Equal(t, "server.test", p.Hello.ServerName)
	require.Equal(t, []string{"test"}, p.Hello.ALPN)
	require.Contains(t, p.Hello.Groups, cs.Group)
	require.Contains(t, p.Hello.KeyShares, cs.Group)
	require.Contains(t, p.Hello.CipherSuites, cs.CipherSuite)
	require.NotEmpty(t, p.Hello.SignatureSchemes)
}

func (su *Suite) keyEvents(t *testing.T) {
	client, server, _ := Configs(t)
	p := su.NewPair(t, client, server)
	var early *tlsprovider.State // of the server when it may send 1-RTT packets
	p.OnEvent = func(side tlsprovider.Side, ev tlsprovider.Event) error {
		if side == tlsprovider.Server && ev.Kind == tlsprovider.EventKeys && ev.Level == tlsprovider.LevelApp && ev.Write {
			st := p.Server.State()
			early = &st
		}
		return nil
	}
	_, done := p.MustRun(t)
	require.NotNil(t, early)
	require.False(t, early.HandshakeDone)
	require.Equal(t, []any{done.ServerName, done.ALPN, done.CipherSuite}, []any{early.ServerName, early.ALPN, early.CipherSuite},
		"what is known before the client's last messages")
	if su.has(handshakeDetails) {
		require.Equal(t, done.Group, early.Group)
	}
	type ev struct {
		level       tlsprovider.Level
		read, write bool
	}
	list := func(side tlsprovider.Side) (out []ev) {
		for _, e := range p.Keys[side] {
			out = append(out, ev{e.Level, e.Read, e.Write})
		}
		return out
	}
	require.Equal(t, []ev{{tlsprovider.LevelHandshake, true, true}, {tlsprovider.LevelApp, true, true}}, list(tlsprovider.Client))
	require.Equal(t, []ev{{tlsprovider.LevelHandshake, true, true}, {tlsprovider.LevelApp, false, true}, {tlsprovider.LevelApp, true, false}},
		list(tlsprovider.Server), "a server reads 1-RTT packets after the client's Finished only")
	require.NotEmpty(t, p.Flights[tlsprovider.Server][tlsprovider.LevelInitial])
	require.NotEmpty(t, p.Flights[tlsprovider.Server][tlsprovider.LevelHandshake])
	require.NotEmpty(t, p.Flights[tlsprovider.Client][tlsprovider.LevelHandshake])
	require.Empty(t, p.Flights[tlsprovider.Client][tlsprovider.LevelApp])

	for _, level := range []tlsprovider.Level{tlsprovider.LevelHandshake, tlsprovider.LevelApp} {
		ck, err := p.Client.TakeKeys(level, 1)
		require.NoError(t, err)
		defer ck.Close()
		sk, err := p.Server.TakeKeys(level, 1)
		require.NoError(t, err)
		defer sk.Close()
		RequireKeysFit(t, ck.Sealer, sk.Opener)
		RequireKeysFit(t, sk.Sealer, ck.Opener)
		again, err := p.Client.TakeKeys(level, 1)
		require.NoError(t, err)
		require.Nil(t, again.Sealer)
		require.Nil(t, again.Opener)
	}
	_, err := p.Client.TakeKeys(tlsprovider.LevelApp, 0xff00001d)
	require.Error(t, err)
}

// RequireKeysFit checks that o opens packets that s has sealed.
func RequireKeysFit(t testing.TB, s tlsprovider.Sealer, o tlsprovider.Opener) {
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

func (su *Suite) exporters(t *testing.T) {
	client, server, _ := Configs(t)
	p := su.NewPair(t, client, server)
	_, err := p.Client.Export("EXPORTER-test", nil, 32)
	require.Error(t, err, "before the handshake")
	p.MustRun(t)
	for _, n := range []int{1, 32, 100, 8160} {
		a, err := p.Client.Export("EXPORTER-test", []byte("context"), n)
		require.NoError(t, err)
		b, err := p.Server.Export("EXPORTER-test", []byte("context"), n)
		require.NoError(t, err)
		require.Equal(t, a, b)
		require.Len(t, a, n)
		other, err := p.Server.Export("EXPORTER-test", []byte("other"), n)
		require.NoError(t, err)
		if n >= 32 {
			require.NotEqual(t, a, other)
		}
	}
	a, err := p.Client.Export("EXPORTER-test", nil, 32)
	require.NoError(t, err)
	b, err := p.Server.Export("EXPORTER-test", []byte{}, 32)
	require.NoError(t, err)
	require.Equal(t, a, b)
	for _, bad := range []int{0, -1, 8161} {
		_, err = p.Client.Export("EXPORTER-test", nil, bad)
		require.Error(t, err)
	}
	_, err = p.Client.Export(strings.Repeat("x", 250), nil, 32)
	require.Error(t, err)
	p.Client.Close()
	_, err = p.Client.Export("EXPORTER-test", nil, 32)
	require.Error(t, err)
}

func (su *Suite) keyLog(t *testing.T) {
	client, server, _ := Configs(t)
	var cl, sl bytes.Buffer
	client.KeyLogWriter, server.KeyLogWriter = &cl, &sl
	su.NewPair(t, client, server).MustRun(t)
	for _, label := range []string{
		"CLIENT_HANDSHAKE_TRAFFIC_SECRET ", "SERVER_HANDSHAKE_TRAFFIC_SECRET ",
		"CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 ",
	} {
		require.Len(t, linesWith(cl.String(), label), 1, label)
		require.Equal(t, linesWith(cl.String(), label), linesWith(sl.String(), label))
	}
	require.True(t, strings.HasSuffix(cl.String(), "\n"))
}

// linesWith returns the lines of a log that begin with label.
func linesWith(log, label string) (out []string) {
	for line := range strings.Lines(log) {
		if strings.HasPrefix(line, label) {
			out = append(out, line)
		}
	}
	return out
}

func (su *Suite) decisionReplacesEndpoint(t *testing.T) {
	client, server, _ := Configs(t)
	groups := su.groups()
	other := NewAuthority(t)
	cfg := *server
	cfg.Certificates = []tlsprovider.Certificate{other.Leaf(t, nil)}
	cfg.Groups = groups[min(1, len(groups)-1):][:1]
	e := su.newServer(t, &cfg)
	client.RootCAs = other.Roots()
	p := su.NewPair(t, client, server)
	p.Decide = decide(e)
	cs, _ := p.MustRun(t)
	require.Equal(t, cfg.Certificates[0].Chain, cs.PeerChain)
	require.Equal(t, cfg.Groups[0], cs.Group)
}

func (su *Suite) version2Keys(t *testing.T) {
	client, server, _ := Configs(t)
	p := su.NewPair(t, client, server)
	p.MustRun(t)
	ck, err := p.Client.TakeKeys(tlsprovider.LevelApp, 0x6b3343cf)
	require.NoError(t, err)
	defer ck.Close()
	sk, err := p.Server.TakeKeys(tlsprovider.LevelApp, 0x6b3343cf)
	require.NoError(t, err)
	defer sk.Close()
	RequireKeysFit(t, ck.Sealer, sk.Opener)
}

func (su *Suite) wrongOrder(t *testing.T) {
	client, server, _ := Configs(t)
	p := su.NewPair(t, client, server)
	_, err := p.Server.Continue(tlsprovider.Decision{ALPN: "test", Version: 1})
	require.Error(t, err, "before the ClientHello")
	p = su.NewPair(t, client, server)
	p.Server.Close()
	_, err = p.Server.Advance(nil)
	require.Error(t, err)
	_, err = p.Server.TakeKeys(tlsprovider.LevelApp, 1)
	require.Error(t, err)

	ce, err := su.Client.NewClient(client)
	require.NoError(t, err)
	ce.Close()
	ce.Close()
	_, err = ce.NewSession(tlsprovider.SessionParams{ServerName: "server.test"})
	require.Error(t, err)
	require.Error(t, ce.SetCertificates(nil))
}

// longChain runs a handshake with a chain of 40 KB, which exceeds every amplification limit.
func (su *Suite) longChain(t *testing.T) {
	client, server, ca := Configs(t)
	leaf := ca.Leaf(t, nil)
	total := 0
	for total < 40<<10 {
		extra := NewAuthority(t).Leaf(t, func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: strings.Repeat("padding ", 7), OrganizationalUnit: []string{strings.Repeat("x", 1000)}}
		})
		leaf.Chain = append(leaf.Chain, extra.Chain[0])
		total += len(extra.Chain[0])
	}
	server.Certificates = []tlsprovider.Certificate{leaf}
	cs, _ := su.NewPair(t, client, server).MustRun(t)
	require.Equal(t, leaf.Chain, cs.PeerChain)
}
