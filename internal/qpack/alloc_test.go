//go:build !race

package qpack

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAllocations checks that sections cost no memory once their fields are in the tables, and that literals of a section
// share their memory. It does not run with the race detector, under which a sync.Pool of the Huffman decoder loses what it
// has.
func TestAllocations(t *testing.T) {
	for _, c := range []struct {
		name             string
		capacity         int
		fields           []Field
		encoded, decoded float64
	}{
		{"static", 0, staticRequest, 0, 0},
		{"static, with a table", 4096, staticRequest, 0, 0},
		{"literals", 0, request, 0, 1},
		{"dynamic", 4096, request, 0, 0},
	} {
		e, d := established(t, c.capacity, c.fields)
		var section, toDecoder, toEncoder []byte
		encode := func() {
			section = e.AppendSection(section[:0], 4, c.fields)
			toDecoder = e.AppendInstructions(toDecoder[:0])
		}
		acknowledge := func() {
			toEncoder = d.AppendInstructions(toEncoder[:0])
			if err := e.HandleDecoderStream(toEncoder); err != nil {
				t.Fatal(err)
			}
		}
		emit := func(Field) error { return nil }
		decode := func() {
			if err := d.Decode(4, section, emit); err != nil {
				t.Fatal(err)
			}
		}
		encode()
		decode()
		acknowledge()
		all := testing.AllocsPerRun(100, func() { encode(); decode(); acknowledge() })
		require.LessOrEqual(t, all, c.encoded+c.decoded, c.name)
	}
}
