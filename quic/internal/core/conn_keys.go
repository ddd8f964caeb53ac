package core

import (
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// keyState is the state of the 1-RTT keys (RFC 9001, section 6). The Sealer is one phase ahead of the
// Opener between our own key update and the peer's response to it, and never further ahead.
type keyState struct {
	sealPhase, openPhase uint64
	firstSent            wire.PacketNumber // first packet sealed in sealPhase, or NoPacket
	firstOpened          wire.PacketNumber // first packet opened in openPhase; 0 in the first phase
	answered             bool              // that was acknowledged
	acked                bool              // one of sealPhase's packets was acknowledged
	sealed               uint64            // packets sealed in sealPhase
	limit                uint64            // how many packets may be sealed in one phase
	failed               uint64            // packets that failed to authenticate, in all phases
	integrityLimit       uint64
	dropPrevious         monotime.Time
}

// updateMargin is how many packets before the AEAD's limit a key update becomes urgent.
const updateMargin = 1 << 16

// mayUpdate reports whether we may start a key update.
//
// "An endpoint MUST NOT initiate a key update prior to having confirmed the handshake [...]. An
// endpoint MUST NOT initiate a subsequent key update unless it has received an acknowledgment for a
// packet that was sent protected with keys from the current key phase."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.1-5
func (c *Conn) mayUpdate() bool {
	k := &c.keys
	return c.tls.confirmed && k.sealPhase == k.openPhase && k.acked && k.dropPrevious.IsZero()
}

// maybeUpdateKeys starts a key update if enough packets have been sealed. It returns false if no more
// packets may be sealed.
//
// "An endpoint MUST initiate a key update (Section 6) prior to exceeding any limit set for the AEAD that is in use."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.3-9
// "Endpoints MUST initiate a key update before sending more protected packets than the confidentiality limit for the
// selected AEAD permits."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.6-4
func (c *Conn) maybeUpdateKeys() bool {
	k := &c.keys
	urgent := k.limit > 0 && k.sealed+updateMargin >= k.limit
	wanted := c.cfg.KeyUpdateAfter > 0 && k.sealed >= c.cfg.KeyUpdateAfter
	if (urgent || wanted) && c.mayUpdate() {
		c.updateSealer(KeyUpdateByLocal)
	}
	if k.spent() {
		// "If a key update is not possible [...] the endpoint MUST stop using the connection"
		// https://www.rfc-editor.org/rfc/rfc9001#section-6.6-4
		c.abortf(wire.AEADLimitReached, 0, "confidentiality limit reached")
	}
	return c.closing.state == stateOpen
}

// spent reports whether the AEAD may seal no more in this phase, except for the packet that closes the
// connection.
//
// "Endpoints MUST count the number of encrypted packets for each set of keys."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.6-4
// "If the total number of encrypted packets with the same key exceeds the confidentiality limit for the selected
// AEAD, the endpoint MUST stop using those keys."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.6-4
func (k *keyState) spent() bool { return k.limit > 0 && k.sealed+1 >= k.limit }

// UpdateKeys starts a key update and reports whether one was allowed. It has a PING sent, so that the peer learns of the
// update even if nothing else is sent. If the update must wait until a packet of this phase is acknowledged, the PING is
// that packet.
func (c *Conn) UpdateKeys() bool {
	if c.closing.state != stateOpen {
		return false
	}
	if !c.mayUpdate() {
		if c.tls.confirmed && !c.keys.acked && c.loss.Path().BytesInFlight() == 0 {
			c.idle.ping = true
		}
		return false
	}
	c.updateSealer(KeyUpdateByLocal)
	c.idle.ping = true
	return true
}

// updateSealer starts to send in the next key phase.
func (c *Conn) updateSealer(trigger string) {
	k := &c.keys
	if err := c.spaces[recovery.SpaceApp].seal.Update(); err != nil {
		c.abort(&CloseError{Code: uint64(wire.InternalError), Reason: "key update failed", Cause: err})
		return
	}
	k.sealPhase++
	k.sealed, k.acked, k.firstSent = 0, false, wire.NoPacket
	c.stats.KeyUpdates++
	c.traced(TraceEvent{Kind: TraceKeyUpdated, Space: recovery.SpaceApp, Local: true, Phase: k.sealPhase, Trigger: trigger})
}

// handleNextPhase handles the first packet that was opened with the keys of the next phase.
//
// "The endpoint MUST update its send keys to the corresponding key phase in response [...]. Sending
// keys MUST be updated before sending an acknowledgment for the packet that was received with updated
// keys."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.2-2
func (c *Conn) handleNextPhase(pn wire.PacketNumber) {
	k := &c.keys
	if k.openPhase > 0 && k.sealPhase == k.openPhase && !k.answered {
		// "If an endpoint detects a second update before it has sent any packets with updated
		// keys containing an acknowledgment for the packet that initiated the key update, it
		// indicates that its peer has updated keys twice without awaiting confirmation."
		// https://www.rfc-editor.org/rfc/rfc9001#section-6.2-3
		c.abortf(wire.KeyUpdateError, 0, "the peer updated keys twice without an acknowledgement")
		return
	}
	trigger := KeyUpdateByLocal
	if k.sealPhase == k.openPhase {
		c.updateSealer(KeyUpdateByRemote)
		trigger = KeyUpdateByRemote
	}
	if err := c.spaces[recovery.SpaceApp].open.Update(uint64(pn)); err != nil {
		c.abort(&CloseError{Code: uint64(wire.InternalError), Reason: "key update failed", Cause: err})
		return
	}
	k.openPhase++
	k.firstOpened, k.answered = pn, false
	// "An endpoint MUST retain old keys until it has successfully unprotected a packet sent using the new keys."
	// https://www.rfc-editor.org/rfc/rfc9001#section-6.1-8
	k.dropPrevious = c.now.Add(3 * c.loss.PTO())
	c.traced(TraceEvent{Kind: TraceKeyUpdated, Space: recovery.SpaceApp, Phase: k.openPhase, Trigger: trigger})
}

// sealedApp counts a packet that will be sealed in the current phase.
func (k *keyState) sealedApp(pn wire.PacketNumber) {
	if k.firstSent == wire.NoPacket {
		k.firstSent = pn
	}
	k.sealed++
}

// sentAck records that an ACK frame for packets up to largest is sent in a 1-RTT packet.
func (k *keyState) sentAck(largest wire.PacketNumber) {
	k.answered = k.answered || largest >= k.firstOpened
}

// phaseOf returns the key phase in which a packet with the given key phase bit was opened.
func (k *keyState) phaseOf(bit uint8) uint64 {
	if uint64(bit) == k.openPhase&1 {
		return k.openPhase
	}
	return k.openPhase - 1
}

// ackedTooEarly reports whether an acknowledgement in a packet of the given phase covers a packet that we
// sealed in a later phase.
//
// "An endpoint that receives an acknowledgment that is carried in a packet protected with old keys
// where any acknowledged packet was protected with newer keys MAY treat that as a connection error of
// type KEY_UPDATE_ERROR."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.2-4
func (k *keyState) ackedTooEarly(largest wire.PacketNumber, phase uint64) bool {
	return k.firstSent != wire.NoPacket && largest >= k.firstSent && phase < k.sealPhase
}

// ackedApp records that the 1-RTT packet pn was acknowledged.
func (k *keyState) ackedApp(pn wire.PacketNumber) {
	if k.firstSent != wire.NoPacket && pn >= k.firstSent {
		k.acked = true
	}
}

// failedOpen counts a packet that failed to authenticate and closes the connection if there were too many.
//
// "Similarly, a packet that appears to trigger a key update but cannot be unprotected successfully MUST be
// discarded."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.5-1
// "In addition to counting packets sent, endpoints MUST count the number of received packets that fail authentication
// during the lifetime of a connection."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.6-6
func (c *Conn) failedOpen() {
	c.drop(DropUndecryptable)
	c.keys.failed++
	if c.keys.integrityLimit > 0 && c.keys.failed >= c.keys.integrityLimit {
		// "If the total number of received packets that fail authentication [...] exceeds
		// the integrity limit [...], the endpoint MUST immediately close the connection"
		// https://www.rfc-editor.org/rfc/rfc9001#section-6.6-6
		c.abortf(wire.AEADLimitReached, 0, "integrity limit reached")
	}
}
