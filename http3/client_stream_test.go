package http3

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/varint"
)

// extendedRequest returns an Extended CONNECT request.
func extendedRequest(t testing.TB, url string) *http.Request {
	req := newRequest(t, http.MethodConnect, url, nil)
	req.Header[":protocol"] = []string{"test"}
	return req
}

// An Extended CONNECT by a ClientStream: content and datagrams both ways.
func TestClientStream(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			return
		}
		st, err := TakeStream(w)
		must(err)
		_, err = st.Settings(r.Context()) // which permit datagrams
		must(err)
		b, err := st.ReceiveDatagram(r.Context())
		must(err)
		must(st.SendDatagram(append(b, '!')))
		_, err = io.Copy(st, st)
		must(err)
		must(st.CloseWrite())
	}), func(s *Server) { s.EnableDatagrams = true })
	tr := newTransport(t, nil, func(tr *Transport) { tr.EnableDatagrams = true })
	do(t, tr, newRequest(t, "HEAD", s.url("/"), nil).WithContext(t.Context()))
	cc := tr.cached()[0]
	st, err := cc.OpenRequestStream(t.Context())
	require.NoError(t, err)
	_, err = st.ReadResponse()
	require.ErrorContains(t, err, "before SendRequest")
	require.NoError(t, st.SendRequest(extendedRequest(t, s.url("/tunnel"))))
	require.Error(t, st.SendRequest(extendedRequest(t, s.url("/tunnel"))))
	resp, err := st.ReadResponse()
	require.NoError(t, err)
	require.NoError(t, st.SendDatagram([]byte("datagram"))) // earlier, it could overtake the request, and be dropped
	require.Equal(t, 200, resp.StatusCode)
	b, err := st.ReceiveDatagram(t.Context())
	require.NoError(t, err)
	require.Equal(t, "datagram!", string(b))
	_, err = st.Write([]byte("hello"))
	require.NoError(t, err)
	require.NoError(t, st.CloseWrite())
	b, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "hello", string(b))
}

// Extended CONNECT waits for the server's settings, and is an error if they do not permit it.
func TestExtendedConnectWaits(t *testing.T) {
	s := listenRaw(t, nil)
	tr := newTransport(t, nil, nil)
	done := begin(tr, extendedRequest(t, s.url()))
	c := s.acceptBare()
	c.uni(frame.StreamControl, settingsFrame(frame.SettingEnableConnectProtocol, 1))
	st := c.next()
	st.send(c.headers(":status", "200"))
	r := <-done
	require.NoError(t, r.err)
	require.NoError(t, r.resp.Body.Close())
	cc := tr.cached()[0]
	require.NoError(t, c.CloseWithError(frame.NoError, ""))
	<-cc.Context().Done()
	done = begin(tr, extendedRequest(t, s.url()))
	s.accept()
	// "An HTTP implementation MUST NOT send frames or requests that would be invalid based on its current understanding of the
	// peer's settings."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.2-1
	//
	// "Extensions that could change the semantics of existing protocol components MUST be negotiated before being used."
	// https://www.rfc-editor.org/rfc/rfc9114#section-9-5
	require.ErrorIs(t, (<-done).err, ErrNoExtendedConnect)
}

// A datagram for a request that has no use for one ends the request.
func TestClientRefusesDatagrams(t *testing.T) {
	s := listenRaw(t, nil)
	tr := newTransport(t, nil, func(tr *Transport) { tr.EnableDatagrams = true })
	done := begin(tr, newRequest(t, "GET", s.url(), nil))
	c, _ := s.accept()
	st := c.next()
	require.NoError(t, c.SendDatagram(append(varint.Append(nil, uint64(st.ID())/4), 'x')))
	st.wantStop(frame.DatagramError)
	require.ErrorContains(t, (<-done).err, "datagram")
}

// GOAWAY ends a ClientStream that the server does not process.
func TestClientStreamGoAway(t *testing.T) {
	s := listenRaw(t, nil)
	tr := newTransport(t, nil, nil)
	done := begin(tr, newRequest(t, "GET", s.url(), nil))
	c, control := s.accept()
	c.next().answer("")
	require.NoError(t, (<-done).err)
	st, err := tr.cached()[0].OpenRequestStream(t.Context())
	require.NoError(t, err)
	require.NoError(t, st.SendRequest(newRequest(t, "GET", s.url(), nil)))
	_, err = control.Write(frame.AppendInt(nil, frame.GoAway, 4))
	require.NoError(t, err)
	_, err = st.ReadResponse()
	require.ErrorIs(t, err, errGoAway)
}
