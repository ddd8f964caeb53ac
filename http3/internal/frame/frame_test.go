package frame

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/varint"
)

func TestHeader(t *testing.T) {
	for _, h := range []Header{{0, 0}, {1, 63}, {1, 64}, {0x33, 5}, {64, 1}, {PriorityUpdateRequest, 1 << 40}} {
		b := AppendHeader(nil, h.Type, h.Length)
		got, n := ParseHeader(append(b, 1, 2, 3))
		require.Equal(t, len(b), n)
		require.Equal(t, h, got)
		for i := range b {
			_, n := ParseHeader(b[:i])
			require.Equal(t, -1, n)
		}
	}
}

func TestReserved(t *testing.T) {
	for v, want := range map[uint64]bool{0x21: true, 0x40: true, 0x1f*1000 + 0x21: true, 0x20: false, 0x22: false, 0: false} {
		require.Equal(t, want, IsReserved(v), "%#x", v)
	}
}

func requireCode(t *testing.T, code uint64, err error) {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code, e.Text)
}

func TestSettings(t *testing.T) {
	l := &List{
		QPACKMaxTableCapacity: 4096, QPACKBlockedStreams: 16, MaxFieldSectionSize: 1 << 20, EnableConnectProtocol: true,
		Datagrams: true, Other: []Setting{{0x4242, 5}},
	}
	// "The server MUST include all settings that differ from their default values."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.2-8
	b := l.Append(nil, 1<<40+12345)
	h, n := ParseHeader(b)
	require.Equal(t, Header{Settings, uint64(len(b) - n)}, h)
	got, err := ParseSettings(b[n:])
	require.NoError(t, err)
	require.Equal(t, l, got)
	// The reserved setting is there, and no setting has its initial value.
	require.Greater(t, len(Initial().Append(nil, 7)), 2)
	got, err = ParseSettings(Initial().Append(nil, 7)[2:])
	require.NoError(t, err)
	require.Equal(t, Initial(), got)

	many := make([]byte, 0, 200)
	for i := range uint64(maxSettings + 1) {
		many = varint.Append(varint.Append(many, 0x1000+i), 0)
	}
	_, err = ParseSettings(many)
	requireCode(t, ExcessiveLoad, err)
}

// The frames of a control stream are the same in whatever pieces it arrives.
func TestSplitter(t *testing.T) {
	stream := Initial().Append(nil, 99)
	stream = AppendInt(stream, MaxPushID, 1<<40)
	stream = append(AppendHeader(stream, 0x21, 1000), make([]byte, 1000)...)
	stream = append(AppendHeader(stream, PriorityUpdateRequest, 4), "\x04u=1"...)
	stream = AppendInt(stream, GoAway, 0)
	split := func(size int) (out []string) {
		var s Splitter
		for p := stream; len(p) > 0; {
			n := min(size, len(p))
			require.NoError(t, s.Split(p[:n], func(typ uint64, payload []byte) error {
				out = append(out, string(varint.Append(nil, typ))+string(payload))
				return nil
			}))
			p = p[n:]
		}
		require.Zero(t, s, "no frame is incomplete")
		return out
	}
	want := split(len(stream))
	require.Len(t, want, 5)
	for size := 1; size < 40; size++ {
		require.Equal(t, want, split(size))
	}
}

// What a Splitter keeps of a frame is bounded, whatever length the frame has.
func TestSplitterLimits(t *testing.T) {
	ignore := func(uint64, []byte) error { return nil }
	for typ, code := range map[uint64]uint64{
		Settings: ExcessiveLoad, PriorityUpdateRequest: ExcessiveLoad, PriorityUpdatePush: ExcessiveLoad,
		GoAway: FrameError, MaxPushID: FrameError, CancelPush: FrameError,
	} {
		var s Splitter
		limit, known := Limit(typ)
		require.True(t, known)
		requireCode(t, code, s.Split(AppendHeader(nil, typ, limit+1), ignore))
	}
	var s Splitter
	require.NoError(t, s.Split(AppendHeader(nil, 0x21, varint.Max), ignore))
	require.NoError(t, s.Split(make([]byte, 1<<20), ignore))
	require.Nil(t, s.kept, "an unknown frame is not kept")
	require.NotZero(t, s.skip, "the frame is not at its end")
}

func TestDatagram(t *testing.T) {
	id, payload, err := ParseDatagram([]byte{2, 'x'})
	require.NoError(t, err)
	require.Equal(t, uint64(8), id)
	require.Equal(t, "x", string(payload))
	// "Receipt of a QUIC DATAGRAM frame whose payload is too short to allow parsing the Quarter Stream ID field MUST be treated as an
	// HTTP/3 connection error of type H3_DATAGRAM_ERROR (0x33)."
	// https://www.rfc-editor.org/rfc/rfc9297#section-2.1-4
	//
	// "Receipt of an HTTP/3 Datagram that includes a larger value MUST be treated as an HTTP/3 connection error of type
	// H3_DATAGRAM_ERROR (0x33)."
	// https://www.rfc-editor.org/rfc/rfc9297#section-2.1-3.2.1
	for _, b := range [][]byte{nil, {0xc0, 1}, varint.Append(nil, 1<<60)} {
		_, _, err := ParseDatagram(b)
		requireCode(t, DatagramError, err)
	}
}

func FuzzSettings(f *testing.F) {
	f.Add([]byte{6, 10, 0x21, 1})
	f.Fuzz(func(t *testing.T, payload []byte) {
		l, err := ParseSettings(payload)
		if err != nil {
			require.ErrorAs(t, err, new(*Error))
			return
		}
		b := l.Append(nil, 1)
		_, n := ParseHeader(b)
		again, err := ParseSettings(b[n:])
		if err == nil { // the reserved setting may be the 65th
			require.Equal(t, l, again)
		}
	})
}

// A Splitter finds the same frames whether the bytes come at once or one at a time, and keeps little.
func FuzzSplitter(f *testing.F) {
	f.Add([]byte{4, 0, 0x21, 3, 1, 2, 3, 7, 1, 0})
	f.Fuzz(func(t *testing.T, stream []byte) {
		run := func(size int) (frames [][]byte, err error) {
			var s Splitter
			for p := stream; len(p) > 0 && err == nil; {
				n := min(size, len(p))
				err = s.Split(p[:n], func(typ uint64, payload []byte) error {
					frames = append(frames, append(varint.Append(nil, typ), payload...))
					return nil
				})
				require.LessOrEqual(t, len(s.kept), MaxHeader+MaxSettingsFrame)
				p = p[n:]
			}
			return frames, err
		}
		atOnce, err1 := run(max(len(stream), 1))
		one, err2 := run(1)
		require.Equal(t, err1 == nil, err2 == nil)
		require.Len(t, one, len(atOnce))
		for i := range atOnce {
			require.True(t, bytes.Equal(atOnce[i], one[i]))
		}
		if err1 != nil {
			require.True(t, errors.As(err1, new(*Error)))
		}
	})
}
