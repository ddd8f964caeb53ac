package core

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// withDatagrams returns options of a rig whose sides accept DATAGRAM frames of any size.
func withDatagrams() rigOptions {
	accept := func(c *Config) { c.MaxDatagramFrame = 65535 }
	return rigOptions{client: accept, server: accept}
}

func TestDatagrams(t *testing.T) {
	r := connected(t, withDatagrams())
	require.NoError(t, r.client.SendDatagram(r.now, []byte("to the server")))
	require.NoError(t, r.client.SendDatagram(r.now, nil))
	require.NoError(t, r.server.SendDatagram(r.now, []byte("to the client")))
	require.False(t, r.client.Flushed())
	r.pump()
	require.True(t, r.client.Flushed())
	for _, want := range []string{"to the server", ""} {
		got, ok := r.server.ReceiveDatagram()
		require.True(t, ok)
		require.Equal(t, want, string(got))
	}
	_, ok := r.server.ReceiveDatagram()
	require.False(t, ok)
	got, ok := r.client.ReceiveDatagram()
	require.True(t, ok)
	require.Equal(t, "to the client", string(got))
	require.Equal(t, DatagramStats{Sent: 2, Received: 1}, r.client.Stats().Datagrams)
}

// Without the peer's support nothing is sent.
//
// "An endpoint MUST NOT send DATAGRAM frames until it has received the max_datagram_frame_size transport
// parameter with a non-zero value during the handshake (or during a previous handshake if 0-RTT is used)."
// https://www.rfc-editor.org/rfc/rfc9221#section-3-3
func TestDatagramsUnsupported(t *testing.T) {
	r := newRig(t, rigOptions{client: func(c *Config) { c.MaxDatagramFrame = 1000 }})
	require.ErrorIs(t, r.client.SendDatagram(r.now, []byte("early")), ErrHandshake)
	r.pump()
	require.ErrorIs(t, r.client.SendDatagram(r.now, []byte("x")), ErrDatagramsUnsupported)
	require.Zero(t, r.client.MaxDatagram())
	require.NoError(t, r.server.SendDatagram(r.now, []byte("one direction is enough")))
	r.pump()
	got, ok := r.client.ReceiveDatagram()
	require.True(t, ok)
	require.Equal(t, "one direction is enough", string(got))
}

// "An endpoint MUST NOT send DATAGRAM frames that are larger than the max_datagram_frame_size value it has
// received from its peer."
// https://www.rfc-editor.org/rfc/rfc9221#section-3-3
//
// A datagram of the largest size fills a packet. One byte more is an error that names the size.
func TestLargestDatagram(t *testing.T) {
	const inPacket = MinInitialSize - 1 - ConnIDLen - 4 - 16 - 1
	for _, tt := range []struct {
		accepts uint64
		want    int
	}{{varint.Max, inPacket}, {65535, inPacket}, {inPacket + 3, inPacket}, {inPacket + 2, inPacket - 1}, {63, 61}, {3, 1}, {2, 0}} {
		r := connected(t, rigOptions{server: func(c *Config) { c.MaxDatagramFrame = tt.accepts }})
		require.Equal(t, tt.want, r.client.MaxDatagram(), "%d", tt.accepts)
		var tooLarge *DatagramTooLargeError
		require.ErrorAs(t, r.client.SendDatagram(r.now, make([]byte, tt.want+1)), &tooLarge)
		require.Equal(t, DatagramTooLargeError{Size: tt.want + 1, Max: tt.want}, *tooLarge)
		// An acknowledgement that is due must not keep it from being sent, nor the frames of a stream.
		id, err := r.client.OpenStream(r.now, false)
		require.NoError(t, err)
		_, err = r.client.Write(r.now, id, make([]byte, 5000))
		require.NoError(t, err)
		for range 3 {
			require.NoError(t, r.client.SendDatagram(r.now, make([]byte, tt.want)))
		}
		r.wait(time.Second)
		for range 3 {
			got, ok := r.server.ReceiveDatagram()
			require.True(t, ok, "%d", tt.accepts)
			require.Len(t, got, tt.want)
		}
		require.Zero(t, r.client.Stats().Datagrams.SendTooLarge)
		got, _ := r.server.Read(r.now, id, make([]byte, 9000))
		require.Equal(t, 5000, got)
	}
}

// The path narrows while datagrams wait: those that no longer fit are dropped and counted.
func TestDatagramsOnNarrowerPath(t *testing.T) {
	o := withDatagrams()
	server := o.server
	o.client = func(c *Config) { server(c); c.DatagramSize = 1400 }
	r := connected(t, o)
	wide := r.client.MaxDatagram()
	require.NoError(t, r.client.SendDatagram(r.now, make([]byte, wide)))
	require.NoError(t, r.client.SendDatagram(r.now, []byte("small")))
	require.NoError(t, r.client.SendDatagram(r.now, make([]byte, wide-100)))
	r.client.loss.Path().SetMaxDatagramSize(MinInitialSize)
	require.Equal(t, wide-200, r.client.MaxDatagram())
	r.pump()
	require.True(t, r.client.Flushed())
	require.Equal(t, DatagramStats{Sent: 1, SendTooLarge: 2}, r.client.Stats().Datagrams)
	got, _ := r.server.ReceiveDatagram()
	require.Equal(t, "small", string(got))
}

