package recovery

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// The states of ECN on a path (RFC 9000, A.4). Packets are marked with ECT(0) in the states testing and capable.
type ecnPhase uint8

const (
	ecnOff     ecnPhase = iota // the configuration does not use ECN
	ecnTesting                 // a few packets are marked to find out whether that works
	ecnUnknown                 // no packet is marked until one of the first ones is acknowledged with valid counts
	ecnCapable
	ecnFailed // the path or the peer does not support ECN; the path is tested again after ecnRetestMinutes
)

// The limits of the test. A probe timeout ends it too, as the path may lose marked packets, and the probes themselves are
// not marked. If several timeouts in a row happen later, the path may have changed, so the test begins again.
//
// "[...] the endpoint could set an ECT codepoint for only the first ten outgoing packets on a path, or for a period of
// three PTOs [...]."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2-4
const (
	ecnTestPackets  = 10
	ecnTestTimeouts = 3

	// ecnRetestMinutes is how many times a minute must begin before a path that has failed is tested again: the network may
	// have changed.
	ecnRetestMinutes = 2
)

// pathECN is the use of ECN on one path.
type pathECN struct {
	phase ecnPhase
	sent  uint8 // marked packets sent in the test
	// failedAt is the minute in which the test has failed, modulo 2^16. It has the place of padding.
	failedAt uint16
	// marked counts the packets that the path has marked with ECN-CE. It is not a Counter, which would take 8 bytes of each connection.
	marked uint32
}

// Marked returns the number of packets that were marked with ECN-CE on all paths.
func (l *Loss) Marked() (n uint64) {
	for _, pa := range l.paths {
		n += uint64(pa.ecn.marked)
	}
	return n
}

// packetSent counts a marked packet.
func (e *pathECN) packetSent() {
	if e.phase != ecnTesting {
		return
	}
	if e.sent++; e.sent >= ecnTestPackets {
		e.phase = ecnUnknown
	}
}

// timeout handles the probe timeout that is the count-th one since the last progress.
func (e *pathECN) timeout(count int) {
	switch {
	case e.phase == ecnTesting && e.sent > 0:
		e.phase = ecnUnknown
	case e.phase == ecnCapable && count >= ecnTestTimeouts:
		e.phase, e.sent = ecnTesting, 0
	}
}

// resume continues a test that a probe timeout of the handshake has ended. The packets that were marked then are forgotten,
// so no acknowledgement can answer the test any more.
func (e *pathECN) resume() {
	if e.phase == ecnUnknown && e.sent < ecnTestPackets {
		e.phase = ecnTesting
	}
}

// ECN returns the codepoint for the packets of the next train. A train with ECN-CE must have one packet only.
//
// "The endpoint sets an ECT(0) codepoint in the IP header of early outgoing packets sent on a new path to the peer".
// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2-3.1
func (l *Loss) ECN(now monotime.Time) datagram.ECN {
	e := &l.active.ecn
	if e.phase == ecnFailed && minuteOf(now)-e.failedAt >= ecnRetestMinutes {
		// "Even if validation fails, an endpoint MAY revalidate ECN for the same path at any later time in the connection.
		// An endpoint could continue to periodically attempt validation."
		// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.2-2
		e.phase, e.sent = ecnTesting, 0
	}
	switch {
	case l.pto.probes > 0 && e.phase == ecnTesting:
	case e.phase == ecnCapable && l.testsSuppression():
		return datagram.CE
	case e.phase == ecnCapable, e.phase == ecnTesting:
		return datagram.ECT0
	}
	return datagram.NotECT
}

// firstCE is the smallest number of a packet that testsSuppression chooses.
const firstCE = 1000

// testsSuppression reports whether the next packet should be marked with ECN-CE, to find out whether the peer reports such
// marks. A peer that does not would never be slowed down by a router's marks. There is one such packet for each packet number
// that is skipped, so they are rare, and their numbers cannot be foreseen. There is none among the first packets: a short
// connection takes no share from others, and networks and tools that look at ECN do not expect senders to mark with ECN-CE.
//
// "A sender can detect suppression of reports by marking occasional packets that it sends with an ECN-CE marking."
// https://www.rfc-editor.org/rfc/rfc9002#section-8.3-2
func (l *Loss) testsSuppression() bool {
	sp, mid := &l.app, l.app.skip.middle()
	return mid >= firstCE && sp.next >= mid && !sp.ceSent && l.pto.confirmed && l.pto.probes == 0
}

