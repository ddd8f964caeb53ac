package qpack

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// An lsqpack is a process with an encoder and a decoder of ls-qpack: testdata/lsqpack.py.
type lsqpack struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

// startLSQPACK starts the process with the Python that an environment variable names, or skips the test.
func startLSQPACK(t *testing.T) *lsqpack {
	python := os.Getenv("PYLSQPACK_PYTHON")
	if python == "" {
		t.Skip("NOT CHECKED: ls-qpack: set PYLSQPACK_PYTHON to a Python that has pylsqpack, or run make qpack-interop")
	}
	c := exec.Command(python, filepath.Join("testdata", "lsqpack.py"))
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		in.Close()
		require.NoError(t, c.Wait())
	})
	p := &lsqpack{t, in, bufio.NewScanner(out)}
	p.out.Buffer(nil, 1<<20)
	return p
}

// call runs a command, and decodes its result unless result is nil. It returns the name of the error.
func (p *lsqpack) call(result any, command ...any) string {
	p.t.Helper()
	b, err := json.Marshal(command)
	require.NoError(p.t, err)
	_, err = p.in.Write(append(b, '\n'))
	require.NoError(p.t, err)
	require.True(p.t, p.out.Scan(), "the process has ended: %v", p.out.Err())
	var failure struct{ Error string }
	if json.Unmarshal(p.out.Bytes(), &failure) == nil && failure.Error != "" {
		return failure.Error
	}
	if result != nil {
		require.NoError(p.t, json.Unmarshal(p.out.Bytes(), result), p.out.Text())
	}
	return ""
}

// bytes runs a command whose result is data of a stream.
func (p *lsqpack) bytes(command ...any) []byte {
	p.t.Helper()
	var s string
	require.Empty(p.t, p.call(&s, command...), command)
	return unhex(p.t, s)
}

// hexFields are the fields of a list for the process.
func hexFields(fields []Field) [][2]string {
	out := make([][2]string, len(fields))
	for i, f := range fields {
		out[i] = [2]string{hex.EncodeToString([]byte(f.Name)), hex.EncodeToString([]byte(f.Value))}
	}
	return out
}

// A delayed is data of a stream that has not been received yet.
type delayed struct {
	stream  uint64
	section []byte
	fields  []Field
}

// someFields returns random fields, of which many repeat.
func someFields(rng *rand.Rand) []Field {
	fields := []Field{header(":method", "GET"), header(":path", fmt.Sprintf("/file-%d", rng.IntN(20))), agent}
	for range rng.IntN(8) {
		f := header(fmt.Sprintf("x-name-%d", rng.IntN(6)), strings.Repeat("v", rng.IntN(30))+fmt.Sprint(rng.IntN(6)))
		if f.Sensitive = rng.IntN(10) == 0; rng.IntN(20) == 0 {
			f.Value = "\x00\xff"
		}
		fields = append(fields, f)
	}
	return fields
}

// take removes a random element.
func take(rng *rand.Rand, all *[]delayed) delayed {
	i := rng.IntN(len(*all))
	d := (*all)[i]
	*all = append((*all)[:i], (*all)[i+1:]...)
	return d
}

