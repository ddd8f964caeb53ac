package recovery

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// An mtuSearch finds the largest datagrams that a path carries (DPLPMTUD: RFC 8899 and RFC 9000, section
// 14.3), and notices when it no longer carries them. It has no timer: all of its inputs are acknowledgements,
// losses and refusals, and it sends probes only while there is data to send. docs/path-mtu.md describes it.
//
// It is off if limit does not exceed base.
type mtuSearch struct {
	base  int // every path is assumed to carry it
	size  int // the path is known to carry it; the current maximum datagram size
	usual int // what a path of 1500 bytes carries
	limit int // the largest size to try

	// The search. want is 0 unless one is in progress.
	want  int  // size of the probe that is due or in flight
	high  int  // larger sizes are not tried
	top   bool // high itself has not been tried and is likely to succeed
	step  int
	tries int               // probes of the size want that were lost
	probe wire.PacketNumber // the probe in flight, or NoPacket
	// The next search begins when unproven bytes of data have been acknowledged, at begin or later.
	unproven int
	begin    monotime.Time
	pause    time.Duration // from the end of this search to the next one

	// Black hole detection. The path has carried a large packet, or large packets were not judged, before
	// the number since.
	since    wire.PacketNumber
	suspect  bool // the losses that are being processed include a large packet
	suspects int  // detections of such losses
}

const (
	// maxMTUProbes is MAX_PROBES: so many probes of a size are lost before the size is given up.
	//
	// "Search algorithms benefit from a MAX_PROBES value greater than 1 because this can provide robustness
	// to isolated packet loss. The default value of MAX_PROBES is 3."
	// https://www.rfc-editor.org/rfc/rfc8899#section-5.1.2-2.2
	maxMTUProbes = 3
	// mtuProof is the number of full datagrams of the base size that are acknowledged before a search. Short
	// transfers do not gain from larger datagrams.
	mtuProof = 32
	// mtuStep is the first step upwards from a size that is proven. Steps double with each success. Most
	// paths carry the usual size and nothing larger, which a small step shows with little waste.
	mtuStep = 64
	// mtuPrecision ends a search: fewer bytes are not worth a probe.
	mtuPrecision = 16
	// mtuRaise is PMTU_RAISE_TIMER.
	//
	// "The PMTU_RAISE_TIMER is configured to the period a sender will continue to use the current PLPMTU,
	// after which it reenters the Search Phase. This timer has a period of 600 seconds [...]"
	// https://www.rfc-editor.org/rfc/rfc8899#section-5.1.1-2.4.1
	mtuRaise = 600 * time.Second
	// mtuPause is the time to the next search after a black hole was detected or an ICMP message was used.
	// The losses may have had another reason, and an attacker who sees our packets can forge the message.
	mtuPause = 60 * time.Second
	// blackHoleSuspects is the number of detections of losses, without an acknowledged large packet, that
	// make a black hole.
	blackHoleSuspects = 3
)

// init begins with the size base.
func (m *mtuSearch) init(base int) {
	*m = mtuSearch{base: base, size: base, usual: m.usual, limit: m.limit, probe: wire.NoPacket, unproven: mtuProof * base}
}

// enabled reports whether sizes above the base are tried.
func (m *mtuSearch) enabled() bool { return m.limit > m.base }

// large reports whether a packet is nearer to the current size than to the base, so that its loss may be due
// to its size.
func (m *mtuSearch) large(size int) bool { return 2*size > m.base+m.size && m.size > m.base }

// due returns the size of the probe to send now, or 0.
func (m *mtuSearch) due() int {
	if m.probe != wire.NoPacket {
		return 0
	}
	return m.want
}

// acked handles the acknowledgement of a 1-RTT packet.
func (m *mtuSearch) acked(now monotime.Time, p *SentPacket) {
	if !m.enabled() {
		return
	}
	if 2*p.Size > m.base { // not an acknowledgement
		m.unproven = max(0, m.unproven-p.Size)
	}
	if m.large(p.Size) && p.Num >= m.since {
		m.since, m.suspects = p.Num+1, 0
	}
	if p.MTUProbe && p.Size == m.want { // possibly one that was declared lost
		m.since, m.suspects = max(m.since, p.Num+1), 0
		m.size = m.want
		m.next(now)
	}
}

// lost handles the loss of a 1-RTT packet.
func (m *mtuSearch) lost(now monotime.Time, p *SentPacket) {
	switch {
	case p.MTUProbe && p.Num == m.probe:
		m.probe = wire.NoPacket
		if m.tries++; m.tries == maxMTUProbes {
			m.failed(now)
		}
	case !p.MTUProbe && m.large(p.Size) && p.Num >= m.since:
		m.suspect = true
	}
}

// endLosses ends a detection of losses. A detection counts once, so that an interruption of the path, which
// ends with the acknowledgement of a small probe, is not mistaken for a black hole.
func (m *mtuSearch) endLosses(now monotime.Time) {
	if !m.suspect {
		return
	}
	m.suspect = false
	if m.suspects++; m.suspects >= blackHoleSuspects {
		m.fallBack()
		m.unproven, m.begin = mtuProof*m.base, now.Add(mtuPause)
	}
}

