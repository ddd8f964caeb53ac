package http3

import (
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// A requestHead is the header section of a request, checked.
type requestHead struct {
	method, scheme, authority, path, protocol string
	header                                    http.Header
	trailer                                   http.Header // the names that the field Trailer announces
	contentLength                             int64       // -1 if there is none
}

// isConnect reports whether the request is a CONNECT without a protocol, which has neither scheme nor path.
func (h *requestHead) isConnect() bool { return h.method == http.MethodConnect && h.protocol == "" }

// request returns the request of a complete header section. extended reports whether Extended CONNECT is permitted.
func (s *section) request(extended bool) (h requestHead, err error) {
	s.finish()
	h = requestHead{method: s.method, scheme: s.scheme, authority: s.authority, path: s.path, protocol: s.protocol,
		header: s.header, contentLength: s.contentLength}
	if !httpguts.ValidHeaderFieldName(s.method) { // a method is a token, as a field name is
		return h, malformed("pseudo-header field :method is %q", s.method)
	}
	switch {
	case s.seen&pseudoProtocol != 0:
		err = s.checkExtended(extended)
	case s.method == http.MethodConnect:
		// "The :scheme and :path pseudo-header fields are omitted [...] A CONNECT request that does not conform to these
		// restrictions is malformed."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.4-5
		if s.seen != pseudoMethod|pseudoAuthority || s.authority == "" {
			err = malformed("a CONNECT request must have :method and :authority only")
		} else if !isHostPort(s.authority) {
			// "A server MUST reject a CONNECT request that targets an empty or invalid port number"
			// https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6-4
			err = malformed("a CONNECT request has :authority %q, which is not a host with a port", s.authority)
		}
	default:
		err = s.checkTarget()
	}
	if err != nil {
		return h, err
	}
	if h.authority, err = s.checkAuthority(); err != nil {
		return h, err
	}
	h.trailer, err = s.announcedTrailers()
	return h, err
}

// checkExtended checks a request with :protocol.
func (s *section) checkExtended(extended bool) error {
	switch {
	case s.method != http.MethodConnect || s.protocol == "":
		return malformed("pseudo-header field :protocol is %q in a request with method %s", s.protocol, s.method)
	case !extended:
		return malformed("pseudo-header field :protocol, but SETTINGS_ENABLE_CONNECT_PROTOCOL was not sent")
	}
	// "On requests that contain the :protocol pseudo-header field, the :scheme and :path pseudo-header fields of the target URI
	// [...] MUST also be included."
	// https://www.rfc-editor.org/rfc/rfc8441#section-4
	return s.checkTarget()
}

// checkTarget checks :scheme and :path.
func (s *section) checkTarget() error {
	// "All HTTP/3 requests MUST include exactly one value for the :method, :scheme, and :path pseudo-header fields, unless the
	// request is a CONNECT request"
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.3.1-3
	if need := pseudoScheme | pseudoPath; s.seen&need != need {
		return malformed("a request without :scheme or :path")
	}
	if !validScheme(s.scheme) {
		return malformed("pseudo-header field :scheme is %q", s.scheme)
	}
	// "This pseudo-header field MUST NOT be empty for "http" or "https" URIs; "http" or "https" URIs that do not contain a path
	// component MUST include a value of / (ASCII 0x2f). An OPTIONS request that does not include a path component includes the
	// value * (ASCII 0x2a) for the :path pseudo-header field"
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.3.1-2.8.2
	//
	// "Contains the path and query parts of the target URI (the "path-absolute" production and optionally a ? character (ASCII
	// 0x3f) followed by the "query" production": neither can have a space, which would end the target in a request line of
	// HTTP/1.1, or a fragment.
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.3.1-2.8.1
	if !strings.HasPrefix(s.path, "/") && !(s.path == "*" && s.method == http.MethodOptions) || strings.ContainsAny(s.path, " #") {
		return malformed("pseudo-header field :path is %q", s.path)
	}
	return nil
}

// checkAuthority checks :authority and Host, and returns their value.
func (s *section) checkAuthority() (string, error) {
	authority, has := s.authority, s.seen&pseudoAuthority != 0
	// "If these fields are present, they MUST NOT be empty. If both fields are present, they MUST contain the same value."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.3.1-4
	switch {
	case has && s.hasHost && authority != s.host:
		return "", malformed("pseudo-header field :authority is %q, but field Host is %q", authority, s.host)
	case !has:
		authority = s.host
	}
	if authority == "" {
		// "If the :scheme pseudo-header field identifies a scheme that has a mandatory authority component (including "http" and
		// "https"), the request MUST contain either an :authority pseudo-header field or a Host header field."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.3.1-4
		return "", malformed("a request without an authority: it needs :authority or Host")
	}
	// "The authority MUST NOT include the deprecated userinfo subcomponent for URIs of scheme 'http' or 'https'."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.3.1-2.6.1
	if strings.Contains(authority, "@") || !httpguts.ValidHostHeader(authority) {
		return "", malformed("the authority is %q", authority)
	}
	return authority, nil
}

// isHostPort reports whether s is a host, a colon and a port number.
func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	n, portErr := strconv.ParseUint(port, 10, 16)
	return err == nil && portErr == nil && host != "" && n > 0
}

