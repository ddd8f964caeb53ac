/* The texts and the alerts of s2n-tls's errors. */
#include <stdio.h>
#include <string.h>

#include "tls.h"

/* s2n-tls has alerts for few of its errors, and uses certificate_unknown for most certificate errors. The names
 * of its errors are public, but their numbers are not. */
static const struct {
	const char *name;
	uint8_t alert;
} alerts[] = {
	{ "S2N_ERR_CERT_UNTRUSTED", ALERT_UNKNOWN_CA },
	{ "S2N_ERR_CERT_INVALID_HOSTNAME", ALERT_BAD_CERTIFICATE },
	{ "S2N_ERR_CERT_REJECTED", ALERT_BAD_CERTIFICATE },
	{ "S2N_ERR_CERT_UNHANDLED_CRITICAL_EXTENSION", ALERT_BAD_CERTIFICATE },
	{ "S2N_ERR_CERT_INTENT_INVALID", ALERT_BAD_CERTIFICATE },
	{ "S2N_ERR_NO_CERT_FOUND", ALERT_DECODE_ERROR },
	{ "S2N_ERR_MISSING_CLIENT_CERT", ALERT_CERTIFICATE_REQUIRED },
	{ "S2N_ERR_PROTOCOL_VERSION_UNSUPPORTED", ALERT_PROTOCOL_VERSION },
	{ "S2N_ERR_UNKNOWN_PROTOCOL_VERSION", ALERT_PROTOCOL_VERSION },
	{ "S2N_ERR_PROTOCOL_DOWNGRADE_DETECTED", ALERT_ILLEGAL_PARAMETER },
	{ "S2N_ERR_BAD_KEY_SHARE", ALERT_ILLEGAL_PARAMETER },
	{ "S2N_ERR_INVALID_HELLO_RETRY", ALERT_ILLEGAL_PARAMETER },
	{ "S2N_ERR_INVALID_SIGNATURE_ALGORITHM", ALERT_ILLEGAL_PARAMETER },
	{ "S2N_ERR_INVALID_SIGNATURE_SCHEME", ALERT_ILLEGAL_PARAMETER },
	{ "S2N_ERR_DUPLICATE_EXTENSION", ALERT_ILLEGAL_PARAMETER },
	{ "S2N_ERR_ECDHE_INVALID_PUBLIC_KEY", ALERT_ILLEGAL_PARAMETER },
	{ "S2N_ERR_ECDHE_INVALID_PUBLIC_KEY_FIPS", ALERT_ILLEGAL_PARAMETER },
	{ "S2N_ERR_ECDHE_SHARED_SECRET", ALERT_ILLEGAL_PARAMETER },
	{ "S2N_ERR_ECDHE_UNSUPPORTED_CURVE", ALERT_HANDSHAKE_FAILURE },
	/* s2n-tls also returns this if the peers have no common group. */
	{ "S2N_ERR_INVALID_SUPPORTED_GROUP_STATE", ALERT_HANDSHAKE_FAILURE },
	{ "S2N_ERR_CIPHER_NOT_SUPPORTED", ALERT_HANDSHAKE_FAILURE },
	{ "S2N_ERR_UNSUPPORTED_EXTENSION", ALERT_UNSUPPORTED_EXTENSION },
	{ "S2N_ERR_VERIFY_SIGNATURE", ALERT_DECRYPT_ERROR },
	{ "S2N_ERR_UNSUPPORTED_WITH_QUIC", ALERT_UNEXPECTED_MESSAGE },
	{ "S2N_ERR_STUFFER_OUT_OF_DATA", ALERT_DECODE_ERROR },
	{ "S2N_ERR_BAD_MESSAGE", ALERT_UNEXPECTED_MESSAGE },
};

uint8_t pqq_alert_of(int err)
{
	uint8_t alert = 0;
	const char *name = s2n_strerror_name(err);

	for (size_t i = 0; name != NULL && i < sizeof(alerts) / sizeof(alerts[0]); i++) {
		if (strcmp(name, alerts[i].name) == 0) {
			return alerts[i].alert;
		}
	}
	if (s2n_error_get_alert(err, &alert) == S2N_SUCCESS && alert != 0) {
		return alert;
	}
	return s2n_error_get_type(err) == S2N_ERR_T_PROTO ? ALERT_HANDSHAKE_FAILURE : ALERT_INTERNAL_ERROR;
}

int pqq_s2n_failed(int32_t *err)
{
	*err = s2n_errno;
	pqq_crypto_clear_errors();
	return 0;
}

void pqq_error_text(int32_t err, char *name, size_t name_cap, char *text, size_t text_cap)
{
	const char *n = s2n_strerror_name(err), *t = s2n_strerror(err, "EN");
	snprintf(name, name_cap, "%s", n == NULL ? "" : n);
	snprintf(text, text_cap, "%s", t == NULL ? "" : t);
}
