package core

import (
	"maps"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A server follows its client to a new address, which it validates.
//
// "An endpoint MUST perform path validation (Section 8.2) if it detects any change to a peer's address, unless it has
// previously validated that address."
// https://www.rfc-editor.org/rfc/rfc9000#section-9-4
// "If the recipient permits the migration, it MUST send subsequent packets to the new peer address and MUST initiate path
// validation (Section 8.2) to verify the peer's ownership of the address if validation is not already underway."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.3-2
// "In response to an apparent migration, endpoints MUST validate the previously active path using a PATH_CHALLENGE frame."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.3.3-4
// "An endpoint MUST expand datagrams that contain a PATH_CHALLENGE frame to at least the smallest allowed maximum datagram
// size of 1200 bytes, unless the anti-amplification limit for the path does not permit sending a datagram of this size."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.1-5
func TestServerFollowsClient(t *testing.T) {
	for _, to := range []netip.AddrPort{otherPort, otherAddr} {
		t.Run(to.String(), func(t *testing.T) {
			r := connected(t, rigOptions{})
			before := r.server.Stats()
			require.False(t, r.server.migrating())
			r.serverWrites(60_000)
			r.serverSends() // fills the window
			id := r.server.ids.dst()

			sent := r.sayFull(to, wire.Ping{})
			require.Equal(t, to, r.server.Path().Remote)
			_, first := challengeOn(t, to, sent[:2])
			require.Equal(t, fullOrMore, first.size)
			require.Equal(t, id, first.dst, "a NAT is no reason to change it")
			_, old := challengeOn(t, clientAddr, sent)
			require.Equal(t, fullOrMore, old.size)
			require.Len(t, old.frames, 1, "only probing frames go to the old address")
			require.LessOrEqual(t, bytesTo(to, sent), 3*MinInitialSize)
			ch, _ := challengeOn(t, to, sent)

			// The response may come from anywhere.
			//
			// "This requirement MUST NOT be enforced by the endpoint that initiates path validation, as that would
			// enable an attack on migration; see Section 9.3.3."
			// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2-2
			sent = r.sayFrom(clientAddr, wire.PathResponse(ch))
			require.Equal(t, to, r.server.Path().Remote)
			s := r.server.Stats()
			if to == otherPort {
				require.Equal(t, before.SmoothedRTT, s.SmoothedRTT, "the measurements are kept")
			} else {
				// "On confirming a peer's ownership of its new address, an endpoint MUST immediately reset the congestion
				// controller and round-trip time estimator for the new path to initial values (see Appendices A.3 and B.3 of
				// [QUIC-RECOVERY]) unless the only change in the peer's address is its port number."
				// https://www.rfc-editor.org/rfc/rfc9000#section-9.4-2
				require.Equal(t, recovery.DefaultInitialRTT, s.SmoothedRTT, "they start again")
				require.Positive(t, bytesTo(to, sent), "what was in flight on the old path does not fill the window")
			}
			require.EqualValues(t, 1, s.PathChanges)

			// The old address does not answer, and is given up.
			for r.server.migrating() {
				r.expireServer()
			}
			require.Equal(t, to, r.server.Path().Remote)
			require.EqualValues(t, 0, r.server.Stats().FailedPaths)
		})
	}
}

// Until a new address is validated, it gets at most three times what came from it, in small datagrams too.
//
// "When an endpoint is unable to expand the datagram size to 1200 bytes due to the anti-amplification limit, the path MTU
// will not be validated. To ensure that the path MTU is large enough, the endpoint MUST perform a second path validation by
// sending a PATH_CHALLENGE frame in a datagram of at least 1200 bytes."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.1-6
// "However, the endpoint MUST initiate another path validation with an expanded datagram to verify that the path supports
// the required MTU."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.3-2
// "An endpoint MAY send data to an unvalidated peer address, but it MUST protect against potential attacks as
// described in Sections 9.3.1 and 9.3.2."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.3-4
func TestSmallChallengeIsRepeatedInFull(t *testing.T) {
	r := connected(t, rigOptions{})
	r.serverWrites(30_000)
	sent := r.sayFrom(otherPort, wire.Ping{})
	small, d := challengeOn(t, otherPort, sent)
	require.Less(t, d.size, 3*40)
	size := len(r.packet(tlsprovider.Server, recovery.SpaceApp, []byte{1}, nil))
	require.LessOrEqual(t, bytesTo(otherPort, sent), 3*size)

	sent = r.sayFrom(otherPort, wire.PathResponse(small))
	full, d := challengeOn(t, otherPort, sent)
	require.Equal(t, fullOrMore, d.size)
	require.NotEqual(t, small, full)
	require.Greater(t, bytesTo(otherPort, sent), 3*MinInitialSize, "the address is validated")
	require.True(t, r.server.mig.active.check.running(), "and the datagram size is not")

	r.sayFrom(otherPort, wire.PathResponse(small)) // once more
	require.True(t, r.server.mig.active.check.running())
	r.sayFrom(otherPort, wire.PathResponse(full))
	require.False(t, r.server.mig.active.check.running())
}

// Probing packets do not move a connection, and are answered where they came from.
//
// "A PATH_RESPONSE frame MUST be sent on the network path where the PATH_CHALLENGE frame was received."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2-2
// "An endpoint MUST expand datagrams that contain a PATH_RESPONSE frame to at least the smallest allowed maximum datagram
// size of 1200 bytes."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2-3
// "However, an endpoint MUST NOT expand the datagram containing the PATH_RESPONSE if the resulting data exceeds the
// anti-amplification limit."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2-3
// "An endpoint MUST NOT send more than one PATH_RESPONSE frame in response to one PATH_CHALLENGE frame".
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2-4
// "An endpoint MUST NOT delay transmission of a packet containing a PATH_RESPONSE frame unless constrained by
// congestion control."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2-1
func TestProbingPacketsDoNotMigrate(t *testing.T) {
	r := connected(t, rigOptions{})
	probe := wire.PathChallenge{Data: [8]byte{1}}
	newID := wire.NewConnectionID{Seq: 2, ConnID: r.connID(), ResetToken: [16]byte{9}}
	sent := r.sayFull(otherAddr, probe, newID)
	require.Equal(t, clientAddr, r.server.Path().Remote)
	_, d := challengeOn(t, otherAddr, sent)
	require.Contains(t, d.frames, wire.Frame(wire.PathResponse(probe)))
	require.Equal(t, fullOrMore, d.size)
	require.Len(t, d.frames, 2, "the other address gets only probing frames")
	responses := 0
	for _, d := range append(sent, r.expireServer()...) {
		for _, f := range d.frames {
			if f == wire.Frame(wire.PathResponse(probe)) {
				responses++
			}
		}
	}
	require.Equal(t, 1, responses)

	again := wire.PathChallenge{Data: [8]byte{3}} // when no challenge of the server is due
	sent = r.sayFull(otherAddr, again)
	require.Len(t, sent, 1)
	require.Equal(t, otherAddr, sent[0].to)
	require.Equal(t, []wire.Frame{wire.PathResponse(again)}, sent[0].frames)

	sent = r.sayFrom(thirdAddr, wire.PathChallenge{Data: [8]byte{2}})
	_, d = challengeOn(t, thirdAddr, sent)
	require.Less(t, d.size, 3*50)
	require.Equal(t, clientAddr, r.server.Path().Remote)
}

// A packet that was overtaken does not move the connection back.
//
// "An endpoint only changes the address to which it sends packets in response to the highest-numbered non-probing packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.3-3
func TestReorderedPacketsDoNotMigrate(t *testing.T) {
	r := connected(t, rigOptions{})
	late := r.packet(tlsprovider.Server, recovery.SpaceApp, wire.Ping{}.Append(nil), nil)
	probe := r.packet(tlsprovider.Server, recovery.SpaceApp, wire.Ping{}.Append(nil), nil)
	r.sayFull(otherPort, wire.Ping{})
	r.giveFrom(clientAddr, late)
	require.Equal(t, otherPort, r.server.Path().Remote)
	r.giveFrom(otherAddr, probe)
	require.Equal(t, otherPort, r.server.Path().Remote)
	require.Len(t, r.server.mig.paths, 3)
	r.sayFrom(clientAddr, wire.Ping{})
	require.Equal(t, clientAddr, r.server.Path().Remote, "this one is new")
}

// If no response arrives, the server returns to the address that it has validated. Challenges are repeated with other
// data, and less often each time. If the timer expires only once, there are two then.
//
// "To protect the connection from failing due to such a spurious migration, an endpoint MUST revert to using the last
// validated peer address when validation of a new peer address fails."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.3.2-2
// "The endpoint MUST use unpredictable data in every PATH_CHALLENGE frame so that it can associate the peer's response with
// the corresponding PATH_CHALLENGE."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.1-4
// "Packets sent on the old path MUST NOT contribute to congestion control or RTT estimation for the new path."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.4-1
func TestFailedValidation(t *testing.T) {
	for _, to := range []netip.AddrPort{otherPort, otherAddr} {
		t.Run(to.String(), func(t *testing.T) {
			r := connected(t, rigOptions{})
			before := r.server.Stats()
			start := r.now
			pto := r.server.loss.ProbePeriod(r.server.loss.Path())
			if to == otherAddr {
				pto = r.server.loss.ProbePeriod(nil)
			}
			sent := r.sayFull(to, wire.Ping{})
			challenges := map[wire.PathChallenge]time.Duration{}
			for n := 0; r.server.Path().Remote == to; n++ {
				require.Less(t, n, 100, "the server does not return")
				for _, d := range sent {
					require.LessOrEqual(t, len(challenges), 10)
					for _, f := range d.frames {
						if ch, ok := f.(wire.PathChallenge); ok && d.to == to {
							require.NotContains(t, challenges, ch)
							challenges[ch] = r.now.Sub(start)
						}
					}
				}
				sent = r.expireServer()
			}
			// "This timer SHOULD be set as described in Section 6.2.1 of [QUIC-RECOVERY] and MUST NOT be more
			// aggressive."
			// https://www.rfc-editor.org/rfc/rfc9000#section-9.4-5
			times := slices.Sorted(maps.Values(challenges))
			if to == otherAddr {
				require.Len(t, times, 3)
				require.Equal(t, times[1], times[2])
				times = times[:2]
			}
			require.GreaterOrEqual(t, len(times), 2)
			for i := 1; i < len(times); i++ {
				require.GreaterOrEqual(t, times[i]-times[i-1], pto<<(i-1))
			}
			require.Equal(t, clientAddr, r.server.Path().Remote)
			require.InDelta(t, 3*1.024, r.now.Sub(start).Seconds(), 0.01, "three times the probe timeout of a new path")
			s := r.server.Stats()
			require.EqualValues(t, 1, s.FailedPaths)
			require.Equal(t, before.SmoothedRTT, s.SmoothedRTT)
			require.Equal(t, before.CongestionWindow, s.CongestionWindow)
			require.Equal(t, math.MaxInt, r.server.loss.Path().AmplificationCredit())
			r.serverWrites(5_000)
			require.Positive(t, bytesTo(clientAddr, r.serverSends()))
			for r.server.migrating() {
				r.expireServer()
			}
		})
	}
}

// Neither an acknowledgement nor a response with other data validates a path.
//
// "Receipt of an acknowledgment for a packet containing a PATH_CHALLENGE frame is not adequate validation, since the
// acknowledgment can be spoofed by a malicious peer."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.3-3
func TestWrongResponses(t *testing.T) {
	r := connected(t, rigOptions{})
	ch, _ := challengeOn(t, otherPort, r.sayFull(otherPort, wire.Ping{}))
	wrong := ch
	wrong.Data[7] ^= 1
	r.sayFrom(otherPort, wire.PathResponse(wrong))
	r.giveFrom(otherPort, r.packet(tlsprovider.Server, recovery.SpaceApp, ackFrame(r.server.loss.OldestUnacked(recovery.SpaceApp)), nil))
	require.False(t, r.server.mig.active.validated)
	require.NoError(t, errOf(r.server))
	r.sayFrom(otherPort, wire.PathResponse(ch))
	require.True(t, r.server.mig.active.validated)
}

// A client that an attacker has moved away returns with its next packet, and the attacker's address is forgotten.
func TestGenuineAddressWins(t *testing.T) {
	r := connected(t, rigOptions{})
	rtt := r.server.Stats().SmoothedRTT
	sent := r.sayFull(otherAddr, wire.Ping{}) // a copy that was faster
	ch, _ := challengeOn(t, clientAddr, sent)
	r.sayFrom(clientAddr, wire.PathResponse(ch), wire.Ping{})
	require.Equal(t, clientAddr, r.server.Path().Remote)
	require.Len(t, r.server.mig.paths, 1)
	require.Equal(t, 1, r.server.loss.NumPaths())
	require.Equal(t, rtt, r.server.Stats().SmoothedRTT)
}

// A client that moves on purpose uses another connection ID, and so does the server. It retires the old one.
//
// "Similarly, an endpoint MUST NOT reuse a connection ID when sending to more than one destination address."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.5-4
func TestNewPathHasNewConnectionID(t *testing.T) {
	r := connected(t, rigOptions{})
	first, second := r.server.ids.remote[0].id, r.server.ids.remote[1].id
	sent := r.giveFrom(otherAddr, r.padded([]wire.Frame{wire.Ping{}}, r.unusedID()))
	ch, d := challengeOn(t, otherAddr, sent)
	require.Equal(t, second, d.dst)
	_, d = challengeOn(t, clientAddr, sent)
	require.Equal(t, first, d.dst)
	for _, d := range sent {
		require.Equal(t, d.to == otherAddr, d.dst == second)
	}
	require.Len(t, r.server.ids.local, 3, "the client gets another spare ID")

	// The client has no further ID for the server, so the server does not follow it.
	r.giveFrom(thirdAddr, r.padded([]wire.Frame{wire.Ping{}}, r.unusedID()))
	require.Equal(t, otherAddr, r.server.Path().Remote)
	require.NoError(t, errOf(r.server))

	r.sayFrom(otherAddr, wire.PathResponse(ch))
	var retired []wire.Frame
	for r.server.migrating() {
		for _, d := range r.expireServer() {
			retired = append(retired, d.frames...)
		}
	}
	require.Contains(t, retired, wire.Frame(wire.RetireConnectionID{Seq: 0}))
	require.Equal(t, second, r.server.ids.dst())

	// A frame that arrives twice does not bring the retired ID back.
	n := len(r.server.ids.remote)
	r.sayFrom(otherAddr, wire.NewConnectionID{Seq: 0, ConnID: first})
	require.NoError(t, errOf(r.server))
	require.Len(t, r.server.ids.remote, n)
}

// The peer may retire connection IDs that paths use. The paths get others, or are given up.
func TestRetiredIDsOfPaths(t *testing.T) {
	r := connected(t, rigOptions{})
	r.sayFull(otherAddr, wire.Ping{}) // shares the ID of the first path
	require.Len(t, r.server.mig.paths, 2)
	id := r.connID()
	r.sayFrom(otherAddr, wire.NewConnectionID{Seq: 2, RetirePriorTo: 2, ConnID: id, ResetToken: [16]byte{2}})
	require.NoError(t, errOf(r.server))
	require.Equal(t, id, r.server.ids.dst())
	require.Len(t, r.server.mig.paths, 2)
	require.Equal(t, r.server.mig.active.dst, r.server.mig.fallback.dst, "they share the new one")
}

// If the peer takes the connection ID of the path to return to, and the validation of the path in use fails, nothing is
// left.
//
// "If an endpoint has no state about the last validated peer address, it MUST close the connection silently by discarding
// all connection state."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.3.2-3
func TestNoPathIsLeft(t *testing.T) {
	r := connected(t, rigOptions{})
	r.giveFrom(otherAddr, r.padded([]wire.Frame{wire.Ping{}}, r.unusedID()))
	r.sayFrom(otherAddr, wire.NewConnectionID{Seq: 2, RetirePriorTo: 2, ConnID: r.connID(), ResetToken: [16]byte{2}})
	require.NoError(t, errOf(r.server))
	require.Len(t, r.server.mig.paths, 1)
	for r.server.Err() == nil {
		r.expireServer()
	}
	require.ErrorIs(t, r.server.Err(), ErrNoPath)
	require.Empty(t, r.serverSends())
}

// Packets from many addresses: there are few paths, and the congestion state of removed ones is not kept.
func TestManyAddresses(t *testing.T) {
	r := connected(t, rigOptions{})
	for i := range 200 {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), uint16(1+i))
		switch i % 3 {
		case 0:
			r.sayFull(from, wire.Ping{})
		case 1:
			r.sayFrom(from, wire.PathChallenge{})
		case 2:
			for range 10 {
				r.sayFull(from, wire.PathChallenge{Data: [8]byte{byte(i)}})
			}
		}
		require.LessOrEqual(t, len(r.server.mig.paths), maxPaths)
		require.LessOrEqual(t, r.server.loss.NumPaths(), maxPaths)
	}
	require.Equal(t, clientAddr, r.server.mig.fallback.addrs.Remote, "the validated address is kept")
	for r.server.migrating() {
		r.expireServer()
	}
	require.Equal(t, clientAddr, r.server.Path().Remote)
	require.NoError(t, errOf(r.server))
}