// fallBack returns to the base size and ends the search.
func (m *mtuSearch) fallBack() {
	m.size, m.want, m.probe, m.suspects = m.base, 0, wire.NoPacket, 0
}

// start begins a search if it is time.
func (m *mtuSearch) start(now monotime.Time) {
	if m.want == 0 && m.unproven == 0 && m.enabled() && !now.Before(m.begin) {
		m.search(now, m.limit, true, mtuRaise)
	}
}

// search looks for a size between the current one and high. top is set if high itself is a likely one. pause
// is the time from the end of the search to the next.
func (m *mtuSearch) search(now monotime.Time, high int, top bool, pause time.Duration) {
	m.high, m.top, m.step, m.pause = high, top, mtuStep, pause
	m.next(now)
}

// failed gives up the size that was probed.
func (m *mtuSearch) failed(now monotime.Time) {
	m.top = m.top && m.want != m.high
	m.high = m.want - 1
	m.next(now)
}

// next chooses the next size to try, or ends the search. A success costs one probe and a failure three, so
// apart from the likely sizes, steps upwards begin small.
func (m *mtuSearch) next(now monotime.Time) {
	m.tries, m.probe = 0, wire.NoPacket
	switch gap := m.high - m.size; {
	case m.size < m.usual && m.usual <= m.high:
		m.want = m.usual
	case m.top && gap > 0:
		m.want = m.high
	case gap >= mtuPrecision:
		m.want = m.size + min(m.step, (gap+1)/2)
		m.step *= 2 // after a failure, the gap is smaller
	default:
		m.want, m.begin = 0, now.Add(m.pause)
	}
}

// refused handles the system's refusal to send datagrams of n bytes, which are larger than the interface
// allows. It reports whether n is that of the probe in flight.
func (m *mtuSearch) refused(now monotime.Time, n int) (probe bool) {
	switch {
	case !m.enabled():
	case m.probe != wire.NoPacket && n == m.want:
		m.failed(now)
		return true
	case n > m.base && n <= m.size:
		m.fallBack()
		m.search(now, n-1, false, mtuRaise)
	}
	return false
}

// tooBig handles a validated ICMP message according to which the path carries n bytes. It reports whether the
// probe in flight is known to be lost.
//
// "PTB messages that have been validated MAY be utilized by the DPLPMTUD algorithm but MUST NOT be used
// directly to set the PLPMTU."
// https://www.rfc-editor.org/rfc/rfc8899#section-4.6.2-1
func (m *mtuSearch) tooBig(now monotime.Time, n int) (probe bool) {
	switch {
	case !m.enabled() || n < m.base:
		// "An endpoint MUST ignore an ICMP message that claims the PMTU has decreased below QUIC's smallest
		// allowed maximum datagram size."
		// https://www.rfc-editor.org/rfc/rfc9000#section-14.2.1-2
	case n < m.size:
		// "An endpoint MUST NOT increase the PMTU based on ICMP messages".
		// https://www.rfc-editor.org/rfc/rfc9000#section-14.2.1-5
		m.fallBack()
		m.search(now, n, true, mtuPause)
	case m.probe != wire.NoPacket && n < m.want:
		m.search(now, n, true, mtuPause)
		return true
	}
	return false
}

// MTUProbeSize returns the size of the probe that is due on the path, or 0. A probe may take half of the
// congestion window at most.
func (p *Path) MTUProbeSize() int {
	if n := p.mtu.due(); n <= p.out.Window/2 {
		return n
	}
	return 0
}

// EnableMTUSearch allows the path's datagrams to grow beyond SetMaxDatagramSize up to limit. usual is what a
// path of 1500 bytes carries.
func (p *Path) EnableMTUSearch(usual, limit int) { p.mtu.usual, p.mtu.limit = usual, limit }

// HandleRefused handles the system's refusal to send 1-RTT packets in datagrams of n bytes on the active path
// because they are too large. The packets are repeated when they are found to be lost. A probe is given up at
// once. HandleRefused reports whether it was a probe.
func (l *Loss) HandleRefused(now monotime.Time, n int) (wasProbe bool) {
	probe := l.active.mtu.probe
	if wasProbe = l.active.mtu.refused(now, n); wasProbe {
		l.forgetProbe(probe)
	}
	l.active.setRate(now)
	return wasProbe
}

// HandleTooBig handles a validated ICMP message: a router of the active path forwards no datagrams of more
// than n bytes.
func (l *Loss) HandleTooBig(now monotime.Time, n int) {
	probe := l.active.mtu.probe
	if l.active.mtu.tooBig(now, n) {
		l.forgetProbe(probe)
	}
	l.active.setRate(now)
}

// forgetProbe removes a probe that is not going to arrive.
func (l *Loss) forgetProbe(pn wire.PacketNumber) {
	sp := l.spaces[SpaceApp]
	i := sp.sent.search(pn)
	if i == sp.sent.tail || sp.sent.at(i).num != pn || sp.sent.at(i).p == nil {
		return
	}
	e := sp.sent.at(i)
	l.leaveFlight(sp, e.p)
	l.pool.put(e.p)
	e.p = nil
	sp.sent.link(i, i+1)
}
