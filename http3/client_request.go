package http3

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/pqquic/pqquic/http3/internal/frame"
)

// Methods of requests that may be sent as early data (0-RTT), as GET and HEAD, if there is a session that permits it. Others can
// record early data and send them to the server again.
const (
	MethodGet0RTT  = "GET_0RTT"
	MethodHead0RTT = "HEAD_0RTT"
)

// checkRequest checks what can be checked before there is a connection, as http.Transport does. isEarly reports whether the request may
// be sent as early data.
func checkRequest(req *http.Request) (isEarly bool, err error) {
	if req.URL == nil {
		return false, errors.New("http3: the request has no URL")
	}
	if req.Header == nil {
		return false, errors.New("http3: the request has no Header")
	}
	// "Prior to making requests for an origin whose scheme is not 'https', the client MUST ensure the server is willing to serve
	// that scheme."
	// https://www.rfc-editor.org/rfc/rfc9114#section-3.1.2-2
	if req.URL.Scheme != "https" {
		return false, fmt.Errorf("http3: the scheme of the URL is %q: HTTP/3 needs https", req.URL.Scheme)
	}
	if req.URL.Host == "" {
		return false, errors.New("http3: the URL has no host")
	}
	if req.Method != "" && !httpguts.ValidHeaderFieldName(req.Method) {
		return false, fmt.Errorf("http3: invalid method %q", req.Method)
	}
	if err := checkFields(req.Header, "header"); err != nil {
		return false, err
	}
	if err := checkFields(req.Trailer, "trailer"); err != nil {
		return false, err
	}
	for key := range req.Trailer {
		if !httpguts.ValidTrailerHeader(http.CanonicalHeaderKey(key)) {
			return false, fmt.Errorf("http3: a trailer field must not be %q", key)
		}
	}
	isEarly = req.Method == MethodGet0RTT || req.Method == MethodHead0RTT
	if isEarly && !isBodyless(req) {
		return false, fmt.Errorf("http3: a request with method %s must not have a body", req.Method)
	}
	return isEarly, checkConnectionFields(req.Header)
}

// checkFields checks the names and values of fields.
func checkFields(h http.Header, what string) error {
	for key, values := range h {
		if !httpguts.ValidHeaderFieldName(key) && key != protocolKey {
			return fmt.Errorf("http3: invalid %s field name %q", what, key)
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) { // which is not in the error, because it may be secret
				return fmt.Errorf("http3: invalid %s field value for %q", what, key)
			}
		}
	}
	return nil
}

// protocolKey is the key of the pseudo-header field :protocol in Request.Header, as net/http has it for Extended CONNECT.
const protocolKey = ":protocol"

// checkConnectionFields refuses fields that ask for something that HTTP/3 does not have. Others of HTTP/1 are left out.
func checkConnectionFields(h http.Header) error {
	if v := h.Get("Upgrade"); v != "" {
		return fmt.Errorf("http3: field Upgrade is %q, but HTTP/3 has no upgrades", v)
	}
	if v := h["Transfer-Encoding"]; len(v) > 0 && (len(v) > 1 || v[0] != "" && v[0] != "chunked") {
		return fmt.Errorf("http3: invalid field Transfer-Encoding %q", v)
	}
	if v := h["Connection"]; len(v) > 0 && (len(v) > 1 || v[0] != "" && !strings.EqualFold(v[0], "close") &&
		!strings.EqualFold(v[0], "keep-alive")) {
		return fmt.Errorf("http3: invalid field Connection %q", v)
	}
	return nil
}

// closesConn reports whether the connection must not be used for further requests.
func closesConn(req *http.Request) bool {
	return req.Close || httpguts.HeaderValuesContainsToken(req.Header["Connection"], "close")
}

func isBodyless(req *http.Request) bool { return req.Body == nil || req.Body == http.NoBody }

// bodyLength returns the length of the body, or -1 if it is not known.
func bodyLength(req *http.Request) int64 {
	switch {
	case isBodyless(req):
		return 0
	case req.ContentLength != 0:
		return req.ContentLength
	}
	return -1
}

// method returns the method as it is sent.
func method(req *http.Request) string {
	switch req.Method {
	case "", MethodGet0RTT:
		return http.MethodGet
	case MethodHead0RTT:
		return http.MethodHead
	}
	return req.Method
}

// addRequest adds the header section of the request to l. gzip adds Accept-Encoding.
func addRequest(l *fieldList, req *http.Request, gzip bool) error {
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	host, err := punycode(host)
	if err != nil {
		return err
	}
	if !httpguts.ValidHostHeader(host) {
		return fmt.Errorf("http3: invalid host %q", host)
	}
	protocol := ""
	if p := req.Header[protocolKey]; len(p) > 0 {
		protocol = p[0]
	}
	m := method(req)
	l.add(":method", m)
	if m != http.MethodConnect || protocol != "" {
		path, err := pathOf(req.URL, host)
		if err != nil {
			return err
		}
		l.add(":scheme", "https")
		l.add(":authority", host)
		l.add(":path", path)
	} else {
		// "The :scheme and :path pseudo-header fields are omitted"
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.4-5
		//
		// "There is no default port; a client MUST send the port number even if the CONNECT request is based on a URI reference
		// that contains an authority component with an elided port"
		// https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6-2
		target := url.URL{Host: host}
		if target.Port() == "" {
			host = net.JoinHostPort(target.Hostname(), "443")
		}
		l.add(":authority", host)
	}
	if protocol != "" {
		l.add(":protocol", protocol)
	}
	addRequestFields(l, req, m, gzip)
	return nil
}

