package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

var newLocal = netip.MustParseAddrPort("192.0.2.9:9")

// clientSends returns what the client sends now, with the paths.
func (r *rig) clientSends() (out []sentOn, paths []Path) {
	r.t.Helper()
	for tx, ok := r.client.PollTransmit(r.now, r.buf); ok; tx, ok = r.client.PollTransmit(r.now, r.buf) {
		require.NoError(r.t, r.client.CheckInvariants())
		t := Train{Data: tx.Data, SegmentSize: tx.SegmentSize}
		for d := t.Next(); len(d) > 0; d = t.Next() {
			id, _ := wire.MakeConnID(d[1 : 1+ConnIDLen])
			out = append(out, sentOn{tx.Path.Remote, id, len(d), r.read(r.server, d)})
			paths = append(paths, tx.Path)
		}
	}
	return out, paths
}

// A client probes a new path with a connection ID of its own and with nothing but probing frames, until it switches.
//
// "An endpoint MUST NOT reuse a connection ID when sending from more than one local address -- for example, when initiating
// connection migration as described in Section 9.2 or when probing a new network path as described in Section 9.1."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.5-3
func TestClientProbesNewPath(t *testing.T) {
	r := connected(t, rigOptions{})
	first := r.client.ids.dst()
	id, err := r.client.AddPath(r.now, newLocal)
	require.NoError(t, err)
	sent, paths := r.clientSends()
	require.Len(t, sent, 1)
	require.Equal(t, newLocal, paths[0].Local)
	require.Equal(t, fullOrMore, sent[0].size)
	require.NotEqual(t, first, sent[0].dst)
	require.Len(t, sent[0].frames, 1)
	require.IsType(t, wire.PathChallenge{}, sent[0].frames[0])
	probed := sent[0].dst

	_, err = r.client.AddPath(r.now, netip.MustParseAddrPort("192.0.2.10:9"))
	require.ErrorIs(t, err, ErrNoUnusedConnID)
	require.Zero(t, r.client.CurrentPath())
	require.NoError(t, r.client.SwitchPath(r.now, id))
	require.Equal(t, id, r.client.CurrentPath())
	require.ErrorIs(t, r.client.RemovePath(r.now, id), ErrPathInUse)
	sent, paths = r.clientSends()
	require.NotEmpty(t, sent)
	for i := range sent {
		require.Equal(t, probed, sent[i].dst)
		require.Equal(t, newLocal, paths[i].Local)
		require.Contains(t, sent[i].frames, wire.Frame(wire.Ping{}))
	}
	require.ErrorIs(t, r.client.SwitchPath(r.now, 77), ErrPathGone)
	require.NoError(t, r.client.SwitchPath(r.now, 0), "the path of the handshake is still there")
	sent, _ = r.clientSends()
	require.Equal(t, first, sent[0].dst)
}

// A path that is closed before it is used leaves nothing but a retired connection ID.
func TestClientRemovesPath(t *testing.T) {
	r := connected(t, rigOptions{})
	id, err := r.client.AddPath(r.now, newLocal)
	require.NoError(t, err)
	r.clientSends()
	require.NoError(t, r.client.RemovePath(r.now, id))
	require.False(t, r.client.migrating())
	ev, ok := r.client.PollEvent()
	require.True(t, ok)
	require.Equal(t, Event{Kind: EventPathGone, Path: id}, ev)
	sent, _ := r.clientSends()
	require.Contains(t, sent[0].frames, wire.Frame(wire.RetireConnectionID{Seq: 1}))
	require.NoError(t, r.client.RemovePath(r.now, id), "once more")
}

