package core

import (
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// A driver that received an Incoming from Receive or NextPostponed makes a connection of it (NewServerConn,
// Add) or calls Refuse, Ignore or Postpone.

// Refuse refuses a client with a CONNECTION_CLOSE frame, which is repeated if the client keeps sending. The
// reason is cut to 256 bytes.
func (e *Endpoint) Refuse(now monotime.Time, in *Incoming, code uint64, reason string, reply []byte) (Transmit, bool) {
	e.clamp(now)
	e.decided(in)
	b, ok := e.refuse(in, wire.ErrorCode(code), reason, reply)
	if !ok {
		return Transmit{}, false
	}
	return e.reply(in.Path, b).Reply, true
}

// Ignore drops a client without an answer. If the client has received an acknowledgement, it cannot succeed
// any more, and its packets are ignored for a while. Any other client is treated as new when it repeats its
// ClientHello.
func (e *Endpoint) Ignore(now monotime.Time, in *Incoming) {
	e.clamp(now)
	e.decided(in)
	if in.Sent > 0 {
		e.keepRefused(in, nil)
	}
	in.closeKeys()
}

// Postpone keeps a client until there is room for its handshake: see NextPostponed. It returns false if too
// many clients wait or this one has waited too long. The caller then refuses the client.
func (e *Endpoint) Postpone(now monotime.Time, in *Incoming) bool {
	e.clamp(now)
	k := in.hello
	switch {
	case k.state == helloTaken && due(k.expires, e.now), e.hellos.waiting >= e.maxPostponed:
		return false
	case !k.listed:
		if e.hellos.bytes+k.bytes > e.cfg.HelloBytes {
			return false
		}
		k.expires = e.now.Add(e.cfg.HelloTimeout)
		e.hellos.add(k)
		if k.acks.HasUnacked() {
			e.hellos.scheduleAck(k, e.now.Add(helloAckDelay))
		}
	}
	e.hellos.postpone(k)
	if e.nextAttempt.IsZero() {
		e.nextAttempt = e.now.Add(postponePause)
	}
	return true
}

// NextPostponed returns the client that has waited longest, or nil. The driver calls it after
// HandleTimeout, while there is room for handshakes.
func (e *Endpoint) NextPostponed(now monotime.Time) *Incoming {
	e.clamp(now)
	if k := e.hellos.takePostponed(); k != nil {
		return k.in
	}
	return nil
}

// decided removes the entry of a client about which the driver has decided.
func (e *Endpoint) decided(in *Incoming) {
	if k := in.hello; k != nil && k.listed {
		e.hellos.remove(k)
	}
}

// refuse sends a CONNECTION_CLOSE frame to a client and keeps it for repetition.
func (e *Endpoint) refuse(in *Incoming, code wire.ErrorCode, reason string, b []byte) ([]byte, bool) {
	defer in.closeKeys()
	b, ok := e.refusal(in, code, reason, b)
	if ok {
		e.keepRefused(in, append([]byte(nil), b...))
	}
	return b, ok
}

// refusal returns an Initial packet with a CONNECTION_CLOSE frame for a client without a connection.
func (e *Endpoint) refusal(in *Incoming, code wire.ErrorCode, reason string, b []byte) ([]byte, bool) {
	f := wire.ConnectionClose{Code: uint64(code), Reason: []byte(reason[:min(len(reason), maxReason)])}
	return e.sealInitial(in, in.NextInitial, f.Append(nil), b)
}
