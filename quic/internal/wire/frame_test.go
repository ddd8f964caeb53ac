package wire

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/varint"
)

// unhex decodes test vectors and ignores white space in them.
func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

const (
	crypto9001 = `020000560303ee fce7f7b37ba1d1632e96677825ddf739 88cfc79825df566dc5430b9a045a1200
		130100002e00330024001d00209d3c94 0d89690b84d08a60993c144eca684d10
		81287c834d5311bcf32bb9da1a002b00 020304`
	token16 = "000102030405060708090a0b0c0d0e0f"
)

// frameTests contains every frame type with each of its flags. The bytes follow the figures of RFC 9000 and of the
// documents of extensions.
var frameTests = []struct {
	name, hex string
	frame     Frame
}{
	{"PADDING×3", "00 00 00", Padding{3}},
	{"PING", "01", Ping{}},
	{"ACK delay=1000 [57,65) [55,56) [0,9)", "02 4040 43e8 02 07 00 00 2d 08",
		Ack{Largest: 64, Delay: 1000, first: 7, count: 2, ranges: unhex("00 00 2d 08")}},
	{"ACK delay=0 [0,1)", "02 00 00 00 00", Ack{ranges: []byte{}}},
	{"ACK delay=2 [5,6) ect0=1 ect1=16384 ce=0", "03 05 02 00 00 01 80004000 00",
		Ack{Largest: 5, Delay: 2, HasECN: true, ECN: ECNCounts{ECT0: 1, ECT1: 1 << 14}, ranges: []byte{}}},
	{"RESET_STREAM id=4 code=256 final_size=65536", "04 04 4100 80010000",
		ResetStream{ID: 4, Code: 256, FinalSize: 1 << 16}},
	{"STOP_SENDING id=4 code=256", "05 04 4100", StopSending{ID: 4, Code: 256}},
	{"CRYPTO offset=0 length=90", "06 00 405a" + crypto9001, Crypto{Data: unhex(crypto9001)}},
	{"CRYPTO offset=4611686018427387902 length=1", "06 fffffffffffffffe 01 aa",
		Crypto{Offset: varint.Max - 1, Data: []byte{0xaa}}},
	{"NEW_TOKEN length=2", "07 02 abcd", NewToken{Token: unhex("abcd")}},
	{"STREAM id=4 offset=0 length=2", "08 04 abcd", Stream{ID: 4, Data: unhex("abcd"), ToEnd: true}},
	{"STREAM id=4 offset=0 length=2 fin", "09 04 abcd", Stream{ID: 4, Data: unhex("abcd"), ToEnd: true, Fin: true}},
	{"STREAM id=4 offset=0 length=2", "0a 04 02 abcd", Stream{ID: 4, Data: unhex("abcd")}},
	{"STREAM id=4 offset=0 length=0 fin", "0b 04 00", Stream{ID: 4, Data: []byte{}, Fin: true}},
	{"STREAM id=4 offset=9 length=0", "0c 04 09", Stream{ID: 4, Offset: 9, Data: []byte{}, ToEnd: true}},
	{"STREAM id=4 offset=9 length=1 fin", "0d 04 09 aa",
		Stream{ID: 4, Offset: 9, Data: []byte{0xaa}, ToEnd: true, Fin: true}},
	{"STREAM id=4 offset=9 length=1", "0e 04 09 01 aa", Stream{ID: 4, Offset: 9, Data: []byte{0xaa}}},
	{"STREAM id=4 offset=4611686018427387903 length=0 fin", "0f 04 ffffffffffffffff 00",
		Stream{ID: 4, Offset: varint.Max, Data: []byte{}, Fin: true}},
	{"MAX_DATA max=65536", "10 80010000", MaxData{Max: 1 << 16}},
	{"MAX_STREAM_DATA id=4 max=65536", "11 04 80010000", MaxStreamData{ID: 4, Max: 1 << 16}},
	{"MAX_STREAMS bidi max=100", "12 4064", MaxStreams{Max: 100}},
	{"MAX_STREAMS uni max=1152921504606846976", "13 d000000000000000", MaxStreams{Uni: true, Max: 1 << 60}},
	{"DATA_BLOCKED limit=65536", "14 80010000", DataBlocked{Limit: 1 << 16}},
	{"STREAM_DATA_BLOCKED id=4 limit=65536", "15 04 80010000", StreamDataBlocked{ID: 4, Limit: 1 << 16}},
	{"STREAMS_BLOCKED bidi limit=1152921504606846976", "16 d000000000000000", StreamsBlocked{Limit: 1 << 60}},
	{"STREAMS_BLOCKED uni limit=3", "17 03", StreamsBlocked{Uni: true, Limit: 3}},
	{"NEW_CONNECTION_ID seq=2 retire_prior_to=2 id=aabbccdd", "18 02 02 04 aabbccdd" + token16,
		NewConnectionID{Seq: 2, RetirePriorTo: 2, ConnID: connID("aabbccdd"), ResetToken: [16]byte(unhex(token16))}},
	{"RETIRE_CONNECTION_ID seq=64", "19 4040", RetireConnectionID{Seq: 64}},
	{"PATH_CHALLENGE data=0102030405060708", "1a 0102030405060708",
		PathChallenge{Data: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}}},
	{"PATH_RESPONSE data=0102030405060708", "1b 0102030405060708",
		PathResponse{Data: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}}},
	{`CONNECTION_CLOSE code=PROTOCOL_VIOLATION frame_type=0x6 reason="no\n"`, "1c 0a 06 03 6e6f0a",
		ConnectionClose{Code: 0x0a, FrameType: 0x06, Reason: []byte("no\n")}},
	{`CONNECTION_CLOSE application code=256 reason=""`, "1d 4100 00",
		ConnectionClose{Application: true, Code: 256, Reason: []byte{}}},
	{"HANDSHAKE_DONE", "1e", HandshakeDone{}},
	{"IMMEDIATE_ACK", "1f", ImmediateAck{}},
	{"ACK_FREQUENCY seq=64 threshold=10 max_delay=25000 reordering=3", "40af 4040 0a 800061a8 03",
		AckFrequency{Seq: 64, Threshold: 10, MaxDelay: 25000, Reordering: 3}},
	{"RESET_STREAM_AT id=4 code=256 final_size=65536 reliable_size=64", "24 04 4100 80010000 4040",
		ResetStreamAt{ID: 4, Code: 256, FinalSize: 1 << 16, ReliableSize: 64}},
	{"RESET_STREAM_AT id=4 code=0 final_size=7 reliable_size=7", "24 04 00 07 07",
		ResetStreamAt{ID: 4, FinalSize: 7, ReliableSize: 7}},
	{"DATAGRAM length=2", "30 abcd", Datagram{Data: unhex("abcd"), ToEnd: true}},
	{"DATAGRAM length=0", "30", Datagram{Data: []byte{}, ToEnd: true}},
	{"DATAGRAM length=2", "31 02 abcd", Datagram{Data: unhex("abcd")}},
	{"DATAGRAM length=0", "31 00", Datagram{Data: []byte{}}},
}

