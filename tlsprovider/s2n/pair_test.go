package s2n

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider"
)

// newProvider skips a test that needs the C library where there is none, unless the environment says
// that there has to be one.
func newProvider(t testing.TB) tlsprovider.Provider {
	t.Helper()
	p, err := New()
	if errors.Is(err, ErrNotLinked) && os.Getenv("PQQUIC_REQUIRE_LINKED") != "1" {
		t.Skip("not linked: run `make build` first")
	}
	require.NoError(t, err)
	return p
}

type authority struct {
	der  []byte
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test root"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{der, cert, key}
}

func (a *authority) roots() *tlsprovider.Roots {
	r := new(tlsprovider.Roots)
	r.AddDER(a.der)
	return r
}

// issue signs a leaf for key; edit, when not nil, changes the template.
func (a *authority) issue(t testing.TB, key crypto.Signer, edit func(*x509.Certificate)) [][]byte {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test leaf"},
		DNSNames: []string{"server.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if edit != nil {
		edit(tmpl)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	require.NoError(t, err)
	return [][]byte{der, a.der}
}

func (a *authority) leaf(t testing.TB, edit func(*x509.Certificate)) tlsprovider.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return tlsprovider.Certificate{Chain: a.issue(t, key, edit), KeyDER: der}
}

func rsaKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return key
}

// A pair is two sessions and what a test wants to do between them.
type pair struct {
	client, server tlsprovider.Session
	alpn           string
	serverParams   []byte
	decide         func(*tlsprovider.ClientHello) tlsprovider.Decision
	chunk          int // input is fed in pieces of this size; 0: whole

	hello   *tlsprovider.ClientHello
	flights [2]map[tlsprovider.Level][]byte // everything that each side wrote
	keys    [2][]tlsprovider.Event
	params  []byte
	done    [2]bool
	tickets int
	signs   int
}

const (
	clientParams = "client transport parameters"
	serverParams = "server transport parameters"
)

func newPair(t testing.TB, p tlsprovider.Provider, client, server *tlsprovider.Config) *pair {
	t.Helper()
	ce, err := p.NewClient(client)
	require.NoError(t, err)
	t.Cleanup(ce.Close)
	se, err := p.NewServer(server)
	require.NoError(t, err)
	t.Cleanup(se.Close)
	return pairOf(t, ce, se, "server.test")
}

func pairOf(t testing.TB, ce, se tlsprovider.Endpoint, name string) *pair {
	t.Helper()
	cs, err := ce.NewSession(tlsprovider.SessionParams{Version: 1, ServerName: name, TransportParameters: []byte(clientParams)})
	require.NoError(t, err)
	t.Cleanup(cs.Close)
	ss, err := se.NewSession(tlsprovider.SessionParams{Version: 1})
	require.NoError(t, err)
	t.Cleanup(ss.Close)
	return &pair{client: cs, server: ss, alpn: "test", serverParams: []byte(serverParams)}
}

func (p *pair) session(side tlsprovider.Side) tlsprovider.Session {
	if side == tlsprovider.Client {
		return p.client
	}
	return p.server
}

// run pumps bytes until nobody has any left, or a side fails; it returns that side's error.
func (p *pair) run(t testing.TB) (tlsprovider.Side, error) {
	t.Helper()
	events, err := p.client.Advance(nil)
	if err != nil {
		return tlsprovider.Client, err
	}
	queue := [2][]tlsprovider.CryptoData{}
	if err := p.events(t, tlsprovider.Client, events, &queue[tlsprovider.Server]); err != nil {
		return tlsprovider.Client, err
	}
	for len(queue[0])+len(queue[1]) > 0 {
		for _, side := range []tlsprovider.Side{tlsprovider.Server, tlsprovider.Client} {
			in := p.split(queue[side])
			queue[side] = nil
			for _, call := range in {
				events, err := p.session(side).Advance(call)
				if err == nil {
					err = p.events(t, side, events, &queue[side.Peer()])
				}
				if err != nil {
					return side, err
				}
			}
		}
	}
	return 0, nil
}

