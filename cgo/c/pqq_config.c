/* A configuration of s2n-tls, which is shared by the connections made from it. */
#include <string.h>
#include <time.h>

#include "glue.h"

/* The time in seconds for which a ticket key seals tickets, and the time after that for which it only opens
 * them. The caller rotates keys, so they never expire here: the first key seals and the others only open. Each
 * key is added in the middle of its time, so that tickets stay valid if the clock is set back or is a test's. */
#define YEARS(n) (UINT64_C(31557600) * (n))
#define SEALS YEARS(30)
#define OPENS YEARS(30)

/* The maximum number of certificates in a peer's chain. s2n-tls's default of 7 is too low for chains with
 * cross-signed roots. A handshake message is limited to 64 KiB anyway. */
#define MAX_CHAIN 64

static int set_up(pqq_config *cfg, const char *policy)
{
	struct s2n_config *s = cfg->s2n;
	uint32_t flags = cfg->flags;

	if (s2n_config_set_cipher_preferences(s, policy) != S2N_SUCCESS
		|| s2n_config_enable_quic(s) != S2N_SUCCESS
		|| s2n_config_set_wall_clock(s, pqq_cb_clock, NULL) != S2N_SUCCESS
		|| s2n_config_set_max_cert_chain_depth(s, MAX_CHAIN) != S2N_SUCCESS) {
		return 0;
	}
	if ((flags & PQQ_SKIP_VERIFY) ? s2n_config_disable_x509_verification(s) != S2N_SUCCESS
				      : !pqq_glue_verify_config(s)) {
		return 0;
	}
	/* s2n-tls must not verify the OCSP response. It would do so by rules of its own, and crypto/tls does not: the program
	 * decides. */
	if ((flags & PQQ_PEER_DETAILS)
		&& (s2n_config_set_status_request_type(s, S2N_STATUS_REQUEST_OCSP) != S2N_SUCCESS
			|| s2n_config_set_check_stapled_ocsp_response(s, 0) != S2N_SUCCESS)) {
		return 0;
	}
	if ((flags & PQQ_KEY_LOG) && s2n_config_set_key_log_cb(s, pqq_cb_key_log, NULL) != S2N_SUCCESS) {
		return 0;
	}
	if ((flags & PQQ_TICKETS)
		&& (s2n_config_set_session_tickets_onoff(s, 1) != S2N_SUCCESS
			|| s2n_config_set_ticket_encrypt_decrypt_key_lifetime(s, SEALS) != S2N_SUCCESS
			|| s2n_config_set_ticket_decrypt_key_lifetime(s, OPENS) != S2N_SUCCESS)) {
		return 0;
	}
	if (!(flags & PQQ_SERVER)) {
		/* A client without a certificate answers a certificate request with an empty list. */
		return s2n_config_set_client_auth_type(s, S2N_CERT_AUTH_OPTIONAL) == S2N_SUCCESS
			&& (!(flags & PQQ_TICKETS)
				|| s2n_config_set_session_ticket_cb(s, pqq_cb_ticket, NULL) == S2N_SUCCESS);
	}
	s2n_cert_auth_type auth = S2N_CERT_AUTH_NONE;
	if (flags & PQQ_CLIENT_CERT_REQUIRED) {
		auth = S2N_CERT_AUTH_REQUIRED;
	} else if (flags & PQQ_CLIENT_CERT_ASKED) {
		auth = S2N_CERT_AUTH_OPTIONAL;
	}
	return s2n_config_set_client_auth_type(s, auth) == S2N_SUCCESS
		&& s2n_config_set_client_hello_cb(s, pqq_cb_client_hello, NULL) == S2N_SUCCESS
		&& s2n_config_set_client_hello_cb_mode(s, S2N_CLIENT_HELLO_CB_NONBLOCKING) == S2N_SUCCESS;
}

pqq_config *pqq_config_new(const char *policy, uint32_t flags, int32_t *err)
{
	*err = 0;
	pqq_config *cfg = pqq_glue_flags(flags) ? pqq_alloc(sizeof(*cfg)) : NULL;
	if (cfg == NULL) {
		return NULL;
	}
	pqq_handle_made();
	cfg->refs = 1;
	cfg->flags = flags;
	cfg->s2n = pqq_glue_config();
	if (cfg->s2n == NULL || !set_up(cfg, policy)) {
		pqq_s2n_failed(err);
		pqq_config_free(cfg);
		return NULL;
	}
	return cfg;
}

pqq_config *pqq_config_ref(pqq_config *cfg)
{
	__atomic_fetch_add(&cfg->refs, 1, __ATOMIC_RELAXED);
	return cfg;
}

