package inspect

import (
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"
)

// Kinds of long header packets.
const (
	packetInitial = iota
	packetZeroRTT
	packetHandshake
	packetRetry
	packetVersionNegotiation
)

// A longHeader is a packet with a long header, of version 1 or 2.
type longHeader struct {
	kind     int
	version  uint32
	dst, src []byte
	pnOffset int    // of the packet number, from the packet's first byte
	packet   []byte // the whole packet, cut to its Length
	body     []byte // of Retry: token and tag; of Version Negotiation: versions
}

// maxConnID is the longest connection ID of the supported versions.
const maxConnID = 20

// parseLong parses the long header packet at the front of b. rest follows it in the datagram.
func parseLong(b []byte) (h longHeader, rest []byte, ok bool) {
	if len(b) < 7 || b[0]&0x80 == 0 {
		return h, nil, false
	}
	s := cryptobyte.String(b[1:])
	var dst, src cryptobyte.String
	if !s.ReadUint32(&h.version) || !s.ReadUint8LengthPrefixed(&dst) || !s.ReadUint8LengthPrefixed(&src) {
		return h, nil, false
	}
	h.dst, h.src = dst, src
	h.packet = b
	if h.version == 0 {
		h.kind, h.body = packetVersionNegotiation, s
		return h, nil, true
	}
	if h.version != quicV1 && h.version != quicV2 || b[0]&0x40 == 0 ||
		len(dst) > maxConnID || len(src) > maxConnID {
		return h, nil, false
	}
	h.kind = int(b[0] >> 4 & 3)
	if h.version == quicV2 {
		// "Initial: 0b01 [...] 0-RTT: 0b10 [...] Handshake: 0b11 [...] Retry: 0b00"
		// https://www.rfc-editor.org/rfc/rfc9369#section-3.2-2
		h.kind = (h.kind + 3) & 3
	}
	if h.kind == packetRetry {
		h.body = s
		return h, nil, len(s) > 16
	}
	if h.kind == packetInitial {
		token, ok := readVarint(&s)
		if !ok || token > uint64(len(s)) || !s.Skip(int(token)) {
			return h, nil, false
		}
	}
	length, ok := readVarint(&s)
	if !ok || length > uint64(len(s)) {
		return h, nil, false
	}
	h.pnOffset = len(b) - len(s)
	end := h.pnOffset + int(length)
	h.packet = b[:end:end]
	return h, b[end:], true
}

// versions reads the list of a Version Negotiation packet.
func (h *longHeader) versions() (out []string) {
	for b := h.body; len(b) >= 4 && len(out) < maxListed; b = b[4:] {
		out = append(out, quicVersionName(binary.BigEndian.Uint32(b)))
	}
	return out
}

// readVarint reads a variable-length integer (RFC 9000, 16).
func readVarint(s *cryptobyte.String) (uint64, bool) {
	var first uint8
	if !s.ReadUint8(&first) {
		return 0, false
	}
	v := uint64(first & 0x3f)
	for range 1<<(first>>6) - 1 {
		var b uint8
		if !s.ReadUint8(&b) {
			return 0, false
		}
		v = v<<8 | uint64(b)
	}
	return v, true
}

// Types of the frames that are permitted in Initial and Handshake packets (RFC 9000, 12.4).
const (
	framePadding         = 0x00
	framePing            = 0x01
	frameACK             = 0x02
	frameACKECN          = 0x03
	frameCrypto          = 0x06
	frameConnectionClose = 0x1c
)

// A closeFrame is the content of a CONNECTION_CLOSE frame.
type closeFrame struct {
	code   uint64
	reason string
}

// walkFrames calls crypto for each CRYPTO frame. It stops at a frame that is not permitted here.
func walkFrames(payload []byte, crypto func(off uint64, data []byte) error) (closed *closeFrame, ok bool) {
	s := cryptobyte.String(payload)
	for !s.Empty() {
		kind, ok := readVarint(&s)
		if !ok {
			return closed, false
		}
		switch kind {
		case framePadding, framePing:
		case frameACK, frameACKECN:
			ok = skipACK(&s, kind == frameACKECN)
		case frameCrypto:
			var data []byte
			off, ok1 := readVarint(&s)
			n, ok2 := readVarint(&s)
			ok = ok1 && ok2 && n <= uint64(len(s)) && s.ReadBytes(&data, int(n)) && crypto(off, data) == nil
		case frameConnectionClose:
			closed = &closeFrame{}
			var reason []byte
			code, ok1 := readVarint(&s)
			_, ok2 := readVarint(&s)
			n, ok3 := readVarint(&s)
			ok = ok1 && ok2 && ok3 && n <= uint64(len(s)) && s.ReadBytes(&reason, int(n))
			closed.code, closed.reason = code, string(reason[:min(len(reason), maxReason)])
		default:
			ok = false
		}
		if !ok {
			return closed, false
		}
	}
	return closed, true
}

// CryptoFrames calls f for each CRYPTO frame of the decrypted payload of an Initial or Handshake packet. It stops at a
// frame that is not permitted there or cannot be parsed.
func CryptoFrames(payload []byte, f func(off uint64, data []byte)) {
	walkFrames(payload, func(off uint64, data []byte) error {
		f(off, data)
		return nil
	})
}

const maxReason = 200

func skipACK(s *cryptobyte.String, ecn bool) bool {
	var n uint64
	for i := range 4 {
		v, ok := readVarint(s)
		if !ok {
			return false
		}
		if i == 2 {
			n = v
		}
	}
	if n > uint64(len(*s)) {
		return false
	}
	n *= 2
	if ecn {
		n += 3
	}
	for range n {
		if _, ok := readVarint(s); !ok {
			return false
		}
	}
	return true
}
