package qpack

// maxOutstanding is how many field sections with references to the dynamic table may be unacknowledged. Further
// sections have no references.
//
// "An implementation can directly limit the amount of state memory by only using as many references to the dynamic table as
// it wishes to track".
// https://www.rfc-editor.org/rfc/rfc9204#section-7.3-5
const maxOutstanding = 512

// maxUnsent is how many bytes of instructions may wait before the Encoder stops inserting.
const maxUnsent = 4 << 10

// An Encoder encodes field sections. It inserts fields into its dynamic table that it sees again.
//
// "An encoder MAY insert any entry in the dynamic table it chooses; it is not limited to field lines it is compressing."
// https://www.rfc-editor.org/rfc/rfc9204#section-2.1-2
type Encoder struct {
	maxCapacity  uint64 // our own limit
	peerCapacity uint64 // MaxTableCapacity of the RFC
	maxBlocked   uint64
	table        table
	index        index
	history      history
	draining     uint64 // entries below this absolute index are not referenced any more
	drained      uint64 // the size of these entries

	known       uint64        // the Known Received Count
	sent        uint64        // insertions that AppendInstructions has returned
	outstanding []outstanding // by stream, and those of a stream in the order in which they were encoded
	blocking    uint64        // those that the peer may not be able to decode yet

	out  []byte // instructions
	rest []byte // the beginning of an instruction of the decoder stream
}

// NewEncoder returns an Encoder whose dynamic table never has more than maxCapacity bytes. With 0, AppendSection changes nothing in the
// Encoder, so that goroutines may share it.
func NewEncoder(maxCapacity int) *Encoder {
	return &Encoder{maxCapacity: uint64(maxCapacity)}
}

// SetLimits gives the Encoder the values of the peer's SETTINGS_QPACK_MAX_TABLE_CAPACITY and
// SETTINGS_QPACK_BLOCKED_STREAMS. Until then it uses only the static table. A client calls it with the remembered
// settings before it sends 0-RTT data, and again when the server's settings arrive. If 0-RTT is rejected, the
// connection needs a new Encoder.
//
// "For clients not using 0-RTT data (whether 0-RTT is not attempted or is rejected) and for all HTTP/3 servers, the maximum
// table capacity is 0 until the encoder processes a SETTINGS frame with a non-zero value of
// SETTINGS_QPACK_MAX_TABLE_CAPACITY."
// https://www.rfc-editor.org/rfc/rfc9204#section-3.2.3-3
//
// "If the remembered value is non-zero, the server MUST send the same non-zero value in its SETTINGS frame. If it specifies
// any other value, or omits SETTINGS_QPACK_MAX_TABLE_CAPACITY from SETTINGS, the encoder must treat this as a connection
// error of type QPACK_DECODER_STREAM_ERROR."
// https://www.rfc-editor.org/rfc/rfc9204#section-3.2.3-2
func (e *Encoder) SetLimits(peerMaxCapacity, peerMaxBlocked uint64) error {
	if e.peerCapacity != 0 && e.peerCapacity != peerMaxCapacity {
		return decoderStreamError("the maximum table capacity changes from %d to %d", e.peerCapacity, peerMaxCapacity)
	}
	e.peerCapacity, e.maxBlocked = peerMaxCapacity, peerMaxBlocked
	return nil
}

// capacity returns the capacity that the table has once it is in use.
//
// "The encoder MUST NOT set a dynamic table capacity that exceeds this maximum, but it can choose to use a lower dynamic
// table capacity".
// https://www.rfc-editor.org/rfc/rfc9204#section-3.2.3-1
func (e *Encoder) capacity() uint64 { return min(e.maxCapacity, e.peerCapacity) }

// A section is a field section that is being encoded.
type section struct {
	base     uint64 // the Insert Count before the section
	limit    uint64 // entries below it may be referenced
	least    uint64 // the oldest entry that is referenced
	required uint64 // the Required Insert Count: 0 if there are no references
	dynamic  bool   // the dynamic table may be used
}

// reference notes that the section references an entry.
func (s *section) reference(index uint64) {
	if s.required == 0 || index < s.least {
		s.least = index
	}
	s.required = max(s.required, index+1)
}

// AppendSection appends a field section for a stream. It does not keep fields.
func (e *Encoder) AppendSection(b []byte, stream uint64, fields []Field) []byte {
	s := e.newSection(stream)
	start := len(b)
	b = append(b, 0, 0) // the prefix of a section without references
	for i := range fields {
		b = e.appendLine(b, &s, &fields[i])
	}
	if s.required == 0 {
		return b
	}
	e.track(stream, &s)
	return e.setPrefix(b, start, &s)
}

