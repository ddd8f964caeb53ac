package streams

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
)

// A queueTest is a transfer whose receiver finds all that the peer may send in its queue, as if it had been away.
type queueTest struct {
	a, b *peer
	id   ID
	rtt  time.Duration
	now  monotime.Time
}

func newQueueTest(t *testing.T, rtt time.Duration) *queueTest {
	q := &queueTest{rtt: rtt, now: 1}
	q.a, q.b = newPair(t, defaults(), defaults())
	q.id = openStreams(t, q.a, 1)[0]
	return q
}

// fill sends all that flow control permits on the stream, and returns the packets and the bytes in them.
func (q *queueTest) fill(t *testing.T) (pkts []*packet, size int64) {
	block := make([]byte, 64<<10)
	before := q.a.find(q.id).send.sent
	for {
		_, err := q.a.Write(q.id, block)
		if err != nil {
			require.Equal(t, ErrBlocked, err)
		}
		if !q.a.HasPending() {
			return pkts, q.a.find(q.id).send.sent - before
		}
		pkts = append(pkts, q.a.jumbo())
	}
}

// round fills the queue and then empties it. It returns how many bytes were in it.
func (q *queueTest) round(t *testing.T) int64 {
	pkts, size := q.fill(t)
	q.drain(t, pkts)
	return size
}

// drain gives the packets of the queue to the receiver, whose application reads what arrives.
func (q *queueTest) drain(t *testing.T, pkts []*packet) {
	buf := make([]byte, 64<<10)
	for _, pkt := range pkts {
		q.now = q.now.Add(10 * time.Microsecond)
		require.NoError(t, q.b.receive(q.now, q.rtt, pkt))
		q.a.fate(pkt, recovery.Acked)
		for {
			if _, err := q.b.Read(q.now, q.rtt, q.id, buf); err != nil {
				require.Equal(t, ErrBlocked, err)
				break
			}
		}
	}
	q.answer(t)
}

// answer gives the peer what the receiver sends.
func (q *queueTest) answer(t *testing.T) {
	for q.b.HasPending() {
		pkt := q.b.send(1200, false)
		require.NoError(t, q.a.receive(q.now, q.rtt, pkt))
		q.b.fate(pkt, recovery.Acked)
	}
	require.NoError(t, q.a.CheckInvariants())
	require.NoError(t, q.b.CheckInvariants())
}

// While streams are opened beside bulk data on a near path, at most mixedAhead waits for the receiver. The window
// applies again a second after the last one was opened.
func TestQueueBesideSmallStreams(t *testing.T) {
	q := newQueueTest(t, nearRTT)
	for range 4 {
		require.GreaterOrEqual(t, q.round(t), int64(512<<10))
	}
	for range 3 {
		openStreams(t, q.b, 1)
		q.round(t) // what was permitted before
		for range 4 {
			require.InDelta(t, mixedAhead, q.round(t), mixedAhead/4)
		}
		q.now = q.now.Add(mixedTime - time.Millisecond)
	}
	q.now = q.now.Add(mixedTime)
	q.round(t)
	require.GreaterOrEqual(t, q.round(t), int64(512<<10))
}

// Streams that were opened before there were bulk data, or on a longer path, change nothing.
func TestQueueOfBulkAlone(t *testing.T) {
	for _, test := range []struct {
		rtt   time.Duration
		mixed bool
	}{{nearRTT, false}, {nearRTT + time.Microsecond, true}, {testRTT, true}} {
		q := newQueueTest(t, test.rtt)
		openStreams(t, q.b, 5)
		for range 8 {
			if test.mixed {
				openStreams(t, q.b, 1)
			}
			require.GreaterOrEqual(t, q.round(t), int64(512<<10))
		}
	}
}

// Bytes that have arrived and are not read do not count: beside a stream that is not read, the others go on, and the
// stream itself may use its window.
func TestQueueOfUnreadStream(t *testing.T) {
	q := newQueueTest(t, nearRTT)
	for range 3 {
		q.round(t)
	}
	openStreams(t, q.b, 1)
	q.round(t)
	unread := openStreams(t, q.a, 1)[0]
	for range 10 {
		_, err := q.a.Write(unread, make([]byte, 64<<10))
		require.NoError(t, err)
		pkts, _ := q.fill(t)
		q.drain(t, pkts)
	}
	require.EqualValues(t, 512<<10, q.b.find(unread).recv.win.received)
	require.InDelta(t, mixedAhead, q.round(t), mixedAhead/4)
}

// A stream no longer counts as bulk data when its end has arrived, by any way.
func TestBulkEnds(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *queueTest){
		"fin":   func(t *testing.T, q *queueTest) { require.NoError(t, q.a.CloseWrite(q.id)) },
		"reset": func(t *testing.T, q *queueTest) { require.NoError(t, q.a.Reset(q.id, 1)) },
		"stop":  func(t *testing.T, q *queueTest) { require.NoError(t, q.b.StopSending(q.id, 1)) },
	} {
		t.Run(name, func(t *testing.T) {
			q := newQueueTest(t, nearRTT)
			for range 3 {
				q.round(t)
			}
			require.EqualValues(t, 1, q.b.bulkStreams)
			end(t, q)
			for buf := make([]byte, 64<<10); ; {
				flow(t, q.now, q.a, q.b)
				if n, _ := q.b.Read(q.now, q.rtt, q.id, buf); n == 0 { // the error depends on the kind of end
					break
				}
			}
			require.Zero(t, q.b.bulkStreams)
			openStreams(t, q.b, 1)
			require.EqualValues(t, unlimited, q.b.ahead())
		})
	}
}