// An attacker who alternates between two addresses does not cause a challenge with each packet.
//
// "An endpoint SHOULD NOT probe a new path with packets containing a PATH_CHALLENGE frame more frequently than it would
// send an Initial packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.1-3
func TestAlternatingAddresses(t *testing.T) {
	r := connected(t, rigOptions{})
	challenges := 0
	for i := range 100 {
		from := clientAddr
		if i%2 == 0 {
			from = otherPort
		}
		for _, d := range r.sayFrom(from, wire.Ping{}) {
			for _, f := range d.frames {
				if ch, ok := f.(wire.PathChallenge); ok && d.to == clientAddr {
					challenges++
					r.sayFrom(clientAddr, wire.PathResponse(ch))
				}
			}
		}
	}
	require.LessOrEqual(t, challenges, 2)
}

// Before the handshake is confirmed, and for other packets than those with a short header, an address does not change.
//
// "The design of QUIC relies on endpoints retaining a stable address for the duration of the handshake."
// https://www.rfc-editor.org/rfc/rfc9000#section-9-2
func TestNoMigrationDuringHandshake(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
		if from == tlsprovider.Client && r.server != nil && !r.server.tls.confirmed {
			r.server.HandleTrain(r.now, Train{Path: Path{Remote: otherAddr}, Data: append([]byte(nil), d...), SegmentSize: len(d)})
		}
		return true
	}
	r.pump()
	require.Equal(t, clientAddr, r.server.Path().Remote)
	require.Positive(t, r.server.Stats().Drops[DropWrongPath])
	require.False(t, r.server.migrating())
	require.NoError(t, errOf(r.client))
	require.NoError(t, errOf(r.server))
}

