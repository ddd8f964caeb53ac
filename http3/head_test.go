package http3

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/qpack"
)

// sectionOf collects fields, which are given as names and values.
func sectionOf(kind sectionKind, kv ...string) (*section, error) {
	s := newSection(kind, 1<<16)
	for i := 0; i < len(kv); i += 2 {
		if err := s.add(qpack.Field{Name: kv[i], Value: kv[i+1]}); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// requestOf parses the header section of a request.
func requestOf(extended bool, kv ...string) (requestHead, error) {
	s, err := sectionOf(requestHeader, kv...)
	if err != nil {
		return requestHead{}, err
	}
	return s.request(extended)
}

func requireMalformed(t *testing.T, err error) {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, ErrCodeMessageError, e.Code)
	require.True(t, e.Stream)
}

// malformedRequests are header sections of requests that "MUST be treated as a stream error of type H3_MESSAGE_ERROR" (RFC 9114,
// 4.1.2), by the reason.
var malformedRequests = map[string][]string{
	// "Endpoints MUST treat a request or response that contains undefined or invalid pseudo-header fields as malformed."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.3-3
	"undefined pseudo-header field": get("/", ":foo", "x"),
	// "Pseudo-header fields defined for requests MUST NOT appear in responses; pseudo-header fields defined for responses MUST NOT
	// appear in requests."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.3-3
	"pseudo-header field of responses": get("/", ":status", "200"),
	"duplicated :method":               {":method", "GET", ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/"},
	"duplicated :scheme":               {":method", "GET", ":scheme", "https", ":scheme", "https", ":authority", "a", ":path", "/"},
	"duplicated :path":                 get("/", ":path", "/"),
	"duplicated :authority":            {":method", "GET", ":scheme", "https", ":authority", "a", ":authority", "a", ":path", "/"},
	// "All pseudo-header fields MUST appear in the header section before regular header fields. Any request or response that
	// contains a pseudo-header field that appears in a header section after a regular header field MUST be treated as malformed."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.3-4
	"pseudo-header field after a field": {":method", "GET", ":scheme", "https", ":authority", "a", "x", "y", ":path", "/"},
	// "All HTTP/3 requests MUST include exactly one value for the :method, :scheme, and :path pseudo-header fields, unless the
	// request is a CONNECT request"
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.3.1-3
	"no :method":     {":scheme", "https", ":authority", "a", ":path", "/"},
	"no :scheme":     {":method", "GET", ":authority", "a", ":path", "/"},
	"no :path":       {":method", "GET", ":scheme", "https", ":authority", "a"},
	"empty :method":  {":method", "", ":scheme", "https", ":authority", "a", ":path", "/"},
	"invalid method": {":method", "G T", ":scheme", "https", ":authority", "a", ":path", "/"},
	"invalid scheme": {":method", "GET", ":scheme", "1x", ":authority", "a", ":path", "/"},
	// "This pseudo-header field MUST NOT be empty for "http" or "https" URIs; "http" or "https" URIs that do not contain a path
	// component MUST include a value of / (ASCII 0x2f)."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.3.1-2.8.2
	"empty :path":    get(""),
	"relative :path": get("x"),
	":path * of GET": get("*"),
	// "If these fields are present, they MUST NOT be empty. If both fields are present, they MUST contain the same value."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.3.1-4
	//
	// "If the :scheme pseudo-header field identifies a scheme that has a mandatory authority component (including "http" and
	// "https"), the request MUST contain either an :authority pseudo-header field or a Host header field."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.3.1-4
	"no authority":            {":method", "GET", ":scheme", "https", ":path", "/"},
	"empty :authority":        {":method", "GET", ":scheme", "https", ":authority", "", ":path", "/"},
	"empty Host":              {":method", "GET", ":scheme", "https", ":path", "/", "host", ""},
	":authority against Host": get("/", "host", "b"),
	"two Hosts":               {":method", "GET", ":scheme", "https", ":path", "/", "host", "a", "host", "a"},
	// "The authority MUST NOT include the deprecated userinfo subcomponent for URIs of scheme 'http' or 'https'."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.3.1-2.6.1
	"userinfo in the authority": {":method", "GET", ":scheme", "https", ":authority", "u@a", ":path", "/"},
	// "A request or response containing uppercase characters in field names MUST be treated as malformed."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.2-2
	"field name in upper case": get("/", "Accept", "x"),
	// "Requests or responses containing invalid field names MUST be treated as malformed."
	// https://www.rfc-editor.org/rfc/rfc9114#section-10.3-1
	"invalid field name": get("/", "a b", "x"),
	"empty field name":   get("/", "", "x"),
	// "Any request or response that contains a character not permitted in a field value MUST be treated as malformed."
	// https://www.rfc-editor.org/rfc/rfc9114#section-10.3-2
	"line feed in a value": get("/", "x", "a\nb"),
	"NUL in a value":       get("/", "x", "a\x00b"),
	"line feed in :path":   get("/\r\n"),
	// "any message containing connection-specific fields MUST be treated as malformed."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.2-3
	"Connection":       get("/", "connection", "close"),
	"Keep-Alive":       get("/", "keep-alive", "x"),
	"Proxy-Connection": get("/", "proxy-connection", "x"),
	// "Transfer codings (see Section 7 of [HTTP/1.1]) are not defined for HTTP/3; the Transfer-Encoding header field MUST NOT be
	// used."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.1-11
	"Transfer-Encoding": get("/", "transfer-encoding", "chunked"),
	"Upgrade":           get("/", "upgrade", "x"),
	// "The only exception to this is the TE header field, which MAY be present in an HTTP/3 request header; when it is, it MUST NOT
	// contain any value other than 'trailers'."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.2-4
	"TE": get("/", "te", "gzip"),
	// "A CONNECT request that does not conform to these restrictions is malformed."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.4-5
	//
	// "A CONNECT request MUST be constructed as follows:"
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.4-3
	"CONNECT with :path":         {":method", "CONNECT", ":authority", "a:1", ":path", "/"},
	"CONNECT with :scheme":       {":method", "CONNECT", ":authority", "a:1", ":scheme", "https"},
	"CONNECT without :authority": {":method", "CONNECT"},
	// "A server MUST reject a CONNECT request that targets an empty or invalid port number, typically by responding with a 400 (Bad
	// Request) status code."
	// https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6-4
	"CONNECT without a port":       {":method", "CONNECT", ":authority", "a"},
	"CONNECT with an empty port":   {":method", "CONNECT", ":authority", "a:"},
	"CONNECT with port 0":          {":method", "CONNECT", ":authority", "a:0"},
	"CONNECT with port 65536":      {":method", "CONNECT", ":authority", "a:65536"},
	"CONNECT with a named port":    {":method", "CONNECT", ":authority", "a:https"},
	"CONNECT without a host":       {":method", "CONNECT", ":authority", ":443"},
	"CONNECT to IPv6, no port":     {":method", "CONNECT", ":authority", "[::1]"},
	":protocol of GET":             get("/", ":protocol", "p"),
	":protocol without a target":   {":method", "CONNECT", ":authority", "a", ":protocol", "p"},
	"empty :protocol":              {":method", "CONNECT", ":scheme", "https", ":authority", "a", ":path", "/", ":protocol", ""},
	"invalid Content-Length":       get("/", "content-length", "+1"),
	"empty Content-Length":         get("/", "content-length", ""),
	"contradicting Content-Length": get("/", "content-length", "1", "content-length", "2"),
}

func TestMalformedRequests(t *testing.T) {
	for name, kv := range malformedRequests {
		t.Run(name, func(t *testing.T) {
			_, err := requestOf(true, kv...)
			requireMalformed(t, err)
		})
	}
}

func TestRequestHead(t *testing.T) {
	h, err := requestOf(false, get("/p?q", "host", "localhost", "te", "trailers", "cookie", "a=1", "accept", "x", "cookie", "b=2",
		"accept", "y", "cookie", "c=3", "trailer", "X-Sum, content-length", "content-length", "5", "content-length", "5")...)
	require.NoError(t, err)
	require.Equal(t, requestHead{
		method: "GET", scheme: "https", authority: "localhost", path: "/p?q", contentLength: 5,
		trailer: http.Header{"X-Sum": nil},
		// "If a decompressed field section contains multiple cookie field lines, these MUST be concatenated into a single byte
		// string using the two-byte delimiter of "; " (ASCII 0x3b, 0x20) before being passed into a context other than HTTP/2 or
		// HTTP/3, such as an HTTP/1.1 connection, or a generic HTTP server application."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.2.1-2
		header: http.Header{"Te": {"trailers"}, "Cookie": {"a=1; b=2; c=3"}, "Accept": {"x", "y"},
			"Content-Length": {"5", "5"}},
	}, h)
	u, uri, err := h.target()
	require.NoError(t, err)
	require.Equal(t, "/p?q", uri)
	require.Equal(t, "q", u.RawQuery)

	h, err = requestOf(false, ":method", "GET", ":scheme", "https", ":path", "/", "host", "a:1")
	require.NoError(t, err)
	require.Equal(t, "a:1", h.authority)
	h, err = requestOf(false, ":method", "OPTIONS", ":scheme", "https", ":authority", "a", ":path", "*")
	require.NoError(t, err)
	require.Equal(t, "*", h.path)
	h, err = requestOf(false, ":method", "CONNECT", ":authority", "a:443")
	require.NoError(t, err)
	_, uri, err = h.target()
	require.NoError(t, err)
	require.Equal(t, "a:443", uri)
	_, err = requestOf(false, ":method", "CONNECT", ":authority", "[::1]:65535")
	require.NoError(t, err)
	_, err = requestOf(true, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "a", ":path", "/")
	require.NoError(t, err)
	_, err = requestOf(false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "a", ":path", "/")
	requireMalformed(t, err)
}

// "The size of a field list is calculated based on the uncompressed size of fields, including the length of the name and value in
// bytes plus an overhead of 32 bytes for each field."
// https://www.rfc-editor.org/rfc/rfc9114#section-4.2.2-1
func TestSectionLimit(t *testing.T) {
	s := newSection(requestHeader, 2*(3+5+32))
	f := qpack.Field{Name: "abc", Value: "12345"}
	require.NoError(t, s.add(f))
	require.NoError(t, s.add(f))
	require.ErrorIs(t, s.add(qpack.Field{}), errHeaderTooLarge)
}

func TestResponseHead(t *testing.T) {
	for name, tc := range map[string]struct {
		kv []string
		ok bool
	}{
		"ok": {[]string{":status", "200", "x", "y"}, true},
		// "This pseudo-header field MUST be included in all responses; otherwise, the response is malformed"
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.3.2-1
		"no :status": {[]string{"x", "y"}, false},
		"two":        {[]string{":status", "200", ":status", "200"}, false},
		"invalid":    {[]string{":status", "2x0"}, false},
		"too short":  {[]string{":status", "20"}, false},
		"too low":    {[]string{":status", "099"}, false},
		"101":        {[]string{":status", "101"}, false},
		// "Pseudo-header fields defined for requests MUST NOT appear in responses; pseudo-header fields defined for responses MUST
		// NOT appear in requests."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.3-3
		"pseudo-header field of requests": {[]string{":status", "200", ":path", "/"}, false},
		"TE":                              {[]string{":status", "200", "te", "trailers"}, false},
		"Connection":                      {[]string{":status", "200", "connection", "close"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := sectionOf(responseHeader, tc.kv...)
			var h responseHead
			if err == nil {
				h, err = s.response()
			}
			if !tc.ok {
				requireMalformed(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, responseHead{status: 200, header: http.Header{"X": {"y"}}, contentLength: -1}, h)
		})
	}
}

// "Pseudo-header fields MUST NOT appear in trailer sections."
// https://www.rfc-editor.org/rfc/rfc9114#section-4.3-3
func TestTrailerSection(t *testing.T) {
	for _, name := range []string{":path", ":status", "te", "connection", "X"} {
		_, err := sectionOf(trailers, name, "trailers")
		requireMalformed(t, err)
	}
	s, err := sectionOf(trailers, "x-sum", "1", "content-length", "x", "host", "h")
	require.NoError(t, err)
	var merged http.Header
	mergeTrailers(&merged, s)
	require.Equal(t, http.Header{"X-Sum": {"1"}}, merged)
}

// Whatever the fields, parsing does not panic, and an accepted request has what handlers rely on.
func FuzzRequestHead(f *testing.F) {
	f.Add(strings.Join(get("/p", "cookie", "a", "cookie", "b"), "\x01"))
	for _, kv := range malformedRequests {
		f.Add(strings.Join(kv, "\x01"))
	}
	f.Fuzz(func(t *testing.T, joined string) {
		kv := strings.Split(joined, "\x01")
		h, err := requestOf(true, kv[:len(kv)/2*2]...)
		if err != nil {
			return
		}
		require.NotEmpty(t, h.authority)
		require.NotEmpty(t, h.method)
		require.NotNil(t, h.header)
		for name := range h.header {
			require.NotEqual(t, "Host", name)
			require.Equal(t, http.CanonicalHeaderKey(name), name)
		}
		if u, _, err := h.target(); err == nil {
			require.NotNil(t, u)
		}
	})
}
