package eventlog

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// schema has the parts of draft-ietf-quic-qlog-quic-events and draft-ietf-quic-qlog-main-schema that the logs
// use. Each line is a type or an event with its fields, as in the drafts' CDDL: "?" marks an optional field,
// and what follows ":" is the type of its value. Fields that the logs do not use are left out where the draft
// has many of them, so that a new field fails the test until it has been compared with the draft.
const schema = `
QlogFileSeq file_schema:text serialization_format:text ?title:text ?description:text trace:TraceSeq
TraceSeq ?title:text ?description:text ?common_fields:CommonFields ?vantage_point:VantagePoint event_schemas:[text
CommonFields ?tuple:text ?time_format:text ?reference_time:ReferenceTime ?group_id:text
ReferenceTime clock_type:system|monotonic epoch:text ?wall_clock_time:text
VantagePoint ?name:text type:client|server|network|unknown
Event time:float name:text data:any

quic:connection_started local:TupleEndpointInfo remote:TupleEndpointInfo
quic:connection_closed ?initiator:local|remote ?connection_error:TransportError ?application_error:unknown ?error_code:uint ?internal_code:uint ?reason:text ?trigger:idle_timeout|application|error|version_mismatch|stateless_reset|aborted|unspecified
quic:connection_state_updated ?old:text new:attempted|handshake_started|handshake_complete|closed|peer_validated|early_write|handshake_confirmed|closing|draining
quic:tuple_assigned tuple_id:text ?tuple_remote:TupleEndpointInfo ?tuple_local:TupleEndpointInfo
quic:mtu_updated ?old:uint new:uint ?done:bool
quic:version_information ?server_versions:[hex ?client_versions:[hex ?chosen_version:hex
quic:alpn_information ?server_alpns:[ALPNIdentifier ?client_alpns:[ALPNIdentifier ?chosen_alpn:ALPNIdentifier
quic:parameters_set ?initiator:local|remote ?resumption_allowed:bool ?early_data_enabled:bool ?tls_cipher:text ?original_destination_connection_id:hex ?initial_source_connection_id:hex ?retry_source_connection_id:hex ?disable_active_migration:bool ?max_idle_timeout:uint ?max_udp_payload_size:uint ?ack_delay_exponent:uint ?max_ack_delay:uint ?active_connection_id_limit:uint ?initial_max_data:uint ?initial_max_stream_data_bidi_local:uint ?initial_max_stream_data_bidi_remote:uint ?initial_max_stream_data_uni:uint ?initial_max_streams_bidi:uint ?initial_max_streams_uni:uint ?max_datagram_frame_size:uint ?grease_quic_bit:bool ?reset_stream_at:bool
quic:packet_sent header:PacketHeader ?frames:[Frame ?supported_versions:[hex ?raw:RawInfo ?is_mtu_probe_packet:bool ?trigger:retransmit_reordered|retransmit_timeout|pto_probe|retransmit_crypto|cc_bandwidth_probe
quic:packet_received header:PacketHeader ?frames:[Frame ?supported_versions:[hex ?raw:RawInfo ?trigger:keys_available
quic:packet_dropped ?header:PacketHeader ?raw:RawInfo ?details:any ?trigger:internal_error|rejected|unsupported|invalid|duplicate|connection_unknown|decryption_failure|key_unavailable|general
quic:packet_buffered ?header:PacketHeader ?raw:RawInfo ?trigger:backpressure|keys_unavailable
quic:packet_lost ?header:PacketHeader ?frames:[Frame ?is_mtu_probe_packet:bool ?trigger:reordering_threshold|time_threshold|pto_expired
quic:timer_updated ?timer_type:ack|pto|loss_timeout|path_validation|handshake_timeout|idle_timeout ?timer_id:uint ?packet_number_space:initial|handshake|application_data event_type:set|expired|cancelled ?delta:float
quic:key_updated key_type:KeyType ?key_phase:uint ?trigger:tls|remote_update|local_update
quic:key_discarded key_type:KeyType ?key_phase:uint ?trigger:tls|remote_update|local_update
quic:recovery_metrics_updated ?min_rtt:float ?smoothed_rtt:float ?latest_rtt:float ?rtt_variance:float ?pto_count:uint ?congestion_window:uint ?bytes_in_flight:uint ?ssthresh:uint ?packets_in_flight:uint ?pacing_rate:uint
quic:congestion_state_updated ?old:text new:text ?trigger:text
loglevel:info message:text
loglevel:warning ?code:uint ?message:text

TupleEndpointInfo ?ip_v4:text ?port_v4:uint ?ip_v6:text ?port_v6:uint ?connection_ids:[hex
ALPNIdentifier ?byte_value:hex ?string_value:text
RawInfo ?length:uint ?payload_length:uint ?data:hex
PacketHeader packet_type:initial|handshake|0RTT|1RTT|retry|version_negotiation|stateless_reset|unknown ?spin_bit:bool ?key_phase:uint ?key_phase_bit:bool ?packet_number_length:uint ?packet_number:uint ?token:Token ?length:uint ?version:hex ?scil:uint ?dcil:uint ?scid:hex ?dcid:hex
Token ?type:retry|resumption ?details:any ?raw:RawInfo
Frame.padding ?raw:RawInfo
Frame.ping ?raw:RawInfo
Frame.ack ?ack_delay:float ?acked_ranges:[any ?ect1:uint ?ect0:uint ?ce:uint ?raw:RawInfo
Frame.reset_stream stream_id:uint error:unknown ?error_code:uint final_size:uint ?raw:RawInfo
Frame.reset_stream_at stream_id:uint error:unknown ?error_code:uint final_size:uint reliable_size:uint ?raw:RawInfo
Frame.stop_sending stream_id:uint error:unknown ?error_code:uint ?raw:RawInfo
Frame.crypto offset:uint raw:RawInfo
Frame.new_token token:Token ?raw:RawInfo
Frame.stream stream_id:uint ?offset:uint ?fin:bool ?raw:RawInfo
Frame.max_data maximum:uint ?raw:RawInfo
Frame.max_stream_data stream_id:uint maximum:uint ?raw:RawInfo
Frame.max_streams stream_type:unidirectional|bidirectional maximum:uint ?raw:RawInfo
Frame.data_blocked limit:uint ?raw:RawInfo
Frame.stream_data_blocked stream_id:uint limit:uint ?raw:RawInfo
Frame.streams_blocked stream_type:unidirectional|bidirectional limit:uint ?raw:RawInfo
Frame.new_connection_id sequence_number:uint retire_prior_to:uint ?connection_id_length:uint connection_id:hex ?stateless_reset_token:hex ?raw:RawInfo
Frame.retire_connection_id sequence_number:uint ?raw:RawInfo
Frame.path_challenge ?data:hex ?raw:RawInfo
Frame.path_response ?data:hex ?raw:RawInfo
Frame.connection_close ?error_space:transport|application ?error:TransportError ?error_code:uint ?reason:text ?reason_bytes:hex ?trigger_frame_type:uint ?raw:RawInfo
Frame.handshake_done ?raw:RawInfo
Frame.unknown frame_type_bytes:uint ?raw:RawInfo
Frame.datagram ?raw:RawInfo
Frame.ack_frequency sequence_number:uint ack_eliciting_threshold:uint requested_max_ack_delay:uint reordering_threshold:uint ?raw:RawInfo
Frame.immediate_ack ?raw:RawInfo
`

