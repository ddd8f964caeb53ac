package tlstest

import (
	"bytes"
	"crypto/rand"
	"slices"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"
)

// A Pair is a client session and a server session, with the options of a test.
type Pair struct {
	Client, Server tlsprovider.Session
	ALPN           string // that the server chooses
	ServerParams   []byte
	Decide         func(*tlsprovider.ClientHello) tlsprovider.Decision                          // nil decides with ALPN and ServerParams
	Chunk          int                                                                          // size of the pieces of input; 0 means no splitting
	SplitAt        int                                                                          // offset at which each level's input is split; 0 means nowhere
	Rewrite        func(from tlsprovider.Side, d tlsprovider.CryptoData) tlsprovider.CryptoData // changes data on the way, if not nil
	OnEvent        func(tlsprovider.Side, tlsprovider.Event) error                              // an error ends Run

	// What a test can inspect. Arrays are indexed by side.
	Hello   *tlsprovider.ClientHello
	Flights [2]map[tlsprovider.Level][]byte // everything that each side wrote
	Keys    [2][]tlsprovider.Event
	Params  []byte
	Done    [2]bool
	Tickets int
	Signs   int
}

const (
	ClientParams = "client transport parameters"
	ServerParams = "server transport parameters"
)

// newClient returns a client's endpoint that is closed at the end of the test.
func (su *Suite) newClient(t testing.TB, cfg *tlsprovider.Config) tlsprovider.Endpoint {
	t.Helper()
	e, err := su.Client.NewClient(cfg)
	require.NoError(t, err)
	t.Cleanup(e.Close)
	return e
}

// newServer returns a server's endpoint that is closed at the end of the test.
func (su *Suite) newServer(t testing.TB, cfg *tlsprovider.Config) tlsprovider.Endpoint {
	t.Helper()
	e, err := su.Server.NewServer(cfg)
	require.NoError(t, err)
	t.Cleanup(e.Close)
	return e
}

// Endpoints returns endpoints of the suite's providers, which are closed at the end of the test.
func (su *Suite) Endpoints(t testing.TB, client, server *tlsprovider.Config) (ce, se tlsprovider.Endpoint) {
	t.Helper()
	return su.newClient(t, client), su.newServer(t, server)
}

// NewPair returns a Pair with new endpoints of the suite's providers.
func (su *Suite) NewPair(t testing.TB, client, server *tlsprovider.Config) *Pair {
	t.Helper()
	ce, se := su.Endpoints(t, client, server)
	return PairOf(t, ce, se, "server.test")
}

// PairOf returns a Pair with new sessions of two endpoints. name is the client's server name.
func PairOf(t testing.TB, ce, se tlsprovider.Endpoint, name string) *Pair {
	t.Helper()
	cs, err := ce.NewSession(tlsprovider.SessionParams{Version: 1, ServerName: name, TransportParameters: []byte(ClientParams)})
	require.NoError(t, err)
	t.Cleanup(cs.Close)
	ss, err := se.NewSession(tlsprovider.SessionParams{Version: 1})
	require.NoError(t, err)
	t.Cleanup(ss.Close)
	return &Pair{Client: cs, Server: ss, ALPN: "test", ServerParams: []byte(ServerParams)}
}

// decision returns the default Decision with the Endpoint e, which may be nil.
func decision(e tlsprovider.Endpoint) tlsprovider.Decision {
	return tlsprovider.Decision{Endpoint: e, ALPN: "test", TransportParameters: []byte(ServerParams), Version: 1}
}

// sendHello passes the ClientHello to the server, which then waits for a decision.
func (p *Pair) sendHello(t testing.TB) {
	t.Helper()
	events, err := p.Client.Advance(nil)
	require.NoError(t, err)
	_, err = p.Server.Advance(cryptoOf(events))
	require.NoError(t, err)
}

// Session returns the session of a side.
func (p *Pair) Session(side tlsprovider.Side) tlsprovider.Session {
	if side == tlsprovider.Client {
		return p.Client
	}
	return p.Server
}

// Run passes messages between the sessions until there are no more or a side fails. It returns that side and its error.
func (p *Pair) Run(t testing.TB) (tlsprovider.Side, error) {
	t.Helper()
	events, err := p.Client.Advance(nil)
	if err != nil {
		return tlsprovider.Client, err
	}
	queue := [2][]tlsprovider.CryptoData{}
	if err := p.Events(t, tlsprovider.Client, events, &queue[tlsprovider.Server]); err != nil {
		return tlsprovider.Client, err
	}
	for len(queue[0])+len(queue[1]) > 0 {
		for _, side := range []tlsprovider.Side{tlsprovider.Server, tlsprovider.Client} {
			in := p.split(queue[side])
			queue[side] = nil
			for _, call := range in {
				events, err := advance(p.Session(side), call)
				if err == nil {
					err = p.Events(t, side, events, &queue[side.Peer()])
				}
				if err != nil {
					return side, err
				}
			}
		}
	}
	return 0, nil
}

// advance passes a copy of the input to a session and then overwrites the copy, as a caller may.
func advance(s tlsprovider.Session, in []tlsprovider.CryptoData) ([]tlsprovider.Event, error) {
	in = slices.Clone(in)
	for i := range in {
		in[i].Data = bytes.Clone(in[i].Data)
	}
	events, err := s.Advance(in)
	for i := range in {
		for j := range in[i].Data {
			in[i].Data[j] = 0xff
		}
	}
	return events, err
}

