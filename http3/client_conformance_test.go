package http3

import (
	"errors"
	"io"
	"net/http/httptrace"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/qpack"
	"github.com/pqquic/pqquic/internal/varint"
)

// int62 is a frame with an integer.
func int62(typ, v uint64) []byte { return frame.AppendInt(nil, typ, v) }

// noSettings is a SETTINGS frame without settings.
var noSettings = frame.AppendHeader(nil, frame.Settings, 0)

// onControl returns a function that opens a control stream with these frames.
func onControl(b ...[]byte) func(*rawClient) {
	return func(c *rawClient) { c.uni(frame.StreamControl, join(b...)) }
}

// A misdeed is what a server must not do, and the code with which the client closes the connection.
type misdeed struct {
	do   func(c *rawClient)
	want uint64
}

func (m misdeed) run(t *testing.T) {
	s := listenRaw(t, nil)
	done := begin(newTransport(t, nil, nil), newRequest(t, "GET", s.url(), nil))
	c := s.acceptBare()
	m.do(c)
	c.wantClose(m.want)
	var e *Error
	require.ErrorAs(t, (<-done).err, &e)
	require.Equal(t, ErrorCode(m.want).String(), e.Code.String())
	require.False(t, e.Remote)
}

// What a server must not send on the control stream.
func TestClientControlStreamErrors(t *testing.T) {
	empty, control := noSettings, onControl
	setting := func(kv ...uint64) []byte {
		var p []byte
		for _, v := range kv {
			p = varint.Append(p, v)
		}
		return frameBytes(frame.Settings, p)
	}
	for name, m := range map[string]misdeed{
		"no SETTINGS":                {control(int62(frame.GoAway, 0)), frame.MissingSettings},
		"second SETTINGS":            {control(empty, empty), frame.FrameUnexpected},
		"DATA on the control stream": {control(empty, data("x")), frame.FrameUnexpected},
		"HEADERS there":              {control(empty, frameBytes(frame.Headers, []byte("x"))), frame.FrameUnexpected},
		// "If a PUSH_PROMISE frame is received on the control stream, the client MUST respond with a connection error of type
		// H3_FRAME_UNEXPECTED."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.5-8
		"PUSH_PROMISE there":    {control(empty, frameBytes(frame.PushPromise, []byte{0})), frame.FrameUnexpected},
		"PING of HTTP/2":        {control(empty, frameBytes(6, nil)), frame.FrameUnexpected},
		"setting twice":         {control(setting(6, 1, 6, 1)), frame.SettingsError},
		"setting of HTTP/2":     {control(setting(2, 0)), frame.SettingsError},
		"datagram setting of 2": {control(setting(frame.SettingDatagram, 2)), frame.SettingsError},
		"truncated setting":     {control(frameBytes(frame.Settings, []byte{6})), frame.FrameError},
		// "A client MUST treat the receipt of a MAX_PUSH_ID frame as a connection error of type H3_FRAME_UNEXPECTED."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.7-3
		"MAX_PUSH_ID": {control(empty, int62(frame.MaxPushID, 1)), frame.FrameUnexpected},
		// "If a client receives a PRIORITY_UPDATE frame, this MUST be treated as a connection error of type H3_FRAME_UNEXPECTED."
		// https://www.rfc-editor.org/rfc/rfc9218#section-7.2-8
		"PRIORITY_UPDATE":            {control(empty, frameBytes(frame.PriorityUpdateRequest, []byte("\x00u=1"))), frame.FrameUnexpected},
		"PRIORITY_UPDATE for a push": {control(empty, frameBytes(frame.PriorityUpdatePush, []byte("\x00u=1"))), frame.FrameUnexpected},
		// "If a CANCEL_PUSH frame is received that references a push ID greater than currently allowed on the connection, this MUST
		// be treated as a connection error of type H3_ID_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.3-7
		"CANCEL_PUSH": {control(empty, int62(frame.CancelPush, 0)), frame.IDError},
		// "A client MUST treat receipt of a GOAWAY frame containing a stream ID of any other type as a connection error of type
		// H3_ID_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.6-3
		"GOAWAY not of a request": {control(empty, int62(frame.GoAway, 3)), frame.IDError},
		// "Receiving a GOAWAY containing a larger identifier than previously received MUST be treated as a connection error of type
		// H3_ID_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9114#section-5.2-7
		"GOAWAY that grows": {control(empty, int62(frame.GoAway, 4), int62(frame.GoAway, 8)), frame.IDError},
		// "An implementation MUST ensure that the length of a frame exactly matches the length of the fields it contains."
		// https://www.rfc-editor.org/rfc/rfc9114#section-10.8-1
		"GOAWAY with a wrong length": {control(empty, frameBytes(frame.GoAway, []byte{0, 0})), frame.FrameError},
	} {
		t.Run(name, m.run)
	}
}

