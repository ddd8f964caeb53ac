package qpack

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// request and response are typical for a browser and a static site.
var (
	staticRequest = []Field{header(":method", "GET"), header(":scheme", "https"), header(":path", "/"), header("accept", "*/*"),
		header("accept-encoding", "gzip, deflate, br")}
	request = []Field{header(":method", "GET"), header(":scheme", "https"), header(":authority", "www.example.com"),
		header(":path", "/static/app.js"), header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"),
		header("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), header("accept-language", "en-US,en;q=0.5"),
		header("accept-encoding", "gzip, deflate, br, zstd"), header("referer", "https://www.example.com/index.html"),
		header("cookie", "session=0123456789abcdef0123456789abcdef"), header("sec-fetch-mode", "no-cors"), header("priority", "u=2")}
)

// established returns a pair that knows the fields.
func established(tb testing.TB, capacity int, fields []Field) (*Encoder, *Decoder) {
	e, d := NewEncoder(capacity), NewDecoder(capacity, 100)
	require.NoError(tb, e.SetLimits(uint64(capacity), 100))
	for range 3 {
		section := e.AppendSection(nil, 0, fields)
		require.NoError(tb, d.HandleEncoderStream(e.AppendInstructions(nil)))
		_, err := decodeAll(d, 0, section)
		require.NoError(tb, err)
		require.NoError(tb, e.HandleDecoderStream(d.AppendInstructions(nil)))
	}
	return e, d
}

func BenchmarkAppendSection(b *testing.B) {
	for _, c := range []struct {
		name     string
		capacity int
		fields   []Field
	}{{"static", 0, staticRequest}, {"literals", 0, request}, {"dynamic", 4096, request}} {
		b.Run(c.name, func(b *testing.B) {
			e, d := established(b, c.capacity, c.fields)
			var section, ack []byte
			b.ReportAllocs()
			for b.Loop() {
				section = e.AppendSection(section[:0], 4, c.fields)
				if len(e.outstanding) > 0 {
					ack = appendInt(ack[:0], 0x80, 7, 4)
					if err := e.HandleDecoderStream(ack); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(len(section)), "bytes")
			_ = d
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct {
		name     string
		capacity int
		fields   []Field
	}{{"static", 0, staticRequest}, {"literals", 0, request}, {"dynamic", 4096, request}} {
		b.Run(c.name, func(b *testing.B) {
			e, d := established(b, c.capacity, c.fields)
			section := e.AppendSection(nil, 4, c.fields)
			emit := func(Field) error { return nil }
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				if err := d.Decode(4, section, emit); err != nil {
					b.Fatal(err)
				}
				out = d.AppendInstructions(out[:0])
			}
		})
	}
}

// BenchmarkChanging has fields that differ in each section, beside those that stay.
func BenchmarkChanging(b *testing.B) {
	e, d := established(b, 4096, request)
	fields := append([]Field(nil), request...)
	paths := make([]string, 1000)
	for i := range paths {
		paths[i] = fmt.Sprintf("/static/file-%d.js", i)
	}
	var section, instructions, ack []byte
	emit := func(Field) error { return nil }
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		fields[3].Value = paths[n/2%len(paths)]
		n++
		section = e.AppendSection(section[:0], 4, fields)
		instructions = e.AppendInstructions(instructions[:0])
		if err := d.HandleEncoderStream(instructions); err != nil {
			b.Fatal(err)
		}
		if err := d.Decode(4, section, emit); err != nil {
			b.Fatal(err)
		}
		ack = d.AppendInstructions(ack[:0])
		if err := e.HandleDecoderStream(ack); err != nil {
			b.Fatal(err)
		}
	}
}