func TestFrames(t *testing.T) {
	for _, tt := range frameTests {
		t.Run(tt.name, func(t *testing.T) {
			b := unhex(tt.hex)
			f, n := ParseFrame(b)
			require.Equal(t, len(b), n)
			require.Equal(t, tt.frame, f)
			require.Equal(t, tt.name, f.String())
			require.Equal(t, b, f.Append(nil))
			require.Equal(t, len(b), f.Size())
			require.Equal(t, append([]byte("before"), b...), f.Append([]byte("before")))
		})
	}
}

// endless returns the length from which on a frame is valid wherever it is truncated, because it extends to
// the end of the packet.
func endless(f Frame) (shortest int) {
	switch f := f.(type) {
	case Padding:
		return 1
	case Stream:
		if f.ToEnd {
			return f.Size() - len(f.Data)
		}
	case Datagram:
		if f.ToEnd {
			return 1
		}
	}
	return -1
}

func TestFramesCutOff(t *testing.T) {
	for _, tt := range frameTests {
		b := unhex(tt.hex)
		for i := range b {
			_, n := ParseFrame(b[:i:i])
			if shortest := endless(tt.frame); shortest >= 0 && i >= shortest {
				require.Equal(t, i, n, "%s cut off at %d", tt.name, i)
				continue
			}
			require.Equal(t, -1, n, "%s cut off at %d", tt.name, i)
		}
	}
}

func TestFramesLeaveTheRest(t *testing.T) {
	for _, tt := range frameTests {
		if endless(tt.frame) >= 0 {
			continue
		}
		b := unhex(tt.hex)
		f, n := ParseFrame(append(b, 0xff, 0xff, 0xff))
		require.Equal(t, len(b), n, tt.name)
		require.Equal(t, tt.frame, f, tt.name)
	}
}

