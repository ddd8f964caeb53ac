package qpack

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A pair is an Encoder and the peer's Decoder.
type pair struct {
	t *testing.T
	e *Encoder
	d *Decoder
}

func newPair(t *testing.T, capacity, blocked int) *pair {
	p := &pair{t, NewEncoder(capacity), NewDecoder(capacity, blocked)}
	require.NoError(t, p.e.SetLimits(uint64(capacity), uint64(blocked)))
	return p
}

// encode returns a section and its instructions.
func (p *pair) encode(stream uint64, fields ...Field) (section, instructions []byte) {
	p.t.Helper()
	section = p.e.AppendSection(nil, stream, fields)
	return section, p.e.AppendInstructions(nil)
}

// send encodes fields, decodes them, checks that they are the same, and returns their representations. The encoder
// does not learn of this before ack is called.
func (p *pair) send(stream uint64, fields ...Field) []kind {
	p.t.Helper()
	section, instructions := p.encode(stream, fields...)
	require.NoError(p.t, p.d.HandleEncoderStream(instructions))
	got, err := decodeAll(p.d, stream, section)
	require.NoError(p.t, err)
	for i := range fields {
		fields[i].Sensitive = got[i].Sensitive
	}
	require.Equal(p.t, fields, got)
	return kinds(p.t, section)
}

func (p *pair) ack() {
	p.t.Helper()
	require.NoError(p.t, p.e.HandleDecoderStream(p.d.AppendInstructions(nil)))
}

func header(name, value string) Field { return Field{Name: name, Value: value} }

var (
	agent  = header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0)")
	custom = header("x-custom-name", "custom value")
)

// TestStaticOnly checks an encoder that has no dynamic table: because the peer's settings have not arrived, because
// the peer or the program allows none, or because no entry fits.
//
// "[T]he maximum table capacity is 0 until the encoder processes a SETTINGS frame with a non-zero value of
// SETTINGS_QPACK_MAX_TABLE_CAPACITY."
// https://www.rfc-editor.org/rfc/rfc9204#section-3.2.3-3
//
// "When the maximum table capacity is zero, the encoder MUST NOT insert entries into the dynamic table and MUST NOT send any
// encoder instructions on the encoder stream."
// https://www.rfc-editor.org/rfc/rfc9204#section-3.2.3-4
func TestStaticOnly(t *testing.T) {
	for _, c := range []struct {
		own       int
		isLimited bool
		peer      uint64
	}{{4096, false, 0}, {4096, true, 0}, {0, true, 4096}, {4096, true, 31}, {31, true, 4096}} {
		e, d := NewEncoder(c.own), NewDecoder(0, 0)
		if c.isLimited {
			require.NoError(t, e.SetLimits(c.peer, 100))
		}
		want := []Field{header(":method", "GET"), header(":path", "/x"), agent, custom}
		for stream := range uint64(10) {
			section := e.AppendSection(nil, 4*stream, want)
			require.Empty(t, e.AppendInstructions(nil))
			got, err := decodeAll(d, 4*stream, section)
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.Equal(t, []kind{static, staticName, staticName, literalName}, kinds(t, section))
		}
		// A decoder may cancel streams although it has no table.
		require.NoError(t, e.HandleDecoderStream(unhex(t, "44")))
	}
}

// TestInsertsWhatIsSeenAgain checks when a field enters the table, and how sections refer to it.
func TestInsertsWhatIsSeenAgain(t *testing.T) {
	p := newPair(t, 4096, 100)
	require.Equal(t, []kind{static, staticName, literalName}, p.send(0, header(":method", "GET"), agent, custom))
	require.Zero(t, p.e.table.inserted)
	require.Equal(t, []kind{static, postBase, postBase}, p.send(4, header(":method", "GET"), agent, custom))
	require.Equal(t, []kind{dynamic, dynamic}, p.send(8, custom, agent))
	require.Equal(t, []kind{dynamicName}, p.send(12, header(custom.Name, "x")), "a name that the table has")
	require.EqualValues(t, 2, p.e.table.inserted)
	require.Len(t, p.e.outstanding, 3)
	p.ack()
	require.Empty(t, p.e.outstanding)
	require.EqualValues(t, 2, p.e.known)
	require.Equal(t, []kind{dynamic, dynamic}, p.send(16, custom, agent))
}

