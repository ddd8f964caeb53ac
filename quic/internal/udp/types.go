package udp

import "net/netip"

// A Path is a pair of addresses, both without an IPv4-mapped form.
type Path struct {
	// Local is the zero value where the socket does not tell. For Write, an unspecified or
	// invalid address leaves the choice to the system.
	Local netip.AddrPort
	// Remote is the peer.
	Remote netip.AddrPort
}

// ECN is the codepoint in the IP header (RFC 3168).
type ECN uint8

// A Train is a run of datagrams of one path, as one read returned them.
type Train struct {
	// Slab is the caller's buffer, at least SlabSize bytes long. Read writes into it and never
	// keeps it.
	Slab []byte

	// Data is the part of Slab that was filled: datagrams of SegmentSize bytes one after
	// another, of which the last may be shorter.
	Data        []byte
	SegmentSize int
	Path        Path
	ECN         ECN
}

// A Transmit is a run of datagrams to be sent: Data cut into pieces of SegmentSize bytes, of which the
// last may be shorter, all with the same addresses and codepoint.
type Transmit struct {
	Data        []byte
	SegmentSize int
	Path        Path
	ECN         ECN
}

// next is the first datagram.
func (t *Transmit) next() []byte {
	if t.SegmentSize > 0 && t.SegmentSize < len(t.Data) {
		return t.Data[:t.SegmentSize]
	}
	return t.Data
}

// advance drops the first datagram.
func (t *Transmit) advance() { t.Data = t.Data[len(t.next()):] }
