package qpack

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// newTestDecoder returns a Decoder with a capacity of 128, so that MaxEntries is 4, in which five entries were inserted,
// two of which are still in the table: a1 a2 a3 a4 a5, each of 64 bytes.
func newTestDecoder(t *testing.T) *Decoder {
	d := NewDecoder(128, 2)
	require.NoError(t, d.HandleEncoderStream(appendInt(nil, 0x20, 5, 128)))
	for _, c := range "12345" {
		b := appendString(nil, 0x40, 5, "a"+string(c))
		require.NoError(t, d.HandleEncoderStream(appendString(b, 0, 7, strings.Repeat(string(c), 30))))
	}
	require.EqualValues(t, 3, d.table.dropped)
	d.AppendInstructions(nil)
	return d
}

// TestInvalidSections checks what the decoder refuses in field sections.
func TestInvalidSections(t *testing.T) {
	long := "ff ffff ffff ffff ffff ff7f" // more than 62 bits
	for _, c := range []struct {
		name, section string
		ofStream      bool
	}{
		{"empty section", "", false},
		{"no base", "00", false},
		{"truncated required insert count", "ff", false},
		{"truncated base", "00 7f", false},

		// "When the decoder encounters an invalid static table index in a field line representation, it MUST treat this as a
		// connection error of type QPACK_DECOMPRESSION_FAILED."
		// https://www.rfc-editor.org/rfc/rfc9204#section-3.1-4
		{"static index 99", "0000 ff24", false},
		{"static name 99", "0000 5f54 00", false},

		// "If the decoder encounters a value of EncodedInsertCount that could not have been produced by a conformant encoder,
		// it MUST treat this as a connection error of type QPACK_DECOMPRESSION_FAILED."
		// https://www.rfc-editor.org/rfc/rfc9204#section-4.5.1.1-8
		{"encoded insert count beyond the full range", "0900", false},

		// "If the decoder encounters a reference in a field line representation to a dynamic table entry that has already
		// been evicted or that has an absolute index greater than or equal to the declared Required Insert Count (Section
		// 4.5.1), it MUST treat this as a connection error of type QPACK_DECOMPRESSION_FAILED."
		// https://www.rfc-editor.org/rfc/rfc9204#section-2.2.3-1
		//
		// "If it encounters a Required Insert Count smaller than expected, it MUST treat this as a connection error of type
		// QPACK_DECOMPRESSION_FAILED".
		// https://www.rfc-editor.org/rfc/rfc9204#section-2.2.1-3
		{"evicted entry", "0600 82", false},
		{"evicted entry after the base", "0684 12", false},
		{"name of an evicted entry", "0600 42 00", false},
		{"required insert count 4, entry 4", "0580 11", false},
		{"required insert count 4, entry 4 below the base", "0501 80", false},
		{"required insert count 0, post-base entry", "0000 10", false},
		{"required insert count 0, entry below the base", "0005 80", false},
		{"required insert count 0, post-base name", "0000 00 00", false},
		{"relative index not below the base", "0600 85", false},

		// "The value of Base MUST NOT be negative. [...] An endpoint MUST treat a field block with a Sign bit of 1 as invalid if the value of Required Insert Count is less
		// than or equal to the value of Delta Base."
		// https://www.rfc-editor.org/rfc/rfc9204#section-4.5.1.2-5
		{"negative base", "0685 10", false},
		{"negative base, required insert count 0", "0080", false},

		{"truncated index", "0000 ff", false},
		{"truncated post-base index", "0000 1f", false},
		{"no value", "0000 51", false},
		{"truncated value", "0000 51 03 6161", false},
		{"truncated length", "0000 51 7f", false},
		{"truncated name", "0000 23 6161", false},
		{"no value after a literal name", "0000 21 61", false},
		{"Huffman code with the symbol EOS", "0000 51 84 ffffffff", false},
		{"Huffman code with long padding", "0000 51 82 1fff", false},
		{"Huffman name with wrong padding", "0000 29 00 00", false},

		// "If an implementation encounters a value larger than it is able to decode, this MUST be treated as a stream error of
		// type QPACK_DECOMPRESSION_FAILED if on a request stream".
		// https://www.rfc-editor.org/rfc/rfc9204#section-7.4-3
		{"large required insert count", long + "00", true},
		{"large base", "00" + long, true},
		{"large index", "0000" + long, true},
		{"large post-base index", "0000 1f" + long, true},
		{"large length", "0000 51" + long, true},
		{"large length of a name", "0000 27" + long, true},
	} {
		d := newTestDecoder(t)
		_, err := decodeAll(d, 0, unhex(t, c.section))
		requireError(t, err, DecompressionFailed, c.ofStream, c.name)
		require.Empty(t, d.AppendInstructions(nil), "a section that failed is not acknowledged")
	}
}

