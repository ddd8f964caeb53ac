package http3

import (
	"strings"

	"github.com/pqquic/pqquic/http3/internal/sf"
)

// A Priority is the priority of a response (RFC 9218): the server sends responses of a lower Urgency first, and those with
// Incremental side by side.
type Priority struct {
	Urgency     int // from 0, the most urgent, to 7
	Incremental bool
}

// defaultPriority is the priority of a request without parameters.
//
// "When receiving an HTTP request that does not carry these priority parameters, a server SHOULD act as if their default values
// were specified."
// https://www.rfc-editor.org/rfc/rfc9218#section-4-5
var defaultPriority = Priority{Urgency: 3}

// parse parses the value of a field Priority, or of a PRIORITY_UPDATE frame. Parameters that are absent keep their value
// in p. It reports whether the value could be parsed; if not, p is unchanged.
func (p *Priority) parse(value string) bool {
	q := *p
	ok := sf.Dictionary(value, func(key string, v sf.Value) {
		// "unknown priority parameters, priority parameters with out-of-range values, or values of unexpected types MUST be
		// ignored."
		// https://www.rfc-editor.org/rfc/rfc9218#section-4-7
		switch {
		case key == "u" && v.Kind == sf.Integer && v.Int >= 0 && v.Int <= 7:
			q.Urgency = int(v.Int)
		case key == "i" && v.Kind == sf.Boolean:
			q.Incremental = v.Int == 1
		}
	})
	if ok {
		*p = q
	}
	return ok
}

// parseLines is parse for the lines of a field.
func (p *Priority) parseLines(lines []string) bool {
	if len(lines) == 1 {
		return p.parse(lines[0])
	}
	return p.parse(strings.Join(lines, ", "))
}

// String returns the priority as the field Priority has it.
func (p Priority) String() string {
	s := "u=" + string(rune('0'+min(max(p.Urgency, 0), 7)))
	if p.Incremental {
		s += ", i"
	}
	return s
}
