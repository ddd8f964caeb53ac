package s2n

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

var goLevels = map[tls.QUICEncryptionLevel]tlsprovider.Level{
	tls.QUICEncryptionLevelInitial:     tlsprovider.LevelInitial,
	tls.QUICEncryptionLevelHandshake:   tlsprovider.LevelHandshake,
	tls.QUICEncryptionLevelApplication: tlsprovider.LevelApp,
}

func goLevel(l tlsprovider.Level) tls.QUICEncryptionLevel {
	for k, v := range goLevels {
		if v == l {
			return k
		}
	}
	return tls.QUICEncryptionLevelInitial
}

// A goPeer is a peer that uses crypto/tls directly.
type goPeer struct {
	conn    *tls.QUICConn
	out     []tlsprovider.CryptoData
	params  []byte
	done    bool
	isSrv   bool
	secrets map[tlsprovider.Level][]byte // for writing
	suite   uint16
}

func (g *goPeer) pump(t testing.TB) {
	t.Helper()
	for {
		e := g.conn.NextEvent()
		switch e.Kind {
		case tls.QUICNoEvent:
			return
		case tls.QUICWriteData:
			g.out = append(g.out, tlsprovider.CryptoData{Level: goLevels[e.Level], Data: append([]byte(nil), e.Data...)})
		case tls.QUICSetWriteSecret:
			g.secrets[goLevels[e.Level]] = append([]byte(nil), e.Data...)
			g.suite = e.Suite
		case tls.QUICTransportParameters:
			g.params = append([]byte(nil), e.Data...)
		case tls.QUICTransportParametersRequired:
			g.conn.SetTransportParameters([]byte("crypto/tls"))
		case tls.QUICHandshakeDone:
			g.done = true
			if g.isSrv {
				require.NoError(t, g.conn.SendSessionTicket(tls.QUICSessionTicketOptions{}))
			}
		}
	}
}

// runWithGo passes bytes between s, whose first events are given, and a crypto/tls connection.
func runWithGo(t testing.TB, p *tlstest.Pair, side tlsprovider.Side, g *goPeer) {
	t.Helper()
	var toGo []tlsprovider.CryptoData
	s := p.Session(side)
	if side == tlsprovider.Client {
		events, err := s.Advance(nil)
		require.NoError(t, err)
		require.NoError(t, p.Events(t, side, events, &toGo))
	}
	for g.pump(t); len(toGo)+len(g.out) > 0; g.pump(t) {
		for _, d := range toGo {
			require.NoError(t, g.conn.HandleData(goLevel(d.Level), d.Data))
			g.pump(t)
		}
		toGo = nil
		in := g.out
		g.out = nil
		if len(in) > 0 {
			events, err := s.Advance(in)
			require.NoError(t, err)
			require.NoError(t, p.Events(t, side, events, &toGo))
		}
	}
	require.True(t, g.done)
	require.True(t, p.Done[side])
	require.NotEmpty(t, g.params)
}

// requireSameSecrets checks that AWS-LC opens a packet that was sealed with crypto/tls's secret.
func requireSameSecrets(t testing.TB, s tlsprovider.Session, g *goPeer) {
	t.Helper()
	k, err := s.TakeKeys(tlsprovider.LevelApp, 1)
	require.NoError(t, err)
	defer k.Close()
	w := sealerOf(t, g.suite, g.secrets[tlsprovider.LevelApp])
	defer w.Close()
	tlstest.RequireKeysFit(t, w, k.Opener)
}

func TestWithCryptoTLSServer(t *testing.T) {
	prov := newProvider(t)
	has := native.New().Capabilities() // what this crypto/tls has, in this mode
	ours := prov.Capabilities()
	for _, group := range has.GroupIDs() {
		if _, ok := ours.Group(group); !ok {
			continue
		}
		t.Run(group.String(), func(t *testing.T) {
			client, server, _ := tlstest.Configs(t)
			client.Groups = []tlsprovider.Group{group}
			p := newPair(t, prov, client, server)
			key, err := x509.ParsePKCS8PrivateKey(server.Certificates[0].KeyDER)
			require.NoError(t, err)
			g := &goPeer{isSrv: true, secrets: map[tlsprovider.Level][]byte{}, conn: tls.QUICServer(&tls.QUICConfig{TLSConfig: &tls.Config{
				Certificates: []tls.Certificate{{Certificate: server.Certificates[0].Chain, PrivateKey: key}},
				NextProtos:   []string{"test"}, MinVersion: tls.VersionTLS13,
				CurvePreferences: []tls.CurveID{tls.CurveID(group)},
			}})}
			defer g.conn.Close()
			require.NoError(t, g.conn.Start(context.Background()))
			runWithGo(t, p, tlsprovider.Client, g)
			require.Equal(t, "crypto/tls", string(p.Params))
			require.Equal(t, group, p.Client.State().Group)
			if ours.Tickets {
				require.Equal(t, 1, p.Tickets)
			}
			requireSameSecrets(t, p.Client, g)
			if !ours.Exporters {
				return
			}
			cs := g.conn.ConnectionState()
			want, err := cs.ExportKeyingMaterial("EXPORTER-test", []byte("context"), 32)
			require.NoError(t, err)
			got, err := p.Client.Export("EXPORTER-test", []byte("context"), 32)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

func TestWithCryptoTLSClient(t *testing.T) {
	prov := newProvider(t)
	client, server, ca := tlstest.Configs(t)
	p := newPair(t, prov, client, server)
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	g := &goPeer{secrets: map[tlsprovider.Level][]byte{}, conn: tls.QUICClient(&tls.QUICConfig{TLSConfig: &tls.Config{
		RootCAs: pool, ServerName: "server.test", NextProtos: []string{"test"}, MinVersion: tls.VersionTLS13,
	}})}
	defer g.conn.Close()
	g.conn.SetTransportParameters([]byte("crypto/tls"))
	require.NoError(t, g.conn.Start(context.Background()))
	runWithGo(t, p, tlsprovider.Server, g)
	require.Equal(t, tlstest.ServerParams, string(g.params))
	require.Equal(t, "crypto/tls", string(p.Hello.TransportParameters))
	require.Equal(t, uint16(p.Server.State().Group), uint16(g.conn.ConnectionState().CurveID))
	if awslc.Variant != "openssl" && awslc.Variant != historic {
		require.Equal(t, tlsprovider.X25519MLKEM768, p.Server.State().Group)
	}
	requireSameSecrets(t, p.Server, g)
}
