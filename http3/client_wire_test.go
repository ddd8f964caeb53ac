package http3

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/qpack"
	"github.com/pqquic/pqquic/quic"
)

// readRequest reads a request to its end, and returns its header section and frames.
func (s *rawStream) readRequest() (fields []string, frames []frame.Header, body string, trailers []string) {
	s.c.Helper()
	b, err := io.ReadAll(s)
	require.NoError(s.c, err)
	for len(b) > 0 {
		h, n := frame.ParseHeader(b)
		require.Positive(s.c, n)
		payload := b[n : n+int(h.Length)]
		b = b[n+int(h.Length):]
		frames = append(frames, h)
		switch h.Type {
		case frame.Headers:
			var section []string
			require.NoError(s.c, s.c.dec.Decode(uint64(s.ID()), payload, func(f qpack.Field) error {
				section = append(section, f.Name+": "+f.Value)
				return nil
			}))
			if fields == nil {
				fields = section
			} else {
				trailers = section
			}
		case frame.Data:
			body += string(payload)
		}
	}
	return fields, frames, body, trailers
}

// wireSender returns a function that sends a request, and the stream on which the server receives it. All have one connection, and
// the response's body is closed when the test ends.
func wireSender(t *testing.T, s *rawServer) func(*http.Request) *rawStream {
	tr := newTransport(t, nil, func(tr *Transport) { tr.DisableCompression = true })
	var c *rawClient
	return func(req *http.Request) *rawStream {
		req.Header.Set("User-Agent", "test")
		done := begin(tr, req)
		if c == nil {
			c, _ = s.accept()
		}
		st := c.next()
		t.Cleanup(func() {
			if r := <-done; r.err == nil {
				require.NoError(t, r.resp.Body.Close())
			}
		})
		return st
	}
}

// What the client sends, on the wire.
func TestClientWire(t *testing.T) {
	s := listenRaw(t, nil)
	send := wireSender(t, s)
	t.Run("GET", func(t *testing.T) {
		req := newRequest(t, "GET", s.url()+"a?b", nil)
		req.Header["Cookie"] = []string{"a=1; b=2", "c=3"}
		req.Header["X-Up"] = []string{"1", "2"}
		req.Header["Connection"] = []string{"keep-alive"}
		req.Header["Te"] = []string{"trailers"}
		req.Host = "bücher.example:1"
		st := send(req)
		// "A client MUST send only a single request on a given stream."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.1-1
		//
		// "After sending a request, a client MUST close the stream for sending. Unless using the CONNECT method (see Section 4.4),
		// clients MUST NOT make stream closure dependent on receiving a response to their request."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.1-13
		fields, frames, _, _ := st.readRequest()
		require.Len(t, frames, 1)
		// "Endpoints MUST NOT generate pseudo-header fields other than those defined in this document."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.3-2
		require.Equal(t, []string{":method: GET", ":scheme: https", ":authority: xn--bcher-kva.example:1", ":path: /a?b"}, fields[:4])
		// "Characters in field names MUST be converted to lowercase prior to their encoding."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.2-2
		require.ElementsMatch(t, []string{"cookie: a=1", "cookie: b=2", "cookie: c=3", "x-up: 1", "x-up: 2", "te: trailers", "user-agent: test"}, fields[4:])
		st.answer("")
	})
	t.Run("short POST", func(t *testing.T) {
		st := send(newRequest(t, "POST", s.url(), strings.NewReader("short")))
		fields, frames, body, _ := st.readRequest()
		require.Contains(t, fields, "content-length: 5")
		require.Len(t, frames, 2)
		require.Equal(t, "short", body)
		st.answer("")
	})
	t.Run("long POST", func(t *testing.T) {
		st := send(newRequest(t, "POST", s.url(), strings.NewReader(strings.Repeat("x", 100_000))))
		_, frames, body, _ := st.readRequest()
		require.Len(t, frames, 2, "one DATA frame")
		require.Len(t, body, 100_000)
		st.answer("")
	})
	t.Run("trailers", func(t *testing.T) {
		req := newRequest(t, "POST", s.url(), io.MultiReader(strings.NewReader("x")))
		req.Trailer = http.Header{"B": {"2"}, "A": {"1"}}
		st := send(req)
		fields, _, body, trailers := st.readRequest()
		require.Contains(t, fields, "trailer: A,B")
		require.NotContains(t, strings.Join(fields, "\n"), "content-length")
		require.Equal(t, "x", body)
		require.Equal(t, []string{"a: 1", "b: 2"}, trailers)
		st.answer("")
	})
}

// A request with the method CONNECT has an authority and no path, and its body is a tunnel.
func TestClientWireConnect(t *testing.T) {
	s := listenRaw(t, nil)
	t.Run("CONNECT without a port", func(t *testing.T) {
		req := newRequest(t, "CONNECT", s.url(), nil)
		req.Host = "example.com"
		st := wireSender(t, s)(req)
		fields, _, _, _ := st.readRequest()
		// "There is no default port; a client MUST send the port number even if the CONNECT request is based on a URI reference
		// that contains an authority component with an elided port"
		// https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6-2
		require.Contains(t, fields, ":authority: example.com:443")
		st.answer("")
	})
	t.Run("CONNECT", func(t *testing.T) {
		r, w := io.Pipe()
		req := newRequest(t, "CONNECT", s.url(), r)
		done := begin(newTransport(t, nil, nil), req)
		c, _ := s.accept()
		st := c.next()
		st.send(c.headers(":status", "200"))
		resp := (<-done).resp
		_, err := w.Write([]byte("ping"))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		fields, _, body, _ := st.readRequest()
		// "A CONNECT request MUST be constructed as follows:"
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.4-3
		require.Equal(t, ":method: CONNECT", fields[0])
		require.Equal(t, ":authority: "+s.l.Addr().String(), fields[1])
		require.NotContains(t, strings.Join(fields, "\n"), ":path")
		require.Equal(t, "ping", body)
		st.send(data("pong")).end()
		require.Equal(t, "pong", readBody(t, resp))
	})
}

// A stream limit of the server makes requests wait, and the context ends the wait.
func TestClientStreamLimit(t *testing.T) {
	s := listenRaw(t, func(c *quic.Config) { c.MaxIncomingStreams = 1 })
	tr := newTransport(t, nil, nil)
	first := begin(tr, newRequest(t, "GET", s.url(), nil))
	c, _ := s.accept()
	st := c.next()
	ctx, cancel := context.WithCancel(t.Context())
	second := begin(tr, newRequest(t, "GET", s.url(), nil).WithContext(ctx))
	third := begin(tr, newRequest(t, "GET", s.url(), nil))
	cancel()
	require.ErrorIs(t, (<-second).err, context.Canceled)
	st.answer("one")
	require.Equal(t, "one", readBody(t, (<-first).resp))
	_, _ = io.ReadAll(st)
	c.next().answer("three")
	require.Equal(t, "three", readBody(t, (<-third).resp))
}
