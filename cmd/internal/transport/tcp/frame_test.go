package tcp

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// frames encodes frames: bytes are tags and flags, other integers have their size.
func frames(parts ...any) []byte {
	var b bytes.Buffer
	for _, p := range parts {
		if text, ok := p.(string); ok {
			b.WriteString(text)
		} else if err := binary.Write(&b, binary.BigEndian, p); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

const (
	theirs = byte(1) // the owner of a stream that the peer opened, as the peer encodes it
	ours   = byte(0)
)

// peered returns a connection with our bidirectional stream 0 and our send-only stream 1. What it writes is
// discarded.
func peered(t testing.TB) *conn {
	c := makeConn(io.Discard, 4096)
	_, err := c.OpenStream(t.Context(), 0, true)
	require.NoError(t, err)
	_, err = c.OpenStream(t.Context(), 1, false)
	require.NoError(t, err)
	return c
}

func feed(c *conn, b []byte) (err error) {
	for r := bufio.NewReader(bytes.NewReader(b)); err == nil; {
		err = c.frame(r)
	}
	return err
}

func open(id uint64) []byte { return frames(byte(tagOpen), id, byte(1)) }

func data(id uint64, owner byte, text string) []byte {
	return frames(byte(tagData), id, owner, uint32(len(text)), text)
}

func TestHostileFrames(t *testing.T) {
	tooMany := bytes.Buffer{}
	for id := range uint64(initialStreams + 1) {
		tooMany.Write(open(id))
	}
	tooMuch := bytes.NewBuffer(open(3))
	for range initialWindow / 32000 {
		tooMuch.Write(data(3, theirs, string(make([]byte, 32000))))
	}
	tooMuch.Write(data(3, theirs, "one more"))
	for _, c := range []struct {
		name string
		in   []byte
		want string
	}{
		{"unknown tag", frames(byte(6)), "unknown tag 6"},
		{"data for an unknown stream", data(9, theirs, "x"), "frame with tag 1 for stream 9, which is not open"},
		{"end of an unknown stream", frames(byte(tagFinish), uint64(9), ours), "frame with tag 2 for stream 9"},
		{"limit of an unknown stream", frames(byte(tagMaxData), uint64(0), theirs, uint64(5)), "frame with tag 4 for stream 0"},
		{"opened twice", frames(string(open(3)), string(open(3))), "stream 3 was opened twice"},
		{"too many streams", tooMany.Bytes(), "stream 100 exceeds the limit of 100 streams"},
		{"no boolean", frames(byte(tagOpen), uint64(3), byte(2)), "flag is 2, not 0 or 1"},
		{"no owner", frames(byte(tagData), uint64(0), byte(255)), "flag is 255, not 0 or 1"},
		{"a huge frame", frames(byte(tagData), uint64(0), ours, ^uint32(0)), "4294967295 bytes of data, but the limit is 32768"},
		{"more than the window", tooMuch.Bytes(), "256008 bytes on stream 3, but the limit is 256000"},
		{"after the end", frames(string(open(3)), byte(tagFinish), uint64(3), theirs, string(data(3, theirs, "x"))), "data on stream 3 after its end"},
		{"ended twice", frames(string(open(3)), byte(tagFinish), uint64(3), theirs, byte(tagFinish), uint64(3), theirs), "stream 3 was ended twice"},
		{"data on a stream that only we send on", data(1, ours, "x"), "data on stream 1, on which only we send"},
		{"end of a stream that only we send on", frames(byte(tagFinish), uint64(1), ours), "the peer ended stream 1, on which only we send"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := feed(peered(t), c.in)
			require.ErrorContains(t, err, c.want)
			require.ErrorAs(t, err, new(*FrameError))
			require.Equal(t, "transport error frame", Classify(err))
		})
	}
	whole := frames(string(open(3)), string(data(3, theirs, "hello")), byte(tagMaxData), uint64(3), theirs, ^uint64(0),
		byte(tagMaxStreams), ^uint64(0), byte(tagInitialWindow), ^uint64(0), byte(tagFinish), uint64(3), theirs)
	require.Equal(t, io.EOF, feed(peered(t), whole))
	// A frame that is cut off anywhere is detected.
	ends := map[int]bool{0: true, 10: true, 29: true, 47: true, 56: true, 65: true}
	for n := range whole {
		err := feed(peered(t), whole[:n])
		if ends[n] {
			require.Equal(t, io.EOF, err, n)
		} else {
			require.Equal(t, io.ErrUnexpectedEOF, err, n)
		}
	}
}

// A peer that sends the smallest pieces uses no more memory than its window.
func TestTinyFramesTakeNoMoreMemory(t *testing.T) {
	var in bytes.Buffer
	const streams, each = 20, 10_000
	for id := range uint64(streams) {
		in.Write(open(id))
	}
	for range each {
		for id := range uint64(streams) {
			in.Write(data(id, theirs, "x"))
			in.Write(data(id, theirs, ""))
		}
	}
	c := peered(t)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	require.Equal(t, io.EOF, feed(c, in.Bytes()))
	runtime.GC()
	runtime.ReadMemStats(&after)
	held := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	require.Less(t, held, int64(streams*2*each+1<<20))
	for _, s := range c.streams {
		if !s.k.ours {
			require.Equal(t, each, s.in.Len())
		}
	}
}

// FuzzFrames checks that any input ends with an error and no panic, and that no more is kept than
// permitted.
func FuzzFrames(f *testing.F) {
	f.Add(open(3))
	f.Add(frames(string(open(3)), string(data(3, theirs, "hello")), string(data(0, ours, "answer")), byte(tagFinish), uint64(3), theirs))
	f.Add(frames(byte(tagMaxStreams), uint64(200), byte(tagInitialWindow), uint64(0), byte(tagMaxData), uint64(0), ours, uint64(1)))
	f.Add(frames(byte(tagData), uint64(0), ours, ^uint32(0)))
	f.Add(data(1, ours, "x"))
	f.Add(bytes.Repeat(data(0, ours, ""), 50))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := peered(t)
		require.Error(t, feed(c, b))
		require.LessOrEqual(t, len(c.queue), initialStreams)
		require.LessOrEqual(t, len(c.streams), initialStreams+2)
		kept := 0
		for _, s := range c.streams {
			require.LessOrEqual(t, s.in.Len(), initialWindow)
			require.LessOrEqual(t, s.sent, s.limit)
			kept += s.in.Len()
		}
		require.LessOrEqual(t, kept, len(b), "more than was received")
	})
}
