package qpack

// minCookie is the length of the shortest cookie that may enter the dynamic table. A shorter one might be guessed: an
// attacker who can make us send fields on the same connection sees, by the length of the section, whether a field is in
// the table.
const minCookie = 20

// minSaving is how many bytes a reference must save.
const minSaving = 4

// historySize is how many fields and names that are not in the table the Encoder remembers.
const historySize = 64

// isSecret reports whether a field gets the 'N' bit although its sender has not asked for it.
//
// "An encoder might also choose not to index values for fields that are considered to be highly valuable or sensitive to
// recovery, such as the Cookie or Authorization header fields."
// https://www.rfc-editor.org/rfc/rfc9204#section-7.1.3-5
func isSecret(f *Field) bool {
	switch f.Name {
	case "authorization", "proxy-authorization", "set-cookie":
		return true
	case "cookie":
		return len(f.Value) < minCookie
	}
	return false
}

// isUseful reports whether a field that the table does not have should be inserted: it was seen before, a reference
// saves something, and it leaves room for others. name is the static entry with its name, or -1.
func (e *Encoder) isUseful(h hashes, name int, f *Field) bool {
	saving := len(f.Value)
	if name < 0 {
		saving += len(f.Name)
	}
	return saving >= minSaving && sizeOf(f.Name, f.Value) <= e.capacity()/2 && e.history.saw(uint32(h.field))
}

// A history has the hashes of the fields that were seen last. A collision only inserts a field early.
type history struct {
	hashes []uint32
	next   int
}

// saw reports whether the history has a hash, and adds it otherwise.
func (h *history) saw(hash uint32) bool {
	for _, x := range h.hashes {
		if x == hash {
			return true
		}
	}
	if len(h.hashes) < historySize {
		h.hashes = append(h.hashes, hash)
		return false
	}
	h.hashes[h.next] = hash
	h.next = (h.next + 1) % historySize
	return false
}
