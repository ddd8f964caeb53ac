package streams

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// The memory of a Set is limited by two budgets, Config.SendMemory and Config.RecvMemory.
//
// Sending: Write accepts no more than there is room for. A stream that the budget blocks waits in qStarved.
// It is woken when other data of the connection is acknowledged and, because other connections may release
// memory too, by a timer. Connections do not wake each other, because that would require locking one
// connection while holding the lock of another.
//
// Receiving: the peer may use all of its windows, whose sum over all connections exceeds the budget. If
// there is no memory, packets are dropped before they are acknowledged, as if the network had lost them,
// and the peer sends their contents again. See Admits.

const (
	// gapMemory is the memory for a range of data that has arrived behind a gap, at most: two neighboring
	// blocks of a RangeSet, of 2 KiB each, hold more than 64 ranges.
	gapMemory = 64
	// wakeRoom is the room at which a starved stream is woken.
	wakeRoom = maxChunk
	// overdraftEvery is the minimum time between two packets that are admitted so that the peer learns what
	// was lost.
	overdraftEvery = 20 * time.Millisecond
	// maxWakeScan is the maximum number of starved streams that one wakeStarved looks at.
	maxWakeScan = 16
	// starvedPoll is the time after which a starved stream checks for room again.
	starvedPoll = 100 * time.Millisecond
)

// chargeSend adjusts the connection's share of the send budget to the size of a stream's buffer.
func (s *Set) chargeSend(st *stream) {
	h := &st.send
	n := h.buf.size() - h.charged
	if n == 0 {
		return
	}
	h.charged += n
	s.sendShare.add(n)
	if n < 0 {
		s.wakeStarved()
	}
}

// chargeRecv adjusts the connection's share of the receive budget to the size of a stream's buffer.
func (s *Set) chargeRecv(st *stream) {
	r := &st.recv
	if n := r.buf.size() + gapMemory*int64(r.later.NumRanges()) - r.charged; n != 0 {
		r.charged += n
		s.recvShare.add(n)
		if n < 0 || s.recvShare.room() < 0 {
			s.overdraft = max(0, s.overdraft+n)
		}
	}
}

// Datagrams of the application count towards the same budgets as streams. The caller counts them.

// HasSendMemory reports whether the send budget has room for n bytes of datagrams.
func (s *Set) HasSendMemory(n int64) bool { return s.sendShare.room() >= n }

// ChargeSend changes the bytes of datagrams that wait to be sent by n.
func (s *Set) ChargeSend(n int64) {
	s.datagramsSend += n
	s.sendShare.add(n)
	if n < 0 {
		s.wakeStarved()
	}
}

// HasReceiveMemory reports whether the receive budget has room for n bytes of datagrams.
func (s *Set) HasReceiveMemory(n int64) bool { return s.recvShare.room() >= n }

// ChargeReceived changes the bytes of datagrams that wait to be read by n.
func (s *Set) ChargeReceived(n int64) {
	s.datagramsRecv += n
	s.recvShare.add(n)
}

// sendRoom returns how many bytes the budget lets a stream add to its send buffer.
//
// Streams whose peer does not read keep what they hold. So that some of them do not use up the memory of
// the connection and stop all others, a quarter of the connection's limit is reserved for streams that hold
// little: 1/1024 of the limit, so that hundreds of stuck streams leave room.
func (s *Set) sendRoom(st *stream) int64 {
	room, limit := max(s.sendShare.room(), 0), s.sendShare.limit()
	if limit < 1<<20 || s.sendShare.b == nil {
		return room
	}
	little := min(max(limit/1024, wakeRoom), 256<<10)
	return min(room, max(room-limit/4, little-st.send.charged, 0))
}

// starve makes a stream wait for room in the send budget.
func (s *Set) starve(st *stream) {
	if st.send.starved {
		return
	}
	st.send.starved = true
	s.sendShare.refuse()
	s.enqueue(qStarved, st)
	if s.starvedAt.IsZero() {
		s.starvedAt = s.now.Add(starvedPoll)
	}
}

