package core

import (
	"errors"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// ticketWait is how long a client keeps its TLS session after the handshake in case session tickets arrive.
// A server that sends tickets sends them at once. They arrive after a round trip, or a few more if they are
// lost.
const ticketWait = 5 * time.Second

// tlsState is the state of the TLS handshake.
type tlsState struct {
	flight        flight
	wanted        bool // a job should run although no CRYPTO data waits
	busy          bool // a job is running
	ignoreTickets bool // the next job calls Session.IgnoreTickets
	ticketsUntil  monotime.Time
	session       tlsprovider.Session
	params        []byte // our encoded transport parameters
	gotParams     bool
	halfRTT       bool // a server may send once it has keys for 1-RTT packets, before the handshake is complete
	complete      bool // the handshake is complete (RFC 9001, 4.1.1)
	confirmed     bool // the handshake is confirmed (RFC 9001, 4.1.2)
	state         tlsprovider.State
}

// ErrTLSBusy is returned by Export while a job uses the TLS session.
var ErrTLSBusy = errors.New("the TLS session is busy")

// ErrHandshake is returned by calls that need a completed handshake. Package quic returns it to
// applications.
var ErrHandshake = errors.New("quic: the handshake is not complete")

func spaceOf(l tlsprovider.Level) recovery.Space {
	switch l {
	case tlsprovider.LevelInitial:
		return recovery.SpaceInitial
	case tlsprovider.LevelHandshake:
		return recovery.SpaceHandshake
	}
	return recovery.SpaceApp
}

var levelOf = [recovery.NumSpaces]tlsprovider.Level{
	recovery.SpaceInitial:   tlsprovider.LevelInitial,
	recovery.SpaceHandshake: tlsprovider.LevelHandshake,
	recovery.SpaceApp:       tlsprovider.LevelApp,
}

// PollTLS returns the next step of the handshake to run, or nil. At most one job exists at a time.
func (c *Conn) PollTLS() *TLSJob {
	if !c.wantsTLS() {
		return nil
	}
	if c.tls.params == nil && !c.tls.confirmed {
		c.tls.params = c.localParams()
		c.traced(TraceEvent{Kind: TraceParams, Local: true, Params: c.tls.params})
	}
	j := &TLSJob{cfg: c.cfg, session: c.tls.session, version: c.version, original: c.originalVersion(), params: c.tls.params,
		ignoreTickets: c.tls.ignoreTickets, halfRTT: c.tls.halfRTT}
	j.in, j.out = j.inBuf[:0], j.outBuf[:0]
	for s := range c.spaces {
		if c.spaces[s].in.ready() {
			j.in = append(j.in, tlsprovider.CryptoData{Level: levelOf[s], Data: c.spaces[s].in.take()})
		}
	}
	c.tls.wanted, c.tls.ignoreTickets, c.tls.busy = false, false, true
	return j
}

// wantsTLS reports whether there is a job for PollTLS.
func (c *Conn) wantsTLS() bool {
	return !c.tls.busy && c.closing.state == stateOpen && (c.tls.wanted || c.tls.ignoreTickets || c.hasCryptoData())
}

// hasCryptoData reports whether there is CRYPTO data for TLS.
func (c *Conn) hasCryptoData() bool {
	for s := range c.spaces {
		if c.spaces[s].in.ready() {
			return true
		}
	}
	return false
}

// HandleTLSResult processes a job that has run.
func (c *Conn) HandleTLSResult(now monotime.Time, j *TLSJob) {
	c.clamp(now)
	c.tls.busy = false
	j.freeInput()
	if c.closing.state != stateOpen {
		j.discard()
		c.tls.session = nil
		c.maybeDrained()
		return
	}
	c.tls.session, c.tls.halfRTT = j.session, j.halfRTT
	if j.version != c.version && !c.switchVersion(j.version) {
		j.discard()
		c.tls.session = nil
		return
	}
	for i := range j.out {
		if c.closing.state != stateOpen {
			j.out[i].keys.Close()
			continue
		}
		c.handleTLSOutput(&j.out[i])
	}
	if j.err != nil && c.closing.state == stateOpen {
		c.closeTLS(j.err)
	}
	c.replayEarly()
	if c.trace != nil {
		c.traceChanges()
	}
	if c.closing.deferred != nil && !c.completing(recovery.SpaceHandshake) {
		c.drain(c.closing.deferred) // unless a 1-RTT packet has ended the connection
	}
}

func (c *Conn) handleTLSOutput(o *tlsOutput) {
	switch o.kind {
	case tlsprovider.EventWrite:
		if sp := c.spaces[spaceOf(o.level)]; !sp.discarded {
			if c.cfg.ScrambleHello && c.side == tlsprovider.Client && o.level == tlsprovider.LevelInitial {
				var random [1]byte
				c.cfg.Rand(random[:])
				sp.crypto.cuts = scramble(o.data, sp.crypto.base+int64(len(sp.crypto.buf)), random[0])
			}
			sp.crypto.write(o.data)
		}
	case tlsprovider.EventKeys:
		if o.level == tlsprovider.LevelEarly {
			c.installEarlyKeys(o.keys, o.state)
		} else {
			c.installKeys(o.level, o.keys)
			c.beginHalfRTT(o)
		}
	case tlsprovider.EventEarlyParameters:
		c.handleEarlyParams(o.data)
	case tlsprovider.EventEarlyRejected:
		c.rejectEarly()
	case tlsprovider.EventTransportParameters, tlsprovider.EventClientHello:
		c.handlePeerParams(o.data)
	case tlsprovider.EventHandshakeDone:
		c.handleHandshakeComplete(*o.state)
	}
}

func (c *Conn) installKeys(level tlsprovider.Level, k tlsprovider.Keys) {
	sp := c.spaces[spaceOf(level)]
	if sp.discarded {
		k.Close()
		return
	}
	if k.Sealer != nil {
		sp.seal = k.Sealer
		c.traced(TraceEvent{Kind: TraceKeyUpdated, Space: spaceOf(level), Local: true, Trigger: KeyFromTLS})
		if level == tlsprovider.LevelHandshake {
			c.loss.SetHandshakeKeys()
		}
		if level == tlsprovider.LevelApp {
			if c.side == tlsprovider.Client {
				// "[A] client SHOULD discard 0-RTT keys as soon as it installs 1-RTT keys as they have no use
				// after that moment."
				// https://www.rfc-editor.org/rfc/rfc9001#section-4.9.3-2
				c.zero.close()
			}
			c.keys.limit = k.Sealer.ConfidentialityLimit()
		}
	}
	if k.Opener != nil {
		if level == tlsprovider.LevelHandshake && !c.requireConsumed(recovery.SpaceHandshake) {
			k.Opener.Close()
			return
		}
		sp.open = k.Opener
		c.traced(TraceEvent{Kind: TraceKeyUpdated, Space: spaceOf(level), Trigger: KeyFromTLS})
		if level == tlsprovider.LevelApp {
			c.keys.integrityLimit = k.Opener.IntegrityLimit()
		}
	}
}

// beginHalfRTT lets a server's application use the connection with the keys of o.
//
// "Therefore, the server's use of 1-RTT keys before the handshake is complete is limited to sending data."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.7-4
func (c *Conn) beginHalfRTT(o *tlsOutput) {
	if o.state == nil || o.keys.Sealer == nil || c.tls.complete || c.closing.state != stateOpen {
		return
	}
	c.tls.halfRTT = c.tls.gotParams
	if c.tls.halfRTT && c.zero == nil { // otherwise early data have made the connection usable
		c.tls.state = *o.state
		c.events.add(Event{Kind: EventEarlyData})
	}
}

// isEarly reports whether the application may use the connection although the handshake may not be complete.
func (c *Conn) isEarly() bool { return c.zero != nil || c.tls.halfRTT && c.app.seal != nil }

// requireConsumed closes the connection if CRYPTO data of a space before s has not been consumed. It
// returns false in that case.
//
// "When TLS provides keys for a higher encryption level, if there is data from a previous encryption
// level that TLS has not consumed, this MUST be treated as a connection error of type
// PROTOCOL_VIOLATION."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.1.3-10.3
func (c *Conn) requireConsumed(s recovery.Space) bool {
	for i := range s {
		if c.spaces[i].in.have.NumRanges() > 0 {
			c.abortf(wire.ProtocolViolation, wire.FrameCrypto, "handshake data is left over at the change of keys")
			return false
		}
	}
	return true
}

// handleHandshakeComplete handles the completion of the TLS handshake: Finished messages have been sent and
// verified.
func (c *Conn) handleHandshakeComplete(state tlsprovider.State) {
	if !c.tls.gotParams {
		// "[...] endpoints that receive ClientHello or EncryptedExtensions messages without
		// the quic_transport_parameters extension MUST close the connection with an error of
		// type 0x016d [...]"
		// https://www.rfc-editor.org/rfc/rfc9001#section-8.2-5
		c.closeTLS(&tlsprovider.Error{Alert: tlsprovider.AlertMissingExtension})
		return
	}
	// A server has keys to send before the client's last flight has arrived, so leftover data can only be
	// detected here.
	if !c.requireConsumed(recovery.SpaceApp) {
		return
	}
	c.tls.complete, c.tls.state = true, state
	if c.applyParams(); c.closing.state != stateOpen {
		return
	}
	c.stats.HandshakeTime = c.now.Sub(c.started)
	c.traced(TraceEvent{Kind: TraceHandshakeComplete, TLS: &c.tls.state})
	c.events.add(Event{Kind: EventConnected})
	c.events.addEndpoint(EndpointEvent{Kind: HandshakeComplete})
	c.ids.issue(c)
	if c.side == tlsprovider.Client {
		c.tls.ticketsUntil = c.now.Add(ticketWait)
	} else {
		// "[T]he TLS handshake is considered confirmed at the server when the handshake
		// completes. The server MUST send a HANDSHAKE_DONE frame as soon as the handshake
		// is complete."
		// https://www.rfc-editor.org/rfc/rfc9001#section-4.1.2-1
		// "Servers MUST NOT send a HANDSHAKE_DONE frame before completing the handshake."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.20-4
		c.handshakeDone.Set()
		c.offerToken()
		c.confirmHandshake()
	}
}

func (c *Conn) confirmHandshake() {
	if c.tls.confirmed {
		return
	}
	c.tls.confirmed = true
	c.traced(TraceEvent{Kind: TraceHandshakeConfirmed})
	c.loss.ConfirmHandshake(c.now)
	// "An endpoint MUST discard its Handshake keys when the TLS handshake is confirmed [...]."
	// https://www.rfc-editor.org/rfc/rfc9001#section-4.9.2-1
	c.discardSpace(recovery.SpaceInitial)
	c.discardSpace(recovery.SpaceHandshake)
	c.tls.params = nil
	c.probePreferred()
}

// closeTLS closes the connection with the alert of a failed handshake.
//
// "As QUIC provides alternative mechanisms for connection termination and the TLS connection is only closed if an
// error is encountered, a QUIC endpoint MUST treat any alert from TLS as if it were at the 'fatal' level."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.8-3
func (c *Conn) closeTLS(err error) {
	alert := tlsprovider.AlertInternalError
	var te *tlsprovider.Error
	if errors.As(err, &te) && te != nil { // a provider may return a nil *Error by mistake
		alert = te.Alert
		if te.ProtocolViolation {
			c.abort(&CloseError{Code: uint64(wire.ProtocolViolation), FrameType: uint64(wire.FrameCrypto),
				Reason: "TLS message that QUIC forbids", Cause: err})
			return
		}
	}
	// "The AlertDescription value is added to 0x0100 to produce a QUIC error code from the range
	// reserved for CRYPTO_ERROR [...]."
	// https://www.rfc-editor.org/rfc/rfc9001#section-4.8-2
	c.abort(&CloseError{Code: 0x100 + uint64(alert), FrameType: uint64(wire.FrameCrypto),
		Reason: alert.String(), Cause: err})
}

// State returns the state of the TLS handshake. It is complete once EventConnected has been returned.
func (c *Conn) State() tlsprovider.State { return c.tls.state }

// TLSBusy reports whether a job uses the TLS session.
func (c *Conn) TLSBusy() bool { return c.tls.busy }

// Export derives keying material from the handshake (RFC 8446, 7.5).
func (c *Conn) Export(label string, context []byte, n int) ([]byte, error) {
	switch {
	case !c.tls.complete:
		return nil, ErrHandshake
	case c.closing.state != stateOpen:
		return nil, c.closing.err
	case c.tls.busy:
		return nil, ErrTLSBusy
	}
	return c.tls.session.Export(label, context, n)
}
