/* Checks which operations the module counts as approved. Operations that protect a connection must be approved.
 * Initial packets and Retry, whose keys are public, are no security functions and are not approved. */
#include <openssl/service_indicator.h>

#include "../certs.h"
#include "../side.h"

#define APPROVED(call)                                                          \
	do {                                                                    \
		uint64_t before = FIPS_service_indicator_before_call();         \
		CHECK(call);                                                    \
		CHECK(FIPS_service_indicator_after_call() != before);           \
	} while (0)

#define NOT_APPROVED(call)                                                      \
	do {                                                                    \
		uint64_t before = FIPS_service_indicator_before_call();         \
		CHECK(call);                                                    \
		CHECK(FIPS_service_indicator_after_call() == before);           \
	} while (0)

/* Derives 1-RTT keys, seals, opens and updates keys. Header protection is also checked separately. Handshake keys
 * use the same functions. */
static void secret_keys(uint16_t suite, size_t secret_len)
{
	uint8_t secret[48] = { 1 }, samples[2 * PQQ_SAMPLE] = { 0 };
	pqq_sealer *s = NULL;
	pqq_opener *o = NULL;
	pqq_crypto_mask h;
	APPROVED((s = pqq_sealer_new(1, suite, secret, secret_len, 1)) != NULL);
	APPROVED((o = pqq_opener_new(1, suite, secret, secret_len, 1)) != NULL);
	for (uint64_t pn = 1000; pn < 1003; pn++) {
		uint8_t pkt[64] = { 0x43, 0, 0, (uint8_t)(pn >> 8), (uint8_t)pn };
		pqq_seal_desc sd = { .header_len = 5, .payload_len = 20, .packet_number = pn };
		pqq_open_desc od = { .len = 41, .pn_offset = 1 };
		pkt[0] |= (uint8_t)((pn & 1) << 2);
		APPROVED(pqq_seal(s, pkt, sizeof(pkt), &sd, 1));
		APPROVED(pqq_open(o, pkt, sizeof(pkt), &od, 1, (int64_t)pn - 1) == 1);
		CHECK(od.packet_number == pn);
		CHECK(od.status == (pn == 1000 ? PQQ_OPEN_OK : PQQ_OPEN_NEXT_PHASE));
		if (pn > 1000) {
			APPROVED(pqq_opener_update(o, pn));
		}
		APPROVED(pqq_sealer_update(s));
	}
	CHECK(pqq_header_key_init(&h, pqq_suite_find(suite), pqq_version_find(1), secret));
	APPROVED(pqq_crypto_masks(&h, samples, 2));
	pqq_crypto_mask_clear(&h);
	pqq_sealer_free(s);
	pqq_opener_free(o);
}

/* Sealing with secret keys must use the module's TLS 1.3 AEAD. The indicator increases once for the AEAD and once
 * for header protection. */
static void each_counts(void)
{
	uint8_t secret[32] = { 1 }, pkt[64] = { 0x43 };
	pqq_seal_desc sd = { .header_len = 5, .payload_len = 20 };
	pqq_sealer *s = pqq_sealer_new(1, 0x1301, secret, sizeof(secret), 1);
	CHECK(s != NULL);
	uint64_t before = FIPS_service_indicator_before_call();
	CHECK(pqq_seal(s, pkt, sizeof(pkt), &sd, 1));
	CHECK(FIPS_service_indicator_after_call() >= before + 2);
	pqq_sealer_free(s);
}

static void tokens(void)
{
	uint8_t secret[32] = { 9 }, sealed[64], plain[64], token[16];
	pqq_token *t = pqq_token_new(secret, sizeof(secret));
	pqq_reset *r = pqq_reset_new(secret, sizeof(secret));
	CHECK(t != NULL && r != NULL);
	APPROVED(pqq_token_seal(t, sealed, sizeof(sealed), (const uint8_t *)"hi", 2, NULL, 0) == 34);
	APPROVED(pqq_token_open(t, plain, sizeof(plain), sealed, 34, NULL, 0) == 3);
	APPROVED(pqq_reset_token(r, (const uint8_t *)"cid", 3, token));
	pqq_token_free(t);
	pqq_reset_free(r);
}

/* Initial packets are sealed with plain GCM, which is not approved because the module does not choose the nonces.
 * Header protection and key derivation use the same approved functions as for other packets. */
static void initial(void)
{
	uint8_t retry[64] = { 0xc3 }, tag[16];
	pqq_packet_key key;
	uint8_t secret[32] = { 1 }, nonce[12] = { 0 };
	CHECK(pqq_packet_key_init(&key, pqq_suite_find(0x1301), pqq_version_find(1), secret, PQQ_PLAIN_AEAD,
		PQQ_SEALS));
	NOT_APPROVED(pqq_crypto_seal(&key.aead, nonce, NULL, 0, tag, 0));
	pqq_packet_key_clear(&key);
	NOT_APPROVED(pqq_retry_tag(1, (const uint8_t *)"dcid", 4, retry, sizeof(retry), tag));
}

