package core

import (
	"bytes"
	"crypto/subtle"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// Quotes reports whether b is the beginning of a datagram that the client sent before it received anything
// from the server.
func (c *Conn) Quotes(b []byte) bool {
	inv, ok := wire.ParseInvariant(b, 0)
	return ok && inv.Long && bytes.Equal(inv.DstID, c.ids.originalDst.Bytes()) && !c.ids.heardInitial && !c.ids.retried
}

// Retried reports whether the server asked the client to validate its address with a Retry packet.
func (c *Conn) Retried() bool { return c.ids.retried }

// handleRetry handles a Retry packet on a client.
//
// "Clients MUST discard Retry packets that have a Retry Integrity Tag that cannot be validated; see Section 5.8 of
// [QUIC-TLS]."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.2-2
// "A client MUST discard a Retry packet with a zero-length Retry Token field."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.2-2
// "A client MUST discard a Retry packet that contains a Source Connection ID field that is identical to the
// Destination Connection ID field of its Initial packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.1-2
func (c *Conn) handleRetry(d []byte) {
	r, n := wire.ParseGreasedRetry(d)
	// "A client MUST accept and process at most one Retry packet for each connection attempt.
	// After the client has received and processed an Initial or Retry packet from the server, it
	// MUST discard any subsequent Retry packets that it receives."
	// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.2-1
	if n < 0 || !c.cfg.fixedBitValid(d[0]) || c.ids.retried || c.ids.heardInitial || len(r.Token) == 0 ||
		r.DstID != c.ids.src() || r.SrcID == c.ids.dst() {
		c.drop(DropInvalidRetry)
		return
	}
	tag, err := c.cfg.Provider.RetryTag(uint32(c.version), c.ids.originalDst.Bytes(), d[:len(d)-16])
	if err != nil || subtle.ConstantTimeCompare(tag[:], d[len(d)-16:]) != 1 {
		c.drop(DropInvalidRetry)
		return
	}
	c.traced(TraceEvent{Kind: TraceUnprotected, Header: d})
	// "The client MUST NOT change the Source Connection ID because the server could include the connection ID as part
	// of its token validation logic; see Section 8.1.4."
	// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.2-4
	c.ids.retried, c.ids.retrySrc = true, r.SrcID
	c.countFlight(peerFlight, true)
	// "This token MUST be repeated by the client in all Initial packets it sends for that connection after it
	// receives the Retry packet."
	// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.2-1
	// "In comparison, a token obtained in a Retry packet MUST be used immediately during the connection attempt and
	// cannot be used in subsequent connection attempts."
	// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.3-7
	c.ids.token = append([]byte(nil), r.Token...)
	c.stopGreasing() // the token of the NEW_TOKEN frame is not in further Initial packets
	c.ids.setPeerFirst(r.SrcID)
	if err := c.setInitialKeys(r.SrcID); err != nil {
		c.abort(&CloseError{Code: uint64(wire.InternalError), Reason: "Initial keys", Cause: err})
		return
	}
	// Packet numbers continue. Everything that was sent is sent again under the new keys.
	//
	// "New packet numbers MUST be used for any new packets that are sent; as described in Section 17.2.5.3, reusing
	// packet numbers could compromise packet protection."
	// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.3-5
	c.loss.ResetForRetry(c.now)
	if c.zero != nil {
		// "A client SHOULD attempt to resend data in 0-RTT packets after it sends a new Initial packet."
		// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.3-8
		c.streams.Rewind()
	}
	sp := c.spaces[recovery.SpaceInitial]
	sp.crypto.probe(int64(len(sp.crypto.buf)))
}

// handleVersionNegotiation handles a Version Negotiation packet on a client.
//
// "A client that supports only this version of QUIC MUST abandon the current connection attempt if it receives a
// Version Negotiation packet, with the following two exceptions."
// https://www.rfc-editor.org/rfc/rfc9000#section-6.2-2
// "A client MUST discard any Version Negotiation packet if it has received and successfully processed any other
// packet, including an earlier Version Negotiation packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-6.2-2
func (c *Conn) handleVersionNegotiation(d []byte) {
	vn, n := wire.ParseVersionNegotiation(d)
	if n < 0 || c.ids.heardInitial || c.ids.retried || vn.DstID != c.ids.src() || vn.SrcID != c.ids.originalDst {
		c.drop(DropInvalidNegotiation)
		return
	}
	if c.cfg.Negotiated {
		// "A client that makes a connection attempt based on information received from a Version Negotiation packet
		// MUST ignore any Version Negotiation packets it receives in response to that connection attempt."
		// https://www.rfc-editor.org/rfc/rfc9368#section-4-2
		c.drop(DropInvalidNegotiation)
		return
	}
	versions := vn.Versions()
	for _, v := range versions {
		// "A client MUST discard a Version Negotiation packet that lists the QUIC version
		// selected by the client."
		// https://www.rfc-editor.org/rfc/rfc9000#section-6.2-2
		if v == c.version {
			c.drop(DropInvalidNegotiation)
			return
		}
	}
	c.traced(TraceEvent{Kind: TraceUnprotected, Header: d})
	c.traced(TraceEvent{Kind: TraceVersion, Version: c.version, Versions: versions})
	c.end(&CloseError{Silent: ErrVersionNegotiation, Versions: versions}, Remnant{})
}
