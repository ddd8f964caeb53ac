package http3

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// withTable are settings that permit a dynamic table of 4096 bytes.
func withTable() []byte {
	return settingsFrame(frame.SettingQPACKMaxTableCapacity, 4096, frame.SettingQPACKBlockedStreams, 16)
}

// insertion are instructions that insert an entry into the dynamic table of the peer's decoder, which acknowledges it.
var insertion = []byte{0x3f, 0xe1, 0x1f, 0x41, 'x', 0x01, 'y'}

// checkUni requires that the peer sends SETTINGS before it receives anything, keeps to the three unidirectional streams that it may
// open, one of each type, does not close any of them or ask to close those of c, and sends SETTINGS once. exchange performs requests,
// with dynamic tables, and returns what the peer has sent on their streams.
//
// "Each side MUST initiate a single control stream at the beginning of the connection and send its SETTINGS frame as the first
// frame on this stream. [...] The sender MUST NOT close the control stream, and the receiver MUST NOT request that the sender close
// the control stream."
// https://www.rfc-editor.org/rfc/rfc9114#section-6.2.1-2
//
// "After the QUIC connection is established, a SETTINGS frame MUST be sent by each endpoint as the initial frame of their
// respective HTTP control stream."
// https://www.rfc-editor.org/rfc/rfc9114#section-3.2-4
//
// "Endpoints MUST NOT require any data to be received from the peer prior to sending the SETTINGS frame; settings MUST be sent as
// soon as the transport is ready to send data."
// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.2-3
//
// "Each endpoint MUST initiate, at most, one encoder stream and, at most, one decoder stream."
// https://www.rfc-editor.org/rfc/rfc9204#section-4.2-3
//
// "The sender MUST NOT close either of these streams, and the receiver MUST NOT request that the sender close either of these
// streams."
// https://www.rfc-editor.org/rfc/rfc9204#section-4.2-4
func checkUni(c *rawClient, exchange func() [][]byte) {
	c.Helper()
	control, _ := c.settings()
	theirs := map[uint64]*quic.ReceiveStream{frame.StreamControl: control}
	own := []*quic.SendStream{c.uni(frame.StreamControl, withTable()), c.uni(frame.StreamQPACKEncoder, insertion), c.uni(frame.StreamQPACKDecoder, nil)}
	messages := exchange()
	for range minUniStreams - 1 {
		s, err := c.AcceptUniStream(c.Context())
		require.NoError(c, err)
		typ, err := readStreamType(s)
		require.NoError(c, err)
		require.Contains(c, []uint64{frame.StreamQPACKEncoder, frame.StreamQPACKDecoder}, typ)
		require.NotContains(c, theirs, typ)
		theirs[typ] = s
	}
	for _, s := range theirs {
		_, err := s.Peek(0)
		require.NoError(c, err, "stream %d", s.ID())
	}
	for _, s := range own {
		require.NoError(c, s.Context().Err(), "stream %d", s.ID())
	}
	// "A SETTINGS frame MUST be sent as the first frame of each control stream (see Section 6.2.1) by each peer, and it MUST NOT be
	// sent subsequently."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4-2
	b, err := control.Peek(0)
	require.NoError(c, err)
	require.Empty(c, b)
	// "SETTINGS frames MUST NOT be sent on any stream other than the control stream."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4-3
	for _, b := range messages {
		for len(b) > 0 {
			h, n := frame.ParseHeader(b)
			require.Positive(c, n)
			require.Contains(c, []uint64{frame.Headers, frame.Data}, h.Type)
			b = b[n+int(h.Length):]
		}
	}
}

func TestUniStreamsOfServer(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		s := serve(t, p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Same", "the same value in each response")
			echo(w, r)
		}), nil)
		c := dialWith(t, s, func(c *quic.Config) { c.MaxIncomingUniStreams = minUniStreams })
		checkUni(c, func() (all [][]byte) {
			<-s.onlyConn().settingsArrived()
			for range 5 {
				b, err := io.ReadAll(c.open(c.headers(get("/")...)).end())
				require.NoError(t, err)
				all = append(all, b)
			}
			return all
		})
	})
}

func TestUniStreamsOfClient(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		s := listenRaw(t, func(c *quic.Config) { c.Provider, c.MaxIncomingUniStreams = p, minUniStreams })
		tr := newTransport(t, p, nil)
		cc := make(chan *ClientConn, 1)
		go func() {
			qc, err := quic.Dial(t.Context(), "udp", s.l.Addr().String(), &quic.Config{Provider: p, ServerName: "localhost",
				TLS: &tlsprovider.Config{NextProtos: []string{NextProto}, RootCAs: testPKI().Roots()}})
			must(err)
			conn, err := tr.NewClientConn(qc)
			must(err)
			cc <- conn
		}()
		c := s.acceptBare()
		conn := <-cc
		t.Cleanup(func() { require.NoError(t, conn.Close()) })
		checkUni(c, func() (all [][]byte) {
			_, err := conn.Settings(t.Context())
			require.NoError(t, err)
			for range 5 {
				req := newRequest(t, "POST", s.url(), http.NoBody)
				req.Header.Set("X-Same", "the same value in each request")
				done := begin(conn, req)
				st := c.next()
				b, err := io.ReadAll(st)
				require.NoError(t, err)
				all = append(all, b)
				st.answer("")
				r := <-done
				require.NoError(t, r.err)
				readBody(t, r.resp)
			}
			return all
		})
	})
}

