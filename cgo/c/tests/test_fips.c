/* Which operations the module counts as approved: what protects a connection has to be, what uses
 * public keys is no security function and is not. */
#include <openssl/service_indicator.h>

#include "check.h"

#define APPROVED(call)                                                          \
	do {                                                                    \
		uint64_t before = FIPS_service_indicator_before_call();         \
		CHECK(call);                                                    \
		CHECK(FIPS_service_indicator_after_call() != before);           \
	} while (0)

static void one_rtt(uint16_t suite, size_t secret_len)
{
	uint8_t secret[48] = { 1 }, pkt[64] = { 0x43 };
	pqq_seal_desc sd = { .header_len = 5, .payload_len = 20, .packet_number = 1000 };
	pqq_open_desc od = { .len = 41, .pn_offset = 1 };
	pqq_sealer *s = pqq_sealer_new(1, suite, secret, secret_len, 1);
	pqq_opener *o = pqq_opener_new(1, suite, secret, secret_len, 1);
	CHECK(s != NULL && o != NULL);
	pkt[3] = 1000 >> 8;
	pkt[4] = 1000 & 0xff;
	APPROVED(pqq_seal(s, pkt, sizeof(pkt), &sd, 1));
	APPROVED(pqq_open(o, pkt, sizeof(pkt), &od, 1, 999) == 1);
	CHECK(od.status == PQQ_OPEN_OK && od.packet_number == 1000);
	pqq_sealer_free(s);
	pqq_opener_free(o);
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

/* Initial packets are sealed with plain GCM, whose nonces the module does not choose. */
static void initial(void)
{
	uint8_t pkt[64] = { 0xc3 }, tag[16];
	pqq_packet_key key;
	uint8_t secret[32] = { 1 }, nonce[12] = { 0 };
	size_t len = 0;
	CHECK(pqq_packet_key_init(&key, pqq_suite_find(0x1301), pqq_version_find(1), secret, PQQ_PLAIN_AEAD,
		evp_aead_seal));
	uint64_t before = FIPS_service_indicator_before_call();
	CHECK(EVP_AEAD_CTX_seal(&key.aead, tag, &len, sizeof(tag), nonce, sizeof(nonce), NULL, 0, NULL, 0));
	CHECK(FIPS_service_indicator_after_call() == before);
	pqq_packet_key_clear(&key);
	before = FIPS_service_indicator_before_call();
	CHECK(pqq_retry_tag(1, (const uint8_t *)"dcid", 4, pkt, sizeof(pkt), tag));
	CHECK(FIPS_service_indicator_after_call() == before);
}

int main(void)
{
	check_init();
#ifdef PQQ_FIPS
	one_rtt(0x1301, 32);
	one_rtt(0x1302, 48);
	tokens();
	initial();
#else
	(void)one_rtt;
	(void)tokens;
	(void)initial;
#endif
	return 0;
}
