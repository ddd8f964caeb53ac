package core

import (
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// activeConnIDLimit is the maximum number of the peer's connection IDs that we keep.
const activeConnIDLimit = 4

// localParams encodes our transport parameters.
func (c *Conn) localParams() []byte {
	p := wire.DefaultTransportParameters()
	p.MaxIdleTimeout = c.cfg.IdleTimeout
	p.MaxUDPPayloadSize = MaxDatagramSize
	c.streams.LocalParams(&p)
	p.MaxAckDelay = recovery.MaxAckDelay
	p.ActiveConnIDLimit = activeConnIDLimit
	p.MaxDatagramFrameSize = c.cfg.MaxDatagramFrame
	c.setVersionInfo(&p)
	p.MinAckDelay, p.HasMinAckDelay = recovery.MinAckDelay, c.cfg.AckFrequency
	p.GreaseQUICBit = c.cfg.GreaseFixedBit
	p.DisableActiveMigration = c.cfg.DisableActiveMigration
	p.InitialSrcConnID, p.HasInitialSrcConnID = c.ids.local[0].id, true
	if c.side == tlsprovider.Server {
		p.OriginalDstConnID, p.HasOriginalDstConnID = c.ids.originalDst, true
		p.RetrySrcConnID, p.HasRetrySrcConnID = c.ids.retrySrc, c.ids.retried
		p.StatelessResetToken, p.HasStatelessResetToken = c.resetToken(c.ids.local[0].id), true
		if c.ids.preferred {
			id := c.ids.local[1].id
			p.HasPreferredAddress, p.PreferredAddress = true, wire.PreferredAddress{
				IPv4: c.cfg.PreferredIPv4, IPv6: c.cfg.PreferredIPv6, ConnID: id, ResetToken: c.resetToken(id),
			}
		}
	}
	return p.Append(nil)
}

// handlePeerParams processes the peer's transport parameters.
func (c *Conn) handlePeerParams(encoded []byte) {
	if len(encoded) == 0 {
		return // an absent extension is for handleHandshakeComplete
	}
	p, code := wire.ParseTransportParameters(encoded, c.side == tlsprovider.Client)
	if code != 0 {
		c.abortf(code, 0, "malformed transport parameters")
		return
	}
	if reason := c.checkVersionInfo(&p); reason != "" {
		c.abortf(wire.VersionNegotiationError, 0, reason)
		return
	}
	if reason := c.authenticateIDs(&p); reason != "" {
		c.abortf(wire.TransportParameterError, 0, reason)
		return
	}
	c.tls.gotParams = true
	c.traced(TraceEvent{Kind: TraceParams, Params: encoded})
	if c.ids.length > 0 {
		// "An endpoint MUST NOT send this frame if it currently requires that its peer send packets with a zero-length
		// Destination Connection ID."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.15-6
		// "If an endpoint issues a zero-length connection ID, it will never send a NEW_CONNECTION_ID frame and therefore
		// ignores the active_connection_id_limit value received from its peer."
		// https://www.rfc-editor.org/rfc/rfc9000#section-18.2-4.34.1
		c.ids.limit = uint8(min(p.ActiveConnIDLimit, maxLocalIDs))
	}
	if c.sendsZeroRTT() {
		// "When sending frames in 0-RTT packets, a client MUST only use remembered transport parameters".
		// https://www.rfc-editor.org/rfc/rfc9000#section-7.4.1-11
		c.zero.params = &p
	} else {
		c.streams.SetPeerParams(&p)
	}
	c.loss.SetMaxAckDelay(p.MaxAckDelay)
	c.loss.SetAckDelayExponent(uint8(p.AckDelayExponent))
	c.loss.Path().SetMaxDatagramSize(min(c.cfg.DatagramSize, int(p.MaxUDPPayloadSize)))
	c.enableMTUSearch(c.loss.Path(), c.path.Remote.Addr(), int(p.MaxUDPPayloadSize))
	c.idle.setPeer(c.cfg.IdleTimeout, p.MaxIdleTimeout)
	c.ids.stay = p.DisableActiveMigration
	c.setPeerAckFrequency(&p)
	c.setPeerFixedBit(&p)
	c.setPeerDatagrams(p.MaxDatagramFrameSize)
	if p.HasStatelessResetToken {
		c.ids.setFirstToken(c, p.StatelessResetToken)
	}
	if p.HasPreferredAddress {
		c.handlePreferredAddress(&p.PreferredAddress)
	}
}

// authenticateIDs returns an error text if a connection ID in the peer's transport parameters does not
// match the packets' headers.
//
// "An endpoint MUST treat the following as a connection error of type TRANSPORT_PARAMETER_ERROR
// or PROTOCOL_VIOLATION: [...] absence [...] mismatch [...]"
// https://www.rfc-editor.org/rfc/rfc9000#section-7.3-5
// "Endpoints MUST validate that received transport parameters match received connection ID values."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.3-3
// "An endpoint MUST treat the absence of the initial_source_connection_id transport parameter from either endpoint or
// the absence of the original_destination_connection_id transport parameter from the server as a connection error of
// type TRANSPORT_PARAMETER_ERROR."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.3-4
func (c *Conn) authenticateIDs(p *wire.TransportParameters) string {
	if !p.HasInitialSrcConnID || p.InitialSrcConnID != c.ids.peerFirst {
		return "initial_source_connection_id does not match"
	}
	if c.side == tlsprovider.Server {
		return ""
	}
	if !p.HasOriginalDstConnID || p.OriginalDstConnID != c.ids.originalDst {
		return "original_destination_connection_id does not match"
	}
	if p.HasRetrySrcConnID != c.ids.retried || p.RetrySrcConnID != c.ids.retrySrc {
		return "retry_source_connection_id does not match"
	}
	return ""
}
