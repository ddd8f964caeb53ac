package http3

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/qpack"
	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/tlsprovider"
)

// settingsFrame is a SETTINGS frame with identifiers and values.
func settingsFrame(v ...uint64) []byte {
	var payload []byte
	for _, n := range v {
		payload = varint.Append(payload, n)
	}
	return frameBytes(frame.Settings, payload)
}

// connErrors are what a client must not send, and the code with which the server closes the connection.
var connErrors = map[string]struct {
	send func(c *rawClient)
	code uint64
}{
	// "Receipt of an invalid sequence of frames MUST be treated as a connection error of type H3_FRAME_UNEXPECTED. In particular, a
	// DATA frame before any HEADERS frame, or a HEADERS or DATA frame after the trailing HEADERS frame, is considered invalid."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.1-7
	"DATA before HEADERS": {func(c *rawClient) { c.open(data("x")) }, frame.FrameUnexpected},
	"DATA after trailers": {func(c *rawClient) {
		c.open(join(c.headers(post("/")...), c.headers("x", "y"), data("x")))
	}, frame.FrameUnexpected},
	"HEADERS after trailers": {func(c *rawClient) {
		c.open(join(c.headers(post("/")...), c.headers("x", "y"), c.headers("x", "y")))
	}, frame.FrameUnexpected},
	"empty DATA before HEADERS": {func(c *rawClient) { c.open(data("")) }, frame.FrameUnexpected},
	// "If the first frame of the control stream is any other frame type, this MUST be treated as a connection error of type
	// H3_MISSING_SETTINGS."
	// https://www.rfc-editor.org/rfc/rfc9114#section-6.2.1-2
	"control stream without SETTINGS": {func(c *rawClient) {
		c.uni(frame.StreamControl, frame.AppendInt(nil, frame.MaxPushID, 1))
	}, frame.MissingSettings},
	"control stream that begins with an unknown frame": {func(c *rawClient) {
		c.uni(frame.StreamControl, join(frameBytes(0x21, nil), settingsFrame()))
	}, frame.MissingSettings},
	// "DATA frames MUST be associated with an HTTP request or response. If a DATA frame is received on a control stream, the
	// recipient MUST respond with a connection error of type H3_FRAME_UNEXPECTED."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.1-2
	"DATA on the control stream": {func(c *rawClient) {
		c.uni(frame.StreamControl, join(settingsFrame(), data("x")))
	}, frame.FrameUnexpected},
	// "If a HEADERS frame is received on a control stream, the recipient MUST respond with a connection error of type
	// H3_FRAME_UNEXPECTED."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.2-3
	"HEADERS on the control stream": {func(c *rawClient) {
		c.uni(frame.StreamControl, join(settingsFrame(), c.headers(get("/")...)))
	}, frame.FrameUnexpected},
	// "If an endpoint receives a second SETTINGS frame on the control stream, the endpoint MUST respond with a connection error of
	// type H3_FRAME_UNEXPECTED."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4-2
	"second SETTINGS": {func(c *rawClient) {
		c.uni(frame.StreamControl, join(settingsFrame(), settingsFrame()))
	}, frame.FrameUnexpected},
	"PUSH_PROMISE on the control stream": {func(c *rawClient) {
		c.uni(frame.StreamControl, join(settingsFrame(), frameBytes(frame.PushPromise, []byte{0})))
	}, frame.FrameUnexpected},
	// "Receiving a CANCEL_PUSH frame on a stream other than the control stream MUST be treated as a connection error of type
	// H3_FRAME_UNEXPECTED."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.3-5
	"CANCEL_PUSH on a request stream": {onRequestStream(frame.CancelPush), frame.FrameUnexpected},
	// "If an endpoint receives a SETTINGS frame on a different stream, the endpoint MUST respond with a connection error of type
	// H3_FRAME_UNEXPECTED."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4-3
	"SETTINGS on a request stream": {onRequestStream(frame.Settings), frame.FrameUnexpected},
	"GOAWAY on a request stream":   {onRequestStream(frame.GoAway), frame.FrameUnexpected},
	// "Receipt of a MAX_PUSH_ID frame on any other stream MUST be treated as a connection error of type H3_FRAME_UNEXPECTED."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.7-2
	"MAX_PUSH_ID on a request stream": {onRequestStream(frame.MaxPushID), frame.FrameUnexpected},
	// "Receiving a PRIORITY_UPDATE frame on a stream other than the client control stream MUST be treated as a connection error of
	// type H3_FRAME_UNEXPECTED."
	// https://www.rfc-editor.org/rfc/rfc9218#section-7.2-2
	"PRIORITY_UPDATE on a request stream": {onRequestStream(frame.PriorityUpdateRequest), frame.FrameUnexpected},
	// "A server MUST treat the receipt of a PUSH_PROMISE frame as a connection error of type H3_FRAME_UNEXPECTED."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.5-9
	"PUSH_PROMISE on a request stream": {onRequestStream(frame.PushPromise), frame.FrameUnexpected},
	// "These frame types MUST NOT be sent, and their receipt MUST be treated as a connection error of type H3_FRAME_UNEXPECTED."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.8-3
	"PRIORITY of HTTP/2":      {onRequestStream(0x2), frame.FrameUnexpected},
	"PING of HTTP/2":          {onRequestStream(0x6), frame.FrameUnexpected},
	"WINDOW_UPDATE of HTTP/2": {onRequestStream(0x8), frame.FrameUnexpected},
	"CONTINUATION of HTTP/2":  {onRequestStream(0x9), frame.FrameUnexpected},
	"PING of HTTP/2 on the control stream": {func(c *rawClient) {
		c.uni(frame.StreamControl, join(settingsFrame(), frameBytes(0x6, make([]byte, 8))))
	}, frame.FrameUnexpected},
	// "The same setting identifier MUST NOT occur more than once in the SETTINGS frame. A receiver MAY treat the presence of
	// duplicate setting identifiers as a connection error of type H3_SETTINGS_ERROR."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4-6
	"duplicate setting": {withSettings(0x6, 100, 0x6, 100), frame.SettingsError},
	// "These reserved settings MUST NOT be sent, and their receipt MUST be treated as a connection error of type
	// H3_SETTINGS_ERROR."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.1-5
	"setting 0x0 of HTTP/2": {withSettings(0x0, 1), frame.SettingsError},
	"setting 0x2 of HTTP/2": {withSettings(0x2, 1), frame.SettingsError},
	"setting 0x3 of HTTP/2": {withSettings(0x3, 1), frame.SettingsError},
	"setting 0x4 of HTTP/2": {withSettings(0x4, 1), frame.SettingsError},
	"setting 0x5 of HTTP/2": {withSettings(0x5, 1), frame.SettingsError},
	// "The value of the SETTINGS_H3_DATAGRAM setting MUST be either 0 or 1. [...] If the SETTINGS_H3_DATAGRAM setting is received
	// with a value that is neither 0 nor 1, the receiver MUST terminate the connection with error H3_SETTINGS_ERROR."
	// https://www.rfc-editor.org/rfc/rfc9297#section-2.1.1-2
	"SETTINGS_H3_DATAGRAM of 2": {withSettings(0x33, 2), frame.SettingsError},
	// "Each frame's payload MUST contain exactly the fields identified in its description. A frame payload that contains additional
	// bytes after the identified fields or a frame payload that terminates before the end of the identified fields MUST be treated
	// as a connection error of type H3_FRAME_ERROR. In particular, redundant length encodings MUST be verified to be
	// self-consistent"
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.1-5
	"SETTINGS that ends within a setting": {withSettings(0x6), frame.FrameError},
	// "An implementation MUST ensure that the length of a frame exactly matches the length of the fields it contains."
	// https://www.rfc-editor.org/rfc/rfc9114#section-10.8-1
	"GOAWAY with a byte too many": {func(c *rawClient) {
		c.uni(frame.StreamControl, join(settingsFrame(), frameBytes(frame.GoAway, []byte{0, 0})))
	}, frame.FrameError},
	"GOAWAY without an ID": {func(c *rawClient) {
		c.uni(frame.StreamControl, join(settingsFrame(), frameBytes(frame.GoAway, nil)))
	}, frame.FrameError},
	"MAX_PUSH_ID that is too long": {func(c *rawClient) {
		c.uni(frame.StreamControl, join(settingsFrame(), frameBytes(frame.MaxPushID, make([]byte, 9))))
	}, frame.FrameError},
	// "When a stream terminates cleanly, if the last frame on the stream was truncated, this MUST be treated as a connection error of
	// type H3_FRAME_ERROR."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.1-6
	"HEADERS that ends with the stream": {func(c *rawClient) {
		h := c.headers(get("/")...)
		c.open(h[:len(h)-1]).end()
	}, frame.FrameError},
	"DATA that ends with the stream": {func(c *rawClient) {
		d := data("12345")
		c.open(join(c.headers(post("/")...), d[:4])).end()
	}, frame.FrameError},
	"frame header that ends with the stream": {func(c *rawClient) {
		c.open(join(c.headers(post("/")...), []byte{frame.Data})).end()
	}, frame.FrameError},
	"unknown frame that ends with the stream": {func(c *rawClient) {
		c.open([]byte{0x21, 5, 1}).end()
	}, frame.FrameError},
	// "receipt of a second stream claiming to be a control stream MUST be treated as a connection error of type
	// H3_STREAM_CREATION_ERROR."
	// https://www.rfc-editor.org/rfc/rfc9114#section-6.2.1-2
	"second control stream": {func(c *rawClient) {
		c.uni(frame.StreamControl, settingsFrame())
		c.uni(frame.StreamControl, settingsFrame())
	}, frame.StreamCreationError},
	// "Receipt of a second instance of either stream type MUST be treated as a connection error of type H3_STREAM_CREATION_ERROR."
	// https://www.rfc-editor.org/rfc/rfc9204#section-4.2-3
	"second encoder stream": {func(c *rawClient) { c.uni(2, nil); c.uni(2, nil) }, frame.StreamCreationError},
	"second decoder stream": {func(c *rawClient) { c.uni(3, nil); c.uni(3, nil) }, frame.StreamCreationError},
	// "Only servers can push; if a server receives a client-initiated push stream, this MUST be treated as a connection error of type
	// H3_STREAM_CREATION_ERROR."
	// https://www.rfc-editor.org/rfc/rfc9114#section-6.2.2-3
	"push stream of a client": {func(c *rawClient) { c.uni(frame.StreamPush, []byte{0}) }, frame.StreamCreationError},
	// "If either control stream is closed at any point, this MUST be treated as a connection error of type
	// H3_CLOSED_CRITICAL_STREAM."
	// https://www.rfc-editor.org/rfc/rfc9114#section-6.2.1-2
	"closed control stream": {func(c *rawClient) { _ = c.uni(frame.StreamControl, settingsFrame()).Close() }, frame.ClosedCriticalStream},
	"reset control stream": {func(c *rawClient) {
		s := c.uni(frame.StreamControl, settingsFrame())
		c.roundTrip(get("/settled")...) // the server has seen the stream
		_ = s.Reset(frame.NoError)
	}, frame.ClosedCriticalStream},
	// "Closure of either unidirectional stream type MUST be treated as a connection error of type H3_CLOSED_CRITICAL_STREAM."
	// https://www.rfc-editor.org/rfc/rfc9204#section-4.2-4
	"closed encoder stream": {func(c *rawClient) { _ = c.uni(2, nil).Close() }, frame.ClosedCriticalStream},
	"closed decoder stream": {func(c *rawClient) { _ = c.uni(3, nil).Close() }, frame.ClosedCriticalStream},
	// "If a server receives a CANCEL_PUSH frame for a push ID that has not yet been mentioned by a PUSH_PROMISE frame, this MUST be
	// treated as a connection error of type H3_ID_ERROR."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.3-8
	"CANCEL_PUSH of an unknown push": {onControlStream(frame.CancelPush, 0), frame.IDError},
	// "Receiving a GOAWAY containing a larger identifier than previously received MUST be treated as a connection error of type
	// H3_ID_ERROR."
	// https://www.rfc-editor.org/rfc/rfc9114#section-5.2-7
	"GOAWAY with a larger ID": {func(c *rawClient) {
		c.uni(frame.StreamControl, join(settingsFrame(), frame.AppendInt(nil, frame.GoAway, 1), frame.AppendInt(nil, frame.GoAway, 2)))
	}, frame.IDError},
	// "A MAX_PUSH_ID frame cannot reduce the maximum push ID; receipt of a MAX_PUSH_ID frame that contains a smaller value than
	// previously received MUST be treated as a connection error of type H3_ID_ERROR."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.7-6
	"MAX_PUSH_ID with a smaller ID": {func(c *rawClient) {
		c.uni(frame.StreamControl, join(settingsFrame(), frame.AppendInt(nil, frame.MaxPushID, 2), frame.AppendInt(nil, frame.MaxPushID, 1)))
	}, frame.IDError},
	// "If a server receives a PRIORITY_UPDATE (type=0xF0700) for a stream ID that is not a request stream, this MUST be treated as
	// a connection error of type H3_ID_ERROR."
	// https://www.rfc-editor.org/rfc/rfc9218#section-7.2-6
	"PRIORITY_UPDATE of another stream": {onControlStream(frame.PriorityUpdateRequest, 2), frame.IDError},
	// "If a server receives a PRIORITY_UPDATE (type=0xF0701) with a push ID that is greater than the maximum push ID or that has
	// not yet been promised, this MUST be treated as a connection error of type H3_ID_ERROR."
	// https://www.rfc-editor.org/rfc/rfc9218#section-7.2-7
	"PRIORITY_UPDATE of a push": {onControlStream(frame.PriorityUpdatePush, 0), frame.IDError},
	"invalid PRIORITY_UPDATE": {func(c *rawClient) {
		c.uni(frame.StreamControl, join(settingsFrame(), frameBytes(frame.PriorityUpdateRequest, []byte("\x00u=")))) //
	}, frame.GeneralProtocolError},
	// The rules of QPACK are tested in its package; here is one of each kind.
	"invalid static index": {func(c *rawClient) {
		c.open(frameBytes(frame.Headers, []byte{0, 0, 0xff, 0x7f}))
	}, qpack.DecompressionFailed},
	"reference beyond the insert count": {func(c *rawClient) {
		c.open(frameBytes(frame.Headers, []byte{0, 0, 0x80}))
	}, qpack.DecompressionFailed},
	"impossible required insert count": {func(c *rawClient) {
		c.open(frameBytes(frame.Headers, []byte{0xff, 0xff, 0x7f, 0, 0x80}))
	}, qpack.DecompressionFailed},
	"capacity beyond the limit": {func(c *rawClient) { c.uni(2, []byte{0x3f, 0xff, 0xff, 0x7f}) }, qpack.EncoderStreamError},
	"insertion with an invalid name": {func(c *rawClient) {
		c.uni(2, []byte{0x3f, 0xe1, 0x1f, 0xff, 0x7f, 0x01, 'x'})
	}, qpack.EncoderStreamError},
	"duplicate of a missing entry":  {func(c *rawClient) { c.uni(2, []byte{0x3f, 0xe1, 0x1f, 0x00}) }, qpack.EncoderStreamError},
	"Insert Count Increment of 0":   {func(c *rawClient) { c.uni(3, []byte{0x00}) }, qpack.DecoderStreamError},
	"Insert Count Increment of 5":   {func(c *rawClient) { c.uni(3, []byte{0x05}) }, qpack.DecoderStreamError},
	"acknowledgement of no section": {func(c *rawClient) { c.uni(3, []byte{0x84}) }, qpack.DecoderStreamError},
}

