package eventlog

import (
	"time"

	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// frames writes the frames of a packet. exponent is the sender's ack_delay_exponent. A frame that cannot be parsed is
// the last one that is written, because it ends the connection.
func (l *Log) frames(payload []byte, exponent uint64) {
	for len(payload) > 0 {
		l.item('{')
		f, n := wire.ParseFrame(payload)
		if n < 0 {
			l.unknownFrame(payload)
			l.end('}')
			return
		}
		l.frame(f, payload, n, exponent)
		l.end('}')
		payload = payload[n:]
	}
}

// frame writes the fields of a frame that has n bytes at the beginning of b.
func (l *Log) frame(f wire.Frame, b []byte, n int, exponent uint64) {
	switch f := f.(type) {
	case wire.Padding:
		l.str("frame_type", "padding")
		l.length(n, n)
	case wire.Ping:
		l.str("frame_type", "ping")
	case wire.Ack:
		l.ack(&f, exponent)
	case wire.Crypto:
		l.str("frame_type", "crypto")
		l.uint("offset", f.Offset)
		l.length(n, len(f.Data))
	case wire.NewToken:
		l.str("frame_type", "new_token")
		l.token("", len(f.Token))
	case wire.Stream:
		l.str("frame_type", "stream")
		l.uint("stream_id", f.ID)
		l.uint("offset", f.Offset)
		if f.Fin {
			l.bool("fin", true)
		}
		l.length(n, len(f.Data))
	case wire.Datagram:
		l.str("frame_type", "datagram")
		l.length(n, len(f.Data))
	case wire.ResetStream:
		l.str("frame_type", "reset_stream")
		l.uint("stream_id", f.ID)
		l.streamError(f.Code)
		l.uint("final_size", f.FinalSize)
	case wire.ResetStreamAt:
		l.str("frame_type", "reset_stream_at")
		l.uint("stream_id", f.ID)
		l.streamError(f.Code)
		l.uint("final_size", f.FinalSize)
		l.uint("reliable_size", f.ReliableSize)
	case wire.AckFrequency:
		l.str("frame_type", "ack_frequency")
		l.uint("sequence_number", f.Seq)
		l.uint("ack_eliciting_threshold", f.Threshold)
		l.uint("requested_max_ack_delay", f.MaxDelay)
		l.uint("reordering_threshold", f.Reordering)
	case wire.ImmediateAck:
		l.str("frame_type", "immediate_ack")
	case wire.StopSending:
		l.str("frame_type", "stop_sending")
		l.uint("stream_id", f.ID)
		l.streamError(f.Code)
	case wire.ConnectionClose:
		l.str("frame_type", "connection_close")
		space := "transport"
		if f.Application {
			space = "application"
		}
		l.str("error_space", space)
		l.closeCode(f.Application, f.Code, "error", "error")
		l.text("reason", string(f.Reason))
		if !f.Application {
			l.uint("trigger_frame_type", f.FrameType)
		}
	default:
		l.controlFrame(f, b)
	}
}

// controlFrame writes the fields of a frame of flow control, connection IDs and paths.
func (l *Log) controlFrame(f wire.Frame, b []byte) {
	switch f := f.(type) {
	case wire.MaxData:
		l.str("frame_type", "max_data")
		l.uint("maximum", f.Max)
	case wire.MaxStreamData:
		l.str("frame_type", "max_stream_data")
		l.uint("stream_id", f.ID)
		l.uint("maximum", f.Max)
	case wire.MaxStreams:
		l.str("frame_type", "max_streams")
		l.streamType(f.Uni)
		l.uint("maximum", f.Max)
	case wire.DataBlocked:
		l.str("frame_type", "data_blocked")
		l.uint("limit", f.Limit)
	case wire.StreamDataBlocked:
		l.str("frame_type", "stream_data_blocked")
		l.uint("stream_id", f.ID)
		l.uint("limit", f.Limit)
	case wire.StreamsBlocked:
		l.str("frame_type", "streams_blocked")
		l.streamType(f.Uni)
		l.uint("limit", f.Limit)
	case wire.NewConnectionID: // without the reset token, which is a secret
		l.str("frame_type", "new_connection_id")
		l.uint("sequence_number", f.Seq)
		l.uint("retire_prior_to", f.RetirePriorTo)
		l.uint("connection_id_length", uint64(f.ConnID.Len()))
		l.str("connection_id", f.ConnID.String())
	case wire.RetireConnectionID:
		l.str("frame_type", "retire_connection_id")
		l.uint("sequence_number", f.Seq)
	case wire.PathChallenge:
		l.str("frame_type", "path_challenge")
		l.hex("data", f.Data[:])
	case wire.PathResponse:
		l.str("frame_type", "path_response")
		l.hex("data", f.Data[:])
	case wire.HandshakeDone:
		l.str("frame_type", "handshake_done")
	default:
		l.unknownFrame(b)
	}
}

// unknownFrame writes the type of the frame at the beginning of b, or the first byte of a type that is cut off.
func (l *Log) unknownFrame(b []byte) {
	l.str("frame_type", "unknown")
	t, n := varint.Consume(b)
	if n < 0 {
		t = uint64(b[0])
	}
	l.uint("frame_type_bytes", t)
}

// length writes the sizes of a frame and of its data. A Compatible log has only the size of the data, where quic-go
// writes it and qvis reads it.
func (l *Log) length(frame, data int) {
	if !l.draft {
		l.uint("length", uint64(data))
		return
	}
	l.begin("raw", '{')
	l.uint("length", uint64(frame))
	l.uint("payload_length", uint64(data))
	l.end('}')
}

func (l *Log) streamType(uni bool) {
	if uni {
		l.str("stream_type", "unidirectional")
	} else {
		l.str("stream_type", "bidirectional")
	}
}

// streamError writes an error code of the application. The log has no names for such codes.
func (l *Log) streamError(code uint64) {
	if l.draft {
		l.str("error", "unknown")
	}
	l.uint("error_code", code)
}

func (l *Log) ack(f *wire.Ack, exponent uint64) {
	l.str("frame_type", "ack")
	// A minute is more than any delay that is used, and it cannot overflow.
	delay := min(f.Delay, uint64(time.Minute/time.Microsecond)) << min(exponent, 20)
	l.ms("ack_delay", min(time.Duration(delay)*time.Microsecond, time.Minute))
	l.begin("acked_ranges", '[')
	for r := range f.Ranges {
		l.item('[')
		l.number(uint64(r.Start))
		if r.End-1 > r.Start {
			l.comma()
			l.number(uint64(r.End - 1))
		}
		l.end(']')
	}
	l.end(']')
	if f.HasECN {
		l.uint("ect0", f.ECN.ECT0)
		l.uint("ect1", f.ECN.ECT1)
		l.uint("ce", f.ECN.CE)
	}
}