// A stateless reset counts only if it comes from the address in use.
//
// "An endpoint MUST NOT check for any stateless reset tokens associated with connection IDs it has not used or for
// connection IDs that have been retired."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3.1-3
func TestStatelessResetOfPath(t *testing.T) {
	r := connected(t, rigOptions{})
	reset := func(token [16]byte) []byte {
		d := append([]byte{0x40}, r.server.ids.local[0].id.Bytes()...)
		return append(append(d, make([]byte, 30)...), token[:]...)
	}
	r.giveFrom(clientAddr, r.padded([]wire.Frame{wire.Ping{}}, r.unusedID())) // the client changes its ID, and may move
	used, unused := r.server.ids.remote[1], r.server.ids.remote[0]
	require.True(t, used.hasToken)
	r.server.ids.useRemote(used.seq)
	r.giveFrom(clientAddr, reset(unused.token))
	r.giveFrom(otherAddr, reset(used.token))
	require.NoError(t, errOf(r.server))
	r.sayFull(otherPort, wire.Ping{})
	r.events(r.server, tlsprovider.Server)
	find := func(from netip.AddrPort) bool {
		_, ok := r.endpoint.FindReset(Path{Remote: from}, append(make([]byte, 30), used.token[:]...))
		return ok
	}
	require.False(t, find(clientAddr))
	require.True(t, find(otherPort), "the Endpoint knows the new address")
	require.NoError(t, r.endpoint.CheckInvariants())
	r.giveFrom(otherPort, reset(used.token))
	require.ErrorIs(t, r.server.Err(), ErrStatelessReset)
}

