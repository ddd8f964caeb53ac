package qpack

import (
	"hash/maphash"
	"math/bits"
)

// An index finds the entries of an Encoder's table. It has a chain for each bucket of hashes, from the newest entry to
// the oldest, so that eviction needs no work: a chain ends where the table does.
type index struct {
	seed    maphash.Seed
	buckets []bucket // as many as there are links
	links   []link   // of the entries, as in table.ring
}

// A bucket has the absolute indices, plus one, of the newest entries with hashes of the field and of the name. 0 is none.
type bucket struct{ field, name uint64 }

// A link has the distances to the next older entries of both chains, 0 at their ends, and the number of unacknowledged
// sections whose oldest reference is to this entry. As entries are evicted in order, these are enough to know which
// entries have to be kept.
type link struct{ field, name, pins uint32 }

// hashes are those of a field and of its name.
type hashes struct{ field, name uint64 }

func (x *index) hash(name, value string) hashes {
	if x.seed == (maphash.Seed{}) {
		x.seed = maphash.MakeSeed()
	}
	h := maphash.String(x.seed, name)
	return hashes{bits.RotateLeft64(h, 21) ^ maphash.String(x.seed, value), h}
}

func (x *index) bucket(h uint64) *bucket { return &x.buckets[h&uint64(len(x.buckets)-1)] }

func (x *index) link(index uint64) *link { return &x.links[index&uint64(len(x.links)-1)] }

// pins returns the number of unacknowledged sections whose oldest reference is to an entry.
func (x *index) pins(index uint64) uint32 { return x.link(index).pins }

// find returns the absolute index of the newest entry below a limit that equals a field.
func (x *index) find(t *table, h hashes, f *Field, limit uint64) (index uint64, ok bool) {
	if len(x.buckets) == 0 {
		return 0, false
	}
	for at := x.bucket(h.field).field; at > t.dropped; {
		if e := t.at(at - 1); at <= limit && e.name == f.Name && e.value == f.Value {
			return at - 1, true
		}
		distance := uint64(x.link(at - 1).field)
		if distance == 0 {
			break
		}
		at -= distance
	}
	return 0, false
}

// findName returns the absolute index of the newest entry below a limit that has a name.
func (x *index) findName(t *table, h hashes, name string, limit uint64) (index uint64, ok bool) {
	if len(x.buckets) == 0 {
		return 0, false
	}
	for at := x.bucket(h.name).name; at > t.dropped; {
		if at <= limit && t.at(at-1).name == name {
			return at - 1, true
		}
		distance := uint64(x.link(at - 1).name)
		if distance == 0 {
			break
		}
		at -= distance
	}
	return 0, false
}

// add adds the newest entry of the table.
func (x *index) add(t *table, h hashes) {
	if len(x.links) < len(t.ring) {
		x.grow(t)
	}
	x.put(t, t.inserted-1, h)
}

// grow makes the index as long as the table's ring, and adds all entries but the newest again.
func (x *index) grow(t *table) {
	old := *x
	x.buckets, x.links = make([]bucket, len(t.ring)), make([]link, len(t.ring))
	for i := t.dropped; i < t.inserted-1; i++ {
		e := t.at(i)
		x.put(t, i, x.hash(e.name, e.value))
		x.link(i).pins = old.pins(i)
	}
}

// put puts an entry at the beginning of its chains.
func (x *index) put(t *table, index uint64, h hashes) {
	field, name := &x.bucket(h.field).field, &x.bucket(h.name).name
	*x.link(index) = link{field: t.distance(index, *field), name: t.distance(index, *name)}
	*field, *name = index+1, index+1
}

// distance returns by how much the entry with the absolute index at-1 is older than another one, or 0 if the table does
// not have it any more.
func (t *table) distance(index, at uint64) uint32 {
	if at <= t.dropped {
		return 0
	}
	return uint32(index + 1 - at)
}
