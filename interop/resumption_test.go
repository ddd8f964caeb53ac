package interop

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A reply is what a client learned in one connection of these tests: it sends a request, the server answers, and the
// client waits for the end of the handshake and for what the server sends after it.
type reply struct {
	resumed bool
	early   bool // the early data were accepted
	retried bool
	text    string // the server's answer: whether the request was early data
}

// A returner is a client that remembers servers.
type returner interface {
	visit(ctx context.Context, addr string) (reply, error)
}

// ourReturner is our client. It dials from one Endpoint.
type ourReturner struct {
	e     *quic.Endpoint
	early bool
}

func newOurReturner(t *testing.T, p tlsprovider.Provider, c *creds, early bool) returner {
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	cfg := ours{p, c}.config(options{groups: pq, alpn: alpn})
	cfg.TLS.EarlyData = early
	e, err := quic.NewEndpoint(pc, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { e.Close() })
	return ourReturner{e, early}
}

func (r ourReturner) visit(ctx context.Context, addr string) (reply, error) {
	dial, before := r.e.Dial, r.e.Stats().Handshakes.Retried
	if r.early {
		dial = r.e.DialEarly
	}
	c, err := dial(ctx, addr, nil)
	if err != nil {
		return reply{}, err
	}
	defer c.Close()
	s, err := c.OpenStream(ctx)
	if err != nil {
		return reply{}, err
	}
	text, err := ask(ourStream{s, new(int64)})
	if err != nil {
		return reply{}, err
	}
	<-c.HandshakeComplete()
	last, err := c.AcceptUniStream(ctx) // it follows the ticket and the token
	if err != nil {
		return reply{}, err
	}
	_, err = io.ReadAll(last)
	st := c.ConnectionState().TLS
	return reply{st.Resumed, st.EarlyData == tlsprovider.EarlyDataAccepted, r.e.Stats().Handshakes.Retried > before, text}, err
}

// ask sends a request and returns the answer.
func ask(s stream) (string, error) {
	if _, err := s.Write([]byte("request")); err != nil {
		return "", err
	}
	if err := s.closeWrite(); err != nil {
		return "", err
	}
	b, err := io.ReadAll(s)
	return string(b), err
}

// answer reads a request and answers "early" or "late". early reports whether the request was early data.
func answer(s stream, early func() bool) {
	_, _ = io.ReadAll(s)
	text := "late"
	if early() {
		text = "early"
	}
	_, _ = io.WriteString(s, text)
	_ = s.closeWrite()
}

// goReturner is quic-go's client.
type goReturner struct {
	tls   *tls.Config
	cfg   *quicgo.Config
	early bool
}

func newGoReturner(c *creds, early bool) returner {
	t := c.config(options{groups: pq, alpn: alpn})
	t.ClientSessionCache = tls.NewLRUClientSessionCache(10)
	return goReturner{t, &quicgo.Config{TokenStore: quicgo.NewLRUTokenStore(10, 10)}, early}
}

func (r goReturner) visit(ctx context.Context, addr string) (reply, error) {
	dial := quicgo.DialAddr
	if r.early {
		dial = quicgo.DialAddrEarly
	}
	c, err := dial(ctx, addr, r.tls, r.cfg)
	if err != nil {
		return reply{}, err
	}
	defer c.CloseWithError(0, "")
	request := func() (string, error) {
		s, err := c.OpenStreamSync(ctx)
		if err != nil {
			return "", err
		}
		return ask(goStream{s})
	}
	text, err := request()
	if errors.Is(err, quicgo.Err0RTTRejected) { // quic-go forgets what was written
		if c, err = c.NextConnection(ctx); err == nil {
			text, err = request()
		}
	}
	if err != nil {
		return reply{}, err
	}
	<-c.HandshakeComplete()
	last, err := c.AcceptUniStream(ctx)
	if err != nil {
		return reply{}, err
	}
	_, err = io.ReadAll(last)
	st := c.ConnectionState()
	return reply{resumed: st.TLS.DidResume, early: st.Used0RTT, text: text}, err
}

// A host is a server whose policies can change between connections. It answers each request with "early" or "late".
type host struct {
	addr   string
	accept atomic.Bool // of early data
	stats  func() quic.EndpointStats
}

func newOurHost(t *testing.T, p tlsprovider.Provider, c *creds, early, validate bool) *host {
	h := new(host)
	h.accept.Store(true)
	cfg := ours{p, c}.config(options{groups: pq, alpn: alpn})
	cfg.TLS.RootCAs, cfg.TLS.Certificates, cfg.TLS.EarlyData = nil, []tlsprovider.Certificate{c.Provider()}, early
	if validate {
		cfg.AddressValidation = quic.ValidateAlways
	}
	if early {
		cfg.AcceptEarlyData = func(o quic.EarlyDataOffer) bool { return o.Own && h.accept.Load() }
	}
	l, err := quic.Listen("udp", "127.0.0.1:0", cfg)
	require.NoError(t, err)
	t.Cleanup(func() { l.Endpoint().Close() })
	h.addr, h.stats = l.Addr().String(), l.Endpoint().Stats
	ctx := deadline(t)
	go func() {
		for {
			conn, err := l.Accept(ctx)
			if err != nil {
				return
			}
			go func() {
				s, err := conn.AcceptStream(ctx)
				if err != nil {
					return
				}
				answer(ourStream{s, new(int64)}, s.EarlyData)
				<-conn.HandshakeComplete()
				if last, err := conn.OpenUniStream(ctx); err == nil {
					_ = last.Close()
				}
			}()
		}
	}()
	return h
}

