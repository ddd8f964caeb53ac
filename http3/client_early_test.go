package http3

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// earlyTransport returns a Transport that has a session of a server, which it takes from session.
func earlyTransport(t *testing.T, session func(tr *Transport)) (tr *Transport, conns chan *quic.Conn) {
	store := &signalStore{ClientStore: tlsprovider.NewClientStore(0, 0), has: make(chan struct{})}
	conns = make(chan *quic.Conn, 5)
	tr = newTransport(t, earlyProvider, func(tr *Transport) {
		tr.TLS.ClientStore = store
		tr.Dial = func(ctx context.Context, addr string, cfg *quic.Config) (*quic.Conn, error) {
			own := *cfg
			own.ServerName = "localhost"
			qc, err := quic.DialEarly(ctx, "udp", addr, &own)
			if err == nil {
				conns <- qc
			}
			return qc, err
		}
	})
	session(tr)
	<-store.has
	tr.CloseIdleConnections()
	<-(<-conns).Context().Done()
	return tr, conns
}

// GET_0RTT and HEAD_0RTT are sent as early data, others are not.
func TestClientEarlyData(t *testing.T) {
	s := serve(t, earlyProvider, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.Method, " ", r.Header.Get("Early-Data"), IsEarly(r))
	}), func(s *Server) { s.EarlyData = true })
	tr, conns := earlyTransport(t, func(tr *Transport) { do(t, tr, newRequest(t, "GET", s.url("/"), nil)) })
	resp, body := do(t, tr, newRequest(t, MethodGet0RTT, s.url("/"), nil))
	require.Contains(t, body, "GET ")
	require.Equal(t, 200, resp.StatusCode)
	state := (<-conns).ConnectionState().TLS
	require.Equal(t, tlsprovider.EarlyDataAccepted, state.EarlyData)
	resp, _ = do(t, tr, newRequest(t, MethodHead0RTT, s.url("/"), nil))
	require.Equal(t, 200, resp.StatusCode)
	_, err := tr.cached()[0].Settings(t.Context()) // which may follow the response
	require.NoError(t, err)
	require.Equal(t, uint64(http.DefaultMaxHeaderBytes), tr.settings[s.addr].MaxFieldSectionSize)
}

// Before the handshake is complete, the server gets only the requests that may be early data.
func TestOthersAwaitHandshake(t *testing.T) {
	handled := make(chan string, 2)
	s := serve(t, earlyProvider, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		handled <- fmt.Sprint(r.Method, " ", IsEarly(r))
	}), func(s *Server) { s.EarlyData = true })
	open := make(chan struct{})
	tr, _ := earlyTransport(t, func(tr *Transport) {
		do(t, tr, newRequest(t, "GET", s.url("/"), nil))
		<-handled
		var eps []*quic.Endpoint
		t.Cleanup(func() {
			for _, ep := range eps {
				require.NoError(t, ep.Close())
			}
		})
		tr.Dial = func(ctx context.Context, addr string, cfg *quic.Config) (*quic.Conn, error) {
			pc, err := net.ListenPacket("udp", "127.0.0.1:0")
			require.NoError(t, err)
			own := *cfg
			own.ServerName = "localhost"
			ep, err := quic.NewEndpoint(&gate{pc, open}, &own)
			require.NoError(t, err)
			eps = append(eps, ep)
			return ep.DialEarly(ctx, addr, nil)
		}
	})
	post := begin(tr, newRequest(t, "POST", s.url("/"), strings.NewReader("x")))
	get := begin(tr, newRequest(t, MethodGet0RTT, s.url("/"), nil))
	require.Equal(t, "GET true", <-handled)
	require.Empty(t, handled)
	close(open)
	for _, done := range []<-chan outcome{get, post} {
		r := <-done
		require.NoError(t, r.err)
		readBody(t, r.resp)
	}
	require.Equal(t, "POST false", <-handled)
}