// TestBlockedStreamsLimited checks that the encoder never references entries that the peer might not have on more streams
// than the peer allows, and that it references them again when others are acknowledged.
//
// "An encoder MUST limit the number of streams that could become blocked to the value of SETTINGS_QPACK_BLOCKED_STREAMS at
// all times."
// https://www.rfc-editor.org/rfc/rfc9204#section-2.1.2-4
func TestBlockedStreamsLimited(t *testing.T) {
	for _, limit := range []int{0, 1, 3} {
		p := newPair(t, 4096, limit)
		p.send(0, agent)
		for i := range limit {
			section, instructions := p.encode(uint64(4*i+4), agent)
			require.NoError(t, p.d.HandleEncoderStream(instructions))
			require.NotEqual(t, []kind{staticName}, kinds(t, section))
		}
		section, instructions := p.encode(400, agent)
		require.NoError(t, p.d.HandleEncoderStream(instructions))
		require.Equal(t, []kind{staticName}, kinds(t, section), "limit %d", limit)
		require.EqualValues(t, 1, p.e.table.inserted, "the field is inserted for later")
		if limit > 0 {
			section, _ := p.encode(4, agent)
			require.Equal(t, []kind{dynamic}, kinds(t, section), "a stream that may be blocked already")
		}
		p.ack() // an Insert Count Increment
		require.Equal(t, []kind{dynamic}, p.send(404, agent))
	}
}

// TestSensitive checks the fields that are never compressed.
//
// "When the 'N' bit is set, the encoded field line MUST always be encoded with a literal representation. In particular, when
// a peer sends a field line that it received represented as a literal field line with the 'N' bit set, it MUST use a literal
// representation to forward this field line."
// https://www.rfc-editor.org/rfc/rfc9204#section-4.5.4-3
//
// "An intermediary MUST NOT re-encode a value that uses a literal representation with the 'N' bit set with another
// representation that would index it. If QPACK is used for re-encoding, a literal representation with the 'N' bit set MUST
// be used."
// https://www.rfc-editor.org/rfc/rfc9204#section-7.1.3-3
func TestSensitive(t *testing.T) {
	session := header("cookie", "session=0123456789abcdef")
	for _, f := range []Field{header("authorization", "Bearer 0123456789abcdef"), header("proxy-authorization", "Basic Zm9vOmJhcg=="),
		header("set-cookie", session.Value), header("cookie", "theme=dark"), {Name: "x-secret", Value: "long enough for the table", Sensitive: true},
		{Name: ":method", Value: "GET", Sensitive: true}} {
		p := newPair(t, 4096, 100)
		next := newPair(t, 4096, 100)
		for stream := range uint64(4) {
			section, instructions := p.encode(stream, f)
			require.Empty(t, instructions)
			got, err := decodeAll(p.d, stream, section)
			require.NoError(t, err)
			require.Equal(t, []Field{{f.Name, f.Value, true}}, got)

			section, instructions = next.encode(stream, got...) // an intermediary
			require.Empty(t, instructions)
			got, err = decodeAll(next.d, stream, section)
			require.NoError(t, err)
			require.Equal(t, []Field{{f.Name, f.Value, true}}, got)
		}
	}
	p := newPair(t, 4096, 100)
	p.send(0, session)
	require.Equal(t, []kind{postBase}, p.send(4, session), "a long cookie")
}

// TestNotWorthInserting checks fields that stay literals.
func TestNotWorthInserting(t *testing.T) {
	p := newPair(t, 4096, 100)
	for stream := range uint64(4) {
		for _, f := range []Field{header("content-length", "123"), header("x-large", strings.Repeat("x", 3000))} {
			p.send(stream, f)
		}
		p.send(stream, header("etag", fmt.Sprintf("a value that is seen once: %d", stream)))
	}
	require.Zero(t, p.e.table.inserted)
}