// wakeStarved wakes as many waiting streams as there is room for, in order. A stream that may not use the
// room, see sendRoom, goes to the end of the queue.
func (s *Set) wakeStarved() {
	if s.queues[qStarved].head == nil {
		return
	}
	for scanned := 0; scanned < maxWakeScan && s.sendShare.room()-s.promised >= wakeRoom; scanned++ {
		st := s.peek(qStarved)
		if st == nil {
			return
		}
		s.dequeue(qStarved)
		if s.sendRoom(st) < wakeRoom {
			s.enqueue(qStarved, st)
			continue
		}
		st.send.starved, st.send.promised = false, true
		s.promised += wakeRoom
		s.wakeWriter(st)
	}
}

// keepPromise releases the room that was promised to a stream when it writes.
func (s *Set) keepPromise(st *stream) {
	if st.send.promised {
		st.send.promised = false
		s.promised = max(0, s.promised-wakeRoom)
	}
}

// pollStarved wakes starved streams if their timer has expired.
func (s *Set) pollStarved() {
	if s.starvedAt.IsZero() || s.now.Before(s.starvedAt) {
		return
	}
	s.promised = 0 // streams that have not written yet may never write
	s.wakeStarved()
	s.starvedAt = 0
	if s.peek(qStarved) != nil {
		s.starvedAt = s.now.Add(starvedPoll)
	}
}

// Admits reports whether there is memory for the stream data of a packet. If not, the packet must be
// dropped as a whole and must not be acknowledged. payload contains the frames that would be handled. A
// malformed payload is admitted, so that the error is detected.
//
// A connection that has used up its share still makes progress:
//
//   - Bytes that need no memory are admitted.
//   - So are bytes that the application can read at once, if it has read everything before. Without
//     these, nothing would ever be released. Once it reads more slowly, they are admitted up to another
//     MinShare.
//   - So is a packet with bytes behind a gap, once in overdraftEvery, if the application has read
//     everything before, up to another MinShare. Its acknowledgement tells the peer what was lost
//     before: the probes of a peer may all carry new bytes.
func (s *Set) Admits(now monotime.Time, payload []byte) bool {
	s.now = max(s.now, now)
	usesOverdraft := false
	room := s.recvShare.room()
	if room > 0 {
		s.overdraft = 0
		return true
	}
	for b := payload; len(b) > 0; {
		if b[0]&^7 != byte(wire.FrameStream) {
			_, n := wire.ParseFrame(b)
			if n <= 0 {
				return true
			}
			b = b[n:]
			continue
		}
		f, n := wire.ConsumeStream(b)
		if n <= 0 {
			return true
		}
		b = b[n:]
		if !s.needsMemory(f) {
			continue
		}
		isNext := s.isNext(f)
		switch {
		case s.readable == 0 && isNext:
		case s.readable == 0 && s.overdraft < MinShare && s.now.Sub(s.overdraftAt) >= overdraftEvery:
			usesOverdraft = true
		case isNext && room+MinShare > 0:
		default:
			s.recvShare.refuse()
			return false
		}
	}
	if usesOverdraft {
		s.overdraftAt = s.now
	}
	return true
}

// needsMemory reports whether handling a frame stores data.
func (s *Set) needsMemory(f wire.Stream) bool {
	st := s.find(ID(f.ID))
	if st == nil {
		return len(f.Data) > 0 && s.isUnopened(ID(f.ID))
	}
	r := &st.recv
	start, end := int64(f.Offset), int64(f.Offset)+int64(len(f.Data))
	if r.resettingAt {
		end = min(end, r.reliable)
	}
	return !r.done && !r.reset && !r.stopped && end > r.next && !r.later.Covers(max(start, r.next), end)
}

// isUnopened reports whether a frame with this ID would open a stream.
func (s *Set) isUnopened(id ID) bool {
	return id.Initiator() != s.side && id.Num() >= s.remote[typeIndex(id.Uni())].opened
}

// isNext reports whether no data is missing before that of a frame.
func (s *Set) isNext(f wire.Stream) bool {
	st := s.find(ID(f.ID))
	if st == nil {
		return f.Offset == 0
	}
	return int64(f.Offset) <= st.recv.next
}
