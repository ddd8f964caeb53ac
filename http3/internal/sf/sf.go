// Package sf parses dictionaries of structured fields (RFC 8941, 4.2.2), as far as HTTP/3 needs them: values are integers and
// booleans, and others are only checked.
package sf

import "strings"

// A Kind is the kind of a Value.
type Kind uint8

const (
	Other Kind = iota // a value that is valid, but neither of the following
	Integer
	Boolean
)

// A Value is the value of a member of a dictionary, without its parameters. Int is 0 or 1 for a Boolean.
type Value struct {
	Kind Kind
	Int  int64
}

// Dictionary parses a dictionary and calls member for each of its members, in order, as soon as it is parsed. A key can occur
// several times; the last one counts. It reports whether the whole text is a dictionary.
func Dictionary(s string, member func(key string, v Value)) bool {
	p := parser{s: s}
	for p.skip(" "); p.s != ""; {
		key, ok := p.key()
		if !ok {
			return false
		}
		v := Value{Boolean, 1}
		if p.take('=') {
			if v, ok = p.itemOrList(); !ok {
				return false
			}
		}
		if !p.parameters() {
			return false
		}
		member(key, v)
		if p.skip(" \t"); p.s == "" {
			return true
		}
		if !p.take(',') {
			return false
		}
		if p.skip(" \t"); p.s == "" {
			return false // a comma at the end
		}
	}
	return true
}

// A parser has the text that is left.
type parser struct{ s string }

// take consumes a byte if it is next.
func (p *parser) take(c byte) bool {
	if p.s == "" || p.s[0] != c {
		return false
	}
	p.s = p.s[1:]
	return true
}

// skip consumes bytes of a set.
func (p *parser) skip(set string) { p.s = strings.TrimLeft(p.s, set) }

// while consumes the bytes for which f is true.
func (p *parser) while(f func(byte) bool) string {
	n := 0
	for n < len(p.s) && f(p.s[n]) {
		n++
	}
	taken := p.s[:n]
	p.s = p.s[n:]
	return taken
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isAlpha(c byte) bool { return isLower(c | 0x20) }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// key consumes a key.
func (p *parser) key() (string, bool) {
	if p.s == "" || !isLower(p.s[0]) && p.s[0] != '*' {
		return "", false
	}
	return p.while(func(c byte) bool { return isLower(c) || isDigit(c) || c == '_' || c == '-' || c == '.' || c == '*' }), true
}

// parameters consumes parameters.
func (p *parser) parameters() bool {
	for p.take(';') {
		p.skip(" ")
		if _, ok := p.key(); !ok {
			return false
		}
		if p.take('=') {
			if _, ok := p.item(); !ok {
				return false
			}
		}
	}
	return true
}

// itemOrList consumes an item or an inner list, without the parameters that follow it.
func (p *parser) itemOrList() (Value, bool) {
	if !p.take('(') {
		return p.item()
	}
	for {
		p.skip(" ")
		if p.take(')') {
			return Value{}, true
		}
		if _, ok := p.item(); !ok || !p.parameters() {
			return Value{}, false
		}
		if p.s == "" || p.s[0] != ' ' && p.s[0] != ')' {
			return Value{}, false
		}
	}
}

// item consumes a bare item.
func (p *parser) item() (Value, bool) {
	if p.s == "" {
		return Value{}, false
	}
	switch c := p.s[0]; {
	case c == '-' || isDigit(c):
		return p.number()
	case c == '"':
		return Value{}, p.quoted()
	case c == '*' || isAlpha(c):
		p.while(func(c byte) bool { return isTokenByte(c) || c == ':' || c == '/' })
		return Value{}, true
	case c == ':':
		p.s = p.s[1:]
		p.while(func(c byte) bool { return isAlpha(c) || isDigit(c) || c == '+' || c == '/' || c == '=' })
		return Value{}, p.take(':')
	case c == '?' && len(p.s) > 1 && (p.s[1] == '0' || p.s[1] == '1'):
		v := Value{Boolean, int64(p.s[1] - '0')}
		p.s = p.s[2:]
		return v, true
	}
	return Value{}, false
}

// number consumes an integer or a decimal.
func (p *parser) number() (Value, bool) {
	isNegative := p.take('-')
	digits := p.while(isDigit)
	if digits == "" || len(digits) > 15 {
		return Value{}, false
	}
	if p.take('.') {
		fraction := p.while(isDigit)
		return Value{}, len(digits) <= 12 && fraction != "" && len(fraction) <= 3
	}
	v := Value{Kind: Integer}
	for i := range len(digits) {
		v.Int = v.Int*10 + int64(digits[i]-'0')
	}
	if isNegative {
		v.Int = -v.Int
	}
	return v, true
}

// quoted consumes a string in quotation marks.
func (p *parser) quoted() bool {
	for i := 1; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c == '"':
			p.s = p.s[i+1:]
			return true
		case c == '\\':
			if i++; i == len(p.s) || p.s[i] != '"' && p.s[i] != '\\' {
				return false
			}
		case c < 0x20 || c > 0x7e:
			return false
		}
	}
	return false
}

func isTokenByte(c byte) bool {
	if isAlpha(c) || isDigit(c) {
		return true
	}
	switch c {
	case '!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~':
		return true
	}
	return false
}