// Which streams a server must not open or end, and what it must not send on those of QPACK.
func TestClientStreamErrors(t *testing.T) {
	empty, control := noSettings, onControl
	for name, m := range map[string]misdeed{
		"second control stream": {func(c *rawClient) { control(empty)(c); control(empty)(c) }, frame.StreamCreationError},
		"second encoder stream": {func(c *rawClient) { c.uni(2, nil); c.uni(2, nil) }, frame.StreamCreationError},
		"second decoder stream": {func(c *rawClient) { c.uni(3, nil); c.uni(3, nil) }, frame.StreamCreationError},
		// "A client MUST treat receipt of a push stream as a connection error of type H3_ID_ERROR when no MAX_PUSH_ID frame has
		// been sent or when the stream references a push ID that is greater than the maximum push ID."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.6-3
		"push stream":         {func(c *rawClient) { c.uni(frame.StreamPush, []byte{0}) }, frame.IDError},
		"control stream ends": {func(c *rawClient) { require.NoError(c, c.uni(0, empty).Close()) }, frame.ClosedCriticalStream},
		"encoder stream ends": {func(c *rawClient) { require.NoError(c, c.uni(2, nil).Close()) }, frame.ClosedCriticalStream},
		"decoder stream ends": {func(c *rawClient) { require.NoError(c, c.uni(3, nil).Close()) }, frame.ClosedCriticalStream},
		// "Clients MUST treat receipt of a server-initiated bidirectional stream as a connection error of type
		// H3_STREAM_CREATION_ERROR unless such an extension has been negotiated."
		// https://www.rfc-editor.org/rfc/rfc9114#section-6.1-3
		"bidirectional stream":         {func(c *rawClient) { c.open([]byte{0}) }, frame.StreamCreationError},
		"capacity beyond the limit":    {func(c *rawClient) { c.uni(2, []byte{0x3f, 0xff, 0xff, 0x7f}) }, qpack.EncoderStreamError},
		"duplicate of a missing entry": {func(c *rawClient) { c.uni(2, []byte{0x01}) }, qpack.EncoderStreamError},
		"increment of 0":               {func(c *rawClient) { c.uni(3, []byte{0}) }, qpack.DecoderStreamError},
		"acknowledgement of nothing":   {func(c *rawClient) { c.uni(3, []byte{0x84}) }, qpack.DecoderStreamError},
	} {
		t.Run(name, m.run)
	}
}

// A wrongResponse is what a server must not send in a response, and the code of the error.
type wrongResponse struct {
	send func(c *rawClient) []byte
	want uint64
}

func (w wrongResponse) run(t *testing.T, isConn bool) {
	s := listenRaw(t, nil)
	done := begin(newTransport(t, nil, nil), newRequest(t, "GET", s.url(), nil))
	c, _ := s.accept()
	st := c.next()
	_, _ = st.WriteEnd(w.send(c)) // which fails if the client has closed the connection already
	r := <-done
	if r.err == nil {
		_, r.err = io.ReadAll(r.resp.Body)
	}
	var e *Error
	require.ErrorAs(t, r.err, &e)
	require.Equal(t, ErrorCode(w.want).String(), e.Code.String())
	require.Equal(t, isConn, !e.Stream)
	if isConn {
		c.wantClose(w.want)
	}
}

// Frames that a response must not have, and field sections that QPACK cannot decode, end the connection.
func TestClientResponseFrames(t *testing.T) {
	for name, w := range map[string]wrongResponse{
		// "Receipt of an invalid sequence of frames MUST be treated as a connection error of type H3_FRAME_UNEXPECTED."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.1-7
		"DATA before HEADERS": {func(*rawClient) []byte { return data("x") }, frame.FrameUnexpected},
		"SETTINGS":            {func(*rawClient) []byte { return frame.AppendHeader(nil, frame.Settings, 0) }, frame.FrameUnexpected},
		// "A client MUST treat a GOAWAY frame on a stream other than the control stream as a connection error of type
		// H3_FRAME_UNEXPECTED."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.6-5
		"GOAWAY":             {func(*rawClient) []byte { return int62(frame.GoAway, 0) }, frame.FrameUnexpected},
		"CANCEL_PUSH":        {func(*rawClient) []byte { return int62(frame.CancelPush, 0) }, frame.FrameUnexpected},
		"PRIORITY of HTTP/2": {func(*rawClient) []byte { return frameBytes(2, nil) }, frame.FrameUnexpected},
		// "A client MUST treat receipt of a PUSH_PROMISE frame that contains a larger push ID than the client has advertised as a
		// connection error of H3_ID_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.5-5
		"PUSH_PROMISE":         {func(*rawClient) []byte { return frameBytes(frame.PushPromise, []byte{0, 0, 0}) }, frame.IDError},
		"truncated frame":      {func(*rawClient) []byte { return []byte{frame.Headers, 10, 0} }, frame.FrameError},
		"invalid static index": {func(*rawClient) []byte { return frameBytes(frame.Headers, []byte{0, 0, 0xff, 0x7f}) }, qpack.DecompressionFailed},
		"dynamic reference":    {func(*rawClient) []byte { return frameBytes(frame.Headers, []byte{0, 0, 0x80}) }, qpack.DecompressionFailed},
		"DATA after an interim response": {func(c *rawClient) []byte {
			return join(c.headers(":status", "103"), data("x"))
		}, frame.FrameUnexpected},
		"DATA after trailers": {func(c *rawClient) []byte {
			return join(c.headers(":status", "200"), c.headers("x", "y"), data("x"))
		}, frame.FrameUnexpected},
		"HEADERS after trailers": {func(c *rawClient) []byte {
			return join(c.headers(":status", "200"), c.headers("x", "y"), c.headers("x", "y"))
		}, frame.FrameUnexpected},
	} {
		t.Run(name, func(t *testing.T) { w.run(t, true) })
	}
}

