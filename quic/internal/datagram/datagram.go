// Package datagram defines what the socket layer and the transport core exchange: runs of datagrams
// with their addresses and ECN codepoint. It has no behavior of its own, so that neither side has to
// import the other, and nothing is converted between them.
package datagram

import "net/netip"

// A Path is a pair of addresses. IPv4 addresses are never in the IPv4-mapped form.
type Path struct {
	// Local is the zero value if the socket does not report it. For sending, an unspecified or
	// invalid address leaves the choice to the system.
	Local netip.AddrPort
	// Remote is the peer's address.
	Remote netip.AddrPort
}

// ECN is the codepoint in the two low bits of the IP header's traffic class (RFC 3168).
type ECN uint8

const (
	NotECT ECN = 0b00
	ECT1   ECN = 0b01
	ECT0   ECN = 0b10
	CE     ECN = 0b11
)

// A Train is a run of datagrams that arrived on one path, as one read with segmentation offload
// returns them. Every datagram is SegmentSize bytes long except the last, which may be shorter.
type Train struct {
	// Slab is the buffer that the socket layer reads into. It belongs to the reader; only the
	// socket layer uses it.
	Slab []byte

	// Data is the datagrams, one after another.
	Data        []byte
	SegmentSize int
	Path        Path
	ECN         ECN
}

// Next removes the first datagram from the train and returns it, or nil if the train is empty.
func (t *Train) Next() []byte {
	n := first(len(t.Data), t.SegmentSize)
	d := t.Data[:n:n]
	t.Data = t.Data[n:]
	return d
}

// A Transmit is a run of datagrams to send: Data cut into pieces of SegmentSize bytes, of which the
// last may be shorter, all with the same addresses and codepoint.
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

// first returns the length of the first of the datagrams that share n bytes.
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
