package qpack

import "strings"

// drainingShare is the share of the table that is unused or draining once the table is full.
//
// "To ensure that the encoder is not prevented from adding new entries, the encoder can avoid referencing entries that are
// close to eviction. Rather than reference such an entry, the encoder can emit a Duplicate instruction (Section 4.3.4) and
// reference the duplicate instead."
// https://www.rfc-editor.org/rfc/rfc9204#section-2.1.1.1-1
const drainingShare = 8

// insertIfUseful inserts a field that the table does not have, if the Encoder saw it before and there is room. name is
// the static entry with its name, or -1. It returns the absolute index of the new entry.
func (e *Encoder) insertIfUseful(s *section, h hashes, name int, f *Field) (index uint64, ok bool) {
	if !e.isUseful(h, name, f) || len(e.out) > maxUnsent {
		return 0, false
	}
	dynamicName, hasName := uint64(0), false
	if name < 0 {
		dynamicName, hasName = e.index.findName(&e.table, h, f.Name, maxInt)
	}
	var interned string
	switch {
	case name >= 0:
		interned = staticTable[name].name
	case hasName:
		interned = e.table.at(dynamicName).name
	}
	if !e.makeRoom(s, sizeOf(f.Name, f.Value)) {
		return 0, false
	}
	switch {
	case name >= 0:
		e.out = appendInt(e.out, 0xc0, 6, uint64(name))
	case hasName:
		e.out = appendInt(e.out, 0x80, 6, e.table.inserted-1-dynamicName)
	default:
		e.out = appendString(e.out, 0x40, 5, f.Name)
		interned = strings.Clone(f.Name)
	}
	e.out = appendString(e.out, 0, 7, f.Value)
	return e.insert(h, interned, strings.Clone(f.Value)), true
}

// duplicate inserts a draining entry again, if there is room. It returns the absolute index of the entry that the
// section can reference: of the new one, or of the old one if the section may not reference the new one.
func (e *Encoder) duplicate(s *section, h hashes, index uint64) (reference uint64, ok bool) {
	old := e.table.at(index)
	if len(e.out) > maxUnsent || !e.makeRoom(s, sizeOf(old.name, old.value)) {
		return 0, false
	}
	e.out = appendInt(e.out, 0, 5, e.table.inserted-1-index)
	reference = e.insert(h, old.name, old.value)
	if reference >= s.limit && e.table.has(index) {
		reference = index
	}
	return reference, true
}

// makeRoom evicts entries until one with a size can be inserted. If it may not evict enough of them, it evicts none and
// returns false.
//
// "If the dynamic table does not contain enough room for a new entry without evicting other entries, and the entries that
// would be evicted are not evictable, the encoder MUST NOT insert that entry into the dynamic table (including duplicates of
// existing entries)."
// https://www.rfc-editor.org/rfc/rfc9204#section-2.1.1-3
func (e *Encoder) makeRoom(s *section, size uint64) bool {
	e.setCapacity()
	t := &e.table
	if size > t.capacity {
		return false
	}
	end := t.dropped
	for room := t.room(); room < size; end++ {
		// "The encoder MUST NOT cause a dynamic table entry to be evicted unless that entry is evictable".
		// https://www.rfc-editor.org/rfc/rfc9204#section-3.2.2-2
		if end >= e.known || e.index.pins(end) > 0 || s.required > 0 && end == s.least {
			return false
		}
		old := t.at(end)
		room += sizeOf(old.name, old.value)
	}
	for t.dropped < end {
		size := t.size
		t.evict()
		if t.dropped <= e.draining {
			e.drained -= size - t.size
		}
	}
	e.draining = max(e.draining, end)
	return true
}

// setCapacity sets the capacity of the table before its first insertion. It never changes afterwards.
//
// "The new capacity MUST be lower than or equal to the limit described in Section 3.2.3."
// https://www.rfc-editor.org/rfc/rfc9204#section-4.3.1-3
//
// "Reducing the dynamic table capacity can cause entries to be evicted; see Section 3.2.2. This MUST NOT cause the eviction
// of entries that are not evictable".
// https://www.rfc-editor.org/rfc/rfc9204#section-4.3.1-4
func (e *Encoder) setCapacity() {
	if e.table.capacity == 0 {
		e.table.setCapacity(e.capacity())
		e.out = AppendSetCapacity(e.out, e.table.capacity)
	}
}

// AppendSetCapacity appends the instruction Set Dynamic Table Capacity of the encoder stream.
func AppendSetCapacity(b []byte, capacity uint64) []byte { return appendInt(b, 0x20, 5, capacity) }

// insert adds an entry for which there is room, and moves the draining index. It returns the entry's absolute index.
func (e *Encoder) insert(h hashes, name, value string) uint64 {
	t := &e.table
	t.insert(name, value)
	index := t.inserted - 1
	e.index.add(t, h)
	for t.room()+e.drained < t.capacity/drainingShare && e.draining < index {
		old := t.at(e.draining)
		e.drained += sizeOf(old.name, old.value)
		e.draining++
	}
	return index
}
