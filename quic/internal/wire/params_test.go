package wire

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/varint"
)

// params9001 is the quic_transport_parameters extension of the ClientHello in RFC 9001, A.2.
const params9001 = `0408ffffffffffffffff050480 00ffff07048000ffff08011001048000
	75300901100f088394c8f03e51570806 048000ffff`

func TestParseTransportParametersRFC9001(t *testing.T) {
	p, code := ParseTransportParameters(unhex(params9001), false)
	require.Equal(t, NoError, code)
	want := DefaultTransportParameters()
	want.MaxData = varint.Max
	want.MaxStreamDataBidiLocal, want.MaxStreamDataBidiRemote, want.MaxStreamDataUni = 65535, 65535, 65535
	want.MaxStreamsBidi, want.MaxStreamsUni = 16, 16
	want.MaxIdleTimeout = 30 * time.Second
	want.InitialSrcConnID, want.HasInitialSrcConnID = connID("8394c8f03e515708"), true
	require.Equal(t, want, p)
}

func TestTransportParametersDefaults(t *testing.T) {
	p, code := ParseTransportParameters(nil, true)
	require.Equal(t, NoError, code)
	require.Equal(t, DefaultTransportParameters(), p)
	require.Equal(t, TransportParameters{MaxUDPPayloadSize: 65527, AckDelayExponent: 3,
		MaxAckDelay: 25 * time.Millisecond, ActiveConnIDLimit: 2}, p)
	require.Empty(t, p.Append(nil), "absent parameters have their default values")
}

func allParameters() TransportParameters {
	return TransportParameters{
		OriginalDstConnID: connID("01"), HasOriginalDstConnID: true,
		InitialSrcConnID: connID("0203"), HasInitialSrcConnID: true,
		RetrySrcConnID: connID("040506"), HasRetrySrcConnID: true,
		StatelessResetToken: [16]byte{1, 2, 3}, HasStatelessResetToken: true,
		MaxIdleTimeout:    30 * time.Second,
		MaxUDPPayloadSize: 1200,
		MaxData:           1 << 20, MaxStreamDataBidiLocal: 1, MaxStreamDataBidiRemote: 2, MaxStreamDataUni: 3,
		MaxStreamsBidi: 1 << 60, MaxStreamsUni: 100,
		AckDelayExponent: 20, MaxAckDelay: maxMaxAckDelay,
		DisableActiveMigration: true,
		ActiveConnIDLimit:      8,
		PreferredAddress: PreferredAddress{
			IPv4: netip.MustParseAddrPort("192.0.2.1:4433"), IPv6: netip.MustParseAddrPort("[2001:db8::1]:4434"),
			ConnID: connID("aabbccdd"), ResetToken: [16]byte{4, 5, 6},
		},
		HasPreferredAddress:  true,
		MaxDatagramFrameSize: 65535,
		ResetStreamAt:        true,
		GreaseQUICBit:        true,
		MinAckDelay:          time.Millisecond,
		ChosenVersion:        Version2,
		AvailableVersions:    EncodeVersions(Version2, Version1, 0x1a2a3a4a),
		HasVersionInfo:       true,
		HasMinAckDelay:       true,
	}
}

// "An endpoint MUST NOT send a parameter more than once in a given transport parameters extension."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.4-7
func TestTransportParametersRoundTrip(t *testing.T) {
	want := allParameters()
	b := want.Append(nil)
	p, code := ParseTransportParameters(b, true)
	require.Equal(t, NoError, code)
	require.Equal(t, want, p)

	whole := 0
	for i := range b {
		if _, code := ParseTransportParameters(b[:i], true); code == NoError {
			whole++
		} else {
			require.Equal(t, TransportParameterError, code)
		}
	}
	require.Equal(t, 23, whole, "it is valid only if cut between parameters")

	empty := TransportParameters{HasInitialSrcConnID: true, HasRetrySrcConnID: true,
		MaxUDPPayloadSize: 1200, ActiveConnIDLimit: 2}
	p, code = ParseTransportParameters(empty.Append(nil), true)
	require.Equal(t, NoError, code)
	require.Equal(t, empty, p, "empty connection IDs are present, and zeros are not defaults")
}

// "An endpoint MUST ignore transport parameters that it does not support."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.4.2-1
func TestTransportParametersIgnoresUnknown(t *testing.T) {
	b := appendReserved(nil, 0, nil)
	b = appendReserved(b, 1<<32-1, []byte("any value"))
	b = append(b, unhex("7fff 00")...)
	require.Equal(t, byte(27), b[0])
	p, code := ParseTransportParameters(b, false)
	require.Equal(t, NoError, code)
	require.Equal(t, DefaultTransportParameters(), p)
}

