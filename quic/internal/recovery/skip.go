package recovery

import (
	"encoding/binary"

	"github.com/pqquic/pqquic/quic/internal/wire"
)

// skipState skips a packet number of the App space now and then. A peer that acknowledges a skipped number
// acknowledges a packet that it has not received.
//
// "An endpoint that acknowledges packets it has not received might cause a congestion controller to
// permit sending at rates beyond what the network supports. An endpoint MAY skip packet numbers when
// sending packets to detect this behavior."
// https://www.rfc-editor.org/rfc/rfc9000#section-21.4-1
type skipState struct {
	rand   func([]byte)
	at     wire.PacketNumber // the next number to skip
	period wire.PacketNumber
	last   [4]wire.PacketNumber // the numbers skipped last
}

// The distance between two skipped numbers is random and grows, because a gap makes the peer send an
// acknowledgement at once.
const (
	firstSkip = 64
	maxSkip   = 1 << 14
)

func (s *skipState) init(space Space, rand func([]byte)) {
	if space == SpaceApp {
		s.rand = rand
	}
	s.period = firstSkip
	for i := range s.last {
		s.last[i] = wire.NoPacket
	}
	s.schedule(0)
}

// schedule chooses the next number to skip, one to two periods after from.
func (s *skipState) schedule(from wire.PacketNumber) {
	if s.rand == nil {
		s.at = wire.NoPacket
		return
	}
	var b [4]byte
	s.rand(b[:])
	s.at = from + s.period + wire.PacketNumber(binary.LittleEndian.Uint32(b[:]))%s.period
}

// maybeSkip returns the number to use in place of next.
func (s *skipState) maybeSkip(next wire.PacketNumber) wire.PacketNumber {
	if next != s.at {
		return next
	}
	copy(s.last[1:], s.last[:])
	s.last[0] = next
	s.period = min(2*s.period, maxSkip)
	s.schedule(next + 1)
	return next + 1
}

// middle returns a number between the last number that was skipped and the next one. The peer cannot know it, because it
// does not know the next one. It returns NoPacket if no numbers are skipped.
func (s *skipState) middle() wire.PacketNumber {
	if s.rand == nil {
		return wire.NoPacket
	}
	return s.at - s.period/2
}

// covers reports whether a range includes a number that was skipped.
func (s *skipState) covers(r wire.PNRange) bool {
	for _, pn := range s.last {
		if pn >= r.Start && pn < r.End {
			return true
		}
	}
	return false
}
