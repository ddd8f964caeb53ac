package wire

import "github.com/pqquic/pqquic/internal/varint"

// Frame types (RFC 9000, 19; RFC 9221 for DATAGRAM; draft-ietf-quic-reliable-stream-reset for RESET_STREAM_AT;
// draft-ietf-quic-ack-frequency for ACK_FREQUENCY and IMMEDIATE_ACK).
const (
	FramePadding            uint64 = 0x00
	FramePing               uint64 = 0x01
	FrameAck                uint64 = 0x02
	FrameAckECN             uint64 = 0x03
	FrameResetStream        uint64 = 0x04
	FrameStopSending        uint64 = 0x05
	FrameCrypto             uint64 = 0x06
	FrameNewToken           uint64 = 0x07
	FrameStream             uint64 = 0x08 // to 0x0f
	FrameStreamMax          uint64 = 0x0f
	FrameMaxData            uint64 = 0x10
	FrameMaxStreamData      uint64 = 0x11
	FrameMaxStreamsBidi     uint64 = 0x12
	FrameMaxStreamsUni      uint64 = 0x13
	FrameDataBlocked        uint64 = 0x14
	FrameStreamDataBlocked  uint64 = 0x15
	FrameStreamsBlockedBidi uint64 = 0x16
	FrameStreamsBlockedUni  uint64 = 0x17
	FrameNewConnectionID    uint64 = 0x18
	FrameRetireConnectionID uint64 = 0x19
	FramePathChallenge      uint64 = 0x1a
	FramePathResponse       uint64 = 0x1b
	FrameConnectionClose    uint64 = 0x1c
	FrameConnectionCloseApp uint64 = 0x1d
	FrameHandshakeDone      uint64 = 0x1e
	FrameImmediateAck       uint64 = 0x1f
	FrameResetStreamAt      uint64 = 0x24
	FrameDatagram           uint64 = 0x30 // extends to the end of the packet
	FrameDatagramLen        uint64 = 0x31
	FrameAckFrequency       uint64 = 0xaf // two bytes
)

// ConsumeFrameType reads a frame type. n is -1 if it is truncated or not in the shortest encoding.
//
// "To ensure simple and efficient implementations of frame parsing, a frame type MUST use the
// shortest possible encoding."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.4-18
func ConsumeFrameType(b []byte) (t uint64, n int) {
	t, n = varint.Consume(b)
	if n > 0 && n != varint.Size(t) {
		return 0, -1
	}
	return t, n
}

// The packet types that may contain a frame, as bits.
const (
	inInitial   = 1 << PacketInitial
	in0RTT      = 1 << Packet0RTT
	inHandshake = 1 << PacketHandshake
	in1RTT      = 1 << Packet1RTT

	inAll        = inInitial | in0RTT | inHandshake | in1RTT
	inAllBut0RTT = inInitial | inHandshake | in1RTT
	inAppSpace   = in0RTT | in1RTT
)

// frameInfo contains RFC 9000, table 3, and the frames of extensions, indexed by frame type. Types without a name are
// unknown.
var frameInfo = [...]struct {
	name string
	pkts uint8
}{
	0x00: {"PADDING", inAll}, 0x01: {"PING", inAll},
	0x02: {"ACK", inAllBut0RTT}, 0x03: {"ACK", inAllBut0RTT},
	0x04: {"RESET_STREAM", inAppSpace}, 0x05: {"STOP_SENDING", inAppSpace},
	0x06: {"CRYPTO", inAllBut0RTT}, 0x07: {"NEW_TOKEN", in1RTT},
	0x08: {"STREAM", inAppSpace}, 0x09: {"STREAM", inAppSpace}, 0x0a: {"STREAM", inAppSpace},
	0x0b: {"STREAM", inAppSpace}, 0x0c: {"STREAM", inAppSpace}, 0x0d: {"STREAM", inAppSpace},
	0x0e: {"STREAM", inAppSpace}, 0x0f: {"STREAM", inAppSpace},
	0x10: {"MAX_DATA", inAppSpace}, 0x11: {"MAX_STREAM_DATA", inAppSpace},
	0x12: {"MAX_STREAMS", inAppSpace}, 0x13: {"MAX_STREAMS", inAppSpace},
	0x14: {"DATA_BLOCKED", inAppSpace}, 0x15: {"STREAM_DATA_BLOCKED", inAppSpace},
	0x16: {"STREAMS_BLOCKED", inAppSpace}, 0x17: {"STREAMS_BLOCKED", inAppSpace},
	0x18: {"NEW_CONNECTION_ID", inAppSpace}, 0x19: {"RETIRE_CONNECTION_ID", inAppSpace},
	0x1a: {"PATH_CHALLENGE", inAppSpace}, 0x1b: {"PATH_RESPONSE", in1RTT},
	0x1c: {"CONNECTION_CLOSE", inAll}, 0x1d: {"CONNECTION_CLOSE", inAppSpace},
	0x1e: {"HANDSHAKE_DONE", in1RTT},
	0x1f: {"IMMEDIATE_ACK", in1RTT}, 0x24: {"RESET_STREAM_AT", inAppSpace},
	0x30: {"DATAGRAM", inAppSpace}, 0x31: {"DATAGRAM", inAppSpace},
	0xaf: {"ACK_FREQUENCY", in1RTT},
}

// FrameKnown reports whether t is a frame type of RFC 9000 or of an extension that is implemented.
//
// "An endpoint MUST treat the receipt of a frame of unknown type as a connection error of type
// FRAME_ENCODING_ERROR."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.4-16
func FrameKnown(t uint64) bool { return t < uint64(len(frameInfo)) && frameInfo[t].pkts != 0 }

// FrameAllowed reports whether packets of type p may contain frames of type t.
//
// "An endpoint MUST treat receipt of a frame in a packet type that is not permitted as a connection
// error of type PROTOCOL_VIOLATION."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.4-12
// "A server MUST treat receipt of a CRYPTO frame in a 0-RTT packet as a connection error of type PROTOCOL_VIOLATION."
// https://www.rfc-editor.org/rfc/rfc9001#section-8.3-2
func FrameAllowed(t uint64, p PacketType) bool {
	return t < uint64(len(frameInfo)) && p <= Packet1RTT && frameInfo[t].pkts&(1<<p) != 0
}

// FrameName returns the name of a frame type in the RFC.
func FrameName(t uint64) string {
	if FrameKnown(t) {
		return frameInfo[t].name
	}
	return "unknown frame"
}

// AckEliciting reports whether a packet with a frame of type t must be acknowledged.
//
// "All frames other than ACK, PADDING, and CONNECTION_CLOSE are considered ack-eliciting."
// https://www.rfc-editor.org/rfc/rfc9002#section-2-3.2.1
// "Extension frames [...] MUST cause an ACK frame to be sent."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.21-4
func AckEliciting(t uint64) bool {
	switch t {
	case FramePadding, FrameAck, FrameAckECN, FrameConnectionClose, FrameConnectionCloseApp:
		return false
	}
	return true
}

// Probing reports whether a frame of type t may be sent to an address that is not validated.
//
// "PATH_CHALLENGE, PATH_RESPONSE, NEW_CONNECTION_ID, and PADDING frames are 'probing frames'".
// https://www.rfc-editor.org/rfc/rfc9000#section-9.1-2
func Probing(t uint64) bool {
	switch t {
	case FramePathChallenge, FramePathResponse, FrameNewConnectionID, FramePadding:
		return true
	}
	return false
}
