/* Tests keys with contexts from pools: more keys than a pool keeps, cleared in different orders, and failures. */
#include "../check.h"

enum { KEYS = 200 };

static void seal(pqq_crypto_aead *k, uint8_t out[20 + PQQ_TAG])
{
	static const uint8_t nonce[PQQ_NONCE] = { 7 };
	memset(out, 'p', 20);
	CHECK(pqq_crypto_seal(k, nonce, (const uint8_t *)"aad", 3, out, 20));
}

/* A context that was used with another key, or in the other direction, must seal like a new one. */
static void contexts_again(pqq_cipher c)
{
	static pqq_crypto_aead k[KEYS];
	static uint8_t first[KEYS][20 + PQQ_TAG];
	const uint8_t nonce[PQQ_NONCE] = { 7 };
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < KEYS; i++) {
			uint8_t key[32] = { (uint8_t)i, 1 }, got[20 + PQQ_TAG], plain[20];
			CHECK(pqq_crypto_aead_init(&k[i], c, PQQ_PLAIN_AEAD, key, PQQ_SEALS));
			seal(&k[i], got);
			if (round == 0) {
				memcpy(first[i], got, sizeof(got));
			}
			CHECK(memcmp(first[i], got, sizeof(got)) == 0);
			pqq_crypto_aead o;
			CHECK(pqq_crypto_aead_init(&o, c, PQQ_PLAIN_AEAD, key, PQQ_OPENS));
			CHECK(pqq_crypto_open(&o, nonce, (const uint8_t *)"aad", 3, got, sizeof(got)));
			memset(plain, 'p', sizeof(plain));
			CHECK(memcmp(got, plain, sizeof(plain)) == 0);
			pqq_crypto_aead_clear(&o);
		}
		for (int i = round; i < KEYS + round; i++) {
			pqq_crypto_aead_clear(&k[i % KEYS]);
			pqq_crypto_aead_clear(&k[i % KEYS]); /* the second call must do nothing */
		}
	}
}

/* A wrong tag, nonce or additional data leaves no plaintext, and the key can still be used. */
static void failures(pqq_cipher c)
{
	const uint8_t key[32] = { 5 }, nonce[PQQ_NONCE] = { 7 }, other[PQQ_NONCE] = { 8 }, zeros[20] = { 0 };
	pqq_crypto_aead s, o;
	CHECK(pqq_crypto_aead_init(&s, c, PQQ_PLAIN_AEAD, key, PQQ_SEALS));
	CHECK(pqq_crypto_aead_init(&o, c, PQQ_PLAIN_AEAD, key, PQQ_OPENS));
	for (int what = 0; what < 4; what++) {
		uint8_t got[20 + PQQ_TAG];
		seal(&s, got);
		got[20 + 3] ^= what == 1;
		int ok = pqq_crypto_open(&o, what == 2 ? other : nonce, (const uint8_t *)(what == 3 ? "bad" : "aad"), 3, got,
			sizeof(got));
		CHECK(ok == (what == 0));
		CHECK((memcmp(got, zeros, sizeof(zeros)) == 0) == (what != 0));
		pqq_crypto_clear_errors();
	}
	CHECK(!pqq_crypto_open(&o, nonce, NULL, 0, (uint8_t[PQQ_TAG - 1]){ 0 }, PQQ_TAG - 1));
	pqq_crypto_aead_clear(&s);
	pqq_crypto_aead_clear(&o);
}

/* The test vector of RFC 5869, A.3, and the longest output. */
static void hkdf(void)
{
	static const uint8_t okm[42] = { 0x8d, 0xa4, 0xe7, 0x75, 0xa5, 0x63, 0xc1, 0x8f, 0x71, 0x5f, 0x80, 0x2a, 0x06, 0x3c,
		0x5a, 0x31, 0xb8, 0xa1, 0x1f, 0x5c, 0x5e, 0xe1, 0x87, 0x9e, 0xc3, 0x45, 0x4e, 0x5f, 0x3c, 0x73, 0x8d, 0x2d,
		0x9d, 0x20, 0x13, 0x95, 0xfa, 0xa4, 0xb6, 0x1a, 0x96, 0xc8 };
	uint8_t ikm[22], out[42], big[32 * 255 + 1];
	memset(ikm, 0x0b, sizeof(ikm));
	CHECK(pqq_crypto_hkdf(PQQ_SHA256, ikm, sizeof(ikm), NULL, 0, out, sizeof(out)) && memcmp(out, okm, sizeof(okm)) == 0);
	CHECK(pqq_crypto_expand(PQQ_SHA256, ikm, sizeof(ikm), NULL, 0, big, sizeof(big) - 1));
	CHECK(!pqq_crypto_expand(PQQ_SHA256, ikm, sizeof(ikm), NULL, 0, big, sizeof(big)));
}

int main(void)
{
	check_init();
	for (int c = PQQ_AES_128_GCM; c <= PQQ_CHACHA20_POLY1305; c++) {
		contexts_again((pqq_cipher)c);
		failures((pqq_cipher)c);
	}
	hkdf();
	return 0;
}