// A malformed response ends its stream only.
func TestClientMalformedResponses(t *testing.T) {
	for name, w := range map[string]wrongResponse{
		// "Malformed requests or responses that are detected MUST be treated as a stream error of type H3_MESSAGE_ERROR. [...]
		// Clients MUST NOT accept a malformed response."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.1.2-4
		//
		// "This pseudo-header field MUST be included in all responses; otherwise, the response is malformed"
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.3.2-1
		"no status":                {func(c *rawClient) []byte { return c.headers("x", "y") }, frame.MessageError},
		"status that is no number": {func(c *rawClient) []byte { return c.headers(":status", "2x0") }, frame.MessageError},
		"two statuses":             {func(c *rawClient) []byte { return c.headers(":status", "200", ":status", "200") }, frame.MessageError},
		"status 101":               {func(c *rawClient) []byte { return c.headers(":status", "101") }, frame.MessageError},
		// "Pseudo-header fields defined for requests MUST NOT appear in responses; pseudo-header fields defined for responses MUST
		// NOT appear in requests."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.3-3
		"request pseudo-header":    {func(c *rawClient) []byte { return c.headers(":status", "200", ":path", "/") }, frame.MessageError},
		"pseudo-header late":       {func(c *rawClient) []byte { return c.headers("x", "y", ":status", "200") }, frame.MessageError},
		"upper case":               {func(c *rawClient) []byte { return c.headers(":status", "200", "X", "y") }, frame.MessageError},
		"connection":               {func(c *rawClient) []byte { return c.headers(":status", "200", "connection", "close") }, frame.MessageError},
		"te":                       {func(c *rawClient) []byte { return c.headers(":status", "200", "te", "trailers") }, frame.MessageError},
		"content-length too large": {func(c *rawClient) []byte { return c.headers(":status", "200", "content-length", "1") }, frame.MessageError},
		"line break in a value":    {func(c *rawClient) []byte { return c.headers(":status", "200", "x", "a\nb") }, frame.MessageError},
		"no final response":        {func(c *rawClient) []byte { return c.headers(":status", "103") }, frame.MessageError},
		"nothing":                  {func(*rawClient) []byte { return nil }, frame.MessageError},
		"content too long": {func(c *rawClient) []byte {
			return join(c.headers(":status", "200", "content-length", "1"), data("xy"))
		}, frame.MessageError},
		"content too short": {func(c *rawClient) []byte {
			return join(c.headers(":status", "200", "content-length", "3"), data("xy"))
		}, frame.MessageError},
		// "On a given stream, receipt of multiple requests or receipt of an additional HTTP response following a final HTTP
		// response MUST be treated as malformed."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.1-3
		"pseudo-header in trailers": {func(c *rawClient) []byte {
			return join(c.headers(":status", "200"), data("x"), c.headers(":status", "200"))
		}, frame.MessageError},
	} {
		t.Run(name, func(t *testing.T) { w.run(t, false) })
	}
}

// What a client ignores, and what it accepts although it is rare.
func TestClientIgnores(t *testing.T) {
	s := listenRaw(t, nil)
	tr := newTransport(t, nil, nil)
	done := begin(tr, newRequest(t, "GET", s.url(), nil))
	c := s.acceptBare()
	// "Implementations MUST ignore unknown or unsupported values in all extensible protocol elements. Implementations MUST discard
	// data or abort reading on unidirectional streams that have unknown or unsupported types."
	// https://www.rfc-editor.org/rfc/rfc9114#section-9-4
	reserved := frameBytes(0x21+0x1f*7, []byte("reserved"))
	c.uni(frame.StreamControl, join(frameBytes(frame.Settings, []byte{0x21, 5, 0x40, 0x99, 1}), reserved, frameBytes(0x4242, nil)))
	c.uni(0x21, []byte("a reserved stream"))
	st := c.next()
	st.send(reserved, c.headers(":status", "100"), c.headers(":status", "103", "link", "x"), reserved,
		c.headers(":status", "200", "content-length", "2"), reserved, data("a"), data(""), reserved, data("b"), c.headers("t", "1"), reserved).end()
	r := <-done
	require.NoError(t, r.err)
	require.Equal(t, "ab", readBody(t, r.resp))
	require.Equal(t, "1", r.resp.Trailer.Get("T"))
}

