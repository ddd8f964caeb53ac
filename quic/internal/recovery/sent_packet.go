package recovery

import (
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// Space is a packet number space.
type Space uint8

const (
	SpaceInitial Space = iota
	SpaceHandshake
	SpaceApp // 0-RTT and 1-RTT

	NumSpaces
)

func (s Space) String() string {
	return [...]string{"Initial", "Handshake", "App", "?"}[min(s, NumSpaces)]
}

// Fate is what became of a packet.
//
// Acked is final. Lost may be followed by Acked, when the loss was spurious: the packet was merely
// late, and its information need not be sent again.
type Fate uint8

const (
	Acked Fate = iota
	Lost
)

func (f Fate) String() string {
	return [...]string{"acked", "lost"}[f]
}

// FateFunc takes back what a packet carried. It must neither keep the packet nor call into the Loss
// that it comes from.
type FateFunc func(Space, *SentPacket, Fate)

// SentPacket is a packet that was sent. It comes from [Loss.NewSent], is filled in, and belongs to
// the Loss again from [Loss.PacketSent] on.
type SentPacket struct {
	Num  wire.PacketNumber
	Time monotime.Time
	Size int // in bytes, with header and tag
	// AckEliciting: the peer has to acknowledge it.
	AckEliciting bool
	// InFlight: it counts for congestion control: it elicits an acknowledgement or has PADDING.
	InFlight bool
	// ECT: it was sent with ECT(0).
	ECT bool
	// Record is the sender's list of what the packet carried; only the sender reads it.
	Record []byte

	path     *Path     // that it was sent on
	rate     rateState // of the path, when it was sent
	lost     bool
	lossID   uint32        // LossBatch in which it was declared lost
	lostTime monotime.Time // when that was
	next     *SentPacket   // in the free list
}

// maxRecord is the largest record buffer that is kept for reuse.
const maxRecord = 256

// sentPool is a connection's free list. It is not shared, so it needs no lock and replays the same
// under simulation.
type sentPool struct {
	free *SentPacket
	n    int
}

// idleSent is how many unused packets a connection keeps with nothing outstanding.
const idleSent = 16

func (f *sentPool) take() *SentPacket {
	p := f.free
	if p == nil {
		return &SentPacket{}
	}
	f.free = p.next
	f.n--
	rec := p.Record[:0]
	if cap(rec) > maxRecord {
		rec = nil
	}
	*p = SentPacket{Record: rec}
	return p
}

func (f *sentPool) put(p *SentPacket) {
	p.next = f.free
	f.free = p
	f.n++
}

// trim gives up what a connection without outstanding packets has no use for.
func (f *sentPool) trim() {
	for f.n > idleSent {
		f.free = f.free.next
		f.n--
	}
}