// A request that is answered with 425 is sent again once, after the handshake.
func TestTooEarly(t *testing.T) {
	seen := make(chan string, 10)
	handler := RequireHandshake(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "late") }))
	s := serve(t, earlyProvider, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/always":
			seen <- fmt.Sprint(IsEarly(r))
			w.WriteHeader(http.StatusTooEarly)
		default:
			handler.ServeHTTP(w, r)
		}
	}), func(s *Server) { s.EarlyData = true })
	tr, _ := earlyTransport(t, func(tr *Transport) { do(t, tr, newRequest(t, "GET", s.url("/"), nil)) })
	resp, body := do(t, tr, newRequest(t, MethodGet0RTT, s.url("/"), nil))
	require.Equal(t, "late", body)
	require.Equal(t, MethodGet0RTT, resp.Request.Method)
	resp, _ = do(t, tr, newRequest(t, MethodGet0RTT, s.url("/always"), nil))
	require.Equal(t, http.StatusTooEarly, resp.StatusCode)
	require.Len(t, seen, 2)
	<-seen
	require.Equal(t, "false", <-seen)
	// Without early data, 425 is an answer as any other.
	do(t, tr, newRequest(t, "GET", s.url("/always"), nil))
	require.Len(t, seen, 1)
}

// The settings that were in force for early data must not become stricter.
func TestRestoredSettings(t *testing.T) {
	old := &frame.List{MaxFieldSectionSize: 1000, QPACKMaxTableCapacity: 100, QPACKBlockedStreams: 2, EnableConnectProtocol: true, Datagrams: true}
	require.NoError(t, checkRestored(old, old))
	for name, change := range map[string]func(*frame.List){
		"MAX_FIELD_SECTION_SIZE": func(l *frame.List) { l.MaxFieldSectionSize = 999 },
		// "If a server accepts 0-RTT but then sends a SETTINGS frame that omits a setting value that the client understands (apart
		// from reserved setting identifiers) that was previously specified to have a non-default value, this MUST be treated as a
		// connection error of type H3_SETTINGS_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.2-8
		"MAX_FIELD_SECTION_SIZE, omitted": func(l *frame.List) { l.MaxFieldSectionSize = frame.NoLimit },
		"QPACK_MAX_TABLE_CAPACITY":        func(l *frame.List) { l.QPACKMaxTableCapacity = 101 },
		"QPACK_BLOCKED_STREAMS":           func(l *frame.List) { l.QPACKBlockedStreams = 1 },
		"ENABLE_CONNECT_PROTOCOL":         func(l *frame.List) { l.EnableConnectProtocol = false },
		// "If a client stores the value of the SETTINGS_H3_DATAGRAM setting with their 0-RTT state, they MUST validate that the new
		// value of the SETTINGS_H3_DATAGRAM setting sent by the server in the handshake is greater than or equal to the stored
		// value; if not, the client MUST terminate the connection with error H3_SETTINGS_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9297#section-2.1.1-4
		"H3_DATAGRAM": func(l *frame.List) { l.Datagrams = false },
	} {
		t.Run(name, func(t *testing.T) {
			l := *old
			change(&l)
			err := checkRestored(old, &l)
			require.ErrorContains(t, err, "SETTINGS_"+strings.TrimSuffix(name, ", omitted"))
		})
	}
	more := *old
	more.MaxFieldSectionSize = frame.NoLimit
	require.NoError(t, checkRestored(frame.Initial(), &more))
}

// A server that accepts early data and then sends stricter settings violates the protocol.
func TestStricterSettings(t *testing.T) {
	s := listenRaw(t, func(c *quic.Config) { c.Provider, c.TLS.EarlyData = earlyProvider, true })
	tr, _ := earlyTransport(t, func(tr *Transport) {
		done := begin(tr, newRequest(t, "GET", s.url(), nil))
		c := s.acceptBare()
		c.uni(frame.StreamControl, settingsFrame(frame.SettingMaxFieldSectionSize, 5000))
		c.next().answer("")
		readBody(t, (<-done).resp)
		_, err := tr.cached()[0].Settings(t.Context())
		require.NoError(t, err)
	})
	large := newRequest(t, MethodGet0RTT, s.url(), nil)
	large.Header.Set("X-Large", strings.Repeat("x", 5000))
	_, err := tr.RoundTrip(large)
	// "A client MUST comply with stored settings -- or default values if no values are stored -- when attempting 0-RTT."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.2-6
	require.ErrorContains(t, err, "the server accepts only 5000")
	done := begin(tr, newRequest(t, MethodGet0RTT, s.url(), nil))
	c := s.acceptBare()
	// A request that has not begun would begin on a new connection. The first stream is that of the large one.
	c.next()
	c.next()
	// "If a server accepts 0-RTT but then sends settings that are not compatible with the previously specified settings, this MUST
	// be treated as a connection error of type H3_SETTINGS_ERROR."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.2-8
	c.uni(frame.StreamControl, settingsFrame(frame.SettingMaxFieldSectionSize, 4999))
	c.wantClose(frame.SettingsError)
	require.Error(t, (<-done).err)
}
