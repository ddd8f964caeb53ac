package quic

import "fmt"

// Version is a QUIC version.
type Version uint32

const (
	// Version1 is QUIC version 1 (RFC 9000).
	Version1 Version = 1
	// Version2 is QUIC version 2 (RFC 9369), which differs from version 1 in constants only.
	Version2 Version = 0x6b3343cf
)

func (v Version) String() string {
	switch v {
	case Version1:
		return "v1"
	case Version2:
		return "v2"
	}
	return fmt.Sprintf("0x%08x", uint32(v))
}

// StreamID is the number of a stream in its connection (RFC 9000, 2.1).
type StreamID uint64

// Client reports whether the client opened the stream.
func (id StreamID) Client() bool { return id&1 == 0 }

// Unidirectional reports whether only the side that opened the stream sends on it.
func (id StreamID) Unidirectional() bool { return id&2 != 0 }
