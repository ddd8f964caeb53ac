/* Keys of packets, headers and tokens on OpenSSL. */
#include "pool.h"

int pqq_crypto_aead_init(pqq_crypto_aead *k, pqq_cipher c, int kind, const uint8_t *key, pqq_direction d)
{
	(void)kind;
	k->cipher = (int)c;
	k->ctx = pqq_pool_cipher(k->cipher, key, d == PQQ_SEALS);
	return pqq_crypto_result(k->ctx != NULL);
}

void pqq_crypto_aead_clear(pqq_crypto_aead *k)
{
	pqq_pool_cipher_back(k->cipher, k->ctx);
	k->ctx = NULL;
}

int pqq_crypto_aead_counts(pqq_cipher c, int kind)
{
	(void)c;
	(void)kind;
	return 0;
}

int pqq_crypto_mask_init(pqq_crypto_mask *m, pqq_cipher c, const uint8_t *key)
{
	m->cipher = c == PQQ_AES_128_GCM ? POOL_AES_128_ECB : c == PQQ_AES_256_GCM ? POOL_AES_256_ECB : POOL_CHACHA20;
	m->ctx = pqq_pool_cipher(m->cipher, key, 1);
	return pqq_crypto_result(m->ctx != NULL);
}

void pqq_crypto_mask_clear(pqq_crypto_mask *m)
{
	pqq_pool_cipher_back(m->cipher, m->ctx);
	m->ctx = NULL;
}

int pqq_crypto_masks(pqq_crypto_mask *m, uint8_t *samples, size_t n)
{
	int len = 0;
	if (m->cipher != POOL_CHACHA20) {
		return EVP_EncryptUpdate(m->ctx, samples, &len, samples, (int)(n * PQQ_SAMPLE));
	}
	static const uint8_t zeros[5];
	for (size_t i = 0; i < n; i++) {
		/* A sample has the format of OpenSSL's initialization vector: the counter, then the nonce. */
		uint8_t *s = samples + i * PQQ_SAMPLE;
		if (!EVP_EncryptInit_ex2(m->ctx, NULL, NULL, s, NULL)
			|| !EVP_EncryptUpdate(m->ctx, s, &len, zeros, sizeof(zeros))) {
			return 0;
		}
	}
	return 1;
}

int pqq_crypto_token_init(pqq_crypto_token *t, const uint8_t key[32])
{
	memcpy(t->key, key, sizeof(t->key));
	return 1;
}

void pqq_crypto_token_clear(pqq_crypto_token *t) { OPENSSL_cleanse(t, sizeof(*t)); }

/* The format is that of AWS-LC's AEAD with random nonces: ciphertext, tag, nonce. */
size_t pqq_crypto_token_seal(const pqq_crypto_token *t, uint8_t *out, size_t cap, const uint8_t *in,
	size_t len, const uint8_t *aad, size_t aad_len)
{
	pqq_crypto_aead k;
	if (cap < PQQ_TAG + PQQ_NONCE || cap - PQQ_TAG - PQQ_NONCE < len) {
		return 0;
	}
	uint8_t *nonce = out + len + PQQ_TAG;
	if (len > 0) {
		memmove(out, in, len);
	}
	int ok = pqq_crypto_random(nonce, PQQ_NONCE) && pqq_crypto_aead_init(&k, PQQ_AES_256_GCM, PQQ_PLAIN_AEAD, t->key, PQQ_SEALS);
	if (ok) {
		ok = pqq_crypto_seal(&k, nonce, aad, aad_len, out, len);
		pqq_crypto_aead_clear(&k);
	}
	if (!ok) {
		OPENSSL_cleanse(out, len);
		ERR_clear_error();
		return 0;
	}
	return 1 + len + PQQ_TAG + PQQ_NONCE;
}

/* The ciphertext is opened in a copy, because out may have no space for the tag. */
size_t pqq_crypto_token_open(const pqq_crypto_token *t, uint8_t *out, size_t cap, const uint8_t *in,
	size_t len, const uint8_t *aad, size_t aad_len)
{
	uint8_t usual[512], *copy = usual;
	pqq_crypto_aead k;
	if (len < PQQ_TAG + PQQ_NONCE || cap < len - PQQ_TAG - PQQ_NONCE) {
		return 0;
	}
	size_t sealed = len - PQQ_NONCE, plain = sealed - PQQ_TAG;
	if (sealed > sizeof(usual) && (copy = pqq_alloc(sealed)) == NULL) {
		return 0;
	}
	memcpy(copy, in, sealed);
	int ok = pqq_crypto_aead_init(&k, PQQ_AES_256_GCM, PQQ_PLAIN_AEAD, t->key, PQQ_OPENS);
	if (ok) {
		ok = pqq_crypto_open(&k, in + sealed, aad, aad_len, copy, sealed);
		pqq_crypto_aead_clear(&k);
	}
	if (ok && plain > 0) {
		memcpy(out, copy, plain);
	}
	OPENSSL_cleanse(copy, sealed);
	if (copy != usual) {
		pqq_release(copy);
	}
	ERR_clear_error();
	return ok ? 1 + plain : 0;
}

/* The functions for ML-DSA keys differ from those of AWS-LC, and s2n-tls cannot use the keys: there are none. */
size_t pqq_mldsa_public(int level, const uint8_t *seed, uint8_t *out, size_t cap)
{
	(void)level, (void)seed, (void)out, (void)cap;
	return 0;
}

size_t pqq_mldsa_expanded(int level, const uint8_t *seed, uint8_t *out, size_t cap)
{
	return pqq_mldsa_public(level, seed, out, cap);
}

size_t pqq_mldsa_sign(int level, const uint8_t *seed, const uint8_t *in, size_t len, int is_mu, uint8_t *out,
	size_t cap)
{
	(void)in, (void)len, (void)is_mu;
	return pqq_mldsa_public(level, seed, out, cap);
}