/* ChaCha20-Poly1305 is not approved. The policies of FIPS variants do not offer it. */
static void chacha(void)
{
	uint8_t secret[32] = { 1 }, pkt[64] = { 0x43 };
	pqq_seal_desc sd = { .header_len = 5, .payload_len = 20 };
	pqq_sealer *s = pqq_sealer_new(1, 0x1303, secret, sizeof(secret), 1);
	CHECK(s != NULL);
	NOT_APPROVED(pqq_seal(s, pkt, sizeof(pkt), &sd, 1));
	pqq_sealer_free(s);
}

/* Runs a handshake with the default policy of FIPS variants, step by step. */
static void handshake(void)
{
	static test_cert cert;
	static side c, s;
	int32_t err;
	make_cert(&cert);
	pqq_config *client = pqq_config_new("default_fips", 0, &err);
	pqq_config *server = pqq_config_new("default_fips", PQQ_SERVER | PQQ_SKIP_VERIFY, &err);
	CHECK(client != NULL && server != NULL && pqq_config_add_root(client, cert.cert, &err));
	CHECK(pqq_config_add_alpn(client, (const uint8_t *)"test", 4, &err));
	CHECK(pqq_config_add_cert(server, (uint8_t *)cert.cert, strlen(cert.cert), (uint8_t *)cert.key,
		strlen(cert.key), 0, &err, NULL, 0));
	c.conn = pqq_conn_new(client, "server.test", "server.test", 0, (const uint8_t *)"c", 1, &err);
	s.conn = pqq_conn_new(server, NULL, NULL, 0, NULL, 0, &err);
	CHECK(c.conn != NULL && s.conn != NULL);
	APPROVED(drive(&c, PQQ_INITIAL, NULL, 0));
	CHECK(drive(&s, PQQ_INITIAL, c.out[PQQ_INITIAL], c.out_len[PQQ_INITIAL]));
	CHECK(pqq_conn_continue(s.conn, NULL, (const uint8_t *)"test", 4, (const uint8_t *)"s", 1, &err));
	APPROVED(drive(&s, PQQ_INITIAL, NULL, 0));
	APPROVED(drive(&c, PQQ_INITIAL, s.out[PQQ_INITIAL], s.out_len[PQQ_INITIAL]));
	APPROVED(drive(&c, PQQ_HANDSHAKE, s.out[PQQ_HANDSHAKE], s.out_len[PQQ_HANDSHAKE]));
	APPROVED(drive(&s, PQQ_HANDSHAKE, c.out[PQQ_HANDSHAKE], c.out_len[PQQ_HANDSHAKE]));
	CHECK(c.done && s.done);
	uint8_t out[32];
	APPROVED(pqq_conn_export(c.conn, "EXPORTER-x", 10, NULL, 0, out, sizeof(out)));
	pqq_state state;
	CHECK(pqq_conn_state(c.conn, &state) && strcmp(state.group, "X25519MLKEM768") == 0);
	pqq_conn_free(c.conn);
	pqq_conn_free(s.conn);
	pqq_config_free(client);
	pqq_config_free(server);
}

/* A CertificateVerify signs µ, which s2n-tls has computed. AWS-LC-FIPS 3.x has no ML-DSA. */
static void mldsa(void)
{
	uint8_t seed[PQQ_MLDSA_SEED] = { 1 }, mu[PQQ_MLDSA_MU] = { 2 }, sig[5000];
	pqq_info info;
	char err[256];
	CHECK(pqq_init_1(&info, err, sizeof(err)));
	if ((info.mldsa & PQQ_MLDSA_CERTIFICATES) == 0) {
		CHECK(pqq_mldsa_sign(65, seed, mu, sizeof(mu), 1, sig, sizeof(sig)) == 0);
		return;
	}
	for (int is_mu = 0; is_mu <= 1; is_mu++) {
		APPROVED(pqq_mldsa_sign(44, seed, mu, sizeof(mu), is_mu, sig, sizeof(sig)) == 2420);
		APPROVED(pqq_mldsa_sign(65, seed, mu, sizeof(mu), is_mu, sig, sizeof(sig)) == 3309);
		APPROVED(pqq_mldsa_sign(87, seed, mu, sizeof(mu), is_mu, sig, sizeof(sig)) == 4627);
	}
	CHECK(pqq_mldsa_sign(65, seed, mu, sizeof(mu), 1, sig, 3308) == 0);
	CHECK(pqq_mldsa_sign(65, seed, mu, sizeof(mu) - 1, 1, sig, sizeof(sig)) == 0);
	CHECK(pqq_mldsa_sign(66, seed, mu, sizeof(mu), 1, sig, sizeof(sig)) == 0);
}

int main(void)
{
	check_init();
#ifdef PQQ_FIPS
	secret_keys(0x1301, 32);
	secret_keys(0x1302, 48);
	each_counts();
	tokens();
	handshake();
	initial();
	chacha();
	mldsa();
#else
	(void)secret_keys;
	(void)each_counts;
	(void)tokens;
	(void)handshake;
	(void)initial;
	(void)chacha;
	(void)mldsa;
#endif
	return 0;
}
