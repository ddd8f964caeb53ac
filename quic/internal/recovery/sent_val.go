package recovery

import "github.com/pqquic/pqquic/quic/internal/wire"

// SentVal is where the delivery of one piece of control information stands: a frame such as
// HANDSHAKE_DONE, or the newest value of one such as MAX_DATA. It does not hold the information.
//
//	unset     there is nothing to be said
//	unsent    there is, and it has to be sent, for the first time or again
//	sent      it is on its way, last in packet pn
//	received  the peer has acknowledged it
//
// An example: the connection's window grows (Set: unsent), MAX_DATA goes out in packet 7 (SetSent),
// which is lost (AckOrLoss: unsent), then in packet 9, which is acknowledged (received). Had the
// window grown again and gone out in packet 8, the loss of packet 7 would have meant nothing, and
// its acknowledgement no more: only the fate of the latest packet counts.
//
// The state is in the two high bits, the packet number in the others: a packet number has 62.
type SentVal uint64

const (
	sentValUnset SentVal = iota << 62
	sentValUnsent
	sentValSent
	sentValReceived

	sentValState SentVal = 3 << 62
)

// IsSet reports whether there is information, in whatever state.
func (s SentVal) IsSet() bool { return s != sentValUnset }

// IsSent reports whether it is on its way.
func (s SentVal) IsSent() bool { return s&sentValState == sentValSent }

// IsReceived reports whether the peer has it.
func (s SentVal) IsReceived() bool { return s == sentValReceived }

// ShouldSend reports whether it goes into the packet being built: always when unsent; when sent and
// not acknowledged, only if the packet is a probe (RFC 9002, 6.2.4).
func (s SentVal) ShouldSend(probe bool) bool {
	return s == sentValUnsent || probe && s.IsSent()
}

// Set says that there is information to be sent; what was sent before is out of date.
func (s *SentVal) Set() { *s = sentValUnsent }

// SetUnsent has it sent again, whatever became of it; it stays unset if there is none.
func (s *SentVal) SetUnsent() {
	if *s != sentValUnset {
		*s = sentValUnsent
	}
}

// SetSent says that packet pn carries it.
func (s *SentVal) SetSent(pn wire.PacketNumber) { *s = sentValSent | SentVal(pn) }

// SetReceived says that the peer has it.
func (s *SentVal) SetReceived() { *s = sentValReceived }

// Clear says that there is no longer anything to be said.
func (s *SentVal) Clear() { *s = sentValUnset }

// AckOrLoss handles the fate of packet pn, which carried the information.
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
