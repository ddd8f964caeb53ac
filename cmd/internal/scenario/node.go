package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// maxDepth bounds the nesting of operations. A generator's files are three levels deep.
const maxDepth = 64

// maxMillis is the longest time in milliseconds that a time.Duration can hold.
const maxMillis = uint64(1<<63-1) / uint64(time.Millisecond)

// node is a JSON value with its position.
type node struct {
	up   *node
	name string // in an object; empty in a list
	at   int    // in a list
	raw  json.RawMessage
}

func (n *node) String() string {
	if n.up == nil {
		return n.name
	}
	above := n.up.String()
	switch {
	case n.name == "":
		return fmt.Sprintf("%s[%d]", above, n.at)
	case above == "":
		return n.name
	}
	return above + "." + n.name
}

// invalid is the panic that ends the parser; Parse returns its error.
type invalid struct{ err error }

func (n *node) fail(format string, args ...any) {
	where := n.String()
	if where == "" {
		where = "the file"
	}
	panic(invalid{fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...))})
}

// object is a node with its members.
type object struct {
	*node
	members map[string]json.RawMessage
}

func (n *node) object() object {
	o := object{node: n}
	if err := json.Unmarshal(n.raw, &o.members); err != nil || o.members == nil {
		n.fail("not an object")
	}
	return o
}

func (n *node) list() []*node {
	var raw []json.RawMessage
	if err := json.Unmarshal(n.raw, &raw); err != nil || raw == nil {
		n.fail("not a list")
	}
	out := make([]*node, len(raw))
	for i := range raw {
		out[i] = &node{up: n, at: i, raw: raw[i]}
	}
	return out
}

func (n *node) uint() uint64 {
	v, err := strconv.ParseUint(string(n.raw), 10, 64)
	if err != nil {
		n.fail("%s is not an integer from 0 to 2^64-1", short(n.raw))
	}
	return v
}

func (n *node) millis() time.Duration {
	v := n.uint()
	if v > maxMillis {
		n.fail("%d ms is too long", v)
	}
	return time.Duration(v) * time.Millisecond
}

func (n *node) str() string {
	var s *string
	if err := json.Unmarshal(n.raw, &s); err != nil || s == nil {
		n.fail("%s is not a string", short(n.raw))
	}
	return *s
}

func (n *node) strings() map[string]string {
	var m map[string]string
	if err := json.Unmarshal(n.raw, &m); err != nil {
		n.fail("not an object of strings")
	}
	return m
}

// optional returns the member with this name, or nil.
func (o object) optional(name string) *node {
	raw, ok := o.members[name]
	if !ok {
		return nil
	}
	return &node{up: o.node, name: name, raw: raw}
}

// member returns the member with this name and fails if there is none.
func (o object) member(name string) *node {
	n := o.optional(name)
	if n == nil {
		o.fail("%q is missing", name)
	}
	return n
}

// optionalString returns the member with this name, or "".
func (o object) optionalString(name string) string {
	if n := o.optional(name); n != nil {
		return n.str()
	}
	return ""
}

func (o object) optionalList(name string) []*node {
	if n := o.optional(name); n != nil {
		return n.list()
	}
	return nil
}

func (o object) configuration() map[string]string {
	if n := o.optional("configuration"); n != nil {
		return n.strings()
	}
	return nil
}

func short(raw []byte) string {
	if len(raw) > 40 {
		return string(bytes.ToValidUTF8(raw[:40], nil)) + "…"
	}
	return string(raw)
}
