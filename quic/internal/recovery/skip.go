package recovery

import (
	"encoding/binary"

	"github.com/pqquic/pqquic/quic/internal/wire"
)

// skipState leaves out a packet number of the App space now and then. A peer that acknowledges one
// acknowledges what it has not received.
//
// "An endpoint that acknowledges packets it has not received might cause a congestion controller to
// permit sending at rates beyond what the network supports. An endpoint MAY skip packet numbers when
// sending packets to detect this behavior."
// https://www.rfc-editor.org/rfc/rfc9000#section-21.4-1
type skipState struct {
	rand   func([]byte)
	at     wire.PacketNumber // the next number to leave out
	period wire.PacketNumber
	last   [4]wire.PacketNumber // the latest that were left out
}

// The distance between two numbers left out is random, and grows: a gap has the peer send an
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

// schedule chooses the next number, behind from by one to two periods.
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

// covers reports whether a range acknowledges a number that was left out.
func (s *skipState) covers(r wire.PNRange) bool {
	for _, pn := range s.last {
		if pn >= r.Start && pn < r.End {
			return true
		}
	}
	return false
}
