package http3

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"

	"github.com/pqquic/pqquic/internal/qpack"
)

// A sectionKind is the kind of a field section.
type sectionKind uint8

const (
	requestHeader sectionKind = iota
	responseHeader
	trailers
)

// Pseudo-header fields, as bits of a set.
type pseudo uint8

const (
	pseudoMethod pseudo = 1 << iota
	pseudoScheme
	pseudoAuthority
	pseudoPath
	pseudoProtocol
	pseudoStatus
)

// errHeaderTooLarge means that a field section exceeds the limit of this side.
var errHeaderTooLarge = errors.New("http3: the field section is larger than the limit")

// A section collects the fields of one field section and checks them one by one. It depends on nothing but the fields. It is pooled; the
// header is not.
type section struct {
	emit func(qpack.Field) error // add, as a value that is not allocated each time
	kind sectionKind
	left int // how many bytes the section may still have

	seen                                              pseudo
	method, scheme, authority, path, protocol, status string

	header        http.Header
	hasRegular    bool
	host          string
	hasHost       bool
	contentLength int64 // -1 if there is none
	values        []string
}

// malformed returns the error for a malformed message.
//
// "Malformed requests or responses that are detected MUST be treated as a stream error of type H3_MESSAGE_ERROR."
// https://www.rfc-editor.org/rfc/rfc9114#section-4.1.2-4
func malformed(format string, args ...any) error {
	return streamErrorf(ErrCodeMessageError, format, args...)
}

var sections = sync.Pool{New: func() any {
	s := new(section)
	s.emit = s.add
	return s
}}

// newSection returns a section of a kind, of at most limit bytes.
func newSection(kind sectionKind, limit int) *section {
	s := sections.Get().(*section)
	s.kind, s.left, s.contentLength = kind, limit, -1
	return s
}

// free returns the section to the pool.
func (s *section) free() {
	*s = section{emit: s.emit}
	sections.Put(s)
}

// add adds a field.
func (s *section) add(f qpack.Field) error {
	// "The size of a field list is calculated based on the uncompressed size of fields, including the length of the name and
	// value in bytes plus an overhead of 32 bytes for each field."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.2.2-1
	if s.left -= len(f.Name) + len(f.Value) + 32; s.left < 0 {
		return errHeaderTooLarge
	}
	// "Any request or response that contains a character not permitted in a field value MUST be treated as malformed."
	// https://www.rfc-editor.org/rfc/rfc9114#section-10.3-2
	if !httpguts.ValidHeaderFieldValue(f.Value) {
		return malformed("the value of field %q has a character that is not permitted", f.Name)
	}
	if strings.HasPrefix(f.Name, ":") {
		return s.addPseudo(f)
	}
	s.hasRegular = true
	name, ok := canonicalName(f.Name)
	if !ok {
		// "A request or response containing uppercase characters in field names MUST be treated as malformed."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.2-2
		//
		// "Requests or responses containing invalid field names MUST be treated as malformed."
		// https://www.rfc-editor.org/rfc/rfc9114#section-10.3-1
		return malformed("field name %q is not a token in lower case", f.Name)
	}
	return s.addRegular(name, f.Value)
}

// addPseudo adds a pseudo-header field.
func (s *section) addPseudo(f qpack.Field) error {
	// "All pseudo-header fields MUST appear in the header section before regular header fields. Any request or response that
	// contains a pseudo-header field that appears in a header section after a regular header field MUST be treated as
	// malformed."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.3-4
	if s.hasRegular {
		return malformed("pseudo-header field %s after another field", f.Name)
	}
	var bit pseudo
	var to *string
	switch {
	case s.kind == requestHeader && f.Name == ":method":
		bit, to = pseudoMethod, &s.method
	case s.kind == requestHeader && f.Name == ":scheme":
		bit, to = pseudoScheme, &s.scheme
	case s.kind == requestHeader && f.Name == ":authority":
		bit, to = pseudoAuthority, &s.authority
	case s.kind == requestHeader && f.Name == ":path":
		bit, to = pseudoPath, &s.path
	case s.kind == requestHeader && f.Name == ":protocol":
		bit, to = pseudoProtocol, &s.protocol
	case s.kind == responseHeader && f.Name == ":status":
		bit, to = pseudoStatus, &s.status
	default:
		// "Pseudo-header fields defined for requests MUST NOT appear in responses; pseudo-header fields defined for responses
		// MUST NOT appear in requests. Pseudo-header fields MUST NOT appear in trailer sections. Endpoints MUST treat a request
		// or response that contains undefined or invalid pseudo-header fields as malformed."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.3-3
		return malformed("pseudo-header field %q is not permitted here", f.Name)
	}
	if s.seen&bit != 0 {
		return malformed("pseudo-header field %s occurs twice", f.Name)
	}
	s.seen |= bit
	*to = f.Value
	return nil
}