// A full queue is an error, and an event follows when there is room.
func TestDatagramSendQueue(t *testing.T) {
	r := connected(t, withDatagrams())
	for i := range 4 {
		require.NoError(t, r.client.SendDatagram(r.now, []byte{byte(i)}))
	}
	require.ErrorIs(t, r.client.SendDatagram(r.now, []byte{9}), ErrDatagramQueueFull)
	_, ok := r.client.PollEvent()
	require.False(t, ok)
	tx, ok := r.client.PollTransmit(r.now, r.buf)
	require.True(t, ok)
	r.deliver(client, bytes.Clone(tx.Data))
	require.Equal(t, []EventKind{EventDatagramRoom, EventFlushed}, eventKinds(r.client))
	require.NoError(t, r.client.SendDatagram(r.now, []byte{9}))
	require.EqualValues(t, 1, r.client.Stats().Datagrams.SendQueueOverflow)
	require.Equal(t, []EventKind{EventDatagram}, eventKinds(r.server))
}

func eventKinds(c *Conn) (kinds []EventKind) {
	for ev, ok := c.PollEvent(); ok; ev, ok = c.PollEvent() {
		kinds = append(kinds, ev.Kind)
	}
	return kinds
}

// When the receive queue is full, the oldest datagrams are dropped.
func TestDatagramReceiveQueue(t *testing.T) {
	r := connected(t, withDatagrams())
	for i := range byte(10) {
		r.say(server, recovery.SpaceApp, wire.Datagram{Data: []byte{i}})
	}
	for i := byte(6); i < 10; i++ {
		got, ok := r.server.ReceiveDatagram()
		require.True(t, ok)
		require.Equal(t, []byte{i}, got)
	}
	require.Equal(t, DatagramStats{Received: 10, ReceiveOverflows: 6}, r.server.Stats().Datagrams)
}

// Datagrams count towards the memory budgets of the Endpoint, of which a connection always has a share.
func TestDatagramMemory(t *testing.T) {
	send, receive := streams.NewBudget(1), streams.NewBudget(1)
	o := withDatagrams()
	plain := o.client
	o.client = func(c *Config) { plain(c); c.DatagramSendQueue, c.Streams.SendMemory = 1000, send }
	o.server = func(c *Config) { plain(c); c.DatagramReceiveQueue, c.Streams.RecvMemory = 1000, receive }
	r := connected(t, o)
	queued := 0
	for r.client.SendDatagram(r.now, make([]byte, 1000)) == nil {
		queued++
	}
	require.Equal(t, streams.MinShare/1000, queued)
	require.EqualValues(t, queued*1000, send.Used())
	r.pump()
	require.Zero(t, send.Used())
	for range 10 {
		require.NoError(t, r.client.SendDatagram(r.now, make([]byte, 1000)))
		r.wait(100 * time.Millisecond)
	}
	require.EqualValues(t, queued*1000, receive.Used())
	require.EqualValues(t, 10, r.server.Stats().Datagrams.ReceiveNoMemory)
	for range 5 {
		_, ok := r.server.ReceiveDatagram()
		require.True(t, ok)
	}
	require.NoError(t, r.client.SendDatagram(r.now, []byte("room again")))
	r.pump()
	require.EqualValues(t, queued-4, r.server.ext.datagrams.received.n)
	r.server.Close(r.now, true, 0, "")
	r.pump()
	require.Zero(t, receive.Used())
}

// Data that arrived before the peer's application closed can still be read.
func TestDatagramsAfterClose(t *testing.T) {
	r := connected(t, withDatagrams())
	require.NoError(t, r.client.SendDatagram(r.now, []byte("last words")))
	r.pump()
	r.client.Close(r.now, true, 0, "")
	r.pump()
	require.Error(t, r.server.SendDatagram(r.now, nil))
	got, ok := r.server.ReceiveDatagram()
	require.True(t, ok)
	require.Equal(t, "last words", string(got))
}

