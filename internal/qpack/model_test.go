package qpack

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A world is an Encoder and a Decoder between which all streams are delayed at random.
type world struct {
	t   *testing.T
	rng *rand.Rand
	e   *Encoder
	d   *Decoder

	maxBlocked        int
	encoderStream     []byte // sent and not received yet
	decoderStream     []byte
	streams           map[uint64]*worldStream
	ids               []uint64 // of streams, in the order in which they were opened
	names, values     []string
	nextStream        uint64
	seen              map[kind]int
	waited, cancelled int
}

// A worldStream has the sections that were sent on a stream and not decoded yet.
type worldStream struct {
	sections [][]byte
	fields   [][]Field
	blocked  bool // Decode returned ErrBlocked, and Unblocked has not returned the stream since
}

func newWorld(t *testing.T, seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 7))
	w := &world{t: t, rng: rng, streams: make(map[uint64]*worldStream), seen: make(map[kind]int)}
	capacities := []int{0, 40, 100, 256, 1000, 4096}
	own, peer := capacities[rng.IntN(6)], capacities[rng.IntN(6)]
	if rng.IntN(3) > 0 {
		own, peer = 256<<rng.IntN(4), 256<<rng.IntN(4)
	}
	w.maxBlocked = []int{0, 1, 2, 5, 100}[rng.IntN(5)]
	w.e, w.d = NewEncoder(own), NewDecoder(peer, w.maxBlocked)
	for i := range 1 + rng.IntN(8) {
		w.names = append(w.names, fmt.Sprintf("x-name-%d", i))
	}
	w.names = append(w.names, ":path", "user-agent", "cookie", ":status")
	for i := range 1 + rng.IntN(12) {
		w.values = append(w.values, strings.Repeat("v", rng.IntN(40))+fmt.Sprint(i))
	}
	w.values = append(w.values, "200", "", "\x00\xff")
	return w
}

// encode sends a section on a new stream, or on one that exists.
func (w *world) encode() {
	id := w.nextStream
	if len(w.ids) > 0 && w.rng.IntN(4) == 0 {
		id = w.ids[w.rng.IntN(len(w.ids))]
	} else {
		w.ids = append(w.ids, id)
		w.streams[id] = new(worldStream)
		w.nextStream += 4
	}
	fields := make([]Field, w.rng.IntN(6))
	for i := range fields {
		f := &fields[i]
		f.Name, f.Value = w.names[w.rng.IntN(len(w.names))], w.values[w.rng.IntN(len(w.values))]
		f.Sensitive = w.rng.IntN(20) == 0 || isSecret(f)
	}
	section := w.e.AppendSection(nil, id, fields)
	if w.rng.IntN(8) > 0 { // otherwise the caller cannot write
		w.encoderStream = w.e.AppendInstructions(w.encoderStream)
	}
	st := w.streams[id]
	st.sections, st.fields = append(st.sections, section), append(st.fields, fields)
	for _, k := range kinds(w.t, section) {
		w.seen[k]++
	}
}

// decode receives the next section of a stream.
func (w *world) decode(id uint64) {
	st := w.streams[id]
	if len(st.sections) == 0 || st.blocked {
		return
	}
	got, err := decodeAll(w.d, id, st.sections[0])
	if err == ErrBlocked {
		st.blocked = true
		w.waited++
		return
	}
	require.NoError(w.t, err)
	if len(st.fields[0]) == 0 {
		require.Empty(w.t, got)
	} else {
		require.Equal(w.t, st.fields[0], got)
	}
	st.sections, st.fields = st.sections[1:], st.fields[1:]
}

// cancel abandons a stream: what was sent on it is lost.
func (w *world) cancel(id uint64) {
	w.d.CancelStream(id)
	w.cancelled++
	st := w.streams[id]
	st.sections, st.fields, st.blocked = nil, nil, false
	i := slices.Index(w.ids, id)
	w.ids = slices.Delete(w.ids, i, i+1) // nothing more is sent on it
}

// deliver delivers a part of one of the instruction streams.
func (w *world) deliverEncoder(n int) {
	err := w.d.HandleEncoderStream(w.encoderStream[:n])
	require.NoError(w.t, err)
	w.encoderStream = w.encoderStream[n:]
	for _, id := range w.d.Unblocked() {
		require.True(w.t, w.streams[id].blocked)
		w.streams[id].blocked = false
		before := len(w.streams[id].sections)
		w.decode(id)
		require.Len(w.t, w.streams[id].sections, before-1, "an unblocked stream can be decoded")
	}
}

func (w *world) deliverDecoder(n int) {
	require.NoError(w.t, w.e.HandleDecoderStream(w.decoderStream[:n]))
	w.decoderStream = w.decoderStream[n:]
}

func (w *world) step() {
	switch w.rng.IntN(10) {
	case 0, 1, 2:
		w.encode()
	case 3, 4, 5:
		if len(w.ids) > 0 {
			w.decode(w.ids[w.rng.IntN(len(w.ids))])
		}
	case 6:
		w.deliverEncoder(w.rng.IntN(len(w.encoderStream) + 1))
	case 7:
		w.decoderStream = w.d.AppendInstructions(w.decoderStream)
	case 8:
		w.deliverDecoder(w.rng.IntN(len(w.decoderStream) + 1))
	case 9:
		if len(w.ids) > 0 && w.rng.IntN(4) == 0 {
			w.cancel(w.ids[w.rng.IntN(len(w.ids))])
		}
	}
}