func minuteOf(t monotime.Time) uint16 { return uint16(time.Duration(t) / time.Minute) }

// ecnState records the ECN marks on the packets of a space.
type ecnState struct {
	sent   uint64         // packets sent with ECT(0) or ECN-CE
	counts wire.ECNCounts // the counts that the peer has reported last
}

// checkECN validates the ECN counts of an ACK frame and records new ECN-CE marks for the congestion
// controller. The counts are ignored as long as no packet was sent with a mark. The peer counts the packets
// of all paths together, so a failure concerns each path on which a marked packet was newly acknowledged.
// New marks concern the path of the largest packet.
func (l *Loss) checkECN(now monotime.Time, sp *lossSpace, f *wire.Ack) {
	if sp.ecn.sent == 0 {
		return
	}
	var marked, ce uint64
	var newest *Path // path of the largest packet
	for _, pa := range l.paths {
		marked += uint64(pa.ack.marked)
		ce += uint64(pa.ack.ce)
		if pa.ack.largest != wire.NoPacket && pa.ack.largest == sp.largestAcked {
			newest = pa
		}
	}
	// "An endpoint MUST NOT fail ECN validation as a result of processing an ACK frame that does
	// not increase the largest acknowledged packet number."
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.1-5
	if newest == nil {
		return
	}
	if !f.HasECN {
		// "If an ACK frame newly acknowledges a packet that the endpoint sent with either the
		// ECT(0) or ECT(1) codepoint set, ECN validation fails if the corresponding ECN counts
		// are not present in the ACK frame."
		// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.1-2
		l.failECN(now, nil)
		return
	}
	was := sp.ecn.counts
	sp.ecn.counts = f.ECN
	if newest.ecn.phase == ecnFailed {
		return
	}
	if f.ECN.ECT0 < was.ECT0 || f.ECN.CE < was.CE || f.ECN.ECT1 != was.ECT1 ||
		f.ECN.ECT0 > sp.ecn.sent || f.ECN.CE > sp.ecn.sent ||
		f.ECN.ECT0-was.ECT0+f.ECN.CE-was.CE < marked {
		l.failECN(now, newest)
		return
	}
	// "If a packet sent with an ECN-CE marking is not reported as having been CE marked when the packet is acknowledged, then
	// the sender can disable ECN for that path".
	// https://www.rfc-editor.org/rfc/rfc9002#section-8.3-2
	if f.ECN.CE-was.CE < ce {
		l.failECN(now, newest)
		return
	}
	// "From the 'unknown' state, successful validation of the ECN counts in an ACK frame (see Section 13.4.2.1) causes
	// the ECN state for the path to become 'capable', unless no marked packet has been acknowledged."
	// https://www.rfc-editor.org/rfc/rfc9000#appendix-A.4-5
	//
	// A path that marks everything with ECN-CE does not become capable.
	for _, pa := range l.paths {
		e := &pa.ecn
		if pa.ack.marked > 0 && f.ECN.ECT0 > was.ECT0 && (e.phase == ecnTesting || e.phase == ecnUnknown) {
			e.phase = ecnCapable
		}
	}
	// "[...] QUIC treats a Congestion Experienced (CE) codepoint in the IP header as a signal of
	// congestion."
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.1-1
	newest.ack.CE = f.ECN.CE - was.CE - ce
	newest.ecn.marked += uint32(newest.ack.CE)
}

// failECN disables ECN on the path also and on the paths whose marked packets the ACK frame acknowledges.
//
// "If validation fails, then the endpoint MUST disable ECN."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.2-1
// "Network routing and path elements can change mid-connection; an endpoint MUST disable ECN if validation later
// fails."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.2-3
func (l *Loss) failECN(now monotime.Time, also *Path) {
	for _, pa := range l.paths {
		if pa.ack.marked > 0 || pa == also {
			pa.ecn.phase, pa.ecn.failedAt = ecnFailed, minuteOf(now)
		}
	}
}
