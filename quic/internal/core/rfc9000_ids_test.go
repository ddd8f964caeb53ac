package core

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// TestConnectionIDFramesOfAPeer checks the requirements on NEW_CONNECTION_ID frames (RFC 9000, sections 5.1 and 19.15).
// Each peer first issues the ID 10, and asks for the retirement of those before it.
func TestConnectionIDFramesOfAPeer(t *testing.T) {
	id := func(b byte) wire.ConnID { return testID(string(bytes.Repeat([]byte{b}, 8))) }
	issue := func(seq, prior uint64) wire.Frame {
		return wire.NewConnectionID{Seq: seq, RetirePriorTo: prior, ConnID: id(byte(seq)), ResetToken: [16]byte{byte(seq)}}
	}
	var many []wire.Frame
	for seq := uint64(11); seq < 11+2*maxRetiring; seq++ {
		many = append(many, issue(seq, seq))
	}
	// "Upon receipt of an increased Retire Prior To field, the peer MUST stop using the corresponding connection IDs
	// and retire them with RETIRE_CONNECTION_ID frames before adding the newly provided connection ID to the set of
	// active connection IDs."
	// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.2-5
	first := func(r *rig) {
		old := r.server.ids.dst()
		answer := r.say(server, recovery.SpaceApp, issue(10, 10))
		require.Contains(r.t, answer, wire.Frame(wire.RetireConnectionID{Seq: 0}))
		require.NotEqual(r.t, old, r.server.ids.dst())
		require.Equal(r.t, id(10), r.server.ids.dst())
	}
	play(t, rigOptions{}, first, []exchange{
		// "An endpoint that receives a NEW_CONNECTION_ID frame with a sequence number smaller than the Retire Prior
		// To field of a previously received NEW_CONNECTION_ID frame MUST send a corresponding RETIRE_CONNECTION_ID
		// frame that retires the newly received connection ID, unless it has already done so for that sequence
		// number."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.15-11
		{"an ID that is retired already", server, packed(issue(9, 0)), answers(wire.RetireConnectionID{Seq: 9})},
		// "Receipt of the same frame multiple times MUST NOT be treated as a connection error."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.15-7
		{"the same frames again", server, packed(issue(11, 10), issue(11, 10), issue(10, 10)), then(func(r *rig, answer []wire.Frame) {
			require.Empty(r.t, framesOf[wire.RetireConnectionID](answer))
			require.Len(r.t, r.server.ids.remote, 2)
		})},
		// "A receiver MUST ignore any Retire Prior To fields that do not increase the largest received Retire Prior
		// To value."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.15-10
		{"a smaller Retire Prior To", server, packed(issue(11, 5)), then(func(r *rig, answer []wire.Frame) {
			require.Empty(r.t, framesOf[wire.RetireConnectionID](answer))
			require.EqualValues(r.t, 10, r.server.ids.retirePrior)
			require.Equal(r.t, id(10), r.server.ids.dst())
		})},
		// "After processing a NEW_CONNECTION_ID frame and adding and retiring active connection IDs, if the number of
		// active connection IDs exceeds the value advertised in its active_connection_id_limit transport parameter,
		// an endpoint MUST close the connection with an error of type CONNECTION_ID_LIMIT_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1-5
		{"more IDs than the server keeps", server, packed(issue(11, 0), issue(12, 0), issue(13, 0), issue(14, 0)), closes(wire.ConnectionIDLimitError)},
		{"as many IDs as the server keeps", server, packed(issue(11, 0), issue(12, 0), issue(13, 0)), answers()},
		// "An endpoint MUST NOT forget a connection ID without retiring it, though it MAY choose to treat having
		// connection IDs in need of retirement that exceed this limit as a connection error of type
		// CONNECTION_ID_LIMIT_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.2-6
		{"more retired IDs than the server keeps", server, packed(many...), closes(wire.ConnectionIDLimitError)},
	})
}

// TestIssuedConnectionIDs has a client retire one connection ID of the server after the other, and use the others.
//
// "The sequence number on each newly issued connection ID MUST increase by 1."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1-2
// "As a trivial example, this means the same connection ID MUST NOT be issued more than once on the same connection."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.1-4
// "When an endpoint issues a connection ID, it MUST accept packets that carry this connection ID for the duration of
// the connection or until its peer invalidates the connection ID via a RETIRE_CONNECTION_ID frame (Section 19.16)."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1-3
// "An endpoint MUST NOT provide more connection IDs than the peer's limit."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1-4
func TestIssuedConnectionIDs(t *testing.T) {
	r := connected(t, rigOptions{})
	seen := map[wire.ConnID]bool{}
	for i := range r.server.ids.local {
		seen[r.server.ids.local[i].id] = true
	}
	next := r.server.ids.nextLocal
	for range 20 {
		// A packet to a new ID makes the server issue another one.
		received := r.server.Stats().PacketsReceived
		answer := r.give(server, r.packet(server, recovery.SpaceApp, []byte{1, 0, 0, 0}, r.unusedID()))
		require.Equal(t, received+1, r.server.Stats().PacketsReceived)
		answer = append(answer, r.say(server, recovery.SpaceApp, wire.RetireConnectionID{Seq: r.server.ids.local[1].seq})...)
		r.sayBytes(server, recovery.SpaceApp, ackFrame(r.server.loss.NextNumber(recovery.SpaceApp)-1))
		for _, f := range framesOf[wire.NewConnectionID](answer) {
			require.Equal(t, next, f.Seq)
			require.False(t, seen[f.ConnID], "issued before")
			seen[f.ConnID] = true
			next++
		}
	}
	require.NoError(t, errOf(r.server))
	require.Greater(t, len(seen), 20)
}
