package tlsprovider

import "fmt"

// Alert is a TLS alert description. QUIC carries it as transport error 0x100 + Alert.
type Alert uint8

const (
	AlertUnexpectedMessage      Alert = 10
	AlertHandshakeFailure       Alert = 40
	AlertBadCertificate         Alert = 42
	AlertUnsupportedCertificate Alert = 43
	AlertCertificateRevoked     Alert = 44
	AlertCertificateExpired     Alert = 45
	AlertCertificateUnknown     Alert = 46
	AlertIllegalParameter       Alert = 47
	AlertUnknownCA              Alert = 48
	AlertAccessDenied           Alert = 49
	AlertDecodeError            Alert = 50
	AlertDecryptError           Alert = 51
	AlertProtocolVersion        Alert = 70
	AlertInsufficientSecurity   Alert = 71
	AlertInternalError          Alert = 80
	AlertMissingExtension       Alert = 109
	AlertUnsupportedExtension   Alert = 110
	AlertUnrecognizedName       Alert = 112

	AlertBadCertificateStatusResponse Alert = 113 // the OCSP response is missing or cannot be accepted

	AlertCertificateRequired   Alert = 116
	AlertNoApplicationProtocol Alert = 120
	AlertECHRequired           Alert = 121 // the server did not use the encrypted ClientHello
)

var alertNames = map[Alert]string{
	AlertUnexpectedMessage: "unexpected_message", AlertHandshakeFailure: "handshake_failure",
	AlertBadCertificate: "bad_certificate", AlertUnsupportedCertificate: "unsupported_certificate",
	AlertCertificateRevoked: "certificate_revoked", AlertCertificateExpired: "certificate_expired",
	AlertCertificateUnknown: "certificate_unknown", AlertIllegalParameter: "illegal_parameter",
	AlertUnknownCA: "unknown_ca", AlertAccessDenied: "access_denied",
	AlertDecodeError: "decode_error", AlertDecryptError: "decrypt_error",
	AlertProtocolVersion: "protocol_version", AlertInsufficientSecurity: "insufficient_security",
	AlertBadCertificateStatusResponse: "bad_certificate_status_response", AlertECHRequired: "ech_required",
	AlertInternalError: "internal_error", AlertMissingExtension: "missing_extension",
	AlertUnsupportedExtension: "unsupported_extension", AlertUnrecognizedName: "unrecognized_name",
	AlertCertificateRequired: "certificate_required", AlertNoApplicationProtocol: "no_application_protocol",
}

func (a Alert) String() string {
	if n, ok := alertNames[a]; ok {
		return n
	}
	return fmt.Sprintf("alert %d", uint8(a))
}

// An Error reports a failed handshake. Alert is the alert that the peer receives, and Err the provider's
// error.
type Error struct {
	Alert Alert
	Err   error

	// ProtocolViolation is set if the peer sent what TLS permits and QUIC forbids. It receives the transport error
	// PROTOCOL_VIOLATION in place of the alert.
	ProtocolViolation bool
}

func (e *Error) Error() string {
	what := e.Alert.String()
	if e.ProtocolViolation {
		what = "PROTOCOL_VIOLATION"
	}
	if e.Err == nil {
		return "tls: " + what
	}
	return fmt.Sprintf("tls: %s: %v", what, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }
