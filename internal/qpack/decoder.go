package qpack

import (
	"bytes"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// maxPending is how many bytes of decoder instructions may wait. A peer that does not let us send them, and goes on
// with requests that need them, is disconnected.
//
// "Implementations should limit the size of unsent data, especially on the decoder stream where flexibility to choose
// what to send is limited."
// https://www.rfc-editor.org/rfc/rfc9204#section-7.3-7
const maxPending = 64 << 10

// maxScratch is the size of the buffers that a Decoder or Encoder keeps.
const maxScratch = 1 << 10

// A Decoder decodes field sections. Its dynamic table follows the instructions of the peer's encoder.
type Decoder struct {
	maxCapacity uint64
	maxBlocked  int
	table       table
	known       uint64 // the Known Received Count of the peer, once it has read our instructions
	rest        []byte // the beginning of an instruction of the encoder stream
	blocked     []blockedStream
	unblocked   []uint64
	out         []byte // instructions without Insert Count Increments

	scratch bytes.Buffer    // a string that is decoded
	chunk   strings.Builder // the memory of the strings of a field section
}

// A blockedStream has a field section that cannot be decoded yet.
type blockedStream struct{ stream, required uint64 }

// NewDecoder returns a Decoder for an endpoint that sends SETTINGS_QPACK_MAX_TABLE_CAPACITY and
// SETTINGS_QPACK_BLOCKED_STREAMS with these values, which must not be negative.
func NewDecoder(maxCapacity, maxBlocked int) *Decoder {
	return &Decoder{maxCapacity: uint64(maxCapacity), maxBlocked: maxBlocked}
}

// Decode decodes a field section and calls emit for each field, in order. Sections of a stream must be decoded in
// order.
//
// If it returns ErrBlocked, it has not called emit. The caller keeps the section, best in the flow-control window of
// its stream, and calls Decode again when Unblocked returns the stream, or CancelStream when it abandons it.
//
// "While blocked, encoded field section data SHOULD remain in the blocked stream's flow-control window."
// https://www.rfc-editor.org/rfc/rfc9204#section-2.2.1-2
//
// Decode returns an error of emit unchanged. The caller then has to call CancelStream.
//
// The strings of a Field stay valid. Those of literals share memory with the other literals of the section, at most 8/5
// of its length. The decoded section may be far longer, because a byte or two reference an entry of a table: emit has to
// limit it.
func (d *Decoder) Decode(stream uint64, section []byte, emit func(Field) error) error {
	if len(d.out) > maxPending {
		return &Error{Code: ExcessiveLoad, Reason: "the peer does not read the decoder stream"}
	}
	p, rest, err := d.readPrefix(section)
	if err != nil {
		return err
	}
	// "When the Required Insert Count is less than or equal to the decoder's Insert Count, the field section can be
	// processed immediately. Otherwise, the stream on which the field section was received becomes blocked."
	// https://www.rfc-editor.org/rfc/rfc9204#section-2.2.1-1
	if p.required > d.table.inserted {
		return d.block(stream, p.required)
	}
	// "The decoder MUST emit field lines in the order their representations appear in the encoded field section."
	// https://www.rfc-editor.org/rfc/rfc9204#section-2.2-2
	for len(rest) > 0 {
		var f Field
		if f, rest, err = d.readLine(rest, p); err == nil {
			err = emit(f)
		}
		if err != nil {
			break
		}
	}
	d.trim()
	if err == nil && p.required > 0 {
		d.acknowledge(stream, p.required)
	}
	return err
}

// trim releases memory that is not needed between calls.
func (d *Decoder) trim() {
	d.chunk.Reset()
	if d.scratch.Cap() > maxScratch {
		d.scratch = bytes.Buffer{}
	}
}

// block notes that a stream waits for an insertion.
//
// "If a decoder encounters more blocked streams than it promised to support, it MUST treat this as a connection error of
// type QPACK_DECOMPRESSION_FAILED."
// https://www.rfc-editor.org/rfc/rfc9204#section-2.1.2-4
func (d *Decoder) block(stream, required uint64) error {
	d.unblock(stream) // if it was blocked already
	if len(d.blocked) >= d.maxBlocked {
		return sectionError("stream %d is blocked, and %d others: the limit is %d", stream, len(d.blocked), d.maxBlocked)
	}
	d.blocked = append(d.blocked, blockedStream{stream, required})
	return ErrBlocked
}

// unblock removes a stream from the blocked ones, if it is one of them.
func (d *Decoder) unblock(stream uint64) {
	for i, b := range d.blocked {
		if b.stream == stream {
			d.blocked = append(d.blocked[:i], d.blocked[i+1:]...)
			return
		}
	}
}

// A prefix is what the lines of a field section depend on.
type prefix struct{ required, base uint64 }

// IsStatic reports whether a field section has no references to the dynamic table: its Required Insert Count is 0. Any Decoder can
// decode it, also one of another connection.
func IsStatic(section []byte) bool { return len(section) == 0 || section[0] == 0 }

// readPrefix reads the prefix of a field section.
func (d *Decoder) readPrefix(section []byte) (p prefix, rest []byte, err error) {
	encoded, rest, err := sectionInt(section, 8)
	if err != nil {
		return p, nil, err
	}
	if p.required, err = d.requiredInsertCount(encoded); err != nil {
		return p, nil, err
	}
	isNegative := len(rest) > 0 && rest[0]&0x80 != 0
	delta, rest, err := sectionInt(rest, 7)
	switch {
	case err != nil:
		return p, nil, err
	case !isNegative:
		p.base = p.required + delta
	// "The value of Base MUST NOT be negative. [...] An endpoint MUST treat a field block with a Sign bit of 1 as invalid
	// if the value of Required Insert Count is less than or equal to the value of Delta Base."
	// https://www.rfc-editor.org/rfc/rfc9204#section-4.5.1.2-5
	case p.required <= delta:
		return p, nil, sectionError("the base is negative: the required insert count is %d, the delta base -%d-1", p.required, delta)
	default:
		p.base = p.required - delta - 1
	}
	return p, rest, nil
}

// requiredInsertCount reconstructs the Required Insert Count, which is encoded modulo twice the number of entries that
// the largest table can have.
//
// "If the decoder encounters a value of EncodedInsertCount that could not have been produced by a conformant encoder, it
// MUST treat this as a connection error of type QPACK_DECOMPRESSION_FAILED."
// https://www.rfc-editor.org/rfc/rfc9204#section-4.5.1.1-8
func (d *Decoder) requiredInsertCount(encoded uint64) (uint64, error) {
	if encoded == 0 {
		return 0, nil
	}
	maxEntries := d.maxCapacity / entryOverhead
	fullRange := 2 * maxEntries
	if encoded > fullRange {
		return 0, sectionError("the encoded insert count %d is larger than twice the most entries, %d", encoded, maxEntries)
	}
	maxValue := d.table.inserted + maxEntries
	required := maxValue/fullRange*fullRange + encoded - 1
	if required > maxValue {
		if required <= fullRange {
			return 0, sectionError("the encoded insert count %d is impossible after %d insertions", encoded, d.table.inserted)
		}
		required -= fullRange
	}
	if required == 0 {
		return 0, sectionError("a required insert count of 0 is encoded as %d", encoded)
	}
	return required, nil
}

// readLine reads the field line at the beginning of b, which is not empty.
func (d *Decoder) readLine(b []byte, p prefix) (f Field, rest []byte, err error) {
	var e entry
	switch c := b[0]; {
	case c&0x80 != 0: // Indexed Field Line
		if e, rest, err = d.readReference(b, 6, c&0x40 != 0, p); err != nil {
			return f, nil, err
		}
		return Field{Name: e.name, Value: e.value}, rest, nil
	case c&0x40 != 0: // Literal Field Line with Name Reference
		f.Sensitive = c&0x20 != 0
		e, rest, err = d.readReference(b, 4, c&0x10 != 0, p)
		f.Name = e.name
	case c&0x20 != 0: // Literal Field Line with Literal Name
		f.Sensitive = c&0x10 != 0
		f.Name, rest, err = d.readString(b, 3, true)
	case c&0x10 != 0: // Indexed Field Line with Post-Base Index
		if e, rest, err = d.readPostBase(b, 4, p); err != nil {
			return f, nil, err
		}
		return Field{Name: e.name, Value: e.value}, rest, nil
	default: // Literal Field Line with Post-Base Name Reference
		f.Sensitive = c&0x08 != 0
		e, rest, err = d.readPostBase(b, 3, p)
		f.Name = e.name
	}
	if err == nil {
		f.Value, rest, err = d.readString(rest, 7, false)
	}
	return f, rest, err
}

// readReference reads an index into the static table, or one into the dynamic table relative to the base.
func (d *Decoder) readReference(b []byte, n uint8, isStatic bool, p prefix) (entry, []byte, error) {
	index, rest, err := sectionInt(b, n)
	switch {
	case err != nil:
		return entry{}, nil, err
	// "When the decoder encounters an invalid static table index in a field line representation, it MUST treat this as a
	// connection error of type QPACK_DECOMPRESSION_FAILED."
	// https://www.rfc-editor.org/rfc/rfc9204#section-3.1-4
	case isStatic && index >= uint64(len(staticTable)):
		return entry{}, nil, sectionError("the static table has no entry %d", index)
	case isStatic:
		return staticTable[index], rest, nil
	case index >= p.base:
		return entry{}, nil, sectionError("the relative index %d is not below the base, %d", index, p.base)
	}
	return d.dynamicEntry(p.base-1-index, rest, p)
}

// readPostBase reads an index into the dynamic table that counts from the base.
func (d *Decoder) readPostBase(b []byte, n uint8, p prefix) (entry, []byte, error) {
	index, rest, err := sectionInt(b, n)
	if err != nil {
		return entry{}, nil, err
	}
	return d.dynamicEntry(p.base+index, rest, p)
}

// dynamicEntry returns the entry with an absolute index.
//
// "If the decoder encounters a reference in a field line representation to a dynamic table entry that has already been
// evicted or that has an absolute index greater than or equal to the declared Required Insert Count (Section 4.5.1), it
// MUST treat this as a connection error of type QPACK_DECOMPRESSION_FAILED."
// https://www.rfc-editor.org/rfc/rfc9204#section-2.2.3-1
//
// "If it encounters a Required Insert Count smaller than expected, it MUST treat this as a connection error of type
// QPACK_DECOMPRESSION_FAILED; see Section 2.2.3. If it encounters a Required Insert Count larger than expected, it MAY treat
// this as a connection error of type QPACK_DECOMPRESSION_FAILED."
// https://www.rfc-editor.org/rfc/rfc9204#section-2.2.1-3
//
// A larger one is accepted.
func (d *Decoder) dynamicEntry(index uint64, rest []byte, p prefix) (entry, []byte, error) {
	if index >= p.required {
		return entry{}, nil, sectionError("the entry %d is not among the first %d that the field section requires", index, p.required)
	}
	if !d.table.has(index) {
		return entry{}, nil, sectionError("the entry %d was evicted: the oldest is %d", index, d.table.dropped)
	}
	return d.table.at(index), rest, nil
}

// readString reads a string. Names that the static table has need no memory.
func (d *Decoder) readString(b []byte, n uint8, isName bool) (s string, rest []byte, err error) {
	l, _, size := consumeString(b, n)
	if size <= 0 {
		return "", nil, sectionFault(size)
	}
	rest = b[size:]
	data := l.data
	if isName && l.huffman {
		d.scratch.Reset()
		if _, err := hpack.HuffmanDecode(&d.scratch, l.data); err != nil {
			return "", nil, errSectionHuffman
		}
		l, data = literal{}, d.scratch.Bytes()
	}
	if isName {
		if s, ok := internName(data); ok {
			return s, rest, nil
		}
	}
	from := d.reserve(max(l.maxLen(), len(data)), len(rest))
	if l.huffman {
		if _, err := hpack.HuffmanDecode(&d.chunk, l.data); err != nil {
			return "", nil, errSectionHuffman
		}
	} else {
		d.chunk.Write(data)
	}
	return d.chunk.String()[from:], rest, nil
}

// reserve makes room for a string of at most n bytes. The first string of a section makes it for all that follow, in the
// rest of the section. It returns the length of what the chunk contains.
func (d *Decoder) reserve(n, rest int) int {
	if d.chunk.Cap()-d.chunk.Len() < n {
		d.chunk.Grow(n + rest*8/5)
	}
	return d.chunk.Len()
}

var (
	errSectionTruncated error = &Error{Code: DecompressionFailed, Reason: "the field section ends within a field line"}
	errSectionHuffman   error = &Error{Code: DecompressionFailed, Reason: "a string in the field section is not a Huffman code"}

	// "If an implementation encounters a value larger than it is able to decode, this MUST be treated as a stream error
	// of type QPACK_DECOMPRESSION_FAILED if on a request stream".
	// https://www.rfc-editor.org/rfc/rfc9204#section-7.4-3
	errSectionTooLarge error = &Error{Code: DecompressionFailed, Stream: true, Reason: "an integer in the field section has more than 62 bits"}
)

// sectionFault returns the error for a size of consumeInt or consumeString.
func sectionFault(size int) error {
	if size == tooLarge {
		return errSectionTooLarge
	}
	return errSectionTruncated
}

// sectionInt reads an integer of a field section.
func sectionInt(b []byte, n uint8) (v uint64, rest []byte, err error) {
	v, size := consumeInt(b, n)
	if size <= 0 {
		return 0, nil, sectionFault(size)
	}
	return v, b[size:], nil
}
