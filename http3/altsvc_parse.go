package http3

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// An alternative is an alternative service for HTTP/3 (RFC 7838).
type alternative struct {
	addr     string // "host:port"; an empty host means that of the origin
	expires  time.Time
	persists bool // it may be used after a change of the network
}

const (
	// maxAlternatives is the number of alternatives that are kept for an origin.
	maxAlternatives = 4
	// defaultMaxAge is the freshness lifetime without the parameter ma.
	//
	// "When an alternative service is advertised using Alt-Svc, it is considered fresh for 24 hours from generation of the message."
	// https://www.rfc-editor.org/rfc/rfc7838#section-3.1
	defaultMaxAge = 24 * time.Hour
	// longestMaxAge bounds ma.
	longestMaxAge = 365 * 24 * time.Hour
)

// parseAltSvc parses the fields Alt-Svc of a header. isClear reports whether the origin has withdrawn its alternatives. What cannot
// be parsed ends the list. isPresent is false without the field.
func parseAltSvc(h http.Header, now time.Time) (alts []alternative, isClear, isPresent bool) {
	lines := h["Alt-Svc"]
	if len(lines) == 0 {
		return nil, false, false
	}
	if age, err := strconv.ParseUint(h.Get("Age"), 10, 31); err == nil {
		now = now.Add(-time.Duration(age) * time.Second)
	}
	p := altParser{strings.Join(lines, ",")}
	for !p.isEmpty() {
		id, ok := p.token()
		if !ok {
			return alts, false, true
		}
		if id == "clear" && !p.take('=') {
			// "A field value containing the special value "clear" indicates that the origin requests all alternatives for that
			// origin to be invalidated (including those specified in the same response, in case of an invalid reply containing both
			// "clear" and alternative services)."
			// https://www.rfc-editor.org/rfc/rfc7838#section-3
			return nil, true, true
		}
		a, ok := p.alternative(id == "clear", now)
		if !ok {
			return alts, false, true
		}
		if id == NextProto && a.addr != "" && len(alts) < maxAlternatives {
			alts = append(alts, a)
		}
	}
	return alts, false, true
}

// An altParser has what is left of a list of alternative services.
type altParser struct{ s string }

// isEmpty skips what is between the elements of a list, and reports whether nothing is left.
func (p *altParser) isEmpty() bool {
	p.s = strings.TrimLeft(p.s, ", \t")
	return p.s == ""
}

func (p *altParser) take(c byte) bool {
	p.s = strings.TrimLeft(p.s, " \t")
	if p.s == "" || p.s[0] != c {
		return false
	}
	p.s = p.s[1:]
	return true
}

// token consumes a token.
func (p *altParser) token() (string, bool) {
	p.s = strings.TrimLeft(p.s, " \t")
	n := strings.IndexAny(p.s, "=;, \t\"")
	if n < 0 {
		n = len(p.s)
	}
	t := p.s[:n]
	p.s = p.s[n:]
	return t, n > 0
}

// value consumes a token or a quoted string.
func (p *altParser) value() (string, bool) {
	if !p.take('"') {
		return p.token()
	}
	var b strings.Builder
	for i := 0; i < len(p.s); i++ {
		switch c := p.s[i]; c {
		case '"':
			p.s = p.s[i+1:]
			return b.String(), true
		case '\\':
			if i++; i == len(p.s) {
				return "", false
			}
			b.WriteByte(p.s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// alternative consumes the authority and the parameters of an alternative service. hasEqual is set if "=" was consumed.
func (p *altParser) alternative(hasEqual bool, now time.Time) (a alternative, ok bool) {
	if !hasEqual && !p.take('=') {
		return a, false
	}
	authority, ok := p.value()
	if !ok {
		return a, false
	}
	maxAge := defaultMaxAge
	for p.take(';') {
		name, ok := p.token()
		if !ok || !p.take('=') {
			return a, false
		}
		v, ok := p.value()
		if !ok {
			return a, false
		}
		switch strings.ToLower(name) {
		case "ma":
			if n, err := strconv.ParseUint(v, 10, 62); err == nil {
				maxAge = time.Duration(min(n, uint64(longestMaxAge/time.Second))) * time.Second
			}
		case "persist":
			// "This specification only defines a single value for "persist". Clients MUST ignore "persist" parameters with values
			// other than "1"."
			// https://www.rfc-editor.org/rfc/rfc7838#section-3.1
			a.persists = v == "1"
		}
	}
	if host, port, err := net.SplitHostPort(authority); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 {
			a.addr = net.JoinHostPort(host, port)
		}
	}
	a.expires = now.Add(maxAge)
	return a, true
}
