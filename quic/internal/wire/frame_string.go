package wire

import (
	"fmt"
	"strings"
)

// The String methods format frames for logs and failing tests. They use the RFC's field names, and show the
// length of data instead of the data.

func (f Padding) String() string { return fmt.Sprintf("PADDING×%d", f.N) }

func (f Ping) String() string { return "PING" }

func (f Ack) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "ACK delay=%d", f.Delay)
	for r := range f.Ranges {
		fmt.Fprintf(&s, " [%d,%d)", r.Start, r.End)
	}
	if f.HasECN {
		fmt.Fprintf(&s, " ect0=%d ect1=%d ce=%d", f.ECN.ECT0, f.ECN.ECT1, f.ECN.CE)
	}
	return s.String()
}

func (f ResetStream) String() string {
	return fmt.Sprintf("RESET_STREAM id=%d code=%d final_size=%d", f.ID, f.Code, f.FinalSize)
}

func (f StopSending) String() string {
	return fmt.Sprintf("STOP_SENDING id=%d code=%d", f.ID, f.Code)
}

func (f Crypto) String() string {
	return fmt.Sprintf("CRYPTO offset=%d length=%d", f.Offset, len(f.Data))
}

func (f NewToken) String() string { return fmt.Sprintf("NEW_TOKEN length=%d", len(f.Token)) }

func (f Stream) String() string {
	s := fmt.Sprintf("STREAM id=%d offset=%d length=%d", f.ID, f.Offset, len(f.Data))
	if f.Fin {
		s += " fin"
	}
	return s
}

func (f ResetStreamAt) String() string {
	return fmt.Sprintf("RESET_STREAM_AT id=%d code=%d final_size=%d reliable_size=%d", f.ID, f.Code, f.FinalSize, f.ReliableSize)
}

func (f AckFrequency) String() string {
	return fmt.Sprintf("ACK_FREQUENCY seq=%d threshold=%d max_delay=%d reordering=%d", f.Seq, f.Threshold, f.MaxDelay, f.Reordering)
}

func (f ImmediateAck) String() string { return "IMMEDIATE_ACK" }

func (f Datagram) String() string { return fmt.Sprintf("DATAGRAM length=%d", len(f.Data)) }

func (f MaxData) String() string { return fmt.Sprintf("MAX_DATA max=%d", f.Max) }

func (f MaxStreamData) String() string {
	return fmt.Sprintf("MAX_STREAM_DATA id=%d max=%d", f.ID, f.Max)
}

func (f MaxStreams) String() string {
	return fmt.Sprintf("MAX_STREAMS %s max=%d", direction(f.Uni), f.Max)
}

func (f DataBlocked) String() string { return fmt.Sprintf("DATA_BLOCKED limit=%d", f.Limit) }

func (f StreamDataBlocked) String() string {
	return fmt.Sprintf("STREAM_DATA_BLOCKED id=%d limit=%d", f.ID, f.Limit)
}

func (f StreamsBlocked) String() string {
	return fmt.Sprintf("STREAMS_BLOCKED %s limit=%d", direction(f.Uni), f.Limit)
}

func (f NewConnectionID) String() string {
	// The reset token is omitted, because it is a secret until the peer uses it (RFC 9000, section 10.3).
	return fmt.Sprintf("NEW_CONNECTION_ID seq=%d retire_prior_to=%d id=%s", f.Seq, f.RetirePriorTo, f.ConnID)
}

func (f RetireConnectionID) String() string { return fmt.Sprintf("RETIRE_CONNECTION_ID seq=%d", f.Seq) }

func (f PathChallenge) String() string { return fmt.Sprintf("PATH_CHALLENGE data=%x", f.Data) }

func (f PathResponse) String() string { return fmt.Sprintf("PATH_RESPONSE data=%x", f.Data) }

func (f ConnectionClose) String() string {
	if f.Application {
		return fmt.Sprintf("CONNECTION_CLOSE application code=%d reason=%q", f.Code, f.Reason)
	}
	return fmt.Sprintf("CONNECTION_CLOSE code=%s frame_type=%#x reason=%q", ErrorCode(f.Code), f.FrameType, f.Reason)
}

func (f HandshakeDone) String() string { return "HANDSHAKE_DONE" }

func direction(uni bool) string {
	if uni {
		return "uni"
	}
	return "bidi"
}
