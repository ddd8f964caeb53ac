package qpack

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// unhex decodes hexadecimal digits, in which it ignores white space.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	require.NoError(t, err)
	return b
}

// decodeAll returns the fields of a section.
func decodeAll(d *Decoder, stream uint64, section []byte) (fields []Field, err error) {
	err = d.Decode(stream, section, func(f Field) error {
		fields = append(fields, f)
		return nil
	})
	return fields, err
}

// requireError checks the code of an error, and that it ends the connection unless ofStream is set.
func requireError(t *testing.T, err error, code uint64, ofStream bool, msg ...any) {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e, msg...)
	require.Equal(t, code, e.Code, msg...)
	require.Equal(t, ofStream, e.Stream, msg...)
}

// A kind is the representation of a field line.
type kind string

const (
	static       kind = "static"
	dynamic      kind = "dynamic"
	postBase     kind = "post-base"
	staticName   kind = "static name"
	dynamicName  kind = "dynamic name"
	postBaseName kind = "post-base name"
	literalName  kind = "literal"
)

// kinds returns the representations in a section that is valid.
func kinds(t *testing.T, section []byte) (all []kind) {
	t.Helper()
	skipInt := func(n uint8) {
		_, size := consumeInt(section, n)
		require.Positive(t, size)
		section = section[size:]
	}
	skipString := func(n uint8) {
		_, _, size := consumeString(section, n)
		require.Positive(t, size)
		section = section[size:]
	}
	skipInt(8)
	skipInt(7)
	for len(section) > 0 {
		c := section[0]
		var k kind
		switch {
		case c&0xc0 == 0xc0:
			k = static
			skipInt(6)
		case c&0xc0 == 0x80:
			k = dynamic
			skipInt(6)
		case c&0x40 != 0:
			k = dynamicName
			if c&0x10 != 0 {
				k = staticName
			}
			skipInt(4)
			skipString(7)
		case c&0x20 != 0:
			k = literalName
			skipString(3)
			skipString(7)
		case c&0x10 != 0:
			k = postBase
			skipInt(4)
		default:
			k = postBaseName
			skipInt(3)
			skipString(7)
		}
		all = append(all, k)
	}
	return all
}

// TestExamples runs the examples of appendix B.
func TestExamples(t *testing.T) {
	d := NewDecoder(220, 1)
	require.NoError(t, d.HandleEncoderStream(nil))

	// B.1
	fields, err := decodeAll(d, 0, unhex(t, "0000 510b 2f69 6e64 6578 2e68 746d 6c"))
	require.NoError(t, err)
	require.Equal(t, []Field{{Name: ":path", Value: "/index.html"}}, fields)
	require.Empty(t, d.AppendInstructions(nil))

	// B.2, with the section before its instructions
	section := unhex(t, "0381 10 11")
	_, err = decodeAll(d, 4, section)
	require.ErrorIs(t, err, ErrBlocked)
	require.NoError(t, d.HandleEncoderStream(unhex(t, "3fbd01 c00f 7777 772e 6578 616d 706c 652e 636f 6d")))
	require.Empty(t, d.Unblocked())
	require.NoError(t, d.HandleEncoderStream(unhex(t, "c10c 2f73 616d 706c 652f 7061 7468")))
	require.Equal(t, []uint64{4}, d.Unblocked())
	require.EqualValues(t, 106, d.table.size)
	fields, err = decodeAll(d, 4, section)
	require.NoError(t, err)
	require.Equal(t, []Field{{Name: ":authority", Value: "www.example.com"}, {Name: ":path", Value: "/sample/path"}}, fields)
	require.Equal(t, unhex(t, "84"), d.AppendInstructions(nil))

	// B.3
	require.NoError(t, d.HandleEncoderStream(unhex(t, "4a63 7573 746f 6d2d 6b65 790c 6375 7374 6f6d 2d76 616c 7565")))
	require.EqualValues(t, 160, d.table.size)
	require.Equal(t, unhex(t, "01"), d.AppendInstructions(nil))

	// B.4
	section = unhex(t, "0500 80 c1 81")
	_, err = decodeAll(d, 8, section)
	require.ErrorIs(t, err, ErrBlocked)
	d.CancelStream(8)
	require.Equal(t, unhex(t, "48"), d.AppendInstructions(nil))
	require.NoError(t, d.HandleEncoderStream(unhex(t, "02")))
	require.Empty(t, d.Unblocked())
	require.EqualValues(t, 217, d.table.size)
	fields, err = decodeAll(d, 12, section) // another stream that was not cancelled
	require.NoError(t, err)
	require.Equal(t, []Field{{Name: ":authority", Value: "www.example.com"}, {Name: ":path", Value: "/"},
		{Name: "custom-key", Value: "custom-value"}}, fields)

	// B.5
	require.NoError(t, d.HandleEncoderStream(unhex(t, "810d 6375 7374 6f6d 2d76 616c 7565 32")))
	require.EqualValues(t, 215, d.table.size)
	require.EqualValues(t, 1, d.table.dropped)
	require.EqualValues(t, 5, d.table.inserted)
	require.Equal(t, entry{"custom-key", "custom-value2"}, d.table.at(4))
}

// TestStaticTable checks that each entry is found.
func TestStaticTable(t *testing.T) {
	require.Len(t, staticTable, 99)
	for i, e := range staticTable {
		index, isExact := findStatic(e.name, e.value)
		require.True(t, isExact)
		require.Equal(t, i, index, "%v", e)
		index, isExact = findStatic(e.name, "no such value")
		require.False(t, isExact)
		require.Equal(t, e.name, staticTable[index].name)
	}
	index, _ := findStatic("no-such-name", "")
	require.Equal(t, -1, index)
}