// newSection decides which entries a section may reference.
//
// "An encoder MUST limit the number of streams that could become blocked to the value of SETTINGS_QPACK_BLOCKED_STREAMS at
// all times."
// https://www.rfc-editor.org/rfc/rfc9204#section-2.1.2-4
func (e *Encoder) newSection(stream uint64) section {
	s := section{base: e.table.inserted}
	// "When the maximum table capacity is zero, the encoder MUST NOT insert entries into the dynamic table and MUST NOT send
	// any encoder instructions on the encoder stream."
	// https://www.rfc-editor.org/rfc/rfc9204#section-3.2.3-4
	s.dynamic = e.capacity() >= entryOverhead && len(e.outstanding) < maxOutstanding
	switch {
	case e.blocking >= e.maxBlocked && !e.mayBlock(stream):
		s.limit = e.known
	case len(e.out) > 0:
		// The caller could not write the instructions of an earlier section. The peer might wait for them for long.
		s.limit = max(e.known, e.sent)
	default:
		s.limit = maxInt
	}
	return s
}

// setPrefix writes the prefix of a section that begins at b[start]. Two bytes are reserved for it.
//
// "The value of Base MUST NOT be negative."
// https://www.rfc-editor.org/rfc/rfc9204#section-4.5.1.2-5
func (e *Encoder) setPrefix(b []byte, start int, s *section) []byte {
	var buf [20]byte
	maxEntries := e.peerCapacity / entryOverhead
	p := appendInt(buf[:0], 0, 8, s.required%(2*maxEntries)+1)
	if s.base >= s.required {
		p = appendInt(p, 0, 7, s.base-s.required)
	} else {
		p = appendInt(p, 0x80, 7, s.required-s.base-1)
	}
	if more := len(p) - 2; more > 0 {
		b = append(b, p[:more]...) // makes room
		copy(b[start+len(p):], b[start+2:len(b)-more])
	}
	copy(b[start:], p)
	return b
}

// appendLine appends a field line.
//
// "An encoder MUST emit field representations in the order they appear in the input field section."
// https://www.rfc-editor.org/rfc/rfc9204#section-2.1-3
func (e *Encoder) appendLine(b []byte, s *section, f *Field) []byte {
	name, isExact := findStatic(f.Name, f.Value)
	if f.Sensitive || isSecret(f) {
		return appendLiteral(b, 1, name, f)
	}
	if isExact {
		return appendInt(b, 0xc0, 6, uint64(name))
	}
	if s.dynamic {
		return e.appendDynamic(b, s, name, f)
	}
	return appendLiteral(b, 0, name, f)
}

// appendLiteral appends a literal field line, with the name of an entry of the static table unless name is -1. never is
// the 'N' bit.
//
// "When the 'N' bit is set, the encoded field line MUST always be encoded with a literal representation. In particular,
// when a peer sends a field line that it received represented as a literal field line with the 'N' bit set, it MUST use a
// literal representation to forward this field line."
// https://www.rfc-editor.org/rfc/rfc9204#section-4.5.4-3
//
// "If QPACK is used for re-encoding, a literal representation with the 'N' bit set MUST be used."
// https://www.rfc-editor.org/rfc/rfc9204#section-7.1.3-3
func appendLiteral(b []byte, never byte, name int, f *Field) []byte {
	if name >= 0 {
		b = appendInt(b, 0x50|never<<5, 4, uint64(name))
	} else {
		b = appendString(b, 0x20|never<<4, 3, f.Name)
	}
	return appendString(b, 0, 7, f.Value)
}

// appendDynamic appends a field line that may reference the dynamic table, and inserts the field if that is
// worthwhile. name is the static entry with its name, or -1.
func (e *Encoder) appendDynamic(b []byte, s *section, name int, f *Field) []byte {
	h := e.index.hash(f.Name, f.Value)
	index, ok := e.index.find(&e.table, h, f, maxInt)
	switch {
	case !ok:
		index, ok = e.insertIfUseful(s, h, name, f)
	case index < e.draining:
		index, ok = e.duplicate(s, h, index)
	case index >= s.limit: // perhaps it is a duplicate
		index, ok = e.index.find(&e.table, h, f, s.limit)
	}
	if ok && index < s.limit {
		s.reference(index)
		if index < s.base {
			return appendInt(b, 0x80, 6, s.base-1-index)
		}
		return appendInt(b, 0x10, 4, index-s.base)
	}
	if name < 0 {
		if index, ok := e.index.findName(&e.table, h, f.Name, s.limit); ok && index >= e.draining {
			s.reference(index)
			if index < s.base {
				b = appendInt(b, 0x40, 4, s.base-1-index)
			} else {
				b = appendInt(b, 0, 3, index-s.base)
			}
			return appendString(b, 0, 7, f.Value)
		}
	}
	return appendLiteral(b, 0, name, f)
}