// newGoHosts returns two servers of quic-go that resume each other's sessions. One accepts early data.
func newGoHosts(t *testing.T, c *creds, validate bool) (accepts, rejects *host) {
	shared := c.config(options{groups: pq, alpn: alpn})
	shared.SetSessionTicketKeys([][32]byte{{1}})
	serve := func(allow bool) *host {
		pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		require.NoError(t, err)
		tr := &quicgo.Transport{Conn: pc, VerifySourceAddress: func(net.Addr) bool { return validate }}
		l, err := tr.ListenEarly(shared, &quicgo.Config{Allow0RTT: allow})
		require.NoError(t, err)
		t.Cleanup(func() { l.Close(); tr.Close(); pc.Close() })
		ctx := deadline(t)
		go func() {
			for {
				conn, err := l.Accept(ctx)
				if err != nil {
					return
				}
				go func() {
					s, err := conn.AcceptStream(ctx)
					if err != nil {
						return
					}
					answer(goStream{s}, func() bool {
						select {
						case <-conn.HandshakeComplete():
							return false
						default:
							return conn.ConnectionState().Used0RTT
						}
					})
					<-conn.HandshakeComplete()
					if last, err := conn.OpenUniStreamSync(ctx); err == nil {
						_ = last.Close()
					}
				}()
			}
		}()
		return &host{addr: l.Addr().String()}
	}
	return serve(true), serve(false)
}

func visit(t *testing.T, r returner, h *host) reply {
	t.Helper()
	got, err := r.visit(deadline(t), h.addr)
	require.NoError(t, err)
	return got
}

// visitResumed visits a server until the session is resumed: a ticket may arrive after the end of a visit.
func visitResumed(t *testing.T, r returner, h *host) reply {
	t.Helper()
	for range 50 {
		if got := visit(t, r, h); got.resumed {
			return got
		}
	}
	require.Fail(t, "no session is resumed")
	return reply{}
}

// behind puts a relay in front of a server.
func (h *host) behind(t *testing.T, loss float64) *host {
	h.addr = newRelay(t, loss).via(h.addr)
	return h
}

// Sessions resume in both roles, with each of our providers.
func TestResumption(t *testing.T) {
	c := newCreds()
	for _, loss := range losses {
		for name, p := range providers(t) {
			t.Run(fmt.Sprintf("loss %v %%/%s client, quic-go server", 100*loss, name), func(t *testing.T) {
				h, _ := newGoHosts(t, c, false)
				h.behind(t, loss)
				r := newOurReturner(t, p, c, false)
				require.False(t, visit(t, r, h).resumed)
				visitResumed(t, r, h)
			})
			t.Run(fmt.Sprintf("loss %v %%/quic-go client, %s server", 100*loss, name), func(t *testing.T) {
				h, r := newOurHost(t, p, c, false, false).behind(t, loss), newGoReturner(c, false)
				require.False(t, visit(t, r, h).resumed)
				visitResumed(t, r, h)
			})
		}
	}
}

// Early data are accepted and rejected in both roles, and in neither case lost for the application. If the network loses
// them, they are sent again and are not early.
func TestEarlyData(t *testing.T) {
	c := newCreds()
	for _, loss := range losses {
		t.Run(fmt.Sprintf("loss %v %%/native client, quic-go server", 100*loss), func(t *testing.T) {
			accepts, rejects := newGoHosts(t, c, false)
			r := newOurReturner(t, nativeProvider, c, true)
			require.Equal(t, reply{text: "late"}, visit(t, r, accepts.behind(t, loss)))
			require.True(t, visitResumed(t, r, accepts).early)
			require.Equal(t, reply{resumed: true, text: "late"}, visitResumed(t, r, rejects.behind(t, loss)))
		})
		t.Run(fmt.Sprintf("loss %v %%/quic-go client, native server", 100*loss), func(t *testing.T) {
			h, r := newOurHost(t, nativeProvider, c, true, false).behind(t, loss), newGoReturner(c, true)
			require.Equal(t, reply{text: "late"}, visit(t, r, h))
			got := visitResumed(t, r, h)
			for i := 0; i < 50 && got.early && got.text == "late"; i++ {
				got = visitResumed(t, r, h) // the client was slow, or the network has lost the early data
			}
			require.Equal(t, reply{resumed: true, early: true, text: "early"}, got)
			h.accept.Store(false)
			require.Equal(t, reply{resumed: true, text: "late"}, visitResumed(t, r, h))
		})
	}
}

// A token of a NEW_TOKEN frame replaces the Retry of the next connection, in both roles.
func TestNewToken(t *testing.T) {
	c := newCreds()
	for name, p := range providers(t) {
		t.Run(name+" client, quic-go server", func(t *testing.T) {
			h, _ := newGoHosts(t, c, true)
			r := newOurReturner(t, p, c, false)
			require.True(t, visit(t, r, h).retried)
			retried := true // a token, too, may arrive after the end of a visit
			for i := 0; i < 50 && retried; i++ {
				retried = visit(t, r, h).retried
			}
			require.False(t, retried)
		})
		t.Run("quic-go client, "+name+" server", func(t *testing.T) {
			h, r := newOurHost(t, p, c, false, true), newGoReturner(c, false)
			visit(t, r, h)
			require.Positive(t, h.stats().Drops.Retried)
			before := h.stats().Drops.Retried
			for i := 0; i < 50 && h.stats().ValidatedByToken == 0; i++ {
				before = h.stats().Drops.Retried
				visit(t, r, h)
			}
			require.EqualValues(t, 1, h.stats().ValidatedByToken)
			require.Equal(t, before, h.stats().Drops.Retried)
		})
	}
}
