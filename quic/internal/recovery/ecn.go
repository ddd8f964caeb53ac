package recovery

import (
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// ecnState is what is known of the marks on one space's packets.
type ecnState struct {
	sent   uint64         // packets sent with ECT(0)
	counts wire.ECNCounts // the largest that the peer has reported
}

// ECNFailed reports whether the path or the peer has shown that it does not handle ECN: packets are
// no longer to be marked.
func (l *Loss) ECNFailed() bool { return l.ecnFailed }

// checkECN validates the counts of an ACK frame and responds to new ECN-CE marks. Nothing in them
// matters as long as no packet was sent with a mark.
func (l *Loss) checkECN(now monotime.Time, sp *lossSpace, f *wire.Ack, gain *ackGain) {
	// "An endpoint MUST NOT fail ECN validation as a result of processing an ACK frame that does
	// not increase the largest acknowledged packet number."
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.1-5
	if sp.ecn.sent == 0 || l.ecnFailed || gain.largest != sp.largestAcked {
		return
	}
	if !f.HasECN {
		// "If an ACK frame newly acknowledges a packet that the endpoint sent with either the
		// ECT(0) or ECT(1) codepoint set, ECN validation fails if the corresponding ECN counts
		// are not present in the ACK frame."
		// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.1-2
		l.ecnFailed = gain.ect > 0
		return
	}
	was := sp.ecn.counts
	if f.ECN.ECT0 < was.ECT0 || f.ECN.CE < was.CE || f.ECN.ECT1 != 0 ||
		f.ECN.ECT0 > sp.ecn.sent || f.ECN.CE > sp.ecn.sent ||
		f.ECN.ECT0-was.ECT0+f.ECN.CE-was.CE < gain.ect {
		l.ecnFailed = true
		return
	}
	sp.ecn.counts = f.ECN
	if f.ECN.CE > was.CE {
		// "[...] QUIC treats a Congestion Experienced (CE) codepoint in the IP header as a signal
		// of congestion."
		// https://www.rfc-editor.org/rfc/rfc9002#section-7.1-1
		before := l.cc.epoch
		l.cc.congested(now, gain.largestSent)
		if l.cc.epoch != before {
			l.counters.CongestionEvents++
		}
	}
}