// TestInvalidEncoderStreams checks what the decoder refuses on the encoder stream.
func TestInvalidEncoderStreams(t *testing.T) {
	long := "ff ffff ffff ffff ffff ff7f"
	for _, c := range []struct{ name, stream string }{
		// "The decoder MUST treat a new dynamic table capacity value that exceeds this limit as a connection error of type
		// QPACK_ENCODER_STREAM_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9204#section-4.3.1-3
		{"capacity 129", "3f62"},

		// "If this index is received on the encoder stream, this MUST be treated as a connection error of type
		// QPACK_ENCODER_STREAM_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9204#section-3.1-4
		{"static index 99", "ff24 00"},

		// "If the decoder encounters a reference in an encoder instruction to a dynamic table entry that has already been
		// evicted, it MUST treat this as a connection error of type QPACK_ENCODER_STREAM_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9204#section-2.2.3-2
		{"name of an evicted entry", "82 00"},
		{"name of an entry that never was", "8a 00"},
		{"duplicate of an evicted entry", "02"},
		{"duplicate of an entry that never was", "05"},

		// "It is an error if the encoder attempts to add an entry that is larger than the dynamic table capacity; the decoder
		// MUST treat this as a connection error of type QPACK_ENCODER_STREAM_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9204#section-3.2.2-2
		{"entry of 129 bytes", "4161 60" + strings.Repeat("61", 96)},
		{"entry of 129 bytes, Huffman", "4161 bc" + strings.Repeat("18c6318c63", 12)},
		{"only the length of a large value", "c0 7f00"},
		{"only the length of a large name", "5f43"},
		{"only the length of a large Huffman value", "c0 fff401"},
		{"a capacity of 0, and an empty entry", "20 40 00"},

		{"not a Huffman code", "c0 84 ffffffff"},
		{"not a Huffman code in a name", "64 ffffffff 00"},

		// "If an implementation encounters a value larger than it is able to decode, this MUST be treated as [...] a connection
		// error of the appropriate type if on the encoder or decoder stream."
		// https://www.rfc-editor.org/rfc/rfc9204#section-7.4-3
		{"large capacity", "3f" + long},
		{"large duplicate", "1f" + long},
		{"large name index", "bf" + long},
		{"large length", "c0" + long},
		{"large length of a name", "5f" + long},
	} {
		b := unhex(t, c.stream)
		requireError(t, newTestDecoder(t).HandleEncoderStream(b), EncoderStreamError, false, c.name)

		// In fragments of one byte.
		d := newTestDecoder(t)
		var err error
		for i := 0; i < len(b) && err == nil; i++ {
			err = d.HandleEncoderStream(b[i : i+1])
		}
		requireError(t, err, EncoderStreamError, false, c.name)
	}
}

