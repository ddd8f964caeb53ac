package recovery

import (
	"encoding/binary"

	"github.com/pqquic/pqquic/quic/internal/wire"
)

// skipState leaves out packet numbers now and then. Who acknowledges one of them acknowledges
// packets that it has not received.
//
// "An endpoint that acknowledges packets it has not received might cause a congestion controller to
// permit sending at rates beyond what the network supports. An endpoint MAY skip packet numbers when
// sending packets to detect this behavior."
// https://www.rfc-editor.org/rfc/rfc9000#section-21.4-2
type skipState struct {
	at     wire.PacketNumber
	period wire.PacketNumber
	last   [4]wire.PacketNumber // the numbers left out most recently
	n      int
}

const (
	firstSkip = 64
	maxSkip   = 1 << 17
)

func (s *skipState) init(rand func([]byte)) {
	s.period = firstSkip
	for i := range s.last {
		s.last[i] = wire.NoPacket
	}
	s.schedule(0, rand)
}

func (s *skipState) schedule(from wire.PacketNumber, rand func([]byte)) {
	var b [4]byte
	rand(b[:])
	s.at = from + s.period + wire.PacketNumber(binary.LittleEndian.Uint32(b[:]))%s.period
}

func (s *skipState) due(next wire.PacketNumber) bool { return next == s.at }

func (s *skipState) skipped(pn wire.PacketNumber, rand func([]byte)) {
	s.last[s.n%len(s.last)] = pn
	s.n++
	s.period = min(2*s.period, maxSkip)
	s.schedule(pn+1, rand)
}

// covers reports whether a range acknowledges a number that was left out.
func (s *skipState) covers(r wire.PNRange) bool {
	for _, pn := range s.last {
		if pn >= 0 && pn >= r.Start && pn < r.End {
			return true
		}
	}
	return false
}
