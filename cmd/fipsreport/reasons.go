package main

import (
	"slices"
	"strings"

	"github.com/pqquic/pqquic/cgo/fipsreport"
)

// A reason says why a service was not counted as approved, or why its count is not relied on.
type reason struct {
	letter, text string
	// counted means that the indicator counts the service, but that this is not relied on.
	counted bool
	applies func(fipsreport.Row) bool
}

// reasons has a reason for each service that may be used without being counted. The report fails for any other.
var reasons = []reason{
	{"a", "Initial packets have public keys (RFC 9001, section 5.2): their protection is no security function. The module " +
		"counts neither an AEAD whose nonce the caller chose nor HKDF_extract.", false,
		func(r fipsreport.Row) bool {
			return called(r, "pqq_initial_secret") || called(r, "pqq_seal") && r.Params == "AES-128-GCM, the caller's nonce"
		}},
	{"b", "The tag of a Retry packet has a public key (RFC 9001, section 5.8).", false,
		func(r fipsreport.Row) bool { return called(r, "pqq_retry_tag") }},
	{"c", "X25519 is half of X25519MLKEM768. ML-KEM-768, which is counted, is relied on. Groups without it avoid it.", false,
		func(r fipsreport.Row) bool { return r.Params == "X25519" }},
	{"d", "The module never counts HKDF_extract, although it counts HMAC, of which HKDF_extract is one call, and " +
		"HKDF_expand. TLS 1.3's key schedule, Finished messages and PSK binders in s2n-tls call it.", false,
		func(r fipsreport.Row) bool { return r.Function == "HKDF_extract" && called(r, "s2n_hkdf_extract") }},
	{"e", "s2n-tls derives its key for session tickets with HKDF without info, which the module does not count. " +
		"DisableTickets avoids it.", false,
		func(r fipsreport.Row) bool { return called(r, "s2n_config_add_ticket_crypto_key") }},
	{"f", "s2n-tls seals session tickets with the AEAD for TLS 1.2, outside of a TLS record. The module counts it, but " +
		"this is not relied on: State.FIPS is false on a server that resumes. DisableTickets avoids it.", true,
		func(r fipsreport.Row) bool { return strings.HasSuffix(r.Params, "-GCM for TLS 1.2") }},
}

func called(r fipsreport.Row, function string) bool {
	return slices.ContainsFunc(r.Callers, func(c string) bool { return plain(c) == function })
}

// plain removes what the compiler adds to the names of specialised copies, such as .part.0.
func plain(function string) string {
	name, _, _ := strings.Cut(function, ".")
	return name
}

// reasonOf returns the reason for a row that was not counted, or whose count is not relied on.
func reasonOf(r fipsreport.Row) (letter string, ok bool) {
	for _, e := range reasons {
		if e.counted == (r.Unapproved == 0) && e.applies(r) {
			return e.letter, true
		}
	}
	return "", false
}

// stages are the operations of a connection by the C function that performs them. A stage of the handshake is the
// outermost function of s2n-tls below s2n_negotiate that is not in plumbing.
var stages = map[string]string{
	"pqq_config_add_cert":                  "configuration: certificate and key",
	"pqq_config_add_root":                  "configuration: root",
	"pqq_config_add_ticket_key":            "configuration: ticket key",
	"pqq_crypto_random":                    "random numbers of the transport",
	"pqq_crypto_token_open":                "address tokens: open",
	"s2n_recv_quic_post_handshake_message": "session ticket: receive",
	"pqq_rand":                             "random numbers of the transport",
	"pqq_reset_new":                        "stateless resets: key",
	"pqq_reset_token":                      "stateless resets: token",
	"pqq_token_new":                        "address tokens: key",
	"pqq_token_seal":                       "address tokens: seal",
	"pqq_token_open":                       "address tokens: open",
	"pqq_initial_sealer_new":               "Initial packets: keys",
	"pqq_initial_opener_new":               "Initial packets: keys",
	"pqq_open_initial":                     "Initial packets: first one of a connection",
	"pqq_retry_tag":                        "Retry tag",
	"pqq_conn_take_sealer":                 "Handshake and 1-RTT packets: keys",
	"pqq_conn_take_opener":                 "Handshake and 1-RTT packets: keys",
	"pqq_seal":                             "packets: seal",
	"pqq_open":                             "packets: open",
	"pqq_sealer_update":                    "key update",
	"pqq_opener_update":                    "key update",
	"pqq_conn_export":                      "exporter",
	"pqq_conn_signed":                      "CertificateVerify: check of a Signer's signature",
	"s2n_client_hello_send":                "ClientHello: send",
	"s2n_client_hello_recv":                "ClientHello: receive",
	"s2n_server_hello_send":                "ServerHello: send",
	"s2n_server_hello_recv":                "ServerHello: receive",
	"s2n_server_hello_retry_send":          "HelloRetryRequest: send",
	"s2n_server_hello_retry_recv":          "HelloRetryRequest: receive",
	"s2n_tls13_secrets_update":             "key schedule",
	"s2n_tls13_key_schedule_update":        "record keys of s2n-tls, which QUIC does not use",
	"s2n_server_cert_recv":                 "Certificate: verify",
	"s2n_client_cert_recv":                 "Certificate: verify",
	"s2n_tls13_cert_verify_send":           "CertificateVerify: sign",
	"s2n_tls13_cert_verify_recv":           "CertificateVerify: verify",
	"s2n_tls13_server_finished_send":       "Finished: send",
	"s2n_tls13_client_finished_send":       "Finished: send",
	"s2n_tls13_server_finished_recv":       "Finished: receive",
	"s2n_tls13_client_finished_recv":       "Finished: receive",
	"s2n_tls13_server_nst_send":            "session ticket: issue",
}

var plumbing = []string{"s2n_negotiate_impl", "s2n_handshake_read_io", "s2n_handshake_write_io", "s2n_handshake_message_process",
	"s2n_establish_session", "s2n_finish_read", "s2n_post_handshake_send", "s2n_negotiate", "pqq_drive"}

// stageOf names the operation of which a call is part.
func stageOf(r fipsreport.Row) string {
	for _, c := range r.Callers {
		switch name := plain(c); {
		case name == "s2n_psk_calculate_binder":
			return "PSK binder"
		case name == "s2n_resume_decrypt_session", name == "s2n_resume_encrypt_session_ticket":
			return "session ticket: " + map[bool]string{true: "seal", false: "open"}[strings.Contains(name, "encrypt_")]
		}
	}
	for _, c := range slices.Backward(r.Callers) {
		name := plain(c)
		if stage := stages[name]; stage != "" {
			return stage
		}
		if strings.HasPrefix(name, "s2n_") && !slices.Contains(plumbing, name) {
			return name
		}
	}
	return "other"
}