// TestRequiredInsertCount compares with all Required Insert Counts that an encoder can send.
func TestRequiredInsertCount(t *testing.T) {
	for maxEntries := uint64(1); maxEntries < 6; maxEntries++ {
		d := NewDecoder(int(maxEntries*entryOverhead+31), 0)
		for d.table.inserted = 0; d.table.inserted < 40; d.table.inserted++ {
			n := d.table.inserted
			for want := n - min(n, maxEntries) + 1; want <= n+maxEntries; want++ {
				got, err := d.requiredInsertCount(want%(2*maxEntries) + 1)
				require.NoError(t, err)
				require.Equal(t, want, got, "after %d insertions", n)
			}
			for encoded := uint64(0); encoded < 2*maxEntries+3; encoded++ {
				got, err := d.requiredInsertCount(encoded)
				if err != nil {
					continue
				}
				require.LessOrEqual(t, got, n+maxEntries)
				require.Equal(t, encoded == 0, got == 0)
			}
			_, err := d.requiredInsertCount(2*maxEntries + 1)
			requireError(t, err, DecompressionFailed, false)
		}
	}
	// "[I]f the dynamic table is 100 bytes, then the Required Insert Count will be encoded modulo 6. If a decoder has
	// received 10 inserts, then an encoded value of 4 indicates that the Required Insert Count is 9 for the field section."
	// https://www.rfc-editor.org/rfc/rfc9204#section-4.5.1.1-11
	d := NewDecoder(100, 0)
	d.table.inserted = 10
	got, err := d.requiredInsertCount(4)
	require.NoError(t, err)
	require.EqualValues(t, 9, got)

	// "If the decoder encounters a value of EncodedInsertCount that could not have been produced by a conformant encoder, it
	// MUST treat this as a connection error of type QPACK_DECOMPRESSION_FAILED."
	// https://www.rfc-editor.org/rfc/rfc9204#section-4.5.1.1-8
	d = NewDecoder(128, 0)
	_, err = d.requiredInsertCount(1)
	requireError(t, err, DecompressionFailed, false, "0 has to be encoded as 0")
	_, err = d.requiredInsertCount(6)
	requireError(t, err, DecompressionFailed, false, "an empty table can have 4 entries, not 5")
	d = NewDecoder(31, 0)
	_, err = d.requiredInsertCount(1)
	requireError(t, err, DecompressionFailed, false, "a table without room for an entry")
}

// TestAllRepresentations decodes a section with each representation.
//
// "The decoder MUST emit field lines in the order their representations appear in the encoded field section."
// https://www.rfc-editor.org/rfc/rfc9204#section-2.2-2
func TestAllRepresentations(t *testing.T) {
	d := newTestDecoder(t)
	d.known = 0
	// Required Insert Count 5, Base 4: entry 3 is below the Base, entry 4 is not.
	section := unhex(t, "0680 d1 80 10 51 01 78 71 01 79 40 01 7a 60 00 00 01 77 08 00 21 62 01 63 31 64 00 20 00")
	fields, err := decodeAll(d, 4, section)
	require.NoError(t, err)
	four, five := strings.Repeat("4", 30), strings.Repeat("5", 30)
	require.Equal(t, []Field{
		{Name: ":method", Value: "GET"}, {Name: "a4", Value: four}, {Name: "a5", Value: five},
		{Name: ":path", Value: "x"}, {Name: ":path", Value: "y", Sensitive: true},
		{Name: "a4", Value: "z"}, {Name: "a4", Value: "", Sensitive: true},
		{Name: "a5", Value: "w"}, {Name: "a5", Value: "", Sensitive: true},
		{Name: "b", Value: "c"}, {Name: "d", Value: "", Sensitive: true}, {},
	}, fields)

	// "After the decoder finishes decoding a field section encoded using representations containing dynamic table references,
	// it MUST emit a Section Acknowledgment instruction (Section 4.4.1)."
	// https://www.rfc-editor.org/rfc/rfc9204#section-2.2.2.1-1
	require.Equal(t, unhex(t, "84"), d.AppendInstructions(nil))
	require.Empty(t, d.AppendInstructions(nil))

	// "The dynamic table can contain duplicate entries (i.e., entries with the same name and same value). Therefore,
	// duplicate entries MUST NOT be treated as an error by the decoder."
	// https://www.rfc-editor.org/rfc/rfc9204#section-3.2-2
	require.NoError(t, d.HandleEncoderStream(unhex(t, "00 00 00")))
	require.Equal(t, d.table.at(6), d.table.at(7))
	require.Equal(t, unhex(t, "03"), d.AppendInstructions(nil), "increments are coalesced")
}

