package core

// A table is a map that gives memory back. Go's maps keep the memory of the most entries that they have ever had, which a
// flood of connection attempts determines.
type table[K comparable, V any] struct {
	m    map[K]V
	peak int // the most entries that m has had
}

// minShrink is the number of entries below which the memory of a map does not matter.
const minShrink = 1024

func (t *table[K, V]) len() int { return len(t.m) }

func (t *table[K, V]) get(key K) (V, bool) {
	v, ok := t.m[key]
	return v, ok
}

func (t *table[K, V]) set(key K, v V) {
	if t.m == nil {
		t.m = make(map[K]V)
	}
	t.m[key] = v
	t.peak = max(t.peak, len(t.m))
}

// delete removes an entry. If few entries of many are left, it copies them to a smaller map. The cost of the copy is less
// than that of the deletions before it.
func (t *table[K, V]) delete(key K) {
	delete(t.m, key)
	if t.peak < minShrink || len(t.m) > t.peak/8 {
		return
	}
	left := make(map[K]V, len(t.m))
	for k, v := range t.m {
		left[k] = v
	}
	t.m, t.peak = left, len(left)
}
