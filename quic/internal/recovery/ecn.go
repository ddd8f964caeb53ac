package recovery

import (
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// ecnState records the ECN marks on the packets of a space.
type ecnState struct {
	sent   uint64         // packets sent with ECT(0)
	counts wire.ECNCounts // the largest counts that the peer has reported
}

// checkECN validates the ECN counts of an ACK frame and records new ECN-CE marks for the congestion
// controller. The counts are ignored as long as no packet was sent with a mark. The peer counts the packets
// of all paths together, so a failure concerns each path on which a marked packet was newly acknowledged.
// New marks concern the path of the largest packet.
func (l *Loss) checkECN(sp *lossSpace, f *wire.Ack) {
	var ect uint64
	var newest *Path // path of the largest packet
	for _, pa := range l.paths {
		ect += pa.ack.ect
		if pa.ack.largest != wire.NoPacket && pa.ack.largest == sp.largestAcked {
			newest = pa
		}
	}
	// "An endpoint MUST NOT fail ECN validation as a result of processing an ACK frame that does
	// not increase the largest acknowledged packet number."
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.1-5
	if sp.ecn.sent == 0 || newest == nil || newest.ecnFailed {
		return
	}
	if !f.HasECN {
		// "If an ACK frame newly acknowledges a packet that the endpoint sent with either the
		// ECT(0) or ECT(1) codepoint set, ECN validation fails if the corresponding ECN counts
		// are not present in the ACK frame."
		// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.1-2
		l.failECN(nil)
		return
	}
	was := sp.ecn.counts
	if f.ECN.ECT0 < was.ECT0 || f.ECN.CE < was.CE || f.ECN.ECT1 != 0 ||
		f.ECN.ECT0 > sp.ecn.sent || f.ECN.CE > sp.ecn.sent ||
		f.ECN.ECT0-was.ECT0+f.ECN.CE-was.CE < ect {
		l.failECN(newest)
		return
	}
	sp.ecn.counts = f.ECN
	// "[...] QUIC treats a Congestion Experienced (CE) codepoint in the IP header as a signal of
	// congestion."
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.1-1
	newest.ack.CE = f.ECN.CE - was.CE
}

// failECN disables ECN on the path also and on the paths whose marked packets the ACK frame acknowledges.
//
// "If validation fails, then the endpoint MUST disable ECN."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.2-1
// "Network routing and path elements can change mid-connection; an endpoint MUST disable ECN if validation later
// fails."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.2-3
func (l *Loss) failECN(also *Path) {
	for _, pa := range l.paths {
		pa.ecnFailed = pa.ecnFailed || pa.ack.ect > 0 || pa == also
	}
}
