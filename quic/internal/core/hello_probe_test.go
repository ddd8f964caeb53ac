package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A helloReader opens a client's Initial packets as its server would.
type helloReader struct {
	opener  tlsprovider.Opener
	largest int64
}

func newHelloReader(t *testing.T, c *Conn) *helloReader {
	t.Helper()
	dst := c.ids.dst()
	keys, err := c.cfg.Provider.InitialKeys(uint32(c.version), dst.Bytes(), tlsprovider.Server)
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	return &helloReader{opener: keys.Opener, largest: -1}
}

// crypto returns the ranges of the CRYPTO stream that a datagram with one Initial packet contains.
func (h *helloReader) crypto(t *testing.T, d []byte) (out recovery.RangeSet[int64]) {
	t.Helper()
	for _, f := range h.frames(t, d) {
		out.Add(int64(f.Offset), int64(f.Offset)+int64(len(f.Data)))
	}
	return out
}

// frames returns the CRYPTO frames of a datagram with one Initial packet.
func (h *helloReader) frames(t *testing.T, d []byte) (out []wire.Crypto) {
	t.Helper()
	header, size := wire.ParseLongHeader(d)
	require.Positive(t, size)
	require.Equal(t, wire.PacketInitial, header.Type)
	pkt := append([]byte(nil), d[:header.Len]...)
	desc := []tlsprovider.OpenDesc{{Len: uint32(len(pkt)), PNOffset: uint32(header.PNOffset)}}
	h.opener.Open(pkt, desc, h.largest)
	require.Equal(t, tlsprovider.OpenOK, desc[0].Status)
	h.largest = max(h.largest, int64(desc[0].PacketNumber))
	for b := pkt[desc[0].HeaderLen:][:desc[0].PayloadLen]; len(b) > 0; {
		f, n := wire.ParseFrame(b)
		require.Positive(t, n)
		b = b[n:]
		if f, ok := f.(wire.Crypto); ok {
			out = append(out, f)
		}
	}
	return out
}

// Each probe timeout of a client that gets no answer sends two full datagrams, which contain the whole post-quantum
// ClientHello: the server may have received neither half.
//
// "An endpoint MAY send up to two full-sized datagrams containing ack-eliciting packets to avoid an
// expensive consecutive PTO expiration due to a single lost datagram"
// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.4-1
func TestProbesRepeatBothHalvesOfHello(t *testing.T) {
	t.Run("in order", func(t *testing.T) { testProbesRepeatBothHalves(t, rigOptions{}) })
	t.Run("scrambled", func(t *testing.T) { testProbesRepeatBothHalves(t, rigOptions{client: scrambled}) })
}

func scrambled(c *Config) { c.ScrambleHello = true }

func testProbesRepeatBothHalves(t *testing.T, o rigOptions) {
	r := newRig(t, o)
	reader := newHelloReader(t, r.client)
	var sent recovery.RangeSet[int64]
	datagrams := 0
	r.onDatagram = func(_ tlsprovider.Side, d []byte) bool {
		require.Len(t, d, MinInitialSize)
		got := reader.crypto(t, d)
		require.Positive(t, got.NumRanges(), "every datagram contains a part of the ClientHello")
		for i := range got.NumRanges() {
			sent.Add(got.Range(i).Start, got.Range(i).End)
		}
		datagrams++
		return false
	}
	r.pump()
	hello := r.client.spaces[recovery.SpaceInitial].crypto.unacked
	require.Equal(t, 2, datagrams)
	require.Greater(t, hello.Range(0).End, int64(MinInitialSize), "the ClientHello fits in one datagram")
	for probe := range 4 {
		require.Equal(t, hello, sent)
		sent, datagrams = recovery.RangeSet[int64]{}, 0
		before := r.client.loss.Counters().ProbeTimeouts
		for r.client.loss.Counters().ProbeTimeouts == before {
			r.wait(r.client.NextTimeout().Sub(r.now))
		}
		require.Equal(t, 2, datagrams, "probe timeout %d", probe)
	}
}

// If one half has been acknowledged, every probe contains the other half and nothing of the first.
func TestProbesRepeatMissingHalfOfHello(t *testing.T) {
	for i := range 4 {
		missing, o := i%2, rigOptions{}
		if i >= 2 {
			o.client = scrambled
		}
		r := newRig(t, o)
		reader := newHelloReader(t, r.client)
		var want, first recovery.RangeSet[int64]
		n, probes := 0, 0
		r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
			if from == tlsprovider.Server {
				return true
			}
			got := reader.crypto(t, d)
			n++
			switch {
			case n <= 2 && n-1 == missing:
				want = got
				return false
			case n <= 2:
				first = got
				return true
			}
			if got.NumRanges() > 0 {
				require.Equal(t, want, got)
				probes++
			}
			return false
		}
		r.pump()
		require.Equal(t, 1+i/2, want.NumRanges()+first.NumRanges()-1)
		r.wait(5 * time.Second)
		require.GreaterOrEqual(t, probes, 3)
		require.Nil(t, r.server, "the server has only half of the ClientHello")
	}
}
