/* s2n-tls 1.7. */
#include <unstable/crl.h>

#include "glue.h"

struct s2n_config *pqq_glue_config(void) { return s2n_config_new_minimal(); }

int pqq_glue_flags(uint32_t flags)
{
	(void)flags;
	return 1;
}

/* Emits the certificates of the path that s2n-tls has verified. */
static int emit_path(pqq_conn *c, struct s2n_connection *conn)
{
	struct s2n_cert_chain_and_key *path = s2n_cert_chain_and_key_new();
	uint32_t n = 0;
	int ok = path != NULL && s2n_connection_get_peer_cert_chain(conn, path) == S2N_SUCCESS
		&& s2n_cert_chain_get_length(path, &n) == S2N_SUCCESS;
	for (uint32_t i = 0; ok && i < n; i++) {
		struct s2n_cert *cert = NULL;
		const uint8_t *der = NULL;
		uint32_t len = 0;
		ok = s2n_cert_chain_get_cert(path, &cert, i) == S2N_SUCCESS
			&& s2n_cert_get_der(cert, &der, &len) == S2N_SUCCESS
			&& pqq_event(c, PQQ_EV_VERIFIED, PQQ_HANDSHAKE, 0, der, len);
	}
	s2n_cert_chain_and_key_free(path);
	return ok;
}

static int verify(struct s2n_connection *conn, struct s2n_cert_validation_info *info, void *ctx)
{
	(void)ctx;
	pqq_conn *c = s2n_connection_get_ctx(conn);
	if (!pqq_name_matches(c)) {
		return s2n_cert_validation_reject(info);
	}
	if ((c->flags & PQQ_PEER_DETAILS) && !emit_path(c, conn)) {
		c->failed = 1;
		c->alert = ALERT_INTERNAL_ERROR;
		return S2N_FAILURE;
	}
	return s2n_cert_validation_accept(info);
}

int pqq_glue_verify_config(struct s2n_config *s) { return s2n_config_set_cert_validation_cb(s, verify, NULL) == S2N_SUCCESS; }

/* s2n-tls must not check names: it passes them without their types, falls back to the common name, and rejects a client
 * whose common name is an address. We ask libcrypto for a server's name, in verify, after the chain is verified. A
 * client's certificate needs no name. */
int pqq_glue_verify_conn(pqq_conn *c) { return s2n_connection_set_verify_host_callback(c->s2n, NULL, NULL) == S2N_SUCCESS; }

int pqq_glue_set_staple(struct s2n_cert_chain_and_key *chain, const uint8_t *staple, uint32_t len)
{
	return s2n_cert_chain_and_key_set_ocsp_data(chain, staple, len) == S2N_SUCCESS;
}

size_t pqq_glue_groups(struct s2n_config *s, uint16_t *out, size_t cap)
{
	uint16_t n = 0;
	if (cap > UINT16_MAX || s2n_config_get_supported_groups(s, out, (uint16_t)cap, &n) != S2N_SUCCESS) {
		return 0;
	}
	return n;
}

const char *pqq_glue_group(struct s2n_connection *s)
{
	const char *name = NULL;
	return s2n_connection_get_key_exchange_group(s, &name) == S2N_SUCCESS ? name : NULL;
}

int pqq_glue_is_exporter(s2n_secret_type_t type) { return type == S2N_EXPORTER_SECRET; }

int pqq_glue_read_ticket(struct s2n_connection *s)
{
	s2n_blocked_status blocked = S2N_NOT_BLOCKED;
	return s2n_recv_quic_post_handshake_message(s, &blocked) == S2N_SUCCESS;
}

const char *pqq_glue_policy(int fips_build) { return fips_build ? "default_fips" : "default_pq"; }

/* s2n-tls offers ML-DSA even if its probes have not found it in libcrypto. This function of s2n-tls is not part of its
 * API: a shared library may hide it, or have another one some day. */
extern bool s2n_mldsa_is_supported(void) __attribute__((weak));
/* build/MLDSA.cmake adds this one. */
extern bool s2n_mldsa_signs_elsewhere(void) __attribute__((weak));

void pqq_glue_info(pqq_info *info)
{
	info->mldsa = s2n_mldsa_is_supported == NULL || s2n_mldsa_is_supported() ? PQQ_MLDSA_CERTIFICATES : 0;
	if (info->mldsa != 0 && s2n_mldsa_signs_elsewhere != NULL) {
		info->mldsa |= PQQ_MLDSA_EXTERNAL;
	}
	info->historic_kems[0] = '\0';
}
