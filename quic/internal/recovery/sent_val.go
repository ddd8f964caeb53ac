package recovery

import "github.com/pqquic/pqquic/quic/internal/wire"

// SentVal is the delivery state of one value that has to reach the peer, whichever packet carries it:
//
//	unset ──Set──▶ unsent ──SetSent──▶ sent ──Acked──▶ received
//	                 ▲                  │
//	                 └──────Lost────────┘
//
// Only the latest packet counts: an older one's loss changes nothing, while any acknowledgement of
// the latest, or Clear, ends it. The zero value is unset.
type SentVal struct {
	state uint8
	pn    wire.PacketNumber
}

const (
	valUnset uint8 = iota
	valUnsent
	valSent
	valReceived
)

// Set gives the value to be sent; a value that was sent before is out of date.
func (v *SentVal) Set() { v.state = valUnsent }

// SetUnsent makes a value go out again; one that was never set stays so.
func (v *SentVal) SetUnsent() {
	if v.state != valUnset {
		v.state = valUnsent
	}
}

// Clear forgets the value.
func (v *SentVal) Clear() { v.state = valUnset }

// SetSent records the packet that carries the value.
func (v *SentVal) SetSent(pn wire.PacketNumber) { v.state, v.pn = valSent, pn }

// AckOrLoss records the fate of a packet that carried the value.
func (v *SentVal) AckOrLoss(pn wire.PacketNumber, fate Fate) {
	if v.state != valSent || pn != v.pn {
		return
	}
	if fate == Acked {
		v.state = valReceived
	} else {
		v.state = valUnsent
	}
}

// ShouldSend reports whether the value belongs into the next packet; a probe repeats what is still
// on its way.
func (v *SentVal) ShouldSend(probe bool) bool {
	return v.state == valUnsent || probe && v.state == valSent
}

// IsSet reports whether there is a value, in whatever state.
func (v *SentVal) IsSet() bool { return v.state != valUnset }

// IsReceived reports whether the peer has acknowledged the value.
func (v *SentVal) IsReceived() bool { return v.state == valReceived }

// SetReceived records an acknowledgement of any packet that carried the value, where the value never
// changes.
func (v *SentVal) SetReceived() { v.state = valReceived }
