package core

import (
	"bytes"
	"reflect"
	"runtime"
	"testing"
	"time"
	"unsafe"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A connection without packets drops what it needs only while it exchanges packets. The next packet brings it
// back.
func TestRest(t *testing.T) {
	r := connected(t, rigOptions{})
	for round := range 3 {
		r.wait(2 * restAfter)
		r.pump()
		for _, c := range []*Conn{r.client, r.server} {
			require.True(t, c.Resting())
			require.Zero(t, c.restAt, "no timer is set while the connection rests")
			require.Same(t, &noCrypto, c.app.cryptoStreams)
			require.NoError(t, c.CheckInvariants())
			_, ok := c.PollTransmit(r.now, make([]byte, 1500))
			require.False(t, ok)
			require.True(t, c.Resting(), "a poll without a packet does not end the rest")
		}
		id, err := r.client.OpenStream(r.now, true)
		require.NoError(t, err)
		data := bytes.Repeat([]byte{byte(round)}, 3000)
		n, err := r.client.Write(r.now, id, data)
		require.NoError(t, err)
		require.Equal(t, len(data), n)
		require.NoError(t, r.client.CloseWrite(r.now, id))
		r.pump()
		require.False(t, r.client.Resting())
		require.False(t, r.server.Resting())
		got := make([]byte, 4000)
		n, err = r.server.Read(r.now, id, got)
		require.NoError(t, err)
		require.Equal(t, data, got[:n])
	}
}

// CRYPTO data continues after a rest where it was, in both directions, and a rest does not lose data behind a gap.
func TestCryptoDataContinuesAfterRest(t *testing.T) {
	r := connected(t, rigOptions{})
	c := r.client
	rest := func() {
		c.app.in.take()
		r.wait(2 * restAfter)
		r.pump()
		require.True(t, c.Resting())
		require.Equal(t, noCrypto, cryptoStreams{}, "it is shared by all connections")
	}
	c.wake()
	base := uint64(c.app.in.base)
	require.True(t, c.app.in.receive(wire.Crypto{Offset: base, Data: []byte("one")}))
	c.app.crypto.base = 4 // of four bytes that the server has acknowledged
	rest()
	require.Same(t, &noCrypto, c.app.cryptoStreams)
	c.wake()
	require.NotSame(t, &noCrypto, c.app.cryptoStreams)
	require.Equal(t, int64(4), c.app.crypto.base)
	require.Equal(t, int64(base+3), c.app.in.base)
	require.Equal(t, int64(maxAppCrypto), c.app.in.limit)
	require.True(t, c.app.in.receive(wire.Crypto{Offset: base + 6, Data: []byte("three")}))
	rest()
	c.wake()
	require.True(t, c.app.in.receive(wire.Crypto{Offset: base + 3, Data: []byte("two")}))
	require.Equal(t, []byte("twothree"), c.app.in.take())
}

// The size of a connection is that of a class of Go's allocator, 2304, less the 8 bytes that objects of this size have in
// front. The next class has 2688.
func TestConnFitsItsSizeClass(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(Conn{}), uintptr(2304-8))
}

// A connection does not rest while a packet is in flight, and not before the handshake is confirmed.
func TestNoRestWhileBusy(t *testing.T) {
	r := connected(t, rigOptions{})
	r.wait(2 * restAfter)
	r.pump()
	id, err := r.client.OpenStream(r.now, true)
	require.NoError(t, err)
	_, err = r.client.Write(r.now, id, []byte("lost"))
	require.NoError(t, err)
	_, ok := r.client.PollTransmit(r.now, make([]byte, 1500))
	require.True(t, ok)
	for range 3 {
		r.now = r.now.Add(restAfter)
		r.client.HandleTimeout(r.now)
		require.False(t, r.client.Resting(), "a packet is in flight")
		require.NotZero(t, r.client.restAt)
	}

	fresh := newRig(t, rigOptions{})
	fresh.now = fresh.now.Add(2 * restAfter)
	fresh.client.HandleTimeout(fresh.now)
	require.False(t, fresh.client.Resting(), "the handshake is not confirmed")
}

// A connection whose peer never lets it rest frees the packets that it does not use any more.
func TestBusyConnectionFreesPackets(t *testing.T) {
	r := connected(t, rigOptions{})
	const packets = 50
	var first weak.Pointer[recovery.SentPacket]
	for i := range packets {
		p := r.client.loss.NewSent()
		p.Num, p.Time, p.Size = r.client.loss.NextNumber(recovery.SpaceApp), r.now, 1200
		p.AckEliciting, p.InFlight = true, true
		r.client.loss.PacketSent(r.now, recovery.SpaceApp, p)
		if i == 0 {
			first = weak.Make(p)
		}
	}
	ack := varint.Append([]byte{byte(wire.FrameAck)}, uint64(r.client.loss.NextNumber(recovery.SpaceApp)-1))
	r.sayBytes(tlsprovider.Client, recovery.SpaceApp, append(ack, 0, 0, packets-1)) // delay, more ranges, first range
	require.Zero(t, r.client.loss.Path().BytesInFlight())
	runtime.GC()
	require.NotNil(t, first.Value(), "the packet is kept for reuse")
	for range 6 {
		r.now = r.now.Add(restAfter / 2)
		r.client.HandleTimeout(r.now)
		r.say(tlsprovider.Client, recovery.SpaceApp, wire.Ping{})
		require.False(t, r.client.Resting())
	}
	runtime.GC()
	require.Nil(t, first.Value())
}

// All connections share the state of a space that they have discarded, so nothing may change it: not even a
// provider that writes a handshake message after the handshake.
func TestDiscardedSpaceIsNotWritten(t *testing.T) {
	before := discardedSpace
	r := connected(t, rigOptions{})
	for _, l := range []tlsprovider.Level{tlsprovider.LevelInitial, tlsprovider.LevelHandshake} {
		r.server.handleTLSOutput(&tlsOutput{kind: tlsprovider.EventWrite, level: l, data: []byte("late")})
	}
	r.wait(time.Second)
	r.pump()
	r.server.Close(r.now, true, 0, "")
	r.pump()
	require.True(t, reflect.DeepEqual(before, discardedSpace))
	require.Same(t, &discardedSpace, r.server.spaces[recovery.SpaceInitial])
	require.Same(t, &discardedSpace, r.client.spaces[recovery.SpaceHandshake])
}
