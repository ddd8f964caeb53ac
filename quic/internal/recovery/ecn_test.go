package recovery

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// newECNTest returns a client with a confirmed handshake that uses ECN.
func newECNTest(t *testing.T) *lossTest {
	lt := newLossTest(t, Config{ECN: true})
	lt.l.DiscardSpace(lt.now, SpaceInitial)
	lt.l.DiscardSpace(lt.now, SpaceHandshake)
	lt.l.ConfirmHandshake(lt.now)
	return lt
}

// marks reports whether the next packet is marked.
func marks(lt *lossTest) bool { return lt.l.ECN(lt.now) != datagram.NotECT }

// mark sends n packets as core does and returns how many were marked.
func mark(lt *lossTest, n int) (marked int) {
	for range n {
		ecn := lt.l.ECN(lt.now)
		lt.sendPacket(SpaceApp, func(p *SentPacket) { p.AckEliciting, p.InFlight, p.ECN = true, true, ecn })
		if ecn != datagram.NotECT {
			marked++
		}
	}
	return marked
}

// The first ten packets of a path are marked, and further ones when the peer reports counts that can be right.
//
// "The endpoint sets an ECT(0) codepoint in the IP header of early outgoing packets sent on a new path to the peer".
// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2-3.1
func TestECNOfNewPath(t *testing.T) {
	require.False(t, marks(newLossTest(t, Config{})), "the configuration does not use ECN")
	for _, tt := range []struct {
		name    string
		ecn     *wire.ECNCounts
		capable bool
	}{
		{"marks arrive", &wire.ECNCounts{ECT0: 10}, true},
		{"a mark changes to ECN-CE", &wire.ECNCounts{ECT0: 9, CE: 1}, true},
		{"all marks change to ECN-CE", &wire.ECNCounts{CE: 10}, false},
		{"no counts", nil, false},
		{"too few", &wire.ECNCounts{ECT0: 9}, false},
		{"another codepoint", &wire.ECNCounts{ECT0: 5, ECT1: 5}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lt := newECNTest(t)
			require.Equal(t, 10, mark(lt, 12))
			require.False(t, marks(lt), "nothing is known yet")
			lt.advance(40 * ms)
			require.NoError(t, lt.l.HandleAck(lt.now, SpaceApp, lt.frame(0, tt.ecn, 0, -11), lt.fate))
			require.Equal(t, tt.capable, marks(lt))
			require.Equal(t, tt.capable, lt.l.Path().ECNCapable())

			// "Network routing and path elements can change mid-connection; an endpoint MUST disable ECN if validation
			// later fails."
			// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.2-3
			if tt.capable {
				require.Equal(t, 2, mark(lt, 2))
				require.NoError(t, lt.l.HandleAck(lt.now, SpaceApp, lt.frame(0, tt.ecn, 0, -13), lt.fate))
				require.True(t, lt.l.Path().ECNFailed())
				require.False(t, marks(lt))
			}
			// A new path is tested again, whatever the counts are by then.
			lt.l.Use(lt.now, lt.l.AddPath(lt.now, nil), lt.l.active.amp)
			require.True(t, marks(lt))
		})
	}
}

// A path that has failed is tested again after a minute or two. If it fails again, that repeats; otherwise it is capable.
//
// "Even if validation fails, an endpoint MAY revalidate ECN for the same path at any later time in the connection. An
// endpoint could continue to periodically attempt validation."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.2-2
func TestECNIsTestedAgain(t *testing.T) {
	lt := newECNTest(t)
	var next wire.PacketNumber
	answer := func(n wire.PacketNumber, ecn *wire.ECNCounts) {
		lt.advance(40 * ms)
		next += n
		require.NoError(t, lt.l.HandleAck(lt.now, SpaceApp, lt.frame(0, ecn, next-n, -(next-1)), lt.fate))
	}
	for range 3 {
		require.Equal(t, 10, mark(lt, 12))
		answer(12, nil)
		require.True(t, lt.l.Path().ECNFailed())
		lt.advance(59 * time.Second)
		require.False(t, marks(lt))
		lt.advance(time.Minute + time.Second)
	}
	require.Equal(t, 10, mark(lt, 12))
	answer(12, &wire.ECNCounts{ECT0: 10})
	require.True(t, lt.l.Path().ECNCapable(), "the network or the peer has changed")
	require.Equal(t, 5, mark(lt, 5))
}

// A path that loses marked packets costs one probe timeout: the probes are not marked, and nothing is after them. If
// marked packets are acknowledged later, marking goes on. After several timeouts in a row it is tested anew.
func TestECNAfterTimeouts(t *testing.T) {
	lt := newECNTest(t)
	require.Equal(t, 2, mark(lt, 2)) // 0 and 1
	lt.expire()
	require.Zero(t, mark(lt, 2)) // 2 and 3
	lt.advance(40 * ms)
	lt.ack(SpaceApp, 0, 2, -3)
	require.Zero(t, mark(lt, 2)) // 4 and 5
	require.NoError(t, lt.l.HandleAck(lt.now, SpaceApp, lt.frame(0, &wire.ECNCounts{ECT0: 2}, 0, -5), lt.fate))
	require.True(t, marks(lt), "the first packets were late")

	require.Equal(t, 1, mark(lt, 1))
	for range ecnTestTimeouts - 1 {
		lt.expire()
		require.True(t, lt.l.Path().ECNCapable())
		mark(lt, 2)
	}
	lt.expire()
	require.False(t, lt.l.Path().ECNCapable())
	require.Zero(t, mark(lt, 2), "probes")
	require.Equal(t, ecnTestPackets, mark(lt, 12), "another test")
}

