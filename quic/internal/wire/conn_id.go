package wire

import "encoding/hex"

// MaxConnIDLen is the longest connection ID of QUIC versions 1 and 2.
const MaxConnIDLen = 20

// ConnID is a connection ID: a comparable value without pointers, good as a map's key. The zero value
// is the ID of length zero.
type ConnID struct {
	n uint8
	b [MaxConnIDLen]byte
}

// MakeConnID copies a connection ID; false if it is too long.
func MakeConnID(b []byte) (ConnID, bool) {
	var id ConnID
	if len(b) > MaxConnIDLen {
		return id, false
	}
	id.n = uint8(copy(id.b[:], b))
	return id, true
}

// Bytes returns the ID's bytes, which lie in id: nothing is allocated.
func (id *ConnID) Bytes() []byte { return id.b[:id.n] }

// Len is the length in bytes.
func (id ConnID) Len() int { return int(id.n) }

// AppendTo appends the bytes.
func (id ConnID) AppendTo(b []byte) []byte { return append(b, id.b[:id.n]...) }

// String is the ID in hexadecimal.
func (id ConnID) String() string { return hex.EncodeToString(id.b[:id.n]) }