// TestInvalidDecoderStreams checks what the encoder refuses on the decoder stream.
func TestInvalidDecoderStreams(t *testing.T) {
	for _, c := range []struct{ name, stream string }{
		// "If an encoder receives a Section Acknowledgment instruction referring to a stream on which every encoded field
		// section with a non-zero Required Insert Count has already been acknowledged, this MUST be treated as a connection
		// error of type QPACK_DECODER_STREAM_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9204#section-4.4.1-4
		{"acknowledgement of a stream that has sent nothing", "8c"},
		{"acknowledgement of a section without references", "80"},
		{"second acknowledgement", "84 84"},
		{"acknowledgement after a cancellation", "44 84"},

		// "An encoder that receives an Increment field equal to zero, or one that increases the Known Received Count beyond
		// what the encoder has sent, MUST treat this as a connection error of type QPACK_DECODER_STREAM_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9204#section-4.4.3-3
		{"increment by 0", "00"},
		{"increment beyond what was sent", "02"},
		{"increment after an acknowledgement", "84 01"},
		{"second increment", "01 01"},

		// "If an implementation encounters a value larger than it is able to decode, this MUST be treated as [...] a connection
		// error of the appropriate type if on the encoder or decoder stream."
		// https://www.rfc-editor.org/rfc/rfc9204#section-7.4-3
		{"large increment", "3f ffff ffff ffff ffff ff7f"},
		{"large stream", "ff ffff ffff ffff ffff ff7f"},
		{"large cancellation", "7f ffff ffff ffff ffff ff7f"},
	} {
		for _, inFragments := range []bool{false, true} {
			p := newPair(t, 4096, 100)
			p.encode(0, agent)
			p.encode(4, agent)
			p.e.AppendSection(nil, 8, []Field{custom, custom}) // its insertion is not sent
			require.EqualValues(t, 2, p.e.table.inserted)
			b := unhex(t, c.stream)
			var err error
			if !inFragments {
				err = p.e.HandleDecoderStream(b)
			}
			for i := 0; inFragments && i < len(b) && err == nil; i++ {
				err = p.e.HandleDecoderStream(b[i : i+1])
			}
			requireError(t, err, DecoderStreamError, false, c.name)
		}
	}
}

// TestChangedLimits checks the settings that follow remembered ones.
//
// "If the remembered value is non-zero, the server MUST send the same non-zero value in its SETTINGS frame. If it specifies
// any other value, or omits SETTINGS_QPACK_MAX_TABLE_CAPACITY from SETTINGS, the encoder must treat this as a connection
// error of type QPACK_DECODER_STREAM_ERROR."
// https://www.rfc-editor.org/rfc/rfc9204#section-3.2.3-2
func TestChangedLimits(t *testing.T) {
	for _, c := range []struct {
		remembered, sent uint64
		ok               bool
	}{{0, 0, true}, {0, 100, true}, {100, 100, true}, {100, 0, false}, {100, 101, false}, {100, 99, false}} {
		e := NewEncoder(4096)
		require.NoError(t, e.SetLimits(c.remembered, 1))
		if err := e.SetLimits(c.sent, 2); c.ok {
			require.NoError(t, err)
		} else {
			requireError(t, err, DecoderStreamError, false)
		}
	}
}

// TestCapacity checks that the encoder uses the smaller of both limits and never changes it, and that the Required Insert
// Count is encoded by the peer's.
//
// "The encoder MUST NOT set a dynamic table capacity that exceeds this maximum, but it can choose to use a lower dynamic
// table capacity".
// https://www.rfc-editor.org/rfc/rfc9204#section-3.2.3-1
//
// "The new capacity MUST be lower than or equal to the limit described in Section 3.2.3."
// https://www.rfc-editor.org/rfc/rfc9204#section-4.3.1-3
//
// "Reducing the dynamic table capacity can cause entries to be evicted; see Section 3.2.2. This MUST NOT cause the eviction
// of entries that are not evictable".
// https://www.rfc-editor.org/rfc/rfc9204#section-4.3.1-4
func TestCapacity(t *testing.T) {
	for _, c := range []struct {
		own, peer int
		want      uint64
	}{{4096, 300, 300}, {300, 1 << 20, 300}} {
		e, d := NewEncoder(c.own), NewDecoder(c.peer, 100)
		require.NoError(t, e.SetLimits(uint64(c.peer), 100))
		p := &pair{t, e, d}
		for i := range uint64(100) {
			f := header("x-name", fmt.Sprintf("value %d", i))
			p.send(2*i, f)
			p.send(2*i+1, f)
			p.ack()
			require.Equal(t, e.table.size, d.table.size)
			require.Equal(t, c.want, d.table.capacity)
		}
		require.Greater(t, e.table.dropped, uint64(50))
		require.Equal(t, c.want, e.table.capacity)
	}
}