// pathOf returns the value of :path.
func pathOf(u *url.URL, host string) (string, error) {
	path := u.RequestURI()
	if u.Opaque != "" {
		path = strings.TrimPrefix(path, u.Scheme+"://"+host)
	}
	if path == "*" || strings.HasPrefix(path, "/") {
		return path, nil
	}
	return "", fmt.Errorf("http3: invalid path %q in the URL", path)
}

// userAgent is sent if the request has no field User-Agent.
const userAgent = "pqquic-http3/1.0"

// addRequestFields adds the fields of a request that are no pseudo-header fields.
func addRequestFields(l *fieldList, req *http.Request, m string, gzip bool) {
	hasAgent := false
	for key, values := range req.Header {
		switch key {
		case "Host", "Content-Length", "Trailer", protocolKey:
			continue // they come from the fields of the Request
		case "User-Agent":
			hasAgent = true
			if len(values) == 0 || values[0] == "" {
				continue // which means none
			}
			values = values[:1]
		case "Te":
			if !slices.Contains(values, "trailers") {
				continue
			}
			values = []string{"trailers"}
		case "Cookie":
			addCookies(l, values)
			continue
		}
		if !isConnectionSpecific(key) {
			l.addValues(key, values)
		}
	}
	if len(req.Trailer) > 0 {
		l.add("trailer", strings.Join(trailerNames(req.Trailer), ","))
	}
	switch n := bodyLength(req); {
	case n > 0, n == 0 && (m == http.MethodPost || m == http.MethodPut || m == http.MethodPatch):
		l.add("content-length", strconv.FormatInt(n, 10))
	}
	if gzip {
		l.add("accept-encoding", "gzip")
	}
	if !hasAgent {
		l.add("user-agent", userAgent)
	}
}

func trailerNames(h http.Header) []string {
	names := make([]string, 0, len(h))
	for key := range h {
		names = append(names, http.CanonicalHeaderKey(key))
	}
	slices.Sort(names)
	return names
}

// addCookies adds the cookies one by one.
//
// "To allow for better compression efficiency, the Cookie header field ([COOKIES]) MAY be split into separate field lines, each with
// one or more cookie-pairs, before compression."
// https://www.rfc-editor.org/rfc/rfc9114#section-4.2.1-2
func addCookies(l *fieldList, values []string) {
	for _, v := range values {
		for pair := range strings.SplitSeq(v, ";") {
			if pair = strings.Trim(pair, " "); pair != "" {
				l.add("cookie", pair)
			}
		}
	}
}

// asksForGzip reports whether the Transport adds Accept-Encoding. The conditions are those of http.Transport.
func (t *Transport) asksForGzip(req *http.Request) bool {
	return !t.DisableCompression && req.Header.Get("Accept-Encoding") == "" && req.Header.Get("Range") == "" &&
		method(req) != http.MethodHead && method(req) != http.MethodConnect
}

// size returns the size of the section as SETTINGS_MAX_FIELD_SECTION_SIZE counts it.
func (l *fieldList) size() (n uint64) {
	for i := range l.fields {
		n += uint64(len(l.fields[i].Name) + len(l.fields[i].Value) + 32)
	}
	return n
}

// checkSize compares the section with what the server accepts.
//
// "An implementation that has received this parameter SHOULD NOT send an HTTP message header that exceeds the indicated size"
// https://www.rfc-editor.org/rfc/rfc9114#section-4.2.2-2
//
// "Once a server has provided new settings, clients MUST comply with those values."
// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.2-6
func (l *fieldList) checkSize(s *frame.List) error {
	if n := l.size(); n > s.MaxFieldSectionSize {
		return fmt.Errorf("http3: the header section has %d bytes, but the server accepts only %d", n, s.MaxFieldSectionSize)
	}
	return nil
}

// nopClosers are what io.NopCloser returns.
var nopClosers = [2]reflect.Type{
	reflect.TypeOf(io.NopCloser(nil)),
	reflect.TypeOf(io.NopCloser(struct {
		io.Reader
		io.WriterTo
	}{})),
}

// isInMemory reports whether reads of a body never wait, because it is one of those that http.NewRequest knows.
func isInMemory(body io.ReadCloser) bool {
	var r io.Reader = body
	if t := reflect.TypeOf(body); t == nopClosers[0] || t == nopClosers[1] {
		r, _ = reflect.ValueOf(body).Field(0).Interface().(io.Reader)
	}
	return isMemoryReader(r)
}