// TestLSQPACKDecodes sends what our encoder makes to ls-qpack's decoder, with random delays and cancellations.
func TestLSQPACKDecodes(t *testing.T) {
	p := startLSQPACK(t)
	references, inserted, waited := 0, uint64(0), 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 3))
		capacity, blocked := 128<<rng.IntN(6), []int{1, 2, 10, 100}[rng.IntN(4)]
		p.call(nil, "reset", capacity, blocked)
		e := NewEncoder(4096)
		require.NoError(t, e.SetLimits(uint64(capacity), uint64(blocked)))
		var late []delayed
		waiting := make(map[uint64]delayed)
		var encoderStream, decoderStream []byte
		read := func(d delayed, command ...any) {
			var result []json.RawMessage
			if name := p.call(&result, command...); name == "StreamBlocked" {
				waiting[d.stream] = d
				waited++
				return
			} else if name != "" {
				t.Fatalf("seed %d: %s: %x", seed, name, d.section)
			}
			var control string
			var got [][2]string
			require.NoError(t, json.Unmarshal(result[0], &control))
			require.NoError(t, json.Unmarshal(result[1], &got))
			require.Equal(t, hexFields(d.fields), got, "seed %d", seed)
			decoderStream = append(decoderStream, unhex(t, control)...)
		}
		deliver := func(n int) {
			var ids []uint64
			require.Empty(t, p.call(&ids, "encoder_stream", hex.EncodeToString(encoderStream[:n])), "seed %d", seed)
			encoderStream = encoderStream[n:]
			for _, id := range ids {
				d := waiting[id]
				delete(waiting, id)
				read(d, "resume", id)
			}
		}
		for stream := uint64(0); stream < 4*200; stream += 4 {
			fields := someFields(rng)
			section := e.AppendSection(nil, stream, fields)
			encoderStream = e.AppendInstructions(encoderStream)
			if section[0] != 0 {
				references++
			}
			late = append(late, delayed{stream, section, fields})
			for rng.IntN(3) > 0 && len(late) > 0 {
				d := take(rng, &late)
				if rng.IntN(20) == 0 {
					decoderStream = append(decoderStream, p.bytes("cancel", d.stream)...)
				} else {
					read(d, "decode", d.stream, hex.EncodeToString(d.section))
				}
			}
			if rng.IntN(3) > 0 {
				deliver(rng.IntN(len(encoderStream) + 1))
			}
			n := rng.IntN(len(decoderStream) + 1)
			require.NoError(t, e.HandleDecoderStream(decoderStream[:n]), "seed %d", seed)
			decoderStream = decoderStream[n:]
		}
		deliver(len(encoderStream))
		for len(late) > 0 {
			d := take(rng, &late)
			read(d, "decode", d.stream, hex.EncodeToString(d.section))
		}
		require.Empty(t, waiting)
		require.NoError(t, e.HandleDecoderStream(decoderStream))
		require.Empty(t, e.outstanding)
		inserted += e.table.inserted
	}
	t.Logf("%d sections with references, %d insertions, %d sections waited", references, inserted, waited)
	require.Greater(t, references, 1000)
	require.Greater(t, waited, 200)
}

// TestLSQPACKEncodes sends what ls-qpack's encoder makes to our decoder, with random delays and cancellations.
func TestLSQPACKEncodes(t *testing.T) {
	p := startLSQPACK(t)
	inserted, waited, references := uint64(0), 0, 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 4))
		capacity, blocked := 128<<rng.IntN(6), []int{0, 1, 2, 10, 100}[rng.IntN(5)]
		p.call(nil, "reset", 0, 0)
		d := NewDecoder(capacity, blocked)
		encoderStream := p.bytes("settings", capacity, blocked)
		var decoderStream []byte
		var late []delayed
		waiting := make(map[uint64]delayed)
		read := func(l delayed) {
			got, err := decodeAll(d, l.stream, l.section)
			if err == ErrBlocked {
				waiting[l.stream] = l
				waited++
				return
			}
			require.NoError(t, err, "seed %d: %x", seed, l.section)
			require.Equal(t, hexFields(l.fields), hexFields(got))
		}
		deliver := func(n int) {
			require.NoError(t, d.HandleEncoderStream(encoderStream[:n]), "seed %d", seed)
			encoderStream = encoderStream[n:]
			for _, id := range d.Unblocked() {
				l := waiting[id]
				delete(waiting, id)
				read(l)
			}
		}
		for stream := uint64(0); stream < 4*200; stream += 4 {
			fields := someFields(rng)
			var result [2]string
			require.Empty(t, p.call(&result, "encode", stream, hexFields(fields)))
			encoderStream = append(encoderStream, unhex(t, result[0])...)
			section := unhex(t, result[1])
			if section[0] != 0 {
				references++
			}
			late = append(late, delayed{stream, section, fields})
			for rng.IntN(3) > 0 && len(late) > 0 {
				if l := take(rng, &late); rng.IntN(20) == 0 {
					d.CancelStream(l.stream)
				} else {
					read(l)
				}
			}
			if rng.IntN(3) > 0 {
				deliver(rng.IntN(len(encoderStream) + 1))
			}
			if rng.IntN(2) == 0 {
				decoderStream = d.AppendInstructions(decoderStream)
			}
			n := rng.IntN(len(decoderStream) + 1)
			require.Empty(t, p.call(nil, "decoder_stream", hex.EncodeToString(decoderStream[:n])), "seed %d", seed)
			decoderStream = decoderStream[n:]
		}
		deliver(len(encoderStream))
		for len(late) > 0 {
			read(take(rng, &late))
		}
		require.Empty(t, waiting)
		decoderStream = d.AppendInstructions(decoderStream)
		require.Empty(t, p.call(nil, "decoder_stream", hex.EncodeToString(decoderStream)), "seed %d", seed)
		inserted += d.table.inserted
	}
	t.Logf("%d sections with references, %d insertions, %d sections waited", references, inserted, waited)
	require.Greater(t, references, 1000)
	require.Greater(t, waited, 200)
}