// "If either is received, the connection MUST be closed immediately with a connection error of type
// TRANSPORT_PARAMETER_ERROR if the offending value was received in a transport parameter"
// https://www.rfc-editor.org/rfc/rfc9000#section-4.6-2
// "An endpoint MUST treat receipt of a transport parameter with an invalid value as a connection error of type
// TRANSPORT_PARAMETER_ERROR."
// https://www.rfc-editor.org/rfc/rfc9000#section-7.4-6
// "The value of the active_connection_id_limit parameter MUST be at least 2."
// https://www.rfc-editor.org/rfc/rfc9000#section-18.2-6.2.1
// "An endpoint that receives a value less than 2 MUST close the connection with an error of type
// TRANSPORT_PARAMETER_ERROR."
// https://www.rfc-editor.org/rfc/rfc9000#section-18.2-6.2.1
// "A server that chooses a zero-length connection ID MUST NOT provide a preferred address."
// https://www.rfc-editor.org/rfc/rfc9000#section-18.2-4.28.4
// "Similarly, a server MUST NOT include a zero-length connection ID in this transport parameter."
// https://www.rfc-editor.org/rfc/rfc9000#section-18.2-4.28.4
// "A client MUST treat a violation of these requirements as a connection error of type TRANSPORT_PARAMETER_ERROR."
// https://www.rfc-editor.org/rfc/rfc9000#section-18.2-4.28.4
func TestParseTransportParametersRejects(t *testing.T) {
	for _, tt := range []struct{ name, hex string }{
		{"no length", "01"},
		{"no value", "01 01"},
		{"length of 2^62-1", "01 ffffffffffffffff 00"},
		{"number without value", "01 00"},
		{"number with a trailing byte", "01 02 00 00"},
		{"number cut off", "01 01 40"},
		{"repeated", "01 01 05 01 01 05"},
		{"unknown and repeated", "1b 00 1b 00"},
		{"repeated in another encoding", "01 01 05 4001 01 05"},
		{"original_destination_connection_id of 21 bytes", "00 15 000000000000000000000000000000000000000000"},
		{"initial_source_connection_id of 21 bytes", "0f 15 000000000000000000000000000000000000000000"},
		{"retry_source_connection_id of 21 bytes", "10 15 000000000000000000000000000000000000000000"},
		{"stateless_reset_token of 15 bytes", "02 0f 000102030405060708090a0b0c0d0e"},
		{"stateless_reset_token of 17 bytes", "02 11" + token16 + "00"},
		{"max_udp_payload_size of 1199", "03 02 44af"},
		{"initial_max_streams_bidi above 2^60", "08 08 d000000000000001"},
		{"initial_max_streams_uni above 2^60", "09 08 d000000000000001"},
		{"ack_delay_exponent of 21", "0a 01 15"},
		{"max_ack_delay of 2^14", "0b 04 80004000"},
		{"max_ack_delay of 2^62-1", "0b 08 ffffffffffffffff"},
		{"max_datagram_frame_size without value", "20 00"},
		{"max_datagram_frame_size with a trailing byte", "20 02 01 00"},
		{"min_ack_delay above the default max_ack_delay", "c0000000ff04de1b 04 800061a9"},
		{"min_ack_delay above max_ack_delay", "0b 01 01 c0000000ff04de1b 02 43e9"},
		{"min_ack_delay of 2^62-1", "c0000000ff04de1b 08 ffffffffffffffff"},
		{"min_ack_delay without value", "c0000000ff04de1b 00"},
		{"grease_quic_bit with a value", "6ab2 01 00"},
		{"version_information of 3 bytes", "11 03 000000"},
		{"empty version_information", "11 00"},
		{"version_information of 9 bytes", "11 09 00000001 00000001 00"},
		{"Chosen Version of zero", "11 08 00000000 00000001"},
		{"Available Version of zero", "11 0c 00000001 00000001 00000000"},
		{"reset_stream_at with value", "1d 01 00"},
		{"reset_stream_at of draft 07 with value", "c017f7586d2cb571 01 00"},
		{"disable_active_migration with value", "0c 01 00"},
		{"active_connection_id_limit of 1", "0e 01 01"},
		{"empty preferred_address", "0d 00"},
		{"preferred_address without connection ID", "0d 29" + address + "00" + token16},
		{"preferred_address with an ID of 21 bytes", "0d 3e" + address +
			"15 000000000000000000000000000000000000000000" + token16},
		{"preferred_address with a trailing byte", "0d 2b" + address + "01 aa" + token16 + "00"},
		{"preferred_address without token", "0d 1a" + address + "01 aa"},
		{"preferred_address beside empty IDs", "0f 00 0d 2a" + address + "01 aa" + token16},
	} {
		_, code := ParseTransportParameters(unhex(tt.hex), true)
		require.Equal(t, TransportParameterError, code, tt.name)
	}
}

// address is the first half of a preferred_address with only an IPv4 address.
const address = "c0000201 1151 00000000000000000000000000000000 0000"

