package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// traced is what a connection traced. The bytes in its events are borrowed and not valid any more.
type traced struct {
	events []TraceEvent
	odcid  wire.ConnID
}

func (tr *traced) config(c *Config) {
	c.NewTrace = func(_ monotime.Time, odcid wire.ConnID) TraceFunc {
		tr.odcid = odcid
		return func(_ monotime.Time, e *TraceEvent) { tr.events = append(tr.events, *e) }
	}
}

// of returns the events of some kinds.
func (tr *traced) of(kinds ...TraceKind) (out []TraceEvent) {
	for _, e := range tr.events {
		for _, k := range kinds {
			if e.Kind == k {
				out = append(out, e)
			}
		}
	}
	return out
}

// A connection traces its beginning first, its end last, and each packet once, in the order of sending.
func TestTrace(t *testing.T) {
	var client, server traced
	r := connected(t, rigOptions{client: client.config, server: server.config})
	r.client.Close(r.now, true, 7, "bye")
	r.pump()
	for _, c := range []struct {
		tr   *traced
		conn *Conn
		side tlsprovider.Side
	}{{&client, r.client, tlsprovider.Client}, {&server, r.server, tlsprovider.Server}} {
		require.Equal(t, client.odcid, c.tr.odcid)
		require.Equal(t, client.odcid, c.conn.OriginalDstID())
		require.Equal(t, TraceStarted, c.tr.events[0].Kind)
		require.Len(t, c.tr.of(TraceHandshakeComplete, TraceHandshakeConfirmed), 2)
		require.Len(t, c.tr.of(TraceParams), 2)
		require.Len(t, c.tr.of(TraceClosed), 1)
		require.Equal(t, TraceEnd, c.tr.events[len(c.tr.events)-1].Kind)
		keys := make(map[recovery.Space]int)
		for _, e := range c.tr.of(TraceKeyUpdated) {
			require.Equal(t, KeyFromTLS, e.Trigger)
			keys[e.Space]++
		}
		require.Equal(t, map[recovery.Space]int{0: 2, 1: 2, 2: 2}, keys)
		require.Len(t, c.tr.of(TraceKeyDiscarded), 4, "of the Initial and the Handshake space")
		next := make(map[recovery.Space]wire.PacketNumber)
		for _, e := range c.tr.of(TracePacketSent) {
			require.GreaterOrEqual(t, e.Number, next[e.Space], "a packet is traced twice or out of order")
			next[e.Space] = e.Number + 1
		}
		require.Nil(t, c.conn.trace, "nothing is kept")
	}
	// What one side has sent, the other has received.
	type packet struct {
		space  recovery.Space
		number wire.PacketNumber
		size   int
	}
	list := func(events []TraceEvent) (out []packet) {
		for _, e := range events {
			out = append(out, packet{e.Space, e.Number, e.Size})
		}
		return out
	}
	require.ElementsMatch(t, list(client.of(TracePacketSent)), list(server.of(TracePacketReceived)))
	require.ElementsMatch(t, list(server.of(TracePacketSent)), list(client.of(TracePacketReceived)))
}

// A Retry packet, a new address, packets that are dropped or kept, and updates of the keys are traced.
func TestTraceOfRareEvents(t *testing.T) {
	t.Run("Retry", func(t *testing.T) {
		var client traced
		r := newRig(t, rigOptions{validation: ValidateAlways, client: client.config})
		r.pump()
		require.Len(t, client.of(TraceUnprotected), 1)
		require.Len(t, client.of(TraceStarted), 1)
	})
	t.Run("path", func(t *testing.T) {
		var server traced
		r := connected(t, rigOptions{server: server.config})
		r.sayFull(otherAddr, wire.Ping{})
		events := server.of(TracePath)
		require.NotEmpty(t, events)
		require.Equal(t, otherAddr, events[0].Path.Remote)
	})
	t.Run("dropped", func(t *testing.T) {
		var client traced
		r := connected(t, rigOptions{client: client.config})
		bad := append([]byte{0x40}, r.client.ids.local[0].id.Bytes()...)
		bad = append(bad, make([]byte, 30)...)
		r.deliver(tlsprovider.Server, bad)
		r.deliver(tlsprovider.Server, []byte{0x40, 1, 2, 3, 4, 5, 6, 7, 8, 9})
		events := client.of(TracePacketDropped)
		require.Len(t, events, 2)
		require.Equal(t, DropUndecryptable, events[0].Reason)
		require.Equal(t, len(bad), events[0].Size)
		require.Equal(t, wire.Packet1RTT, events[0].Type)
		require.Equal(t, DropUnknownConnID, events[1].Reason)
	})
	t.Run("kept", func(t *testing.T) {
		var client traced
		r := newRig(t, rigOptions{client: client.config})
		var initial [][]byte
		r.onDatagram = func(from tlsprovider.Side, d []byte) bool { // Handshake packets arrive before the Initial packet
			if from == tlsprovider.Server && wire.LongPacketType(d[0], wire.Version1) == wire.PacketInitial && len(initial) == 0 {
				initial = append(initial, append([]byte(nil), d...))
				return false
			}
			return true
		}
		r.pump()
		for _, d := range initial {
			r.deliver(tlsprovider.Server, d)
		}
		r.pump()
		for range 20 {
			r.wait(100 * time.Millisecond)
			r.pump()
		}
		require.True(t, r.client.tls.confirmed)
		events := client.of(TracePacketBuffered)
		for _, e := range events {
			require.Positive(t, e.Size)
		}
		require.NotEmpty(t, events, "the Handshake packets have been kept")
		stats := r.client.Stats()
		require.Equal(t, stats.Drops.Total(), uint64(len(client.of(TracePacketDropped))))
	})
	t.Run("keys", func(t *testing.T) {
		var client, server traced
		r := connected(t, rigOptions{client: client.config, server: server.config})
		id, err := r.client.OpenStream(r.now, false)
		require.NoError(t, err)
		_, err = r.client.Write(r.now, id, []byte("before"))
		require.NoError(t, err)
		r.pump()
		r.wait(time.Second)
		r.pump()
		require.True(t, r.client.UpdateKeys())
		_, err = r.client.Write(r.now, id, []byte("after"))
		require.NoError(t, err)
		r.pump()
		r.wait(5 * time.Second)
		r.pump()
		for tr, trigger := range map[*traced]string{&client: KeyUpdateByLocal, &server: KeyUpdateByRemote} {
			var updates []TraceEvent
			for _, e := range tr.of(TraceKeyUpdated) {
				if e.Phase == 1 {
					updates = append(updates, e)
				}
			}
			require.Len(t, updates, 2, "of both directions")
			for _, e := range updates {
				require.Equal(t, trigger, e.Trigger)
			}
			require.Len(t, tr.of(TraceKeyDiscarded), 5, "the previous keys of the other direction as well")
		}
	})
}
