package qpack

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// memory returns the bytes that a Decoder holds, besides the strings of its table, which are counted as they are in its
// size.
func (d *Decoder) memory() int {
	return cap(d.rest) + d.scratch.Cap() + 16*cap(d.blocked) + 8*cap(d.unblocked) + cap(d.out) + int(d.table.size)
}

// fuzzedDecoder returns a Decoder with three entries, and the instructions that made them.
func fuzzedDecoder(t testing.TB) *Decoder {
	d := NewDecoder(256, 2)
	require.NoError(t, d.HandleEncoderStream(unhex(t, "3fe101 c00f 7777 772e 6578 616d 706c 652e 636f 6d c10c 2f73 616d 706c 652f 7061 7468 4a63 7573 746f 6d2d 6b65 790c 6375 7374 6f6d 2d76 616c 7565")))
	return d
}

// FuzzSection decodes sections. Each field that is emitted must survive our encoder.
func FuzzSection(f *testing.F) {
	for _, s := range []string{"0000", "0000 510b 2f69 6e64 6578 2e68 746d 6c", "0381 10 11", "0400 80 c1 81", "0480 10 00 01 61 08 00",
		"0000 2f00 61 8363 7573", "0400 40 00 60 01 62", "ffffffffffffffffffff01", "00ffffffffffffffffff7f", "0500 80"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, section []byte) {
		d := fuzzedDecoder(t)
		size := 0
		var fields []Field
		err := d.Decode(0, section, func(f Field) error {
			size += len(f.Name) + len(f.Value)
			fields = append(fields, f)
			return nil
		})
		require.LessOrEqual(t, size, 200*len(section))
		if err != nil {
			return
		}
		p := NewEncoder(0)
		var again []Field
		require.NoError(t, NewDecoder(0, 0).Decode(0, p.AppendSection(nil, 0, fields), func(f Field) error {
			again = append(again, f)
			return nil
		}))
		require.Len(t, again, len(fields))
		for i, f := range fields {
			require.Equal(t, f.Name, again[i].Name)
			require.Equal(t, f.Value, again[i].Value)
			require.True(t, again[i].Sensitive || !f.Sensitive)
		}
	})
}

// FuzzEncoderStream checks the bounds of a Decoder, and that fragments make no difference.
func FuzzEncoderStream(f *testing.F) {
	for _, s := range []string{"00", "02", "810d 6375 7374 6f6d 2d76 616c 7565 32", "20 3f61 4161 0162", "c0 8c f1e3 c2e5 f23a 6ba0 ab90 f4ff",
		"c0 7f00", "3f62", "ff24 00", "6362 6162 8362 6162", "1fffffffffffffffff7f"} {
		f.Add(unhex(f, s), 1)
	}
	f.Fuzz(func(t *testing.T, p []byte, split int) {
		whole, parts := fuzzedDecoder(t), fuzzedDecoder(t)
		err := whole.HandleEncoderStream(p)
		split = min(max(split, 1), 100)
		var partErr error
		for rest := p; len(rest) > 0 && partErr == nil; {
			n := min(split, len(rest))
			partErr = parts.HandleEncoderStream(rest[:n])
			rest = rest[n:]
			require.Less(t, parts.memory(), 256+8*maxScratch)
		}
		require.Equal(t, err == nil, partErr == nil)
		if err != nil {
			return
		}
		require.LessOrEqual(t, whole.table.size, uint64(256))
		require.Equal(t, whole.table.inserted, parts.table.inserted)
		require.Equal(t, whole.table.size, parts.table.size)
		require.Equal(t, string(whole.rest), string(parts.rest))
	})
}

// FuzzDecoderStream checks that an Encoder survives any acknowledgements: whatever it encodes afterwards, a Decoder that has
// followed its instructions can decode.
func FuzzDecoderStream(f *testing.F) {
	for _, s := range []string{"84", "88 84", "44", "01", "02", "00", "84 48 01", "bfffffffffffffffff7f", "8c", "ff"} {
		f.Add(unhex(f, s), 1)
	}
	f.Fuzz(func(t *testing.T, p []byte, split int) {
		e, d := NewEncoder(256), NewDecoder(256, 100)
		require.NoError(t, e.SetLimits(256, 100))
		send := func(stream uint64, fields ...Field) {
			section := e.AppendSection(nil, stream, fields)
			require.NoError(t, d.HandleEncoderStream(e.AppendInstructions(nil)))
			got, err := decodeAll(d, stream, section)
			require.NoError(t, err)
			require.Equal(t, fields, got)
		}
		for stream := range uint64(5) {
			send(4*stream, agent, custom, header("x-name", "value"))
		}
		split = min(max(split, 1), 100)
		for len(p) > 0 {
			n := min(split, len(p))
			if e.HandleDecoderStream(p[:n]) != nil {
				return
			}
			p = p[n:]
			require.LessOrEqual(t, len(e.rest), maxContinuation)
			send(100, agent, header("x-name", string(p)), header("y-name", string(p)))
		}
	})
}