// must fails the test unless a condition holds. It is faster than package require, which matters in check.
func (w *world) must(ok bool, format string, args ...any) {
	if !ok {
		w.t.Helper()
		w.t.Fatalf(format, args...)
	}
}

// check checks what holds at any time.
func (w *world) check() {
	e, d := w.e, w.d
	w.must(e.table.capacity <= min(e.maxCapacity, e.peerCapacity), "the encoder's capacity is %d", e.table.capacity)
	w.must(d.table.capacity <= d.maxCapacity, "the decoder's capacity is %d", d.table.capacity)
	w.checkTable(&e.table)
	w.checkTable(&d.table)
	for i := max(e.table.dropped, d.table.dropped); i < d.table.inserted; i++ {
		w.must(e.table.at(i) == d.table.at(i), "entry %d: %v, %v", i, e.table.at(i), d.table.at(i))
	}
	w.must(e.known <= d.table.inserted, "%d insertions are known, %d have arrived", e.known, d.table.inserted)
	w.must(e.table.dropped <= e.known, "an entry was evicted that may not have arrived")
	w.must(len(d.blocked) <= w.maxBlocked, "%d streams are blocked", len(d.blocked))
	w.checkOutstanding()
}

// checkTable checks the size of a table, and that evicted entries leave nothing behind.
func (w *world) checkTable(t *table) {
	var size uint64
	for i := t.dropped; i < t.inserted; i++ {
		size += sizeOf(t.at(i).name, t.at(i).value)
	}
	w.must(size == t.size && size <= t.capacity, "the entries have %d bytes, the table %d of %d", size, t.size, t.capacity)
	w.must(len(t.ring) <= max(minRing, 2*int(t.capacity/entryOverhead)), "the ring has %d entries", len(t.ring))
	for i := t.inserted; i < t.dropped+uint64(len(t.ring)); i++ {
		w.must(t.at(i) == entry{}, "the table holds the evicted entry %v", t.at(i))
	}
}

// checkOutstanding checks what the encoder knows about sections that are not acknowledged.
func (w *world) checkOutstanding() {
	e := w.e
	pins := make(map[uint64]uint32)
	risky := make(map[uint64]bool)
	var drained, blocking uint64
	for i, o := range e.outstanding {
		w.must(i == 0 || o.stream >= e.outstanding[i-1].stream, "outstanding sections are not in the order of their streams")
		pins[o.least]++
		if o.required > e.known {
			risky[o.stream] = true
			blocking++
		}
	}
	for i := e.table.dropped; i < e.table.inserted; i++ {
		w.must(pins[i] == e.index.pins(i), "entry %d has %d pins, want %d", i, e.index.pins(i), pins[i])
		delete(pins, i)
		if i < e.draining {
			drained += sizeOf(e.table.at(i).name, e.table.at(i).value)
		}
	}
	w.must(len(pins) == 0, "referenced entries are not in the table: %v", pins)
	w.must(drained == e.drained, "%d bytes are draining, want %d", e.drained, drained)
	w.must(blocking == e.blocking, "%d sections may block, want %d", e.blocking, blocking)
	w.must(len(risky) <= w.maxBlocked, "%d streams could become blocked, the limit is %d", len(risky), w.maxBlocked)
}

// finish delivers everything.
func (w *world) finish() {
	for range 4 {
		w.encoderStream = w.e.AppendInstructions(w.encoderStream)
		w.deliverEncoder(len(w.encoderStream))
		for _, id := range w.ids {
			for range len(w.streams[id].sections) {
				w.decode(id)
			}
			require.Empty(w.t, w.streams[id].sections)
		}
		w.decoderStream = w.d.AppendInstructions(w.decoderStream)
		w.deliverDecoder(len(w.decoderStream))
		w.check()
	}
	require.Empty(w.t, w.e.outstanding)
	require.Zero(w.t, w.e.blocking)
	require.Equal(w.t, w.e.table.inserted, w.e.known)
	require.Equal(w.t, w.e.table.inserted, w.d.table.inserted)
	require.Empty(w.t, w.e.rest)
	require.Empty(w.t, w.d.rest)
	require.Empty(w.t, w.d.blocked)
}

// TestRandomWorlds sends random sections over streams that are delayed, reordered, fragmented and cancelled at random. It
// checks what the decoder emits, and the bounds of both sides after each step.
//
// "An encoder MUST emit field representations in the order they appear in the input field section."
// https://www.rfc-editor.org/rfc/rfc9204#section-2.1-3
func TestRandomWorlds(t *testing.T) {
	seeds := uint64(400)
	if testing.Short() {
		seeds = 100
	}
	seen := make(map[kind]int)
	var waited, cancelled, evicted int
	var seed uint64
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	for ; seed < seeds; seed++ {
		w := newWorld(t, seed)
		limitsAfter := w.rng.IntN(20)
		for i := range 500 {
			if i == limitsAfter {
				require.NoError(t, w.e.SetLimits(w.d.maxCapacity, uint64(w.maxBlocked)))
			}
			w.step()
			w.check()
		}
		w.finish()
		for k, n := range w.seen {
			seen[k] += n
		}
		waited, cancelled, evicted = waited+w.waited, cancelled+w.cancelled, evicted+int(w.e.table.dropped)
	}
	for _, k := range []kind{static, dynamic, postBase, staticName, dynamicName, postBaseName, literalName} {
		require.Greater(t, seen[k], int(seeds)/5, "%s: the worlds have too little of it", k)
	}
	require.Greater(t, waited, int(seeds)/2)
	require.Greater(t, cancelled, int(seeds)/2)
	require.Greater(t, evicted, int(seeds)*2)
}