// addRegular adds a field that is not a pseudo-header field.
func (s *section) addRegular(name, value string) error {
	// "any message containing connection-specific fields MUST be treated as malformed."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.2-3
	if isConnectionSpecific(name) {
		return malformed("field %s is connection-specific", name)
	}
	switch name {
	case "Te":
		// "The only exception to this is the TE header field, which MAY be present in an HTTP/3 request header; when it is, it
		// MUST NOT contain any value other than 'trailers'."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.2-4
		if s.kind != requestHeader || !strings.EqualFold(value, "trailers") {
			return malformed("field TE is %q, but only trailers is permitted in HTTP/3", value)
		}
	case "Content-Length":
		if s.kind != trailers {
			if err := s.setContentLength(value); err != nil {
				return err
			}
		}
	case "Host":
		if s.kind == requestHeader { // as in net/http, it becomes Request.Host
			if s.hasHost {
				return malformed("field Host occurs twice")
			}
			s.host, s.hasHost = value, true
			return nil
		}
	case "Cookie":
		// "If a decompressed field section contains multiple cookie field lines, these MUST be concatenated into a single byte
		// string using the two-byte delimiter of "; " (ASCII 0x3b, 0x20) before being passed into a context other than HTTP/2 or
		// HTTP/3, such as an HTTP/1.1 connection, or a generic HTTP server application."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.2.1-2
		if old := s.header["Cookie"]; len(old) > 0 {
			if len(old) == 1 && cap(old) == 1 {
				s.header["Cookie"] = append(make([]string, 0, 8), old[0], value)
			} else {
				s.header["Cookie"] = append(old, value)
			}
			return nil
		}
	}
	s.insert(name, value)
	return nil
}

// setContentLength parses a Content-Length field.
func (s *section) setContentLength(value string) error {
	n, err := strconv.ParseUint(value, 10, 63)
	if err != nil {
		return malformed("field Content-Length is %q", value)
	}
	if s.contentLength >= 0 && s.contentLength != int64(n) {
		return malformed("two fields Content-Length, %d and %d", s.contentLength, n)
	}
	s.contentLength = int64(n)
	return nil
}

// insert adds a field to the header. The slices of fields that occur once share an array; most responses have few fields, and browsers
// send many.
func (s *section) insert(name, value string) {
	if s.header == nil {
		s.header = make(http.Header, 8)
	}
	old, ok := s.header[name]
	if ok {
		s.header[name] = append(old, value)
		return
	}
	if len(s.values) == cap(s.values) {
		s.values = make([]string, 0, min(max(2*cap(s.values), 4), 16))
	}
	n := len(s.values)
	s.values = append(s.values, value)
	s.header[name] = s.values[n : n+1 : n+1]
}

// finish completes the header.
func (s *section) finish() {
	if c := s.header["Cookie"]; len(c) > 1 {
		s.header["Cookie"] = []string{strings.Join(c, "; ")}
	}
	if s.header == nil {
		s.header = make(http.Header)
	}
}

// canonicalName returns the canonical form of a field name that must be a token in lower case.
func canonicalName(name string) (string, bool) {
	if c, ok := commonNames[name]; ok {
		return c, true
	}
	if name == "" {
		return "", false
	}
	for i := range len(name) {
		if c := name[i]; !httpguts.IsTokenRune(rune(c)) || 'A' <= c && c <= 'Z' {
			return "", false
		}
	}
	return http.CanonicalHeaderKey(name), true
}

// lowerName returns a canonical field name in lower case, and whether it is a token.
func lowerName(name string) (string, bool) {
	if l, ok := lowerNames[name]; ok {
		return l, true
	}
	if !httpguts.ValidHeaderFieldName(name) {
		return "", false
	}
	return strings.ToLower(name), true
}

// commonNames are field names in lower case with their canonical forms, and lowerNames the reverse. A look-up is cheaper than
// the conversion, and allocates nothing.
var commonNames, lowerNames = func() (canonical, lower map[string]string) {
	canonical, lower = map[string]string{}, map[string]string{}
	for _, name := range strings.Fields(`accept accept-charset accept-encoding accept-language accept-ranges
		access-control-allow-credentials access-control-allow-headers access-control-allow-methods
		access-control-allow-origin access-control-expose-headers access-control-max-age access-control-request-headers
		access-control-request-method age allow alt-svc authorization cache-control connection content-disposition
		content-encoding content-language content-length content-location content-range content-security-policy
		content-type cookie date early-data etag expect expires forwarded from host if-match if-modified-since
		if-none-match if-range if-unmodified-since keep-alive last-modified link location max-forwards origin pragma
		priority proxy-authenticate proxy-authorization proxy-connection purpose range referer refresh retry-after
		sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user server
		set-cookie strict-transport-security te timing-allow-origin trailer transfer-encoding upgrade
		upgrade-insecure-requests user-agent vary via www-authenticate x-content-type-options x-forwarded-for
		x-forwarded-proto x-frame-options x-request-id x-xss-protection`) {
		c := http.CanonicalHeaderKey(name)
		canonical[name], lower[c] = c, name
	}
	return canonical, lower
}()