// A probe timeout of the handshake ends the test, and its packets are forgotten before one is acknowledged with counts. The
// rest of the test follows when the handshake is confirmed, once: a path that loses marked packets costs one more timeout.
func TestECNAfterTimeoutOfHandshake(t *testing.T) {
	lt := newLossTest(t, Config{ECN: true})
	send := func(s Space) bool {
		ecn := lt.l.ECN(lt.now)
		lt.sendPacket(s, func(p *SentPacket) { p.AckEliciting, p.InFlight, p.ECN = true, true, ecn })
		return ecn != datagram.NotECT
	}
	require.True(t, send(SpaceInitial))
	require.True(t, send(SpaceHandshake))
	lt.expire()
	require.False(t, send(SpaceInitial), "a probe")
	require.False(t, send(SpaceHandshake))
	lt.l.DiscardSpace(lt.now, SpaceInitial)
	require.False(t, send(SpaceHandshake))
	lt.l.DiscardSpace(lt.now, SpaceHandshake)
	lt.l.ConfirmHandshake(lt.now)
	require.Equal(t, ecnTestPackets-2, mark(lt, 12))
	lt.expire()
	require.Zero(t, mark(lt, 4))
	lt.advance(40 * ms)
	require.NoError(t, lt.l.HandleAck(lt.now, SpaceApp, lt.frame(0, &wire.ECNCounts{ECT0: ecnTestPackets - 2}, 0, -15), lt.fate))
	require.True(t, lt.l.Path().ECNCapable())
}

// Acknowledgements that are sent without being remembered are counted by the peer.
func TestECNCountsEveryPacket(t *testing.T) {
	lt := newECNTest(t)
	const n = maxUntimed + 10
	for range n {
		lt.sendPacket(SpaceApp, func(p *SentPacket) { p.ECN = datagram.ECT0 })
	}
	mark(lt, 1)
	lt.sendPacket(SpaceApp, func(p *SentPacket) { p.AckEliciting, p.InFlight, p.ECN = true, true, datagram.ECT0 })
	require.NoError(t, lt.l.HandleAck(lt.now, SpaceApp, lt.frame(0, &wire.ECNCounts{ECT0: n + 1}, 0, -(n+1)), lt.fate))
	require.True(t, lt.l.Path().ECNCapable())
}

// Packets are marked with ECN-CE now and then. Their marks are not the path's, so they slow nothing down, and a peer that does
// not report them has ECN disabled.
//
// "If a packet sent with an ECN-CE marking is not reported as having been CE marked when the packet is acknowledged, then the
// sender can disable ECN for that path by not setting ECN-Capable Transport (ECT) codepoints in subsequent packets sent on
// that path".
// https://www.rfc-editor.org/rfc/rfc9002#section-8.3-2
func TestSuppressedMarks(t *testing.T) {
	for _, tt := range []struct {
		name          string
		report        func(sent, ce uint64) wire.ECNCounts
		marked        uint64
		capable, slow bool
	}{
		{"reported", func(sent, ce uint64) wire.ECNCounts { return wire.ECNCounts{ECT0: sent - ce, CE: ce} }, 0, true, false},
		{"suppressed", func(sent, _ uint64) wire.ECNCounts { return wire.ECNCounts{ECT0: sent} }, 0, false, false},
		{"another one by the path", func(sent, ce uint64) wire.ECNCounts {
			return wire.ECNCounts{ECT0: sent - 2*ce, CE: 2 * ce}
		}, 1, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			random := byte(0)
			lt := newECNTest(t)
			lt.l.app.skip.init(SpaceApp, func(b []byte) { random += 37; b[0] = random })
			var sent, ce uint64
			window := 0
			for ce == 0 {
				require.Less(t, sent, uint64(5*firstCE))
				pn := lt.l.NextNumber(SpaceApp)
				ecn := lt.l.ECN(lt.now)
				require.NotEqual(t, datagram.NotECT, ecn)
				lt.sendPacket(SpaceApp, func(p *SentPacket) { p.AckEliciting, p.InFlight, p.ECN = true, true, ecn })
				sent++
				last := pn
				if ecn == datagram.CE {
					ce++
					require.GreaterOrEqual(t, pn, wire.PacketNumber(firstCE))
					require.Equal(t, 1, mark(lt, 1)) // the one that the path may mark
					sent, last = sent+1, -(pn + 1)
				}
				window = lt.l.active.out.Window
				lt.advance(40 * ms)
				counts := tt.report(sent, ce)
				require.NoError(t, lt.l.HandleAck(lt.now, SpaceApp, lt.frame(0, &counts, pn, last), lt.fate))
			}
			require.Equal(t, tt.capable, lt.l.Path().ECNCapable())
			require.Equal(t, tt.marked, lt.l.Marked())
			require.Equal(t, tt.slow, lt.l.active.out.Window < window)
			if tt.capable {
				require.Equal(t, datagram.ECT0, lt.l.ECN(lt.now), "one for each number that is skipped")
			}
		})
	}
}