// enums are types whose values are strings of a form.
var enums = map[string]*regexp.Regexp{
	"hex":            regexp.MustCompile(`^([0-9a-f]{2})*$`),
	"KeyType":        regexp.MustCompile(`^(server|client)_(initial|handshake|0rtt|1rtt)_secret$`),
	"TransportError": regexp.MustCompile(`^(no_error|internal_error|connection_refused|flow_control_error|stream_limit_error|stream_state_error|final_size_error|frame_encoding_error|transport_parameter_error|connection_id_limit_error|protocol_violation|invalid_token|application_error|crypto_buffer_exceeded|key_update_error|aead_limit_reached|no_viable_path|unknown|crypto_error_0x1[0-9a-f]{2})$`),
}

// types has the fields of each line of schema.
var types = func() map[string]map[string]string {
	all := make(map[string]map[string]string)
	for line := range strings.Lines(schema) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		fields := make(map[string]string)
		for _, w := range words[1:] {
			name, typ, _ := strings.Cut(w, ":")
			fields[name] = typ
		}
		all[words[0]] = fields
	}
	return all
}()

// Validate is for the tests in package eventlog_test.
var Validate = validate

// validate compares a value with a type of the schema.
func validate(typ string, v any) error {
	if elem, ok := strings.CutPrefix(typ, "["); ok {
		items, ok := v.([]any)
		if !ok {
			return fmt.Errorf("%v is not an array", v)
		}
		for _, item := range items {
			if err := validate(elem, item); err != nil {
				return err
			}
		}
		return nil
	}
	s, isString := v.(string)
	f, isNumber := v.(float64)
	ok := true
	switch {
	case typ == "any":
	case typ == "text":
		ok = isString
	case typ == "float":
		ok = isNumber
	case typ == "uint": // I-JSON needs strings for large numbers
		ok = isNumber && f >= 0 && f == float64(uint64(f)) || isString && regexp.MustCompile(`^[0-9]+$`).MatchString(s)
	case typ == "bool":
		_, ok = v.(bool)
	case enums[typ] != nil:
		ok = isString && enums[typ].MatchString(s)
	case strings.Contains(typ, "|") || typ == "unknown":
		ok = isString && slices.Contains(strings.Split(typ, "|"), s)
	default:
		return validateObject(typ, v)
	}
	if !ok {
		return fmt.Errorf("%v is not of type %s", v, typ)
	}
	return nil
}

