package main

import (
	"context"
	"testing"

	quicgo "github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/qlog"
	"github.com/stretchr/testify/require"
)

func sent(n qlog.PacketNumber, frames ...any) qlog.PacketSent {
	e := qlog.PacketSent{Header: qlog.PacketHeader{PacketType: qlog.PacketType1RTT, PacketNumber: n}}
	for _, f := range frames {
		e.Frames = append(e.Frames, qlog.Frame{Frame: f})
	}
	return e
}

func acked(ranges ...qlog.AckRange) qlog.PacketReceived {
	return qlog.PacketReceived{Header: qlog.PacketHeader{PacketType: qlog.PacketType1RTT},
		Frames: []qlog.Frame{{Frame: &qlog.AckFrame{AckRanges: ranges}}}}
}

func frame(id quicgo.StreamID, offset, length int64, fin bool) *qlog.StreamFrame {
	return &qlog.StreamFrame{StreamID: id, Offset: offset, Length: length, Fin: fin}
}

// A stream has arrived when all of it is acknowledged, whatever was lost, split and retransmitted.
func TestDelivery(t *testing.T) {
	d := newDelivery()
	done := func() bool { return d.streams[3].all() }
	d.RecordEvent(sent(1, frame(3, 0, 100, false)))
	d.RecordEvent(sent(2, frame(3, 100, 100, false), frame(4, 0, 8, true)))
	d.RecordEvent(sent(3, frame(3, 200, 100, false)))
	d.RecordEvent(sent(4, frame(3, 300, 0, true)))
	d.RecordEvent(acked(qlog.AckRange{Smallest: 3, Largest: 4}, qlog.AckRange{Smallest: 1, Largest: 1}))
	require.False(t, done(), "100 bytes are missing")
	d.RecordEvent(sent(5, frame(3, 100, 40, false)))
	d.RecordEvent(sent(6, frame(3, 140, 60, false)))
	d.RecordEvent(acked(qlog.AckRange{Smallest: 6, Largest: 6}))
	require.False(t, done(), "40 bytes are missing")
	d.RecordEvent(acked(qlog.AckRange{Smallest: 2, Largest: 2}))
	require.True(t, done(), "the first copy arrived late")
	d.RecordEvent(acked(qlog.AckRange{Smallest: 1, Largest: 6}))
	require.True(t, done())
	require.True(t, d.streams[4].all())
	require.Empty(t, d.sent)
	d.wait(t.Context(), []quicgo.StreamID{3, 4})

	d.RecordEvent(sent(7, frame(5, 0, 10, false), &qlog.ResetStreamFrame{StreamID: 5}))
	d.wait(t.Context(), []quicgo.StreamID{5})

	over, cancel := context.WithCancel(t.Context())
	cancel()
	d.wait(over, []quicgo.StreamID{6})
}
