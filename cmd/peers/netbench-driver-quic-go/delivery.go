package main

import (
	"context"
	"slices"
	"sync"

	quicgo "github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/qlog"
	"github.com/quic-go/quic-go/qlogwriter"
)

// A delivery tracks what the peer acknowledges of a connection's streams. quic-go reports this only through
// its log events, which cost time for each packet, so a delivery is used only in scenarios in which nothing
// else shows that the last data has arrived.
type delivery struct {
	mu      sync.Mutex
	sent    map[qlog.PacketNumber][]qlog.StreamFrame // not yet acknowledged
	streams map[quicgo.StreamID]*acknowledged
	changed chan struct{}
}

// acknowledged records what has arrived of a stream.
type acknowledged struct {
	size   int64 // -1 if it has not ended
	ranges []span
	reset  bool // the peer stopped reading it
}

type span struct{ from, to int64 }

func newDelivery() *delivery {
	return &delivery{sent: make(map[qlog.PacketNumber][]qlog.StreamFrame), streams: make(map[quicgo.StreamID]*acknowledged),
		changed: make(chan struct{}, 1)}
}

// AddProducer and RecordEvent are called by quic-go.
func (d *delivery) AddProducer() qlogwriter.Recorder { return d }
func (d *delivery) Close() error                     { return nil }

func (d *delivery) RecordEvent(e qlogwriter.Event) {
	switch e := e.(type) {
	case qlog.PacketSent:
		if e.Header.PacketType == qlog.PacketType1RTT {
			d.packet(e.Header.PacketNumber, e.Frames)
		}
	case qlog.PacketReceived:
		if e.Header.PacketType != qlog.PacketType1RTT {
			return
		}
		for _, f := range e.Frames {
			if ack, ok := f.Frame.(*qlog.AckFrame); ok {
				d.acknowledge(ack)
			}
		}
	}
}

func (d *delivery) packet(n qlog.PacketNumber, frames []qlog.Frame) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range frames {
		switch f := f.Frame.(type) {
		case *qlog.StreamFrame:
			d.sent[n] = append(d.sent[n], *f)
		case *qlog.ResetStreamFrame:
			d.stream(f.StreamID).reset = true
			d.tell()
		}
	}
}

func (d *delivery) acknowledge(ack *qlog.AckFrame) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for n, frames := range d.sent {
		for _, r := range ack.AckRanges {
			if n < r.Smallest || n > r.Largest {
				continue
			}
			for _, f := range frames {
				d.arrived(f)
			}
			delete(d.sent, n)
			break
		}
	}
	d.tell()
}

func (d *delivery) tell() {
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

func (d *delivery) stream(id quicgo.StreamID) *acknowledged {
	s := d.streams[id]
	if s == nil {
		s = &acknowledged{size: -1}
		d.streams[id] = s
	}
	return s
}

func (d *delivery) arrived(f qlog.StreamFrame) {
	s := d.stream(f.StreamID)
	end := f.Offset + f.Length
	if f.Fin {
		s.size = end
	}
	s.add(span{f.Offset, end})
}

// add keeps the ranges disjoint and sorted.
func (s *acknowledged) add(r span) {
	i, _ := slices.BinarySearchFunc(s.ranges, r, func(a, b span) int {
		if a.to < b.from {
			return -1
		}
		return 1
	})
	j := i
	for j < len(s.ranges) && s.ranges[j].from <= r.to {
		r.from, r.to = min(r.from, s.ranges[j].from), max(r.to, s.ranges[j].to)
		j++
	}
	s.ranges = slices.Replace(s.ranges, i, j, r)
}

func (s *acknowledged) all() bool {
	return s != nil && (s.reset || s.size >= 0 && len(s.ranges) == 1 && s.ranges[0] == span{0, s.size})
}

// wait waits until all of the streams has arrived, including their ends, or the connection has ended.
func (d *delivery) wait(ctx context.Context, streams []quicgo.StreamID) {
	for {
		d.mu.Lock()
		streams = slices.DeleteFunc(streams, func(id quicgo.StreamID) bool { return d.streams[id].all() })
		d.mu.Unlock()
		if len(streams) == 0 {
			return
		}
		select {
		case <-d.changed:
		case <-ctx.Done():
			return
		}
	}
}