func onRequestStream(typ uint64) func(*rawClient) {
	return func(c *rawClient) { c.open(join(c.headers(post("/")...), frameBytes(typ, []byte{0}))) }
}

func onControlStream(typ, v uint64) func(*rawClient) {
	return func(c *rawClient) { c.uni(frame.StreamControl, join(settingsFrame(), frame.AppendInt(nil, typ, v))) }
}

func withSettings(v ...uint64) func(*rawClient) {
	return func(c *rawClient) { c.uni(frame.StreamControl, settingsFrame(v...)) }
}

func TestConnectionErrors(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		s := serve(t, p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/settled" {
				<-r.Context().Value(exchangeKey{}).(*exchange).c.settingsArrived()
			}
			echo(w, r)
		}), nil)
		for name, tc := range connErrors {
			t.Run(name, func(t *testing.T) {
				c := dialBare(t, s)
				tc.send(c)
				c.wantClose(tc.code)
			})
		}
	})
}

// Malformed requests reset their stream, and not the connection.
func TestStreamErrors(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		s := serve(t, p, http.HandlerFunc(echo), nil)
		c := dialRaw(t, s)
		for name, kv := range malformedRequests {
			t.Run(name, func(t *testing.T) {
				c := *c
				c.TB = t
				// "Malformed requests or responses that are detected MUST be treated as a stream error of type H3_MESSAGE_ERROR."
				// https://www.rfc-editor.org/rfc/rfc9114#section-4.1.2-4
				c.open(c.headers(kv...)).end().wantReset(frame.MessageError)
			})
		}
		for name, b := range map[string][]byte{
			// "A request or response that is defined as having content when it contains a Content-Length header field (Section 8.6 of
			// [HTTP]) is malformed if the value of the Content-Length header field does not equal the sum of the DATA frame lengths
			// received."
			// https://www.rfc-editor.org/rfc/rfc9114#section-4.1.2-3
			"content longer than Content-Length":  join(c.headers(post("/", "content-length", "2")...), data("123")),
			"content shorter than Content-Length": join(c.headers(post("/", "content-length", "4")...), data("12"), data("3")),
			"no content":                          c.headers(post("/", "content-length", "1")...),
			// "On a given stream, receipt of multiple requests or receipt of an additional HTTP response following a final HTTP
			// response MUST be treated as malformed."
			// https://www.rfc-editor.org/rfc/rfc9114#section-4.1-3
			"second request":                  join(c.headers(post("/")...), c.headers(post("/")...)),
			"pseudo-header field in trailers": join(c.headers(post("/")...), c.headers(":path", "/")),
		} {
			t.Run(name, func(t *testing.T) {
				c := *c
				c.TB = t
				c.open(b).end().wantReset(frame.MessageError)
			})
		}
		// "If a client-initiated stream terminates without enough of the HTTP message to provide a complete response, the server SHOULD
		// abort its response stream with the error code H3_REQUEST_INCOMPLETE."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.1-14
		c.open([]byte{0x21, 0}).end().wantReset(frame.RequestIncomplete)
		require.Equal(t, "200", c.roundTrip(get("/")...).status)
	})
}