func validateObject(typ string, v any) error {
	object, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%v is not an object (%s)", v, typ)
	}
	if typ == "Frame" {
		typ = fmt.Sprint("Frame.", object["frame_type"])
	}
	fields, ok := types[typ]
	if !ok {
		return fmt.Errorf("%s is not in the schema", typ)
	}
	for name, value := range object {
		if name == "frame_type" && strings.HasPrefix(typ, "Frame.") {
			continue
		}
		t, ok := fields[name]
		if !ok {
			if t, ok = fields["?"+name]; !ok {
				return fmt.Errorf("%s has no field %s", typ, name)
			}
		}
		if err := validate(t, value); err != nil {
			return fmt.Errorf("%s.%s: %w", typ, name, err)
		}
	}
	for name := range fields {
		if _, ok := object[name]; !ok && name[0] != '?' {
			return fmt.Errorf("%s lacks the field %s", typ, name)
		}
	}
	return nil
}

// The validation notices what does not follow the schema.
func TestValidateNotices(t *testing.T) {
	for _, c := range []struct {
		typ  string
		v    any
		want string
	}{
		{"RawInfo", map[string]any{"length": 1.0}, ""},
		{"RawInfo", map[string]any{"length": 1.5}, "not of type uint"},
		{"RawInfo", map[string]any{"size": 1.0}, "no field size"},
		{"quic:mtu_updated", map[string]any{"old": 1.0}, "lacks the field new"},
		{"quic:mtu", map[string]any{}, "not in the schema"},
		{"[Frame", []any{map[string]any{"frame_type": "pong"}}, "not in the schema"},
		{"[Frame", []any{map[string]any{"frame_type": "ping"}}, ""},
		{"KeyType", "master_secret", "not of type KeyType"},
		{"set|expired", "gone", "not of type set|expired"},
	} {
		err := validate(c.typ, c.v)
		if c.want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, c.want)
		}
	}
}
