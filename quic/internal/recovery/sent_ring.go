package recovery

import "github.com/pqquic/pqquic/quic/internal/wire"

// sentRing holds the outstanding packets of one space in the order of their numbers. The numbers may have
// gaps. An entry whose packet is removed stays until all entries before it are removed.
//
// Entries are addressed by positions, which only grow, from head to tail.
type sentRing struct {
	buf        []sentEntry // length is 0 or a power of two
	head, tail int
}

type sentEntry struct {
	num wire.PacketNumber
	p   *SentPacket // nil if acknowledged or forgotten
	// run is the number of entries, from this one on, that are known to have no packet. It serves to skip
	// the ranges that a peer repeats in every ACK frame.
	run int
}

// minRing is the minimum size of a buffer.
const minRing = 8

func (r *sentRing) len() int { return r.tail - r.head }

func (r *sentRing) at(i int) *sentEntry { return &r.buf[i&(len(r.buf)-1)] }

func (r *sentRing) push(p *SentPacket) {
	if r.len() == len(r.buf) {
		r.resize(max(minRing, 2*len(r.buf)))
	}
	*r.at(r.tail) = sentEntry{num: p.Num, p: p}
	r.tail++
}

func (r *sentRing) resize(n int) {
	buf := make([]sentEntry, n)
	for i := r.head; i < r.tail; i++ {
		buf[i&(n-1)] = *r.at(i)
	}
	r.buf = buf
}

// trim makes a buffer smaller of which less than an eighth is used.
func (r *sentRing) trim() {
	n := len(r.buf)
	for n > minRing && r.len() < n/8 {
		n /= 2
	}
	if n < len(r.buf) {
		r.resize(n)
	}
}

func (r *sentRing) pop() {
	*r.at(r.head) = sentEntry{}
	r.head++
}

// search returns the position of the first entry with a number of at least pn.
func (r *sentRing) search(pn wire.PacketNumber) int {
	lo, hi := r.head, r.tail
	if lo == hi || pn <= r.at(lo).num {
		return lo
	}
	// Gaps are rare, so the entry is where it would be without gaps or a little before.
	if d := pn - r.at(lo).num; d < wire.PacketNumber(hi-lo) {
		hi = lo + int(d)
		if r.at(hi).num == pn {
			return hi
		}
	}
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); r.at(mid).num < pn {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// link records that no entry from the position first up to end has a packet. It updates every entry that a
// walk from first to end visits: a peer that makes each range begin elsewhere causes little work, too.
func (r *sentRing) link(first, end int) {
	for i := first; i < end; {
		e := r.at(i)
		i, e.run = i+max(1, e.run), end-i
	}
}

func (r *sentRing) release() { *r = sentRing{head: r.tail, tail: r.tail} }