func TestPeerBreaksARuleOfDatagrams(t *testing.T) {
	for _, tt := range []struct {
		name   string
		accept uint64
		frames []byte
		want   wire.ErrorCode
	}{
		// "An endpoint that receives a DATAGRAM frame when it has not indicated support via the transport
		// parameter MUST terminate the connection with an error of type PROTOCOL_VIOLATION."
		// https://www.rfc-editor.org/rfc/rfc9221#section-3-3
		{"DATAGRAM without support", 0, []byte{0x31, 1, 1}, wire.ProtocolViolation},
		{"empty DATAGRAM without support", 0, []byte{0x30}, wire.ProtocolViolation},
		// "Similarly, an endpoint that receives a DATAGRAM frame that is larger than the value it sent in
		// its max_datagram_frame_size transport parameter MUST terminate the connection with an error of
		// type PROTOCOL_VIOLATION."
		// https://www.rfc-editor.org/rfc/rfc9221#section-3-3
		{"DATAGRAM larger than announced", 9, append([]byte{0x31, 8}, make([]byte, 8)...), wire.ProtocolViolation},
		{"DATAGRAM without length, larger than announced", 9, append([]byte{0x30}, make([]byte, 9)...), wire.ProtocolViolation},
		{"DATAGRAM longer than its packet", 9, []byte{0x31, 8}, wire.FrameEncodingError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := connected(t, rigOptions{server: func(c *Config) { c.MaxDatagramFrame = tt.accept }})
			if tt.accept > 0 { // a frame of exactly this size is accepted
				r.say(server, recovery.SpaceApp, wire.Datagram{Data: make([]byte, tt.accept-2)})
				r.say(server, recovery.SpaceApp, wire.Datagram{Data: make([]byte, tt.accept-1), ToEnd: true})
				require.NoError(t, errOf(r.server))
			}
			r.requireClosed(server, tt.want, r.sayBytes(server, recovery.SpaceApp, tt.frames))
		})
	}
	// "DATAGRAM frames contain application data and MUST be protected with either 0-RTT or 1-RTT keys."
	// https://www.rfc-editor.org/rfc/rfc9221#section-5-3
	// "All application data transmitted with the DATAGRAM frame, like the STREAM frame, MUST be protected either by
	// 0-RTT or 1-RTT keys."
	// https://www.rfc-editor.org/rfc/rfc9221#section-6-1
	for _, s := range []recovery.Space{recovery.SpaceInitial, recovery.SpaceHandshake} {
		r := midHandshake(t, s)
		r.client.cfg.MaxDatagramFrame = 100
		r.requireClosed(client, wire.ProtocolViolation, r.say(client, s, wire.Datagram{Data: []byte{1}}))
	}
}

// Datagrams and stream data take turns: neither waits for the other to end.
func TestDatagramsAndStreamsTakeTurns(t *testing.T) {
	r := connected(t, withDatagrams())
	id, err := r.client.OpenStream(r.now, true)
	require.NoError(t, err)
	_, err = r.client.Write(r.now, id, make([]byte, 50_000))
	require.NoError(t, err)
	for range 5 {
		for r.client.SendDatagram(r.now, make([]byte, 1000)) == nil {
		}
		tx, ok := r.client.PollTransmit(r.now, r.buf[:2*MinInitialSize])
		require.True(t, ok)
		train := Train{Data: tx.Data, SegmentSize: tx.SegmentSize}
		var with []bool
		for d := train.Next(); len(d) > 0; d = train.Next() {
			has := false
			for _, f := range r.read(r.server, d) {
				_, ok := f.(wire.Datagram)
				has = has || ok
			}
			with = append(with, has)
		}
		require.Equal(t, []bool{true, false}, with)
	}
}

// Datagrams are not sent again, and their loss is counted.
func TestDatagramLoss(t *testing.T) {
	r := connected(t, withDatagrams())
	r.onDatagram = nothingArrives
	require.NoError(t, r.client.SendDatagram(r.now, []byte("lost")))
	require.NoError(t, r.client.SendDatagram(r.now, []byte("lost as well")))
	r.pump()
	r.onDatagram = nil
	r.wait(5 * time.Second)
	require.Equal(t, DatagramStats{Sent: 2, Lost: 2}, r.client.Stats().Datagrams)
	require.Zero(t, r.server.Stats().Datagrams.Received)
}

// A connection with datagrams drops what it kept for them when it rests, and works afterwards.
func TestDatagramsRest(t *testing.T) {
	r := connected(t, withDatagrams())
	for range 3 {
		require.NoError(t, r.client.SendDatagram(r.now, make([]byte, 1000)))
		r.pump()
		_, ok := r.server.ReceiveDatagram()
		require.True(t, ok)
		r.wait(3 * time.Second)
		for _, c := range []*Conn{r.client, r.server} {
			require.True(t, c.Resting())
			require.Nil(t, c.ext.datagrams.spare)
			require.Nil(t, c.ext.datagrams.send.slots)
			require.Nil(t, c.ext.datagrams.received.slots)
		}
	}
}

// Sending a datagram does not allocate once the queue has been used.
func TestSendDatagramDoesNotAllocate(t *testing.T) {
	r := connected(t, withDatagrams())
	p := make([]byte, 1000)
	require.NoError(t, r.client.SendDatagram(r.now, p))
	r.client.removeSent()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if err := r.client.SendDatagram(r.now, p); err != nil {
			t.Fatal(err)
		}
		r.client.removeSent()
	}))
}
