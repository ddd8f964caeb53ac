package wire

import "encoding/hex"

// MaxConnIDLen is the maximum length of a connection ID in QUIC versions 1 and 2.
const MaxConnIDLen = 20

// ConnID is a connection ID. It is comparable and has no pointers, so it can be a map key. The zero value
// is the empty connection ID.
type ConnID struct {
	n uint8
	b [MaxConnIDLen]byte
}

// MakeConnID returns the connection ID with the bytes b. It returns false if b is too long.
func MakeConnID(b []byte) (ConnID, bool) {
	var id ConnID
	if len(b) > MaxConnIDLen {
		return id, false
	}
	id.n = uint8(copy(id.b[:], b))
	return id, true
}

// Bytes returns the ID's bytes, which lie in id. It does not allocate.
func (id *ConnID) Bytes() []byte { return id.b[:id.n] }

// Len returns the length in bytes.
func (id ConnID) Len() int { return int(id.n) }

// Is reports whether the ID has the bytes b. It is faster than a comparison with an ID that is made of them.
func (id *ConnID) Is(b []byte) bool { return string(id.b[:id.n]) == string(b) }

// AppendTo appends the bytes.
func (id ConnID) AppendTo(b []byte) []byte { return append(b, id.b[:id.n]...) }

// String returns the ID in hexadecimal.
func (id ConnID) String() string { return hex.EncodeToString(id.b[:id.n]) }
