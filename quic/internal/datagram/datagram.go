// Package datagram defines the types that the socket layer and the transport core exchange: runs of
// datagrams with their addresses and ECN codepoint. It is separate so that neither side has to import the
// other and nothing has to be converted between them.
package datagram

import "net/netip"

// A Path is a pair of addresses. IPv4 addresses are never in IPv4-mapped form.
type Path struct {
	// Local is the local address, or the zero value if the socket does not report it. For sending, the
	// system chooses if it is unspecified or invalid.
	Local netip.AddrPort
	// Remote is the peer's address.
	Remote netip.AddrPort
}

// ECN is the ECN codepoint in the two low bits of the IP header's traffic class (RFC 3168).
type ECN uint8

const (
	NotECT ECN = 0b00
	ECT1   ECN = 0b01
	ECT0   ECN = 0b10
	CE     ECN = 0b11
)

// A Train is a run of datagrams that arrived on one path, as returned by one read with segmentation
// offload. Every datagram is SegmentSize bytes long except the last, which may be shorter.
type Train struct {
	// Slab is the buffer that the socket layer reads into. Only the socket layer, which owns it, uses it.
	Slab []byte

	// Data holds the datagrams, one after another.
	Data        []byte
	SegmentSize int
	Path        Path
	ECN         ECN
}

// Next removes the first datagram from the train and returns it. It returns nil if the train is empty.
func (t *Train) Next() []byte {
	n := first(len(t.Data), t.SegmentSize)
	d := t.Data[:n:n]
	t.Data = t.Data[n:]
	return d
}

// A Transmit is a run of datagrams to send: Data is cut into pieces of SegmentSize bytes, the last of which
// may be shorter. All have the same addresses and codepoint.
type Transmit struct {
	Data        []byte
	SegmentSize int
	Path        Path
	ECN         ECN
}

// First returns the first datagram.
func (t *Transmit) First() []byte { return t.Data[:first(len(t.Data), t.SegmentSize)] }

// Advance removes the first datagram.
func (t *Transmit) Advance() { t.Data = t.Data[first(len(t.Data), t.SegmentSize):] }

// Segments returns the number of datagrams.
func (t *Transmit) Segments() int { return segments(len(t.Data), t.SegmentSize) }

// Segments returns the number of datagrams.
func (t *Train) Segments() int { return segments(len(t.Data), t.SegmentSize) }

// first returns the length of the first of the datagrams that make up n bytes.
func first(n, segment int) int {
	if segment > 0 && segment < n {
		return segment
	}
	return n
}

func segments(n, segment int) int {
	switch {
	case n == 0:
		return 0
	case segment <= 0:
		return 1
	}
	return (n + segment - 1) / segment
}
