package http3

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/qpack"
	"github.com/pqquic/pqquic/quic"
)

// FuzzServer sends bytes on a request stream or on a unidirectional stream, in two pieces, and the end or not. Whatever happens to the
// connection, the server serves another one, and does not log a panic.
func FuzzServer(f *testing.F) {
	enc := qpack.NewEncoder(0)
	request := frameBytes(frame.Headers, enc.AppendSection(nil, 0, pairs(post("/")...)))
	f.Add(true, true, uint16(3), join(request, data("body"), frameBytes(0x21, nil)))
	f.Add(true, true, uint16(9), join(request, data("body"), frameBytes(frame.Headers, enc.AppendSection(nil, 0, pairs("x", "y")))))
	f.Add(true, false, uint16(1), frameBytes(frame.Headers, []byte{2, 0, 0x80}))
	f.Add(false, false, uint16(2), append([]byte{frame.StreamControl}, settingsFrame(6, 100, 0x33, 1)...))
	f.Add(false, false, uint16(4), []byte{frame.StreamQPACKEncoder, 0x3f, 0xe1, 0x1f, 0x41, 'x', 0x01, 'y'})
	f.Add(false, true, uint16(1), []byte{frame.StreamQPACKDecoder, 0x84})
	s := serve(f, nil, http.HandlerFunc(echo), nil)
	ep, err := quic.NewEndpoint(udpSocket(f), clientQUIC())
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, ep.Close()) })
	f.Fuzz(func(t *testing.T, isRequest, ends bool, cut uint16, b []byte) {
		dial := func() *rawClient {
			qc, err := ep.Dial(t.Context(), s.addr, nil)
			require.NoError(t, err)
			return &rawClient{t, qc, qpack.NewEncoder(0), qpack.NewDecoder(0, 0)}
		}
		c := dial()
		first, rest := b[:min(int(cut), len(b))], b[min(int(cut), len(b)):]
		// Errors are those of the stream or connection, which the server may have ended.
		if isRequest {
			st, err := c.OpenStream(t.Context())
			require.NoError(t, err)
			sendParts(t, c.Conn, st, first, rest)
			if ends {
				_ = st.CloseWrite()
			}
		} else {
			sendUni(t, c.Conn, first, rest, ends)
		}
		_ = c.Flush(t.Context())
		require.NoError(t, c.CloseWithError(frame.NoError, ""))
		other := dial()
		require.Equal(t, "200", other.roundTrip(get("/")...).status)
		require.NoError(t, other.CloseWithError(frame.NoError, ""))
		require.NotContains(t, s.log.String(), "panic")
	})
}

// FuzzClient sends bytes as a response or on a unidirectional stream to a client with a request in progress, in two pieces, and the end or
// not. Then the connection ends. Whatever the bytes, the request ends, and so does the body of its response.
func FuzzClient(f *testing.F) {
	enc := qpack.NewEncoder(0)
	response := frameBytes(frame.Headers, enc.AppendSection(nil, 0, pairs(":status", "200", "content-type", "text/plain")))
	f.Add(true, true, uint16(3), join(response, data("body"), frameBytes(0x21, nil)))
	f.Add(true, true, uint16(9), join(response, data("body"), frameBytes(frame.Headers, enc.AppendSection(nil, 0, pairs("x", "y")))))
	f.Add(true, true, uint16(5), join(frameBytes(frame.Headers, enc.AppendSection(nil, 0, pairs(":status", "103"))), response))
	f.Add(true, false, uint16(1), frameBytes(frame.Headers, []byte{2, 0, 0x80}))
	f.Add(true, true, uint16(0), frameBytes(frame.PushPromise, []byte{0, 0, 0}))
	f.Add(false, false, uint16(2), append([]byte{frame.StreamControl}, settingsFrame(6, 100, 0x33, 1)...))
	f.Add(false, false, uint16(2), join([]byte{frame.StreamControl}, settingsFrame(), frame.AppendInt(nil, frame.GoAway, 4)))
	f.Add(false, false, uint16(4), []byte{frame.StreamQPACKEncoder, 0x3f, 0xe1, 0x1f, 0x41, 'x', 0x01, 'y'})
	f.Add(false, true, uint16(1), []byte{frame.StreamQPACKDecoder, 0x84})
	f.Add(false, true, uint16(1), []byte{frame.StreamPush, 0})
	s := listenRaw(f, nil)
	ep, err := quic.NewEndpoint(udpSocket(f), clientQUIC())
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, ep.Close()) })
	tr := new(Transport)
	f.Fuzz(func(t *testing.T, isResponse, ends bool, cut uint16, b []byte) {
		qc, err := ep.Dial(t.Context(), s.l.Addr().String(), nil)
		require.NoError(t, err)
		cc, err := tr.NewClientConn(qc)
		require.NoError(t, err)
		out := begin(cc, newRequest(t, "GET", s.url(), nil))
		c := (&rawServer{t, s.l}).acceptBare()
		request, err := c.AcceptStream(t.Context())
		require.NoError(t, err)
		first, rest := b[:min(int(cut), len(b))], b[min(int(cut), len(b)):]
		// Errors are those of the stream or connection, which the client may have ended.
		if isResponse {
			_, _ = request.Write(first)
			_ = c.Flush(t.Context())
			_, _ = request.Write(rest)
			if ends {
				_ = request.CloseWrite()
			}
		} else {
			sendUni(t, c.Conn, first, rest, ends)
		}
		_ = c.Flush(t.Context())
		require.NoError(t, c.CloseWithError(frame.NoError, ""))
		if r := <-out; r.err == nil {
			_, _ = io.Copy(io.Discard, r.resp.Body) // may be truncated
			require.NoError(t, r.resp.Body.Close())
		}
		<-cc.Context().Done()
	})
}

// sendUni sends two parts on a unidirectional stream, and its end.
func sendUni(t *testing.T, c *quic.Conn, first, rest []byte, ends bool) {
	st, err := c.OpenUniStream(t.Context())
	require.NoError(t, err)
	sendParts(t, c, st, first, rest)
	if ends {
		_ = st.Close()
	}
}

// sendParts writes two parts, which travel in datagrams of their own. The peer may have ended the stream or the connection.
func sendParts(t *testing.T, c *quic.Conn, w io.Writer, first, rest []byte) {
	_, _ = w.Write(first)
	_ = c.Flush(t.Context())
	_, _ = w.Write(rest)
}