void pqq_config_free(pqq_config *cfg)
{
	if (cfg == NULL || __atomic_sub_fetch(&cfg->refs, 1, __ATOMIC_ACQ_REL) > 0) {
		return;
	}
	if (cfg->s2n != NULL) {
		s2n_config_free(cfg->s2n);
	}
	for (size_t i = 0; i < cfg->n_certs; i++) {
		s2n_cert_chain_and_key_free(cfg->certs[i]);
	}
	pqq_release(cfg->certs);
	pqq_release(cfg);
	pqq_handle_gone();
}

int pqq_config_add_cert(pqq_config *cfg, uint8_t *chain, size_t chain_len, uint8_t *key, size_t key_len,
	uint16_t index, int32_t *err, const uint8_t *staple, size_t staple_len)
{
	*err = 0;
	if (chain_len > UINT32_MAX || key_len > UINT32_MAX || staple_len > UINT16_MAX || cfg->n_certs > UINT16_MAX) {
		return 0;
	}
	struct s2n_cert_chain_and_key **certs = pqq_realloc(cfg->certs, (cfg->n_certs + 1) * sizeof(*certs));
	if (certs == NULL) {
		return 0;
	}
	cfg->certs = certs;
	struct s2n_cert_chain_and_key *cert = s2n_cert_chain_and_key_new();
	if (cert == NULL) {
		return pqq_s2n_failed(err);
	}
	cfg->certs[cfg->n_certs++] = cert;
	int rc;
	if (key_len == 0) {
		rc = s2n_cert_chain_and_key_load_public_pem_bytes(cert, chain, (uint32_t)chain_len);
		if (rc == S2N_SUCCESS) {
			rc = s2n_config_set_async_pkey_callback(cfg->s2n, pqq_cb_pkey);
		}
		if (rc == S2N_SUCCESS) {
			/* Verify an external signature before it is sent. */
			rc = s2n_config_set_async_pkey_validation_mode(cfg->s2n, S2N_ASYNC_PKEY_VALIDATION_STRICT);
		}
	} else {
		rc = s2n_cert_chain_and_key_load_pem_bytes(cert, chain, (uint32_t)chain_len, key, (uint32_t)key_len);
	}
	/* The context is 1 + index for an external key, and NULL otherwise. */
	void *ctx = key_len == 0 ? (void *)((uintptr_t)index + 1) : NULL;
	if (rc != S2N_SUCCESS || s2n_cert_chain_and_key_set_ctx(cert, ctx) != S2N_SUCCESS
		|| (staple_len > 0 && !pqq_glue_set_staple(cert, staple, (uint32_t)staple_len))
		|| s2n_config_add_cert_chain_and_key_to_store(cfg->s2n, cert) != S2N_SUCCESS) {
		return pqq_s2n_failed(err);
	}
	return 1;
}

int pqq_config_add_root(pqq_config *cfg, const char *pem, int32_t *err)
{
	*err = 0;
	return s2n_config_add_pem_to_trust_store(cfg->s2n, pem) == S2N_SUCCESS ? 1 : pqq_s2n_failed(err);
}

int pqq_config_add_alpn(pqq_config *cfg, const uint8_t *proto, size_t len, int32_t *err)
{
	*err = 0;
	if (len == 0 || len > 255) {
		return 0;
	}
	return s2n_config_append_protocol_preference(cfg->s2n, proto, (uint8_t)len) == S2N_SUCCESS ? 1 : pqq_s2n_failed(err);
}

int pqq_config_add_ticket_key(pqq_config *cfg, const uint8_t secret[32], int32_t *err)
{
	static const char id[] = "pqquic ticket id", key[] = "pqquic ticket key";
	uint8_t name[16], material[32];
	uint64_t now = (uint64_t)time(NULL), ago = SEALS / 2 + (cfg->n_ticket_keys > 0 ? SEALS : 0);

	*err = 0;
	if (!pqq_expand_label(PQQ_SHA256, secret, 32, id, sizeof(id) - 1, NULL, 0, name, sizeof(name))
		|| !pqq_expand_label(PQQ_SHA256, secret, 32, key, sizeof(key) - 1, NULL, 0, material,
			sizeof(material))) {
		return 0;
	}
	cfg->n_ticket_keys++;
	/* s2n-tls takes 0 as the current time. */
	int rc = s2n_config_add_ticket_crypto_key(cfg->s2n, name, sizeof(name), material, sizeof(material),
		now > ago ? now - ago : 1);
	pqq_crypto_wipe(material, sizeof(material));
	return rc == S2N_SUCCESS ? 1 : pqq_s2n_failed(err);
}

size_t pqq_config_groups(pqq_config *cfg, uint16_t *out, size_t cap) { return pqq_glue_groups(cfg->s2n, out, cap); }