// split turns a queue into calls: one for everything, or one for each piece.
func (p *pair) split(in []tlsprovider.CryptoData) (calls [][]tlsprovider.CryptoData) {
	if len(in) == 0 {
		return nil
	}
	if p.chunk == 0 {
		return [][]tlsprovider.CryptoData{in}
	}
	for _, d := range in {
		for b := d.Data; len(b) > 0; b = b[min(p.chunk, len(b)):] {
			calls = append(calls, []tlsprovider.CryptoData{{Level: d.Level, Data: b[:min(p.chunk, len(b))]}})
		}
	}
	return calls
}

func (p *pair) events(t testing.TB, side tlsprovider.Side, events []tlsprovider.Event, out *[]tlsprovider.CryptoData) error {
	t.Helper()
	for _, e := range events {
		switch e.Kind {
		case tlsprovider.EventWrite:
			data := append([]byte(nil), e.Data...)
			*out = append(*out, tlsprovider.CryptoData{Level: e.Level, Data: data})
			if p.flights[side] == nil {
				p.flights[side] = make(map[tlsprovider.Level][]byte)
			}
			p.flights[side][e.Level] = append(p.flights[side][e.Level], data...)
		case tlsprovider.EventKeys:
			p.keys[side] = append(p.keys[side], e)
		case tlsprovider.EventTransportParameters:
			p.params = append([]byte{}, e.Data...)
		case tlsprovider.EventHandshakeDone:
			p.done[side] = true
		case tlsprovider.EventTicket:
			p.tickets++
		case tlsprovider.EventClientHello:
			hello := *e.ClientHello
			hello.TransportParameters = bytes.Clone(hello.TransportParameters)
			p.hello = &hello
			d := tlsprovider.Decision{ALPN: p.alpn, TransportParameters: p.serverParams, Version: 1}
			if p.decide != nil {
				d = p.decide(e.ClientHello)
			}
			more, err := p.server.Continue(d)
			if err != nil {
				return err
			}
			return p.events(t, side, more, out)
		case tlsprovider.EventSign:
			p.signs++
			none, err := p.session(side).Advance(nil)
			require.NoError(t, err)
			require.Empty(t, none, "the handshake waits for the signature")
			e.Sign.Run(rand.Reader)
			more, err := p.session(side).Advance(nil)
			if err != nil {
				return err
			}
			if err := p.events(t, side, more, out); err != nil {
				return err
			}
		}
	}
	return nil
}

// mustRun runs a handshake that has to succeed, and checks that both sides came out alike.
func (p *pair) mustRun(t testing.TB) (client, server tlsprovider.State) {
	t.Helper()
	side, err := p.run(t)
	require.NoError(t, err, "%v", side)
	require.Equal(t, [2]bool{true, true}, p.done)
	client, server = p.client.State(), p.server.State()
	require.True(t, client.HandshakeDone && server.HandshakeDone)
	require.Equal(t, client.Group, server.Group)
	require.Equal(t, client.CipherSuite, server.CipherSuite)
	require.Equal(t, client.ALPN, server.ALPN)
	require.Equal(t, client.Resumed, server.Resumed)
	require.Equal(t, client.HelloRetried, server.HelloRetried)
	require.Equal(t, client.ClientShareLen, server.ClientShareLen)
	require.Equal(t, client.ServerShareLen, server.ServerShareLen)
	return client, server
}

// requireAlert checks who failed, and how.
func requireAlert(t testing.TB, want tlsprovider.Alert, err error) {
	t.Helper()
	var e *tlsprovider.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, want.String(), e.Alert.String(), "%v", err)
}

// configs are a client and a server that trust each other's ways.
func configs(t testing.TB) (client, server *tlsprovider.Config, ca *authority) {
	t.Helper()
	ca = newAuthority(t)
	client = &tlsprovider.Config{NextProtos: []string{"test"}, Roots: ca.roots()}
	server = &tlsprovider.Config{NextProtos: []string{"test"}, Certificates: []tlsprovider.Certificate{ca.leaf(t, nil)}}
	return client, server, ca
}

// sealerOf is a sealer made from a secret, which only tests can have.
func sealerOf(t testing.TB, suite uint16, secret []byte) tlsprovider.Sealer {
	t.Helper()
	s, err := awslc.NewSealer(1, suite, secret, true)
	require.NoError(t, err)
	return sealer{s}
}