// TestReferencedEntriesStay checks that entries are not evicted while an unacknowledged section references them, or
// while they are not known to be received.
//
// "If the dynamic table does not contain enough room for a new entry without evicting other entries, and the entries that
// would be evicted are not evictable, the encoder MUST NOT insert that entry into the dynamic table (including duplicates of
// existing entries)."
// https://www.rfc-editor.org/rfc/rfc9204#section-2.1.1-3
//
// "The encoder MUST NOT cause a dynamic table entry to be evicted unless that entry is evictable".
// https://www.rfc-editor.org/rfc/rfc9204#section-3.2.2-2
func TestReferencedEntriesStay(t *testing.T) {
	field := func(i int) Field { return header("x-name", fmt.Sprintf("value-%020d", i)) } // 64 bytes
	p := newPair(t, 4*64, 100)
	insert := func(i int) []kind {
		p.send(400, field(i))
		return p.send(404, field(i))
	}
	for i := range 4 {
		insert(i)
	}
	require.EqualValues(t, 4, p.e.table.inserted)
	insert(4)
	require.EqualValues(t, 4, p.e.table.inserted, "nothing is acknowledged")
	p.ack()

	section, _ := p.encode(8, field(1))
	require.Equal(t, []kind{dynamic}, kinds(t, section))
	require.Equal(t, []kind{postBase}, insert(5), "evicts 0")
	require.EqualValues(t, 1, p.e.table.dropped)
	require.Equal(t, []kind{dynamicName}, insert(6), "1 is referenced")
	require.EqualValues(t, 1, p.e.table.dropped)
	p.ack()
	insert(7)
	require.EqualValues(t, 1, p.e.table.dropped, "1 is still referenced")

	// "This signals to the encoder that all references to the dynamic table on that stream are no longer outstanding."
	// https://www.rfc-editor.org/rfc/rfc9204#section-2.2.2.2-1
	p.d.CancelStream(8)
	p.ack()
	require.Equal(t, []kind{postBase}, p.send(12, field(7)), "evicts 1")
	require.EqualValues(t, 2, p.e.table.dropped)
}

// TestOwnReferencesStay checks that an insertion does not evict an entry that the same section references.
func TestOwnReferencesStay(t *testing.T) {
	a, b := header("x-name", strings.Repeat("a", 26)), header("x-name", strings.Repeat("b", 26)) // 64 bytes
	p := newPair(t, 200, 100)
	p.send(0, a, b, a, b)
	p.ack()
	require.EqualValues(t, 2, p.e.table.inserted)
	c := header("x-name", strings.Repeat("c", 42)) // 80 bytes
	p.send(4, c)
	require.Equal(t, []kind{dynamic, dynamicName}, p.send(8, a, c))
	require.EqualValues(t, 2, p.e.table.inserted)
	p.ack()
	require.Equal(t, []kind{postBase}, p.send(12, c), "evicts a")
	require.EqualValues(t, 1, p.e.table.dropped)
}

// TestDraining checks that old entries are duplicated when they are used, and so survive.
func TestDraining(t *testing.T) {
	for _, blocked := range []int{0, 100} {
		p := newPair(t, 1024, blocked)
		old := header("x-name", "used again and again")
		p.send(0, old)
		p.send(0, old)
		for i := range 100 {
			f := header("x-name", fmt.Sprintf("used for a while: %d", i))
			p.send(4, f)
			p.send(4, f)
			p.ack()
			require.NotEqual(t, []kind{literalName}, p.send(8, old))
			require.Equal(t, []kind{dynamic}, p.send(12, f, old)[:1])
			p.ack()
		}
		require.Greater(t, p.e.table.dropped, uint64(50))
		require.Greater(t, p.e.table.inserted, uint64(102), "there are duplicates")
		h := p.e.index.hash(old.Name, old.Value)
		index, ok := p.e.index.find(&p.e.table, h, &old, maxInt)
		require.True(t, ok)
		require.GreaterOrEqual(t, index, p.e.draining-1)
	}
}

// TestCallerCannotWrite checks an encoder whose instructions are not taken: it inserts only a little more, and new
// sections do not wait for what was not taken.
//
// "To avoid these deadlocks, an encoder SHOULD NOT write an instruction unless sufficient stream and connection
// flow-control credit is available for the entire instruction."
// https://www.rfc-editor.org/rfc/rfc9204#section-2.1.3-4
func TestCallerCannotWrite(t *testing.T) {
	p := newPair(t, 1<<20, 1<<20)
	p.send(0, agent)
	p.send(0, agent)
	for i := range maxOutstanding / 4 {
		fields := []Field{header("x-name", strings.Repeat("x", 50)+fmt.Sprint(i)), agent}
		p.e.AppendSection(nil, 4, fields)
		section := p.e.AppendSection(nil, 4, fields)
		if i > 0 {
			require.Equal(t, []kind{literalName, dynamic}, kinds(t, section))
		}
		require.LessOrEqual(t, cap(p.e.out), 4*maxUnsent)
	}
	require.Less(t, p.e.table.inserted, uint64(100))
	require.NoError(t, p.d.HandleEncoderStream(p.e.AppendInstructions(nil)))
	require.Equal(t, []kind{dynamic}, p.send(8, header("x-name", strings.Repeat("x", 50)+"0")))
}

