package qpack

// An entry is a field line in a table.
type entry struct{ name, value string }

// entryOverhead is added to the lengths of name and value.
//
// "The size of an entry is the sum of its name's length in bytes, its value's length in bytes, and 32 additional
// bytes."
// https://www.rfc-editor.org/rfc/rfc9204#section-3.2.1-2
const entryOverhead = 32

// sizeOf returns the size of an entry, which bounds the memory that a table needs for it: 32 bytes are what two
// strings have besides their contents.
func sizeOf(name, value string) uint64 {
	return uint64(len(name)) + uint64(len(value)) + entryOverhead
}

// minRing is the length of the smallest ring. It is kept when the table is cleared, so that a peer that clears it again and
// again does not make us allocate.
const minRing = 8

// A table is a dynamic table: a queue of entries. Absolute indices count the insertions, so that the entries of the
// table are those from dropped to inserted-1.
type table struct {
	ring              []entry // the entry i is ring[i%len(ring)]; its length is a power of two
	inserted, dropped uint64
	size, capacity    uint64
}

// at returns the entry with an absolute index, which the table must contain.
func (t *table) at(index uint64) entry { return t.ring[index&uint64(len(t.ring)-1)] }

// has reports whether the table contains the entry with an absolute index.
func (t *table) has(index uint64) bool { return index >= t.dropped && index < t.inserted }

// room returns how much can be inserted without evicting an entry.
func (t *table) room() uint64 { return t.capacity - t.size }

// evict removes the oldest entry, which must exist.
func (t *table) evict() {
	e := &t.ring[t.dropped&uint64(len(t.ring)-1)]
	t.size -= sizeOf(e.name, e.value)
	*e = entry{}
	t.dropped++
}

// setCapacity evicts entries until the others fit.
//
// "Whenever the dynamic table capacity is reduced by the encoder (Section 4.3.1), entries are evicted from the end of
// the dynamic table until the size of the dynamic table is less than or equal to the new table capacity."
// https://www.rfc-editor.org/rfc/rfc9204#section-3.2.2-4
func (t *table) setCapacity(c uint64) {
	for t.size > c {
		t.evict()
	}
	t.capacity = c
	if t.size == 0 && len(t.ring) > minRing {
		t.ring = nil
	}
}

// insert adds an entry, whose size must not exceed the capacity, and evicts those for which there is no room. The
// strings may be those of an entry that is evicted.
//
// "Before a new entry is added to the dynamic table, entries are evicted from the end of the dynamic table until the
// size of the dynamic table is less than or equal to (table capacity - size of new entry)."
// https://www.rfc-editor.org/rfc/rfc9204#section-3.2.2-2
func (t *table) insert(name, value string) {
	size := sizeOf(name, value)
	for t.room() < size {
		t.evict()
	}
	if t.inserted-t.dropped == uint64(len(t.ring)) {
		t.grow()
	}
	t.ring[t.inserted&uint64(len(t.ring)-1)] = entry{name, value}
	t.inserted++
	t.size += size
}

// grow doubles the ring.
func (t *table) grow() {
	old := *t
	t.ring = make([]entry, max(minRing, 2*len(old.ring)))
	for i := t.dropped; i < t.inserted; i++ {
		t.ring[i&uint64(len(t.ring)-1)] = old.at(i)
	}
}