// split divides input into calls of Advance, by Chunk or SplitAt.
func (p *Pair) split(in []tlsprovider.CryptoData) (calls [][]tlsprovider.CryptoData) {
	switch {
	case len(in) == 0:
		return nil
	case p.Chunk == 0 && p.SplitAt == 0:
		return [][]tlsprovider.CryptoData{in}
	}
	done := [4]int{} // bytes of each level
	for _, d := range in {
		for b := d.Data; len(b) > 0; {
			n := len(b)
			if p.Chunk > 0 {
				n = min(n, p.Chunk)
			}
			if left := p.SplitAt - done[d.Level]; left > 0 {
				n = min(n, left)
			}
			calls = append(calls, []tlsprovider.CryptoData{{Level: d.Level, Data: b[:n]}})
			done[d.Level] += n
			b = b[n:]
		}
	}
	return calls
}

// Events handles the events of a side. What the side writes is appended to out.
func (p *Pair) Events(t testing.TB, side tlsprovider.Side, events []tlsprovider.Event, out *[]tlsprovider.CryptoData) error {
	t.Helper()
	batch := len(p.Keys[side])
	for _, e := range events {
		if p.OnEvent != nil {
			if err := p.OnEvent(side, e); err != nil {
				return err
			}
		}
		switch e.Kind {
		case tlsprovider.EventWrite:
			data := append([]byte(nil), e.Data...)
			d := tlsprovider.CryptoData{Level: e.Level, Data: data}
			if p.Rewrite != nil {
				d = p.Rewrite(side, d)
			}
			*out = append(*out, d)
			if p.Flights[side] == nil {
				p.Flights[side] = make(map[tlsprovider.Level][]byte)
			}
			p.Flights[side][e.Level] = append(p.Flights[side][e.Level], data...)
		case tlsprovider.EventKeys:
			// A provider may announce two directions one by one.
			if n := len(p.Keys[side]); n > batch && p.Keys[side][n-1].Level == e.Level {
				p.Keys[side][n-1].Read = p.Keys[side][n-1].Read || e.Read
				p.Keys[side][n-1].Write = p.Keys[side][n-1].Write || e.Write
				break
			}
			p.Keys[side] = append(p.Keys[side], e)
		case tlsprovider.EventTransportParameters:
			p.Params = append([]byte{}, e.Data...)
		case tlsprovider.EventHandshakeDone:
			p.Done[side] = true
		case tlsprovider.EventTicket:
			p.Tickets++
		case tlsprovider.EventClientHello:
			hello := *e.ClientHello
			hello.TransportParameters = bytes.Clone(hello.TransportParameters)
			p.Hello = &hello
			d := tlsprovider.Decision{ALPN: p.ALPN, TransportParameters: p.ServerParams, Version: 1}
			if p.Decide != nil {
				d = p.Decide(e.ClientHello)
			}
			more, err := p.Server.Continue(d)
			if err != nil {
				return err
			}
			return p.Events(t, side, more, out)
		case tlsprovider.EventSign:
			p.Signs++
			none, err := p.Session(side).Advance(nil)
			require.NoError(t, err)
			require.Empty(t, none, "the handshake waits for the signature")
			e.Sign.Run(rand.Reader)
			more, err := p.Session(side).Advance(nil)
			if err != nil {
				return err
			}
			if err := p.Events(t, side, more, out); err != nil {
				return err
			}
		}
	}
	return nil
}

// MustRun runs a handshake that must succeed and checks that both sides have negotiated the same.
func (p *Pair) MustRun(t testing.TB) (client, server tlsprovider.State) {
	t.Helper()
	side, err := p.Run(t)
	require.NoError(t, err, "%v", side)
	require.Equal(t, [2]bool{true, true}, p.Done)
	client, server = p.Client.State(), p.Server.State()
	require.True(t, client.HandshakeDone && server.HandshakeDone)
	require.Equal(t, client.Group, server.Group)
	require.Equal(t, client.CipherSuite, server.CipherSuite)
	require.Equal(t, client.ALPN, server.ALPN)
	require.Equal(t, client.Resumed, server.Resumed)
	if client.ClientShareLen != 0 && server.ClientShareLen != 0 { // both have Capabilities.HandshakeDetails
		require.Equal(t, client.HelloRetried, server.HelloRetried)
		require.Equal(t, client.ClientShareLen, server.ClientShareLen)
		require.Equal(t, client.ServerShareLen, server.ServerShareLen)
	}
	return client, server
}

// RequireAlert checks that err is an [*tlsprovider.Error] with an alert.
func RequireAlert(t testing.TB, want tlsprovider.Alert, err error) {
	t.Helper()
	var e *tlsprovider.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, want.String(), e.Alert.String(), "%v", err)
}

// Configs returns configurations of a client and a server whose handshakes succeed, and the authority that issued the
// server's certificate.
func Configs(t testing.TB) (client, server *tlsprovider.Config, ca *Authority) {
	t.Helper()
	ca = NewAuthority(t)
	client = &tlsprovider.Config{NextProtos: []string{"test"}, RootCAs: ca.Roots()}
	server = &tlsprovider.Config{NextProtos: []string{"test"}, Certificates: []tlsprovider.Certificate{ca.Leaf(t, nil)}}
	return client, server, ca
}