// A client that expects data and hears nothing sends PING frames, of which one shows a server its new address.
func TestSilentServerGetsPings(t *testing.T) {
	r := connected(t, rigOptions{})
	id, err := r.client.OpenStream(r.now, false)
	require.NoError(t, err)
	_, err = r.client.Write(r.now, id, []byte("request"))
	require.NoError(t, err)
	r.pump()
	sid, ok := r.server.AcceptStream(false)
	require.True(t, ok)
	_, err = r.server.Write(r.now, sid, []byte("a part of the answer"))
	require.NoError(t, err)
	pings := 0
	r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
		if from == tlsprovider.Client {
			for _, f := range r.read(r.server, append([]byte(nil), d...)) {
				if f == wire.Frame(wire.Ping{}) {
					pings++
				}
			}
		}
		return true
	}
	r.wait(10 * time.Second)
	require.Equal(t, maxSilencePings, pings)
	require.True(t, r.client.Resting())

	require.NoError(t, r.server.CloseWrite(r.now, sid))
	r.wait(10 * time.Second)
	require.Equal(t, maxSilencePings, pings, "nothing more is expected")
}

// A connection that has finished a migration has no more state than before, and does not allocate for packets.
func TestMigrationLeavesNothing(t *testing.T) {
	r := connected(t, rigOptions{})
	ch, _ := challengeOn(t, otherPort, r.sayFull(otherPort, wire.Ping{}))
	r.sayFrom(otherPort, wire.PathResponse(ch))
	require.True(t, r.server.migrating())
	for r.server.migrating() {
		r.expireServer()
	}
	require.Equal(t, 1, r.server.loss.NumPaths())
	require.Len(t, r.server.ids.remote, 2)
}