// stopEach requires that the peer closes the connection as soon as it is asked to stop a control, encoder or decoder stream. start makes a
// connection, of which the peer has opened the three streams, and writes nothing more.
//
// "The sender MUST NOT close the control stream, and the receiver MUST NOT request that the sender close the control stream. If
// either control stream is closed at any point, this MUST be treated as a connection error of type H3_CLOSED_CRITICAL_STREAM."
// https://www.rfc-editor.org/rfc/rfc9114#section-6.2.1-2
//
// "Closure of either unidirectional stream type MUST be treated as a connection error of type H3_CLOSED_CRITICAL_STREAM."
// https://www.rfc-editor.org/rfc/rfc9204#section-4.2-4
func stopEach(t *testing.T, start func(t *testing.T) *rawClient) {
	for _, stopped := range []uint64{frame.StreamControl, frame.StreamQPACKEncoder, frame.StreamQPACKDecoder} {
		c := start(t)
		for range minUniStreams {
			s, err := c.AcceptUniStream(c.Context())
			require.NoError(t, err)
			typ, err := readStreamType(s)
			require.NoError(t, err)
			if typ == stopped {
				require.NoError(t, s.StopSending(frame.NoError))
				break
			}
		}
		c.wantClose(frame.ClosedCriticalStream)
	}
}

// useTables sends settings, and an insertion that makes the peer open its decoder stream.
func (c *rawClient) useTables() {
	c.uni(frame.StreamControl, withTable())
	c.uni(frame.StreamQPACKEncoder, insertion)
}

func TestStoppedStreamsOfServer(t *testing.T) {
	stopEach(t, func(t *testing.T) *rawClient {
		s := serve(t, nil, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Same", "the same value in each response")
		}), nil)
		c := dialBare(t, s)
		c.useTables()
		<-s.onlyConn().settingsArrived()
		for range 3 { // the server's encoder inserts a field that it sees again
			_, err := io.ReadAll(c.sendAll(c.headers(get("/")...)))
			require.NoError(t, err)
		}
		return c
	})
}

func TestStoppedStreamsOfClient(t *testing.T) {
	s := listenRaw(t, nil)
	stopEach(t, func(t *testing.T) *rawClient {
		tr := newTransport(t, nil, nil)
		done := make(chan *ClientConn, 1)
		go func() {
			qc, err := quic.Dial(t.Context(), "udp", s.l.Addr().String(), clientQUIC())
			must(err)
			cc, err := tr.NewClientConn(qc)
			must(err)
			done <- cc
		}()
		c := s.acceptBare()
		c.useTables()
		cc := <-done
		_, err := cc.Settings(t.Context())
		require.NoError(t, err)
		for range 3 {
			req := newRequest(t, "GET", s.url(), nil)
			req.Header.Set("X-Same", "the same value in each request")
			out := begin(cc, req)
			c.next().answer("")
			r := <-out
			require.NoError(t, r.err)
			readBody(t, r.resp)
		}
		return c
	})
}

// Neither side accepts a configuration with too few unidirectional streams, or a peer that permits too few.
//
// "Therefore, the transport parameters sent by both clients and servers MUST allow the peer to create at least three unidirectional
// streams."
// https://www.rfc-editor.org/rfc/rfc9114#section-6.2-5
func TestTooFewUniStreams(t *testing.T) {
	own := &tlsprovider.Config{Certificates: []tlsprovider.Certificate{testPKI().Provider()}}
	for n, ok := range map[int64]bool{-1: false, 1: false, 2: false, 3: true, 0: true} {
		cfg := &quic.Config{MaxIncomingUniStreams: n}
		_, err := (&Server{QUIC: cfg, TLS: own}).quicConfig()
		require.Equal(t, ok, err == nil, "%d: %v", n, err)
		_, err = (&Transport{QUIC: cfg}).quicConfig(nil, nil)
		require.Equal(t, ok, err == nil, "%d: %v", n, err)
	}
	s := serve(t, nil, http.HandlerFunc(echo), nil)
	s.wantRefused(t, func(c *quic.Config) { c.MaxIncomingUniStreams = -1 }, frame.GeneralProtocolError)
}

// The peer may open QPACK's streams although there is no dynamic table.
//
// "An endpoint MUST allow its peer to create an encoder stream and a decoder stream even if the connection's settings prevent their
// use."
// https://www.rfc-editor.org/rfc/rfc9204#section-4.2-7
func TestQPACKStreamsWithoutTable(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(echo), func(s *Server) { s.MaxTableCapacity = -1 })
	c := dialRaw(t, s)
	_, l := c.settings()
	require.Zero(t, l.QPACKMaxTableCapacity)
	enc, dec := c.uni(frame.StreamQPACKEncoder, nil), c.uni(frame.StreamQPACKDecoder, nil)
	require.Equal(t, "200", c.roundTrip(get("/")...).status)
	require.NoError(t, enc.Context().Err())
	require.NoError(t, dec.Context().Err())

	raw := listenRaw(t, nil)
	done := begin(newTransport(t, nil, func(tr *Transport) { tr.MaxTableCapacity = -1 }), newRequest(t, "GET", raw.url(), nil))
	c, _ = raw.accept()
	enc, dec = c.uni(frame.StreamQPACKEncoder, nil), c.uni(frame.StreamQPACKDecoder, nil)
	c.next().answer("fine")
	require.Equal(t, "fine", readBody(t, (<-done).resp))
	require.NoError(t, enc.Context().Err())
	require.NoError(t, dec.Context().Err())
}
