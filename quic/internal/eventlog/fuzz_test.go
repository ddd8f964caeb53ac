package eventlog_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/eventlog"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/quic/qlog"
)

// FuzzEvents logs what a peer can choose: the frames of a packet, its transport parameters, its Retry and
// Version Negotiation packets and the reason with which it closes. Whatever they are, the log is JSON and follows
// the schema.
func FuzzEvents(f *testing.F) {
	f.Add(uint8(2), wire.Ack{Largest: 1<<62 - 1, Delay: 1<<62 - 1}.Append(nil))
	f.Add(uint8(2), wire.Stream{ID: 1<<62 - 1, Offset: 1 << 61, Data: []byte("x"), Fin: true}.Append(nil))
	f.Add(uint8(2), wire.Datagram{Data: []byte("datagram")}.Append(nil))
	f.Add(uint8(2), wire.ResetStreamAt{ID: 4, Code: 7, FinalSize: 10, ReliableSize: 5}.Append(nil))
	f.Add(uint8(2), wire.ConnectionClose{Code: 1 << 61, FrameType: 1 << 61, Reason: []byte("\xff\"\\\n\x1e")}.Append(nil))
	f.Add(uint8(0), wire.ConnectionClose{Code: 0x12a}.Append(nil))
	f.Add(uint8(1), append(wire.Ping{}.Append(nil), 0x40, 0xff, 1, 2, 3))
	f.Add(uint8(3), []byte{0x0a, 1, 20, 0x0f, 0, 1, 4, 0xbf, 0xff, 0xff, 0xff})
	f.Add(uint8(4), wire.AppendRetry(nil, wire.Version1, wire.ConnID{}, wire.ConnID{}, make([]byte, 20)))
	f.Add(uint8(4), wire.AppendVersionNegotiation(nil, 0, []byte{1}, nil, 1, 0x0a0a0a0a))
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		var out bytes.Buffer
		done := make(chan struct{})
		cfg := &qlog.Config{Schema: qlog.Draft, Open: func(qlog.Conn) (io.WriteCloser, error) { return closer{&out}, nil }}
		log := eventlog.New(cfg, qlog.Conn{}, 1, wall, eventlog.Hooks{Done: func() { close(done) }})
		switch kind %= 6; kind {
		case 0, 1, 2:
			header := wire.AppendShortHeader(nil, wire.ConnID{}, false, true, 7, 1)
			if s := recovery.Space(kind); s != recovery.SpaceApp {
				header = wire.AppendLongHeader(nil, []wire.PacketType{wire.PacketInitial, wire.PacketHandshake}[s], wire.Version1,
					wire.ConnID{}, wire.ConnID{}, b[:min(len(b), 8)], 7, 1)
			}
			log.Trace(2, &core.TraceEvent{Kind: core.TracePacketReceived, Space: recovery.Space(kind), Number: 7,
				Header: header, Payload: b, Size: len(header) + len(b)})
		case 3:
			log.Trace(2, &core.TraceEvent{Kind: core.TraceParams, Params: b})
			log.Trace(3, &core.TraceEvent{Kind: core.TracePacketReceived, Space: recovery.SpaceApp, Header: []byte{0x40},
				Payload: wire.Ack{Largest: 5, Delay: 1 << 40}.Append(nil)})
		case 4:
			if _, n := wire.ParseRetry(b); n < 0 {
				if _, n := wire.ParseVersionNegotiation(b); n < 0 {
					return
				}
			}
			log.Trace(2, &core.TraceEvent{Kind: core.TraceUnprotected, Header: b})
		case 5:
			log.Trace(2, &core.TraceEvent{Kind: core.TraceClosed, Close: &core.CloseError{Remote: true, Code: uint64(len(b)), Reason: string(b)}})
		}
		log.Trace(4, &core.TraceEvent{Kind: core.TraceEnd})
		<-done
		_, events := parse(t, out.Bytes())
		for _, e := range events {
			delete(e.data, "preferred_address") // its reset token is required in the draft, and is not logged
			require.NoError(t, eventlog.Validate(e.name, e.data))
		}
	})
}