// TestBlockedStreams checks the limit of blocked streams, and which streams are reported as unblocked.
//
// "If a decoder encounters more blocked streams than it promised to support, it MUST treat this as a connection error of
// type QPACK_DECOMPRESSION_FAILED."
// https://www.rfc-editor.org/rfc/rfc9204#section-2.1.2-4
func TestBlockedStreams(t *testing.T) {
	d := newTestDecoder(t) // two blocked streams
	six, seven := unhex(t, "0700 80"), unhex(t, "0800 80")
	for _, stream := range []uint64{0, 4, 0, 4} { // again: still two streams
		_, err := decodeAll(d, stream, six)
		require.ErrorIs(t, err, ErrBlocked)
	}
	_, err := decodeAll(d, 8, six)
	requireError(t, err, DecompressionFailed, false)
	_, err = decodeAll(d, 8, unhex(t, "0000 d1"))
	require.NoError(t, err, "other sections are decoded")

	d.CancelStream(4)
	_, err = decodeAll(d, 8, seven)
	require.ErrorIs(t, err, ErrBlocked)
	require.NoError(t, d.HandleEncoderStream(unhex(t, "00")))
	require.Equal(t, []uint64{0}, d.Unblocked())
	_, err = decodeAll(d, 12, seven)
	require.ErrorIs(t, err, ErrBlocked, "a stream that is no longer blocked does not count")
	require.NoError(t, d.HandleEncoderStream(nil))
	require.Empty(t, d.Unblocked())
	require.NoError(t, d.HandleEncoderStream(unhex(t, "00")))
	require.Equal(t, []uint64{8, 12}, d.Unblocked())
	_, err = decodeAll(d, 0, six)
	require.NoError(t, err)
}

// TestCancellations checks that the decoder tells the encoder about abandoned streams.
//
// "When an endpoint receives a stream reset before the end of a stream or before all encoded field sections are processed
// on that stream, or when it abandons reading of a stream, it generates a Stream Cancellation instruction".
// https://www.rfc-editor.org/rfc/rfc9204#section-2.2.2.2-1
func TestCancellations(t *testing.T) {
	d := NewDecoder(128, 1)
	d.CancelStream(8)
	require.Equal(t, unhex(t, "48"), d.AppendInstructions(nil))
	d = NewDecoder(0, 0)
	d.CancelStream(8)
	require.Empty(t, d.AppendInstructions(nil), "without a table the encoder has no references")
}

// TestEmitStops checks that an error of emit ends the section, which is then not acknowledged.
func TestEmitStops(t *testing.T) {
	d := newTestDecoder(t)
	stop, calls := errors.New("too long"), 0
	err := d.Decode(4, unhex(t, "0600 80 80 80"), func(Field) error {
		calls++
		if calls == 2 {
			return stop
		}
		return nil
	})
	require.Equal(t, stop, err)
	require.Equal(t, 2, calls)
	require.Empty(t, d.AppendInstructions(nil))
}

