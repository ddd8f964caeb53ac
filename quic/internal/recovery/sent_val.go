package recovery

import "github.com/pqquic/pqquic/quic/internal/wire"

// SentVal is the delivery state of one piece of control information: a frame such as HANDSHAKE_DONE, or the
// newest value of a frame such as MAX_DATA. It does not contain the information.
//
//	unset     there is nothing to be said
//	unsent    there is, and it has to be sent, for the first time or again
//	sent      it is on its way, last in packet pn
//	received  the peer has acknowledged it
//
// For example, the connection's window grows (Set: unsent), MAX_DATA is sent in packet 7 (SetSent), which
// is lost (AckOrLoss: unsent), and again in packet 9, which is acknowledged (received). If the window had
// grown again and been sent in packet 8, the loss or acknowledgement of packet 7 would have had no effect:
// only the fate of the latest packet counts.
//
// The two high bits hold the state and the others the packet number, which has at most 62 bits.
type SentVal uint64

const (
	sentValUnset SentVal = iota << 62
	sentValUnsent
	sentValSent
	sentValReceived

	sentValState SentVal = 3 << 62
)

// IsSet reports whether there is information, sent or not.
func (s SentVal) IsSet() bool { return s != sentValUnset }

// IsSent reports whether the information was sent and is neither acknowledged nor lost.
func (s SentVal) IsSent() bool { return s&sentValState == sentValSent }

// IsReceived reports whether the peer has received the information.
func (s SentVal) IsReceived() bool { return s == sentValReceived }

// ShouldSend reports whether the packet being built should contain the information. Unsent information is
// always sent. Information that was sent but not acknowledged is only sent in a probe (RFC 9002, section
// 6.2.4).
func (s SentVal) ShouldSend(probe bool) bool {
	return s == sentValUnsent || probe && s.IsSent()
}

// Set records that there is new information to send. It replaces what was sent before.
func (s *SentVal) Set() { *s = sentValUnsent }

// SetUnsent causes the information to be sent again, whatever its state. It has no effect if there is none.
func (s *SentVal) SetUnsent() {
	if *s != sentValUnset {
		*s = sentValUnsent
	}
}

// SetSent records that packet pn contains the information.
func (s *SentVal) SetSent(pn wire.PacketNumber) { *s = sentValSent | SentVal(pn) }

// SetReceived records that the peer has received the information.
func (s *SentVal) SetReceived() { *s = sentValReceived }

// Clear records that there is no information to send any more.
func (s *SentVal) Clear() { *s = sentValUnset }

// AckOrLoss handles the fate of packet pn, which contained the information.
func (s *SentVal) AckOrLoss(pn wire.PacketNumber, fate Fate) {
	if *s != sentValSent|SentVal(pn) {
		return
	}
	if fate == Acked {
		*s = sentValReceived
	} else {
		*s = sentValUnsent
	}
}