// What a server must ignore.
func TestIgnored(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		s := serve(t, p, http.HandlerFunc(echo), nil)
		c := dialBare(t, s)
		// "Implementations MUST ignore unknown or unsupported values in all extensible protocol elements. Implementations MUST
		// discard data or abort reading on unidirectional streams that have unknown or unsupported types."
		// https://www.rfc-editor.org/rfc/rfc9114#section-9-4
		//
		// "These frames have no semantics, and they MAY be sent on any stream where frames are allowed to be sent. [...] Endpoints
		// MUST NOT consider these frames to have any meaning upon receipt."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.8-1
		reserved := frameBytes(0x21+0x1f*1000, []byte("padding"))
		// "An implementation MUST ignore any parameter with an identifier it does not understand."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4-9
		//
		// "Endpoints MUST NOT consider such settings to have any meaning upon receipt."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.1-3
		c.uni(frame.StreamControl, join(settingsFrame(0x21, 7, 0x4242, 1), reserved, frame.AppendInt(nil, frame.MaxPushID, 5),
			frame.AppendInt(nil, frame.GoAway, 5), frameBytes(0x4242, nil)))
		// "Frames of unknown types (Section 9), including reserved frames (Section 7.2.8) MAY be sent on a request or push stream before,
		// after, or interleaved with other frames described in this section."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.1-9
		m := c.open(join(reserved, c.headers(post("/")...), reserved, data("a"), data(""), frameBytes(0x4242, make([]byte, 5000)), data("b"),
			c.headers("x", "y"), reserved)).end().response()
		require.Equal(t, "POST / ab", m.body)
		// "The recipient MUST NOT consider unknown stream types to be a connection error of any kind."
		// https://www.rfc-editor.org/rfc/rfc9114#section-6.2-7
		//
		// "Recipients of unknown stream types MUST either abort reading of the stream or discard incoming data without further
		// processing."
		// https://www.rfc-editor.org/rfc/rfc9114#section-6.2-7
		//
		// "Endpoints MUST NOT consider these streams to have any meaning upon receipt."
		// https://www.rfc-editor.org/rfc/rfc9114#section-6.2.3-1
		unknown := c.uni(0x21, []byte("payload"))
		// "A receiver MUST tolerate unidirectional streams being closed or reset prior to the reception of the unidirectional stream
		// header."
		// https://www.rfc-editor.org/rfc/rfc9114#section-6.2-10
		empty, err := c.OpenUniStream(t.Context())
		require.NoError(t, err)
		require.NoError(t, empty.Close())
		half, err := c.OpenUniStream(t.Context())
		require.NoError(t, err)
		_, err = half.Write([]byte{0xc0})
		require.NoError(t, err)
		require.NoError(t, half.Reset(frame.NoError))
		<-unknown.Context().Done() // the server has asked to stop
		require.Equal(t, "200", c.roundTrip(get("/")...).status)
	})
}
