package eventlog

import (
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"strconv"
	"time"
)

// An encoder appends JSON to b. Keys and the values of str are ASCII without quotes and backslashes.
type encoder struct{ b []byte }

func (e *encoder) comma() {
	if n := len(e.b); n > 0 && e.b[n-1] != '{' && e.b[n-1] != '[' {
		e.b = append(e.b, ',')
	}
}

func (e *encoder) key(k string) {
	e.comma()
	e.b = append(e.b, '"')
	e.b = append(e.b, k...)
	e.b = append(e.b, `":`...)
}

// begin starts an object or an array, which end ends.
func (e *encoder) begin(k string, bracket byte) {
	e.key(k)
	e.b = append(e.b, bracket)
}

// item starts an object or an array in an array.
func (e *encoder) item(bracket byte) {
	e.comma()
	e.b = append(e.b, bracket)
}

func (e *encoder) end(bracket byte) { e.b = append(e.b, bracket) }

func (e *encoder) str(k, v string) {
	e.key(k)
	e.b = append(append(append(e.b, '"'), v...), '"')
}

// text writes a string of any bytes. Those that are not UTF-8 are replaced.
func (e *encoder) text(k, v string) {
	e.key(k)
	e.quote(v)
}

// quote writes a string of any bytes that has no key.
func (e *encoder) quote(v string) {
	quoted, err := json.Marshal(v)
	if err != nil {
		panic("BUG: a string that cannot be marshaled: " + err.Error())
	}
	e.b = append(e.b, quoted...)
}

// maxSafe is the largest integer that all JSON parsers read exactly.
const maxSafe = 1<<53 - 1

func (e *encoder) uint(k string, v uint64) {
	e.key(k)
	e.number(v)
}

// number appends an integer: as a string, which the drafts allow, if a number would lose digits.
func (e *encoder) number(v uint64) {
	if v > maxSafe {
		e.b = append(strconv.AppendUint(append(e.b, '"'), v, 10), '"')
		return
	}
	e.b = strconv.AppendUint(e.b, v, 10)
}

func (e *encoder) bool(k string, v bool) {
	e.key(k)
	e.b = strconv.AppendBool(e.b, v)
}

// ms writes a duration in milliseconds.
func (e *encoder) ms(k string, d time.Duration) {
	e.key(k)
	e.b = strconv.AppendFloat(e.b, float64(d)/float64(time.Millisecond), 'f', -1, 64)
}

func (e *encoder) hex(k string, v []byte) {
	e.key(k)
	e.b = append(hex.AppendEncode(append(e.b, '"'), v), '"')
}

// raw writes the RawInfo of something with a length.
func (e *encoder) raw(length int) {
	e.begin("raw", '{')
	e.uint("length", uint64(length))
	e.end('}')
}

// addr writes the address fields of a TupleEndpointInfo or PreferredAddress.
func (e *encoder) addr(a netip.AddrPort) {
	switch ip := a.Addr().WithZone(""); {
	case !ip.IsValid():
	case ip.Is4():
		e.str("ip_v4", ip.String())
		e.uint("port_v4", uint64(a.Port()))
	default:
		e.str("ip_v6", ip.String())
		e.uint("port_v6", uint64(a.Port()))
	}
}
