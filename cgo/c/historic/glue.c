/* The s2n-tls of 2022, from the crate s2n-tls-sys 0.0.8: Kyber, BIKE and SIKE of the third round of NIST's selection.
 * For measurement only. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "glue.h"

/* Without s2n_config_new_minimal a configuration begins with the system's roots, which are removed: roots are
 * those that the caller adds. */
struct s2n_config *pqq_glue_config(void)
{
	struct s2n_config *s = s2n_config_new();
	if (s != NULL && s2n_config_wipe_trust_store(s) != S2N_SUCCESS) {
		s2n_config_free(s);
		return NULL;
	}
	return s;
}

/* In QUIC this version does not read messages after the handshake, so that a client gets no tickets. It has no callback
 * for the end of a verification. */
int pqq_glue_flags(uint32_t flags) { return (flags & (PQQ_TICKETS | PQQ_PEER_DETAILS)) == 0; }

/* There is no callback for the end of a verification. s2n-tls calls this one for each name of the certificate,
 * before it verifies the chain, until it returns 1. It passes a name without its type, so we ask libcrypto for all
 * names at once, as in the current version, and only in the first call: a certificate can have thousands of names. */
static uint8_t host_matches(const char *name, size_t len, void *ctx)
{
	pqq_conn *c = ctx;
	(void)name;
	(void)len;
	return !c->wrong_name && pqq_name_matches(c) ? 1 : 0;
}

int pqq_glue_verify_config(struct s2n_config *s)
{
	(void)s;
	return 1;
}

int pqq_glue_verify_conn(pqq_conn *c)
{
	/* A client's certificate needs no name. */
	return s2n_connection_set_verify_host_callback(c->s2n, c->server ? NULL : host_matches, c) == S2N_SUCCESS;
}

/* Responses belong to configurations in this version, and not to chains. */
int pqq_glue_set_staple(struct s2n_cert_chain_and_key *chain, const uint8_t *staple, uint32_t len)
{
	(void)chain;
	(void)staple;
	(void)len;
	return 0;
}

/* The groups of a policy cannot be read. The provider reads them in a ClientHello. */
size_t pqq_glue_groups(struct s2n_config *s, uint16_t *out, size_t cap)
{
	(void)s;
	(void)out;
	(void)cap;
	return 0;
}

/* On a client, s2n_connection_get_kem_group_name returns the group of the share that it sent, even if the server
 * chose a curve. The curve is known only if there is no KEM. */
const char *pqq_glue_group(struct s2n_connection *s)
{
	const char *curve = s2n_connection_get_curve(s);
	return curve != NULL && strcmp(curve, "NONE") != 0 ? curve : s2n_connection_get_kem_group_name(s);
}

/* This version does not pass on the exporter's secret. */
int pqq_glue_is_exporter(s2n_secret_type_t type)
{
	(void)type;
	return 0;
}

/* No configuration has PQQ_TICKETS, so that nothing is left to read a ticket. */
int pqq_glue_read_ticket(struct s2n_connection *s)
{
	(void)s;
	return 0;
}

const char *pqq_glue_policy(int fips_build)
{
	(void)fips_build;
	return "PQ-TLS-1-0-2021-05-26";
}

/* From pq-crypto/s2n_pq.h, which includes headers that C11 does not accept: whether the processor has the
 * instructions that the compiled code needs. */
bool s2n_sikep434r3_asm_is_enabled(void);
bool s2n_bike_r3_is_avx2_enabled(void);
bool s2n_bike_r3_is_avx512_enabled(void);
bool s2n_bike_r3_is_pclmul_enabled(void);
bool s2n_kyber512r3_is_avx2_bmi2_enabled(void);

void pqq_glue_info(pqq_info *info)
{
	const char *bike = "portable C";
	if (s2n_bike_r3_is_avx512_enabled() && s2n_bike_r3_is_pclmul_enabled()) {
		bike = "AVX-512, AVX2, PCLMUL";
	} else if (s2n_bike_r3_is_avx2_enabled() && s2n_bike_r3_is_pclmul_enabled()) {
		bike = "AVX2, PCLMUL";
	} else if (s2n_bike_r3_is_pclmul_enabled()) {
		bike = "PCLMUL";
	}
	snprintf(info->historic_kems, sizeof(info->historic_kems), "Kyber512 R3 %s; BIKE L1 R3 %s; SIKE p434 R3 %s",
		s2n_kyber512r3_is_avx2_bmi2_enabled() ? "AVX2, BMI2" : "portable C", bike,
		s2n_sikep434r3_asm_is_enabled() ? "assembly" : "portable C");
}