// A client whose new address is validated gets a token for its next connection from there.
//
// "After verifying a new client address, the server SHOULD send new address validation tokens (Section 8) to the client."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.3-7
func TestTokenForNewAddress(t *testing.T) {
	r := connected(t, rigOptions{server: func(c *Config) {
		key, err := c.Provider.NewTokenKey(testSecret)
		require.NoError(t, err)
		c.TokenKey = key
	}})
	ch, _ := challengeOn(t, otherAddr, r.sayFull(otherAddr, wire.Ping{}))
	var tokens int
	for _, d := range r.sayFrom(otherAddr, wire.PathResponse(ch)) {
		for _, f := range d.frames {
			if _, ok := f.(wire.NewToken); ok {
				tokens++
			}
		}
	}
	require.Equal(t, 1, tokens)
}

// Someone sends copies of the client's packets from another address, which arrive first. The original of the packet that has
// moved the connection shows it. As long as the client answers challenges at its address, the connection stays there, even if
// the copier can forward the server's packets and so validate its address (RFC 9000, 9.3.3).
func TestCopiedPackets(t *testing.T) {
	r := connected(t, rigOptions{})
	copied := func(b []byte) (sent []sentOn) {
		t.Helper()
		sent = r.giveFrom(otherPort, append([]byte(nil), b...))
		return append(sent, r.giveFrom(clientAddr, b)...)
	}
	answer := func(from netip.AddrPort, sent []sentOn) []sentOn {
		t.Helper()
		ch, _ := challengeOn(t, from, sent)
		return copied(r.padded([]wire.Frame{wire.PathResponse(ch)}, nil))
	}
	sent := copied(r.padded([]wire.Frame{wire.Ping{}}, nil))
	require.Equal(t, clientAddr, r.server.Path().Remote)
	require.EqualValues(t, 2, r.server.Stats().PathChanges)
	answer(otherPort, sent)
	answer(clientAddr, sent)
	for range 20 {
		r.now = r.now.Add(time.Second)
		sent = copied(r.padded([]wire.Frame{wire.Ping{}}, nil))
		require.Equal(t, clientAddr, r.server.Path().Remote)
		answer(clientAddr, sent)
	}
	require.EqualValues(t, 2, r.server.Stats().PathChanges)

	// The client really gets the other port, and does not answer at the old one any more.
	r.now = r.now.Add(time.Second)
	r.sayFull(otherPort, wire.Ping{})
	for end := r.now.Add(4 * time.Second); r.server.Path().Remote != otherPort; {
		require.True(t, r.now.Before(end))
		r.expireServer()
		r.sayFull(otherPort, wire.Ping{})
	}
	require.NoError(t, errOf(r.server))

	// Its packets are sent once more from the old address, without effect.
	b := r.padded([]wire.Frame{wire.Ping{}}, nil)
	r.giveFrom(otherPort, append([]byte(nil), b...))
	r.giveFrom(clientAddr, b)
	require.Equal(t, otherPort, r.server.Path().Remote)

	// A move on purpose, to another connection ID, is followed during a contest as well.
	r = connected(t, rigOptions{})
	copied(r.padded([]wire.Frame{wire.Ping{}}, nil))
	require.True(t, r.server.mig.contested)
	r.giveFrom(otherAddr, r.padded([]wire.Frame{wire.Ping{}}, r.unusedID()))
	require.Equal(t, otherAddr, r.server.Path().Remote)
	require.Equal(t, clientAddr, r.server.mig.fallback.addrs.Remote)
}

// A client that lacks HANDSHAKE_DONE repeats Handshake packets together with 1-RTT packets. The latter move the connection.
func TestCoalescedPacketFromNewAddress(t *testing.T) {
	r := connected(t, rigOptions{})
	b := wire.AppendLongHeader(nil, wire.PacketHandshake, wire.Version1, r.server.ids.local[0].id, r.client.ids.src(), nil, 0, 4)
	n := len(b)
	b = append(b, make([]byte, 40)...)
	wire.PatchLength(b, n, 40)
	b = append(b, r.packet(server, recovery.SpaceApp, wire.Ping{}.Append(nil), nil)...)
	sent := r.giveFrom(otherPort, b)
	require.Equal(t, otherPort, r.server.Path().Remote)
	require.LessOrEqual(t, bytesTo(otherPort, sent), 3*len(b))
	require.EqualValues(t, 1, r.server.Stats().Drops[DropWrongPath])
	r.giveFrom(otherAddr, []byte{0xe0, 1, 2}) // cut short
	require.EqualValues(t, 2, r.server.Stats().Drops[DropWrongPath])
}