func TestParsePreferredAddress(t *testing.T) {
	p, code := ParseTransportParameters(unhex("0d 2a"+address+"01 aa"+token16), true)
	require.Equal(t, NoError, code)
	require.True(t, p.HasPreferredAddress)
	require.Equal(t, PreferredAddress{IPv4: netip.MustParseAddrPort("192.0.2.1:4433"), ConnID: connID("aa"),
		ResetToken: [16]byte(unhex(token16))}, p.PreferredAddress)
	require.False(t, p.PreferredAddress.IPv6.IsValid())
	require.Equal(t, unhex("0d 2a"+address+"01 aa"+token16), p.Append(nil))
}

func TestResetStreamAtOfDraft07(t *testing.T) {
	p, code := ParseTransportParameters(unhex("c017f7586d2cb571 00"), false)
	require.Equal(t, NoError, code)
	require.True(t, p.ResetStreamAt)
}

// "If a server receives Version Information where the Chosen Version is not included in Available Versions, it MUST treat
// it as a parsing failure."
// https://www.rfc-editor.org/rfc/rfc9368#section-4-3
func TestVersionInformation(t *testing.T) {
	p, code := ParseTransportParameters(unhex("11 0c 00000001 6b3343cf 00000001"), false)
	require.Equal(t, NoError, code)
	require.Equal(t, Version1, p.ChosenVersion)
	require.True(t, p.HasVersion(Version1) && p.HasVersion(Version2))
	require.False(t, p.HasVersion(0x3343cf00), "not across two entries")
	for _, s := range []string{"11 04 00000001", "11 08 00000001 6b3343cf"} {
		_, code = ParseTransportParameters(unhex(s), false)
		require.Equal(t, TransportParameterError, code)
		p, code = ParseTransportParameters(unhex(s), true)
		require.Equal(t, NoError, code, "a server may be about to give up its Chosen Version")
		require.True(t, p.HasVersionInfo)
	}
}

// "A server MUST treat receipt of any of these transport parameters as a connection error of type
// TRANSPORT_PARAMETER_ERROR."
// https://www.rfc-editor.org/rfc/rfc9000#section-18.2-8
// "This transport parameter MUST NOT be sent by a client but MAY be sent by a server."
// https://www.rfc-editor.org/rfc/rfc9000#section-18.2-4.6.1
// "A client MUST NOT include any server-only transport parameter: original_destination_connection_id, preferred_address,
// retry_source_connection_id, or stateless_reset_token."
// https://www.rfc-editor.org/rfc/rfc9000#section-18.2-8
func TestServerOnlyTransportParameters(t *testing.T) {
	for _, tt := range []struct{ name, hex string }{
		{"original_destination_connection_id", "00 00"},
		{"stateless_reset_token", "02 10" + token16},
		{"preferred_address", "0d 2a" + address + "01 aa" + token16},
		{"retry_source_connection_id", "10 00"},
	} {
		_, code := ParseTransportParameters(unhex(tt.hex), true)
		require.Equal(t, NoError, code, tt.name)
		_, code = ParseTransportParameters(unhex(tt.hex), false)
		require.Equal(t, TransportParameterError, code, tt.name)
	}
}

func TestTransportParametersBounds(t *testing.T) {
	p, code := ParseTransportParameters(unhex("01 08 ffffffffffffffff 03 08 ffffffffffffffff"), false)
	require.Equal(t, NoError, code)
	require.Positive(t, p.MaxIdleTimeout, "no overflow")
	require.Equal(t, uint64(65527), p.MaxUDPPayloadSize)

	var b []byte
	for i := range uint32(maxParams) {
		b = appendReserved(b, i, nil)
	}
	_, code = ParseTransportParameters(b, false)
	require.Equal(t, NoError, code)
	_, code = ParseTransportParameters(appendReserved(b, maxParams, nil), false)
	require.Equal(t, TransportParameterError, code)
}

func FuzzTransportParameters(f *testing.F) {
	all := allParameters()
	f.Add(all.Append(nil), true)
	f.Add(unhex(params9001), false)
	f.Add(unhex("0d 2a"+address+"01 aa"+token16), true)
	f.Add(unhex("01 01 05 4001 01 05"), false)
	f.Add(appendReserved(nil, 7, []byte("grease")), false)
	f.Fuzz(func(t *testing.T, b []byte, fromServer bool) {
		p, code := ParseTransportParameters(b, fromServer)
		if code != NoError {
			require.Equal(t, TransportParameterError, code)
			return
		}
		require.GreaterOrEqual(t, p.MaxIdleTimeout, time.Duration(0))
		require.LessOrEqual(t, p.MaxAckDelay, maxMaxAckDelay)
		again, code := ParseTransportParameters(p.Append(nil), fromServer)
		require.Equal(t, NoError, code)
		require.Equal(t, p, again)
	})
}

// appendReserved appends a reserved parameter.
//
// "Transport parameters with an identifier of the form '31 * N + 27' for integer values of N are reserved
// to exercise the requirement that unknown transport parameters be ignored."
// https://www.rfc-editor.org/rfc/rfc9000#section-18.1-1
func appendReserved(b []byte, n uint32, value []byte) []byte {
	b = varint.Append(varint.Append(b, 31*uint64(n)+27), uint64(len(value)))
	return append(b, value...)
}