// A malformed response stops the server, and other requests go on.
func TestClientStopsMalformedResponse(t *testing.T) {
	s := listenRaw(t, nil)
	tr := newTransport(t, nil, nil)
	done := begin(tr, newRequest(t, "GET", s.url(), nil))
	c, _ := s.accept()
	st := c.next()
	st.send(c.headers(":status", "200", "x", "\x00"))
	st.wantStop(frame.MessageError)
	require.Error(t, (<-done).err)
	done = begin(tr, newRequest(t, "GET", s.url(), nil))
	c.next().answer("fine")
	require.Equal(t, "fine", readBody(t, (<-done).resp))
}

// A response that is complete before the request is one, although the server asks the client to stop.
//
// "Clients MUST NOT discard complete responses as a result of having their request terminated abruptly"
// https://www.rfc-editor.org/rfc/rfc9114#section-4.1-15
func TestClientEarlyResponse(t *testing.T) {
	s := listenRaw(t, nil)
	tr := newTransport(t, nil, nil)
	wrote := make(chan struct{})
	trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(wrote) }}
	req := newRequest(t, "POST", s.url(), endless{})
	done := begin(tr, req.WithContext(httptrace.WithClientTrace(t.Context(), trace)))
	c, _ := s.accept()
	st := c.next()
	require.NoError(t, st.StopSending(frame.NoError))
	<-wrote // the client has given up sending the body
	st.answer("enough")
	r := <-done
	require.NoError(t, r.err)
	require.Equal(t, "enough", readBody(t, r.resp))
}

// endless is a body without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// A response to HEAD, or with status 204 or 304, has no content, whatever its Content-Length.
func TestClientNoContent(t *testing.T) {
	s := listenRaw(t, nil)
	tr := newTransport(t, nil, nil)
	var c *rawClient
	for _, tt := range []struct {
		method, status string
		length         int64
	}{{"HEAD", "200", 7}, {"GET", "204", 7}, {"GET", "304", 7}} {
		for _, sendsData := range []bool{false, true} {
			done := begin(tr, newRequest(t, tt.method, s.url(), nil))
			if c == nil {
				c, _ = s.accept()
			}
			st := c.next()
			st.send(c.headers(":status", tt.status, "content-length", "7"))
			r := <-done
			require.NoError(t, r.err)
			require.Equal(t, tt.length, r.resp.ContentLength)
			require.Empty(t, readBody(t, r.resp))
			if sendsData {
				st.send(data("content"))
				st.wantStop(frame.MessageError)
				continue
			}
			st.send(c.headers("t", "1")).end()
		}
	}
}

// Interim responses without end are an error, unless the trace takes them.
func TestClientInterimFlood(t *testing.T) {
	s := listenRaw(t, nil)
	tr := newTransport(t, nil, func(tr *Transport) { tr.MaxResponseHeaderBytes = 4096 })
	done := begin(tr, newRequest(t, "GET", s.url(), nil))
	c, _ := s.accept()
	st := c.next()
	b := c.headers(":status", "103", "link", strings.Repeat("x", 900))
	for range 5 {
		st.send(b)
	}
	st.wantStop(frame.ExcessiveLoad)
	require.ErrorContains(t, (<-done).err, "larger than 4096 bytes")
}

// Frames without a meaning, and empty DATA frames, are an error if there is no end of them.
func TestClientJunkFlood(t *testing.T) {
	s := listenRaw(t, nil)
	done := begin(newTransport(t, nil, nil), newRequest(t, "GET", s.url(), nil))
	c, _ := s.accept()
	st := c.next()
	_, err := st.Write(emptyFrames(c, maxJunk+1))
	require.NoError(t, err)
	r := <-done
	require.NoError(t, r.err)
	_, err = io.ReadAll(r.resp.Body)
	var e *Error
	require.True(t, errors.As(err, &e))
	require.Equal(t, ErrCodeExcessiveLoad, e.Code)
	c.wantClose(frame.ExcessiveLoad)
}

// emptyFrames is a response with n empty DATA frames.
func emptyFrames(c *rawClient, n int) []byte {
	b := c.headers(":status", "200")
	for range n {
		b = append(b, data("")...)
	}
	return b
}
