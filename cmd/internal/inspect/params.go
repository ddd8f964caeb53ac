package inspect

import (
	"encoding/hex"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// parameterNames holds the transport parameters of IANA's registry. number reports whether the value is a
// variable-length integer.
var parameterNames = map[uint64]struct {
	name   string
	number bool
}{
	0x00: {"original_destination_connection_id", false},
	0x01: {"max_idle_timeout", true},
	0x02: {"stateless_reset_token", false},
	0x03: {"max_udp_payload_size", true},
	0x04: {"initial_max_data", true},
	0x05: {"initial_max_stream_data_bidi_local", true},
	0x06: {"initial_max_stream_data_bidi_remote", true},
	0x07: {"initial_max_stream_data_uni", true},
	0x08: {"initial_max_streams_bidi", true},
	0x09: {"initial_max_streams_uni", true},
	0x0a: {"ack_delay_exponent", true},
	0x0b: {"max_ack_delay", true},
	0x0c: {"disable_active_migration", false},
	0x0d: {"preferred_address", false},
	0x0e: {"active_connection_id_limit", true},
	0x0f: {"initial_source_connection_id", false},
	0x10: {"retry_source_connection_id", false},
	0x11: {"version_information", false},
	0x20: {"max_datagram_frame_size", true},

	0x2ab2:             {"grease_quic_bit", false},
	0xff04de1b:         {"min_ack_delay", true},
	0x17f7586d2cb571:   {"reset_stream_at", false},
	0x0f739bbc1b666d05: {"enable_multipath", true},
}

// parseParameters reads the quic_transport_parameters extension (RFC 9000, 18).
func parseParameters(s cryptobyte.String) (out []Parameter, ok bool) {
	for !s.Empty() {
		id, ok1 := readVarint(&s)
		n, ok2 := readVarint(&s)
		var value []byte
		if !ok1 || !ok2 || n > uint64(len(s)) || !s.ReadBytes(&value, int(n)) {
			return out, false
		}
		if len(out) < maxListed {
			out = append(out, parameter(id, value))
		}
	}
	return out, true
}

func parameter(id uint64, value []byte) Parameter {
	known, ok := parameterNames[id]
	p := Parameter{ID: id, Name: known.name}
	switch {
	case !ok && id >= 27 && (id-27)%31 == 0:
		p.Name = "GREASE" // RFC 9000, 18.1
	case !ok:
		p.Name = fmt.Sprintf("0x%x", id)
	}
	s := cryptobyte.String(value)
	if known.number {
		if v, ok := readVarint(&s); ok && s.Empty() {
			p.Value = fmt.Sprint(v)
			return p
		}
	}
	const shown = 64
	p.Value = hex.EncodeToString(value[:min(len(value), shown)])
	if len(value) > shown {
		p.Value += "…"
	}
	return p
}
