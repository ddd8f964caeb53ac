package recovery

import (
	"sync"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// SentPacket is a packet whose fate is open.
type SentPacket struct {
	Num          wire.PacketNumber
	Time         monotime.Time
	Size         int
	AckEliciting bool
	InFlight     bool // counts towards the congestion window
	Record       []byte

	done bool // fate final, or not a packet: a number that was never sent
	lost bool // declared lost, which an acknowledgement may still refute
	skip bool // the number was skipped on purpose
}

var sentPool = sync.Pool{New: func() any { return new(SentPacket) }}

// maxRecordKept bounds what the pool keeps of a record's capacity.
const maxRecordKept = 512

func freeSent(p *SentPacket) {
	rec := p.Record[:0]
	if cap(rec) > maxRecordKept {
		rec = nil
	}
	*p = SentPacket{Record: rec}
	sentPool.Put(p)
}

// sentList is a queue of sent packets, in the order of their numbers and without holes, that is
// emptied from its front: slot i holds number base+i.
type sentList struct {
	p    []*SentPacket // ring
	head int
	n    int
	base wire.PacketNumber
}

func (l *sentList) at(i int) *SentPacket { return l.p[(l.head+i)&(len(l.p)-1)] }

// get returns the packet of a number, or nil.
func (l *sentList) get(pn wire.PacketNumber) *SentPacket {
	if pn < l.base || pn >= l.base+wire.PacketNumber(l.n) {
		return nil
	}
	return l.at(int(pn - l.base))
}

func (l *sentList) push(p *SentPacket) {
	if l.n == 0 {
		l.base = p.Num
	} else if p.Num != l.base+wire.PacketNumber(l.n) {
		panic("BUG: packet numbers out of order")
	}
	if l.n == len(l.p) {
		grown := make([]*SentPacket, max(16, 2*len(l.p)))
		for i := range l.n {
			grown[i] = l.at(i)
		}
		l.p, l.head = grown, 0
	}
	l.p[(l.head+l.n)&(len(l.p)-1)] = p
	l.n++
}

// trim frees packets at the front whose fate is known.
func (l *sentList) trim() {
	for l.n > 0 && l.at(0).done {
		freeSent(l.at(0))
		l.p[l.head] = nil
		l.head = (l.head + 1) & (len(l.p) - 1)
		l.n--
		l.base++
	}
}