// "Receipt of a frame that exceeds this limit MUST be treated as a connection error of type FRAME_ENCODING_ERROR or
// CRYPTO_BUFFER_EXCEEDED."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.6-7
// "Receipt of a frame that exceeds this limit MUST be treated as a connection error of type FRAME_ENCODING_ERROR or
// FLOW_CONTROL_ERROR."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.8-9
// "Receipt of a frame that encodes a larger stream ID MUST be treated as a connection error of type
// STREAM_LIMIT_ERROR or FRAME_ENCODING_ERROR."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.14-6.2.1
// "If any computed packet number is negative, an endpoint MUST generate a connection error of type
// FRAME_ENCODING_ERROR."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.3.1-14
func TestMalformedFrames(t *testing.T) {
	for _, tt := range []struct{ name, hex string }{
		{"unknown type", "20"},
		{"ACK_FREQUENCY cut off", "40af 00 00 00"},
		{"unknown type", "40ff 00"},
		{"type of two bytes", "4001"},
		{"First ACK Range below 0", "02 05 00 00 06"},
		{"Gap below 0", "02 05 00 01 00 04 00"},
		{"Gap of one packet, down to -1", "02 01 00 01 00 00 00"},
		{"Gap of 2^62-1", "02 05 00 01 00 ffffffffffffffff 00"},
		{"ACK Range Length below 0", "02 05 00 01 00 00 04"},
		{"ACK Range Length of 2^62-1", "02 05 00 01 00 00 ffffffffffffffff"},
		{"ACK Range Count of 2^62-1", "02 4040 00 ffffffffffffffff 00 00 00"},
		{"ECN counts are missing", "03 05 00 00 00"},
		{"ECN count is missing", "03 05 00 00 00 00 00"},
		{"CRYPTO beyond 2^62-1", "06 ffffffffffffffff 01 aa"},
		{"CRYPTO longer than the packet", "06 00 ffffffffffffffff aa"},
		{"NEW_TOKEN without token", "07 00"},
		{"NEW_TOKEN longer than the packet", "07 03 abcd"},
		{"STREAM beyond 2^62-1", "0e 00 ffffffffffffffff 01 aa"},
		{"STREAM without length beyond 2^62-1", "0c 00 ffffffffffffffff aa"},
		{"STREAM longer than the packet", "0a 00 ffffffffffffffff aa"},
		{"MAX_STREAMS above 2^60", "12 d000000000000001"},
		{"MAX_STREAMS above 2^60", "13 ffffffffffffffff"},
		{"STREAMS_BLOCKED above 2^60", "16 d000000000000001"},
		{"STREAMS_BLOCKED above 2^60", "17 ffffffffffffffff"},
		{"NEW_CONNECTION_ID without ID", "18 02 00 00" + token16},
		{"NEW_CONNECTION_ID of 21 bytes", "18 02 00 15 000000000000000000000000000000000000000000" + token16},
		{"NEW_CONNECTION_ID retires itself", "18 02 03 01 aa" + token16},
		{"RESET_STREAM_AT with a Reliable Size above the Final Size", "24 04 00 07 08"},
		{"DATAGRAM longer than the packet", "31 03 abcd"},
		{"DATAGRAM without its length", "31"},
		{"DATAGRAM of 2^62-1 bytes", "31 ffffffffffffffff aa"},
		{"CONNECTION_CLOSE longer than the packet", "1c 00 00 02 aa"},
		{"CONNECTION_CLOSE longer than the packet", "1d 00 ffffffffffffffff aa"},
	} {
		f, n := ParseFrame(unhex(tt.hex))
		require.Equal(t, -1, n, tt.name)
		require.Nil(t, f, tt.name)
	}
}

// The payload of RFC 9001, A.3.
func TestFramesRFC9001(t *testing.T) {
	b := unhex("02000000000600405a" + crypto9001)
	f, n := ParseFrame(b)
	require.Equal(t, "ACK delay=0 [0,1)", f.String())
	f, m := ParseFrame(b[n:])
	require.Equal(t, Crypto{Data: unhex(crypto9001)}, f)
	require.Len(t, b, n+m)
}

// If a borrowed slice could grow, appending to it would overwrite the next frame.
func TestBorrowedSlicesAreFull(t *testing.T) {
	b := unhex("06 00 02 abcd 01")
	f, _ := ConsumeCrypto(b)
	_ = append(f.Data, 0xff)
	require.Equal(t, byte(0x01), b[len(b)-1])
	b = unhex("0a 00 02 abcd 01")
	s, _ := ConsumeStream(b)
	_ = append(s.Data, 0xff)
	require.Equal(t, byte(0x01), b[len(b)-1])
}

func TestStreamOverhead(t *testing.T) {
	for _, f := range []Stream{
		{ID: 1}, {ID: 1 << 20, Offset: 1 << 40}, {ID: 64, Offset: 63, ToEnd: true, Fin: true},
	} {
		for _, n := range []int{0, 1, 63, 64, 1200} {
			f.Data = make([]byte, n)
			head := f.AppendHeader(nil, n)
			require.Len(t, head, f.Overhead(n))
			require.Equal(t, append(head, f.Data...), f.Append(nil))
		}
	}
}

func FuzzFrame(f *testing.F) {
	for _, tt := range frameTests {
		f.Add(unhex(tt.hex))
	}
	f.Add(unhex("02 4040 00 ffffffffffffffff 00 00 00"))
	f.Add(unhex("18 02 03 01 aa" + token16))
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, n := ParseFrame(b)
		if n < 0 {
			return
		}
		require.Positive(t, n, "every frame has at least one byte")
		require.LessOrEqual(t, n, len(b))
		ft, _ := ConsumeFrameType(b)
		require.True(t, FrameKnown(ft))
		require.True(t, FrameAllowed(ft, Packet1RTT), "all frames can appear in 1-RTT packets")

		e := fr.Append(nil)
		require.Len(t, e, fr.Size())
		require.LessOrEqual(t, len(e), n)
		again, m := ParseFrame(e)
		require.Equal(t, len(e), m)
		require.Equal(t, fr, again)
		require.Equal(t, fr.String(), again.String())
	})
}