// TestOutstandingBounded checks that a peer that never acknowledges cannot make the encoder remember all sections.
func TestOutstandingBounded(t *testing.T) {
	p := newPair(t, 4096, 1<<20)
	p.send(0, agent)
	for stream := range uint64(10 * maxOutstanding) {
		_, instructions := p.encode(stream, agent)
		require.NoError(t, p.d.HandleEncoderStream(instructions))
	}
	require.Len(t, p.e.outstanding, maxOutstanding)
	section, _ := p.encode(1<<20, agent)
	require.Equal(t, []kind{staticName}, kinds(t, section))
	p.d.AppendInstructions(nil)
	for stream := range uint64(maxOutstanding) {
		require.NoError(t, p.e.HandleDecoderStream(appendInt(nil, 0x80, 7, stream)))
	}
	require.Zero(t, cap(p.e.outstanding))
	require.Equal(t, []kind{dynamic}, p.send(1<<20, agent))
}

// TestLongPrefix checks a Required Insert Count that takes several bytes.
func TestLongPrefix(t *testing.T) {
	p := newPair(t, 1<<20, 1<<20)
	for i := range 2000 {
		f := header("x-name", fmt.Sprintf("value %d", i))
		p.send(4, f)
		p.send(4, f)
		p.ack()
	}
	require.Equal(t, []kind{dynamic, dynamic}, p.send(8, header("x-name", "value 2"), header("x-name", "value 1999")))
	b := p.e.AppendSection([]byte("before"), 12, []Field{header("x-name", "value 2")})
	require.Equal(t, "before", string(b[:6]))
	got, err := decodeAll(p.d, 12, b[6:])
	require.NoError(t, err)
	require.Equal(t, []Field{header("x-name", "value 2")}, got)
}

// A secret is a literal with the 'N' bit, however often it is sent, and a section with the right guess is as long as one with a wrong one.
//
// "Implementations can also choose to protect sensitive fields by not compressing them and instead encoding their value as literals."
// https://www.rfc-editor.org/rfc/rfc9204#section-7.1.3-1
func TestSecretsAreNeverIndexed(t *testing.T) {
	for _, tc := range []struct {
		f, wrong Field
		isSecret bool
	}{
		{Field{Name: "authorization", Value: "Bearer aaaaaaaaaaaaaaaaaaaa"}, Field{Name: "authorization", Value: "Bearer aaaaaaaaaaaaaaaaaaac"}, true},
		{Field{Name: "proxy-authorization", Value: "Basic aaaaaaaa"}, Field{Name: "proxy-authorization", Value: "Basic aaaaaaac"}, true},
		{Field{Name: "set-cookie", Value: "session=aaaaaaaaaaaaaaaa"}, Field{Name: "set-cookie", Value: "session=aaaaaaaaaaaaaaac"}, true},
		{Field{Name: "cookie", Value: "pin=000000000000000"}, Field{Name: "cookie", Value: "pin=000000000000001"}, true},
		{Field{Name: "x-token", Value: "aaaaaaaaaaaaaaaaaaaaaaaa", Sensitive: true}, Field{Name: "x-token", Value: "aaaaaaaaaaaaaaaaaaaaaaac", Sensitive: true}, true},
		{Field{Name: "cookie", Value: "session=0000000000000000"}, Field{Name: "cookie", Value: "session=0000000000000001"}, false},
	} {
		e, d := NewEncoder(4096), NewDecoder(4096, 16)
		require.NoError(t, e.SetLimits(4096, 16))
		stream := uint64(0)
		size := func(f Field) int {
			section := e.AppendSection(nil, stream, []Field{f})
			require.NoError(t, d.HandleEncoderStream(e.AppendInstructions(nil)))
			require.NoError(t, d.Decode(stream, section, func(got Field) error {
				require.Equal(t, Field{Name: f.Name, Value: f.Value, Sensitive: tc.isSecret}, got)
				return nil
			}))
			require.NoError(t, e.HandleDecoderStream(d.AppendInstructions(nil)))
			stream += 4
			return len(section)
		}
		first := size(tc.f)
		for range 5 {
			require.Equal(t, tc.isSecret, size(tc.f) == first, "%s: %s", tc.f.Name, tc.f.Value)
			if !tc.isSecret {
				break
			}
		}
		require.Equal(t, tc.isSecret, size(tc.f) == size(tc.wrong), "%s: %s", tc.f.Name, tc.f.Value)
		require.Equal(t, tc.isSecret, e.table.inserted == 0)
	}
}