func validScheme(s string) bool {
	if s == "https" || s == "http" {
		return true
	}
	for i := range len(s) {
		c := s[i] | 0x20
		isLetter := 'a' <= c && c <= 'z'
		if !isLetter && (i == 0 || !strings.ContainsRune("0123456789+-.", rune(s[i]))) {
			return false
		}
	}
	return s != ""
}

// target returns the URL and the RequestURI of a request, in the form that net/http's servers use.
func (h *requestHead) target() (*url.URL, string, error) {
	if h.isConnect() {
		return &url.URL{Host: h.authority}, h.authority, nil
	}
	u, err := url.ParseRequestURI(h.path)
	if err != nil {
		return nil, "", malformed("pseudo-header field :path is %q", h.path)
	}
	return u, h.path, nil
}

// announcedTrailers returns the names in the field Trailer, as keys without values, and removes the field, as net/http does. Each
// name counts as a field of the section, because it takes as much memory as one.
func (s *section) announcedTrailers() (t http.Header, err error) {
	lines := s.header["Trailer"]
	if lines == nil {
		return nil, nil
	}
	delete(s.header, "Trailer")
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			name = textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name))
			if !httpguts.ValidTrailerHeader(name) {
				continue // Trailer, Content-Length and the like, which net/http ignores too
			}
			if s.left -= len(name) + 32; s.left < 0 {
				return nil, errHeaderTooLarge
			}
			if t == nil {
				t = make(http.Header)
			}
			t[name] = nil
		}
	}
	return t, nil
}

// A responseHead is the header section of a response, checked.
type responseHead struct {
	status        int
	header        http.Header
	trailer       http.Header
	contentLength int64 // -1 if there is none
}

// response returns the response of a complete header section.
func (s *section) response() (h responseHead, err error) {
	s.finish()
	h = responseHead{header: s.header, contentLength: s.contentLength}
	// "This pseudo-header field MUST be included in all responses; otherwise, the response is malformed"
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.3.2-1
	if h.status, err = strconv.Atoi(s.status); err != nil || len(s.status) != 3 || h.status < 100 {
		return h, malformed("pseudo-header field :status is %q", s.status)
	}
	// "HTTP/3 does not support the HTTP Upgrade mechanism (Section 7.8 of [HTTP]) or the 101 (Switching Protocols) informational
	// status code"
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.5-1
	if h.status == http.StatusSwitchingProtocols {
		return h, malformed("status 101, which HTTP/3 does not have")
	}
	h.trailer, err = s.announcedTrailers()
	return h, err
}

// mergeTrailers adds the fields of a trailer section to those that were announced. Fields that must not be in trailers are
// ignored.
func mergeTrailers(into *http.Header, s *section) {
	for name, values := range s.header {
		if httpguts.ValidTrailerHeader(name) {
			if *into == nil {
				*into = make(http.Header)
			}
			(*into)[name] = values
		}
	}
}
