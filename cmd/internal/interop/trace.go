package interop

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/inspect"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A record is a datagram that an end has sent, or that has arrived from there.
type record struct {
	from     int
	at       time.Time
	arrived  bool
	src, dst netip.AddrPort
	ecn      byte
	length   int    // of the UDP payload
	packet   []byte // the IP packet; mostly nil for datagrams that begin with a 1-RTT packet
	long     []longPacket
	short    int          // bytes of a 1-RTT packet at the end
	opened   *shortPacket // this packet, if openShort was called
}

// A trace is what was sent and what has arrived, in this order.
type trace struct {
	whole   bool // keeps the datagrams that begin with a 1-RTT packet
	records []record
}

func (t *trace) add(from int, at time.Time, arrived bool, p *udpPacket) {
	r := record{from: from, at: at, arrived: arrived, src: p.src, dst: p.dst, ecn: p.ecn, length: len(p.payload())}
	switch long := r.length > 0 && p.payload()[0]&0x80 != 0; {
	case long:
		r.packet = slices.Clone(p.ip)
		r.long, r.short = splitDatagram(r.packet[len(r.packet)-r.length:])
	case t.whole && !arrived:
		r.short, r.packet = r.length, slices.Clone(p.ip)
	default:
		r.short = r.length
	}
	t.records = append(t.records, r)
}

// The types of packets with long headers, in version 1.
const (
	typeInitial = iota
	typeEarly
	typeHandshake
	typeRetry
	typeNegotiation
)

// version2 is the number of version 2 (RFC 9369).
const version2 = 0x6b3343cf

// A longPacket is what a packet with a long header shows without keys.
type longPacket struct {
	kind         int
	version      uint32
	dcid, scid   string
	token        string
	length       int // of the packet number and payload
	packet       []byte
	numberOffset int
}

// splitDatagram returns the packets of a datagram that begins with a long header, and the number of bytes of a 1-RTT
// packet that follows. It ends at what it cannot read, such as padding.
func splitDatagram(b []byte) (packets []longPacket, short int) {
	for len(b) > 0 {
		if b[0]&0x80 == 0 {
			if b[0]&0x40 != 0 {
				short = len(b)
			}
			return packets, short
		}
		p, n, ok := parseLong(b)
		if !ok {
			return packets, 0
		}
		packets, b = append(packets, p), b[n:]
	}
	return packets, 0
}

// parseLong parses the packet at the beginning of b and returns its size. Unlike package inspect it parses packets of every
// version, because a check reports those of an unknown one.
func parseLong(b []byte) (p longPacket, size int, ok bool) {
	r := reader{b: b, ok: true}
	first := r.take(1)
	version := r.take(4)
	if !r.ok {
		return p, 0, false
	}
	p.version = binary.BigEndian.Uint32(version)
	p.dcid = string(r.take(int(r.byte())))
	p.scid = string(r.take(int(r.byte())))
	p.kind = int(first[0] >> 4 & 3)
	switch {
	case p.version == 0:
		p.kind = typeNegotiation
		return p, len(b), r.ok
	case p.version == version2:
		p.kind = (p.kind + 3) % 4 // RFC 9369, section 3.2
	}
	if p.kind == typeRetry {
		if len(r.b) >= 16 {
			p.token = string(r.b[:len(r.b)-16])
		}
		return p, len(b), r.ok
	}
	if p.kind == typeInitial {
		p.token = string(r.take(int(r.varint())))
	}
	p.length = int(r.varint())
	p.numberOffset = len(b) - len(r.b)
	r.take(p.length)
	size = len(b) - len(r.b)
	p.packet = b[:size]
	return p, size, r.ok
}

// A reader reads fields. ok becomes false at the first that is cut off.
type reader struct {
	b  []byte
	ok bool
}

func (r *reader) take(n int) []byte {
	if !r.ok || n < 0 || n > len(r.b) {
		r.ok, r.b = false, nil
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); r.ok {
		return b[0]
	}
	return 0
}

func (r *reader) varint() uint64 {
	if len(r.b) == 0 {
		r.ok = false
		return 0
	}
	b := r.take(1 << (r.b[0] >> 6))
	if !r.ok {
		return 0
	}
	v := uint64(b[0] & 0x3f)
	for _, c := range b[1:] {
		v = v<<8 | uint64(c)
	}
	return v
}

// packets calls f for each packet with a long header that an end has sent.
func (t *trace) packets(from int, f func(*record, *longPacket)) {
	for i := range t.records {
		if r := &t.records[i]; r.from == from && !r.arrived {
			for j := range r.long {
				f(r, &r.long[j])
			}
		}
	}
}

// openInitial opens an Initial packet of the client whose keys come from its destination connection ID. It reports
// false for later ones, whose keys come from the first.
func openInitial(p tlsprovider.Provider, l *longPacket) (number uint64, payload []byte, ok bool) {
	packet := slices.Clone(l.packet)
	in, ok := p.OpenInitial(l.version, []byte(l.dcid), packet, l.numberOffset)
	if !ok {
		return 0, nil, false
	}
	return in.PacketNumber, packet[in.HeaderLen : in.HeaderLen+in.PayloadLen], true
}

// A span is a range of bytes of a CRYPTO stream.
type span struct{ start, end uint64 }

// cryptoSpans returns the CRYPTO frames of the payload of an Initial packet, up to a frame that cannot be parsed.
func cryptoSpans(payload []byte) (spans []span) {
	inspect.CryptoFrames(payload, func(off uint64, data []byte) {
		spans = append(spans, span{off, off + uint64(len(data))})
	})
	return spans
}
