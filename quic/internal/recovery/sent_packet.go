package recovery

import (
	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// A Space is a packet number space.
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

// A Fate is what happened to a packet.
//
// Acked is final. Lost may be followed by Acked if the loss was spurious: the packet was only late, and its
// information need not be sent again.
type Fate uint8

const (
	Acked Fate = iota
	Lost
)

func (f Fate) String() string {
	return [...]string{"acked", "lost"}[f]
}

// A FateFunc handles the fate of a packet's contents. It must not retain the packet or call the Loss that
// called it.
type FateFunc func(Space, *SentPacket, Fate)

// SentPacket is a packet that was sent. The caller gets it from [Loss.NewSent], fills it in, and gives it
// back with [Loss.PacketSent].
type SentPacket struct {
	Num  wire.PacketNumber
	Time monotime.Time
	Size int // in bytes, including header and tag
	// AckEliciting reports whether the peer must acknowledge the packet.
	AckEliciting bool
	// InFlight reports whether the packet counts for congestion control, because it is ack-eliciting or
	// contains PADDING.
	InFlight bool
	// ECN is the codepoint with which the packet was sent: see Loss.ECN.
	ECN datagram.ECN
	// MTUProbe reports whether the packet is a datagram of its own that tests a size (Path.MTUProbeSize). Its
	// loss shows nothing but that, and nothing that it contains is sent again.
	MTUProbe bool
	// PathProbe reports whether the packet validates a path (RFC 9000, section 8.2). Its loss may be due to the
	// path, so congestion control ignores it.
	PathProbe bool
	// Record lists what the packet contains. Only the sender reads it.
	Record []byte

	path     *Path     // the path on which it was sent
	rate     rateState // the path's state when it was sent
	lost     bool
	lossID   uint32        // the LossBatch in which it was declared lost
	lostTime monotime.Time // when it was declared lost
	next     *SentPacket   // in the free list
	few      [24]byte      // the array of a short Record
}

// On sets the path on which the packet is sent, if that is not the active one.
func (p *SentPacket) On(pa *Path) { p.path = pa }

// maxRecord is the maximum size of a record buffer that is kept for reuse.
const maxRecord = 256

// sentPool is the free list of a connection. It is not shared, so it needs no lock and behaves the same in
// every simulation. It grows to the largest number of packets outstanding. [Loss.Trim] makes it smaller and
// [Loss.Rest] frees it.
type sentPool struct {
	free *SentPacket
	n    int
	low  int // the smallest n since trim was called
}

func (f *sentPool) take() *SentPacket {
	p := f.free
	if p == nil {
		p = new(SentPacket)
		p.Record = p.few[:0]
		return p
	}
	f.free = p.next
	f.n--
	f.low = min(f.low, f.n)
	rec := p.Record[:0]
	if cap(rec) > maxRecord {
		rec = p.few[:0]
	}
	*p = SentPacket{Record: rec}
	return p
}

func (f *sentPool) put(p *SentPacket) {
	p.next = f.free
	f.free = p
	f.n++
}

// trim frees as many packets as were not taken since the last call.
func (f *sentPool) trim() {
	for ; f.low > 0; f.low-- {
		f.free = f.free.next
		f.n--
	}
	f.low = f.n
}