// The cases in which a client may not move.
//
// "If the peer sent the disable_active_migration transport parameter, an endpoint also MUST NOT send packets (including
// probing packets; see Section 9.1) from a different local address to the address the peer used during the handshake,
// unless the endpoint has acted on a preferred_address transport parameter from the peer."
// https://www.rfc-editor.org/rfc/rfc9000#section-9-3
// "An endpoint MUST NOT initiate connection migration before the handshake is confirmed, as defined in Section 4.1.2 of
// [QUIC-TLS]."
// https://www.rfc-editor.org/rfc/rfc9000#section-9-2
// "An endpoint that receives this transport parameter MUST NOT use a new local address when sending to the address
// that the peer used during the handshake."
// https://www.rfc-editor.org/rfc/rfc9000#section-18.2-4.26.1
func TestClientMustStay(t *testing.T) {
	r := connected(t, rigOptions{server: func(c *Config) { c.DisableActiveMigration = true }})
	require.True(t, peerParams(t, r.server).DisableActiveMigration)
	_, err := r.client.AddPath(r.now, newLocal)
	require.ErrorIs(t, err, ErrMustStay)
	require.Nil(t, r.client.mig)
	// A server that has sent the parameter follows its client all the same: a NAT may have moved it.
	r.sayFull(otherPort, wire.Ping{})
	// "If the peer violates this requirement, the endpoint MUST either drop the incoming packets on that path without
	// generating a Stateless Reset or proceed with path validation and allow the peer to migrate."
	// https://www.rfc-editor.org/rfc/rfc9000#section-9-3
	require.Equal(t, otherPort, r.server.Path().Remote)

	r = newRig(t, rigOptions{})
	_, err = r.client.AddPath(r.now, newLocal)
	require.ErrorIs(t, err, ErrNotConfirmed)
	r = connected(t, rigOptions{})
	_, err = r.server.AddPath(r.now, newLocal)
	require.ErrorIs(t, err, ErrServerMigrates)
	r.client.Close(r.now, true, 1, "")
	_, err = r.client.AddPath(r.now, newLocal)
	require.Error(t, err)
	require.ErrorIs(t, r.client.SwitchPath(r.now, 1), r.client.Err())
}

// A path that was not answered is given up, with an event.
func TestClientPathFails(t *testing.T) {
	r := connected(t, rigOptions{})
	id, err := r.client.AddPath(r.now, newLocal)
	require.NoError(t, err)
	end := r.now.Add(4 * time.Second)
	for r.client.migrating() && r.now.Before(end) {
		r.clientSends()
		r.now = max(r.now, r.client.NextTimeout())
		r.client.HandleTimeout(r.now)
	}
	require.False(t, r.client.migrating())
	ev, _ := r.client.PollEvent()
	require.Equal(t, Event{Kind: EventPathGone, Path: id}, ev)
	require.EqualValues(t, 1, r.client.Stats().FailedPaths)
}

// The path works, but the first challenge and the one that follows it are lost. When the timer of the first expires, two are sent,
// in a datagram each.
//
// "An endpoint MAY send multiple PATH_CHALLENGE frames to guard against packet loss. However, an endpoint SHOULD NOT send
// multiple PATH_CHALLENGE frames in a single packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.1-2
// "An endpoint MAY send up to two full-sized datagrams containing ack-eliciting packets to avoid an expensive consecutive
// PTO expiration due to a single lost datagram".
// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.4-1
func TestClientRepeatsChallenges(t *testing.T) {
	r := connected(t, rigOptions{})
	id, err := r.client.AddPath(r.now, newLocal)
	require.NoError(t, err)
	var challenges []wire.PathChallenge
	var counts []int
	deadline := r.now.Add(3 * r.client.loss.ProbePeriod(nil))
	for r.now.Before(deadline) && len(challenges) < 3 {
		sent, paths := r.clientSends()
		n := len(challenges)
		for i, d := range sent {
			before := len(challenges)
			for _, f := range d.frames {
				if ch, ok := f.(wire.PathChallenge); ok {
					require.Equal(t, newLocal, paths[i].Local)
					require.Equal(t, fullOrMore, d.size)
					require.NotContains(t, challenges, ch)
					challenges = append(challenges, ch)
				}
			}
			require.LessOrEqual(t, len(challenges)-before, 1, "challenges in a datagram")
		}
		if len(challenges) > n {
			counts = append(counts, len(challenges)-n)
		}
		r.now = max(r.now, r.client.NextTimeout())
		r.client.HandleTimeout(r.now)
	}
	require.Equal(t, []int{1, 2}, counts, "challenges at a time")
	r.say(tlsprovider.Client, recovery.SpaceApp, wire.PathResponse(challenges[2]))
	ev, ok := r.client.PollEvent()
	require.True(t, ok)
	require.Equal(t, Event{Kind: EventPathValidated, Path: id}, ev)
	require.Zero(t, r.client.Stats().FailedPaths)
}