// TestBomb checks that a section whose bytes each reference a large entry takes no memory, and that emit can end it.
func TestBomb(t *testing.T) {
	d := NewDecoder(4096, 0)
	b := AppendSetCapacity(nil, 4096)
	b = appendString(b, 0x40, 5, "bomb")
	require.NoError(t, d.HandleEncoderStream(appendString(b, 0, 7, strings.Repeat("\xfe", 4000))))
	section := append(unhex(t, "0200"), bytes.Repeat([]byte{0x80}, 16<<10)...)
	size := 0
	var out []byte
	require.Zero(t, testing.AllocsPerRun(2, func() {
		size = 0
		err := d.Decode(0, section, func(f Field) error {
			size += len(f.Name) + len(f.Value)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		out = d.AppendInstructions(out[:0])
	}))
	require.Equal(t, 16<<10*4004, size)

	tooLarge := errors.New("too large")
	size = 0
	require.Equal(t, tooLarge, d.Decode(0, section, func(f Field) error {
		if size += len(f.Name) + len(f.Value) + entryOverhead; size > 64<<10 {
			return tooLarge
		}
		return nil
	}))
	require.Less(t, size, 70<<10)
}

// TestSilentDecoderStream checks that a peer that does not let us write acknowledgements cannot make them pile up.
func TestSilentDecoderStream(t *testing.T) {
	d := newTestDecoder(t)
	section := unhex(t, "0600 80")
	var err error
	for i := 0; err == nil; i++ {
		require.Less(t, i, 1<<20)
		_, err = decodeAll(d, 1<<50, section)
	}
	requireError(t, err, ExcessiveLoad, false)
	for range 1 << 16 {
		d.CancelStream(1 << 50)
	}
	require.LessOrEqual(t, cap(d.out), 2*maxPending)
	d.AppendInstructions(nil)
	_, err = decodeAll(d, 4, section)
	require.NoError(t, err)
	require.LessOrEqual(t, cap(d.out), maxScratch, "memory is returned")
}

// TestEncoderStreamInFragments checks that an instruction that arrives byte by byte is stored once, and only up to the
// capacity.
func TestEncoderStreamInFragments(t *testing.T) {
	d := NewDecoder(4096, 0)
	value := strings.Repeat("\xfe", 4000)
	b := appendInt(nil, 0x20, 5, 4096)
	b = appendString(b, 0x40, 5, "custom-name")
	b = appendInt(b, 0, 7, uint64(len(value)))
	b = append(b, value...)
	for i := range b {
		require.EqualValues(t, 0, d.table.inserted)
		require.NoError(t, d.HandleEncoderStream(b[i:i+1]))
		require.LessOrEqual(t, cap(d.rest), 8192)
	}
	require.Equal(t, entry{"custom-name", value}, d.table.at(0))
	require.Zero(t, cap(d.rest), "memory is returned")

	// The beginning of the next instruction is kept, not the caller's slice.
	b = b[3:]
	p := bytes.Clone(b[:5])
	require.NoError(t, d.HandleEncoderStream(p))
	clear(p)
	require.NoError(t, d.HandleEncoderStream(b[5:]))
	require.Equal(t, entry{"custom-name", value}, d.table.at(1))
}

// TestReferenceToEvictedEntry checks an insertion that evicts the entry whose name it has, and a duplicate that evicts
// the original.
//
// "A new entry can reference an entry in the dynamic table that will be evicted when adding this new entry".
// https://www.rfc-editor.org/rfc/rfc9204#section-3.2.2-3
func TestReferenceToEvictedEntry(t *testing.T) {
	d := NewDecoder(64, 0)
	b := appendInt(nil, 0x20, 5, 64)
	b = append(appendString(b, 0x40, 5, "name"), appendString(nil, 0, 7, "a value of 28 bytes at most.")...)
	require.NoError(t, d.HandleEncoderStream(b))
	require.NoError(t, d.HandleEncoderStream(appendString([]byte{0x80}, 0, 7, "another value of 28 bytes...")))
	require.EqualValues(t, 1, d.table.dropped)
	require.Equal(t, entry{"name", "another value of 28 bytes..."}, d.table.at(1))
	require.NoError(t, d.HandleEncoderStream([]byte{0}))
	require.EqualValues(t, 2, d.table.dropped)
	require.Equal(t, entry{"name", "another value of 28 bytes..."}, d.table.at(2))
}

// TestCapacityReduced checks that a smaller capacity evicts, and that 0 clears the table.
//
// "Whenever the dynamic table capacity is reduced by the encoder (Section 4.3.1), entries are evicted from the end of the
// dynamic table until the size of the dynamic table is less than or equal to the new table capacity."
// https://www.rfc-editor.org/rfc/rfc9204#section-3.2.2-4
func TestCapacityReduced(t *testing.T) {
	d := newTestDecoder(t)
	require.NoError(t, d.HandleEncoderStream(appendInt(nil, 0x20, 5, 64)))
	require.EqualValues(t, 4, d.table.dropped)
	require.NoError(t, d.HandleEncoderStream([]byte{0x20}))
	require.EqualValues(t, 5, d.table.dropped)
	require.Zero(t, d.table.size)
	require.NoError(t, d.HandleEncoderStream(unhex(t, "3f61 4161 0162")))
	require.Equal(t, entry{"a", "b"}, d.table.at(5))
}
