package streams

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A sink receives what a Set sends and checks that it respects limits.
type sink struct {
	t          *testing.T
	streams    int64
	window     int
	conn       int
	data       map[ID][]byte
	fin, reset map[ID]bool
	stopped    map[ID]bool
}

func (k *sink) take(p *packet) {
	for b := p.payload; len(b) > 0; {
		f, n := wire.ParseFrame(b)
		require.Positive(k.t, n)
		b = b[n:]
		allowed := func(id uint64) ID {
			require.Less(k.t, ID(id).Num(), k.streams, "%v", f)
			return ID(id)
		}
		switch f := f.(type) {
		case wire.Stream:
			id := allowed(f.ID)
			require.Equal(k.t, len(k.data[id]), int(f.Offset), "in order from the start")
			k.data[id] = append(k.data[id], f.Data...)
			require.LessOrEqual(k.t, len(k.data[id]), k.window)
			k.fin[id] = k.fin[id] || f.Fin
			total := 0
			for _, d := range k.data {
				total += len(d)
			}
			require.LessOrEqual(k.t, total, k.conn)
		case wire.ResetStream:
			require.Zero(k.t, f.FinalSize)
			k.reset[allowed(f.ID)] = true
		case wire.StopSending:
			k.stopped[allowed(f.ID)] = true
		case wire.StreamDataBlocked:
			allowed(f.ID)
		}
	}
}

// After a Rewind everything is sent again as if for the first time: data, ends, resets and requests to stop. Streams
// beyond the new limits wait until the peer allows them.
func TestRewind(t *testing.T) {
	for _, streams := range []int{0, 1, 3, 10} {
		for _, window := range []int{0, 100, 5000, 1 << 16} {
			t.Run(fmt.Sprintf("%d streams, window %d", streams, window), func(t *testing.T) {
				c := &peer{t: t}
				c.Init(testConfig(), tlsprovider.Client)
				c.SetPeerParams(&wire.TransportParameters{MaxData: 1 << 16, MaxStreamDataBidiRemote: 1 << 15, MaxStreamsBidi: 5,
					MaxStreamDataUni: 1 << 15, MaxStreamsUni: 1})
				var ids []ID
				for i := range 5 {
					id, err := c.Open(false)
					require.NoError(t, err)
					c.write(id, 3000)
					require.NoError(t, c.CloseWrite(id), "%d", i)
					ids = append(ids, id)
				}
				uni, err := c.Open(true)
				require.NoError(t, err)
				c.write(uni, 100)
				require.NoError(t, c.StopSending(ids[0], 7))
				for i := range 8 { // a part is sent, and never acknowledged
					require.NotNil(t, c.send(1000, false))
					if i == 3 {
						require.NoError(t, c.Reset(uni, 9))
					}
				}
				want := make(map[ID][]byte)
				for _, id := range ids {
					want[id] = make([]byte, 3000)
					c.find(id).send.buf.read(want[id], 0)
				}
				c.Rewind()
				c.ReplacePeerParams(nil)
				require.NoError(t, c.CheckInvariants())
				for p := c.send(1000, false); p != nil; p = c.send(1000, false) {
					require.Less(t, len(p.payload), 10, "only that the client is blocked")
				}
				for p := c.send(1000, true); p != nil; p = nil {
					require.Less(t, len(p.payload), 10, "the same in a probe")
				}
				k := &sink{t, int64(streams), window, 2 * window, make(map[ID][]byte), make(map[ID]bool), make(map[ID]bool), make(map[ID]bool)}
				c.SetPeerParams(&wire.TransportParameters{MaxData: uint64(k.conn), MaxStreamDataBidiRemote: uint64(window),
					MaxStreamDataUni: uint64(window), MaxStreamsBidi: uint64(streams), MaxStreamsUni: uint64(streams)})
				drain := func() {
					for p := c.send(1000, false); p != nil; p = c.send(1000, false) {
						k.take(p)
						require.NoError(t, c.CheckInvariants())
						c.fate(p, recovery.Acked)
					}
				}
				drain()
				k.streams, k.window, k.conn = 5, 1<<20, 1<<20
				require.NoError(t, c.input(wire.MaxStreams{Max: 5}))
				require.NoError(t, c.input(wire.MaxStreams{Uni: true, Max: 5}))
				require.NoError(t, c.input(wire.MaxData{Max: 1 << 20}))
				require.False(t, c.hasWithheld)
				for _, id := range ids {
					if c.find(id) != nil {
						require.NoError(t, c.input(wire.MaxStreamData{ID: uint64(id), Max: 1 << 20}))
					}
				}
				drain()
				for _, id := range ids {
					require.True(t, bytes.Equal(want[id], k.data[id]), "stream %d has %d bytes", id, len(k.data[id]))
					require.True(t, k.fin[id])
				}
				require.True(t, k.reset[uni] && k.stopped[ids[0]])
				require.True(t, c.Flushed())
			})
		}
	}
}
