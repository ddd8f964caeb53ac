/* Keys of packets, headers and tokens on AWS-LC. */
#include <string.h>

#include <openssl/chacha.h>

#include "internal.h"

static const EVP_AEAD *aead_of(pqq_cipher c, int kind)
{
	switch (c) {
	case PQQ_AES_128_GCM:
		return kind == PQQ_MODULE_AEAD ? EVP_aead_aes_128_gcm_tls13() : EVP_aead_aes_128_gcm();
	case PQQ_AES_256_GCM:
		return kind == PQQ_MODULE_AEAD ? EVP_aead_aes_256_gcm_tls13() : EVP_aead_aes_256_gcm();
	default:
		return EVP_aead_chacha20_poly1305();
	}
}

static size_t key_len(pqq_cipher c) { return c == PQQ_AES_128_GCM ? 16 : 32; }

int pqq_crypto_aead_init(pqq_crypto_aead *k, pqq_cipher c, int kind, const uint8_t *key, pqq_direction d)
{
	enum evp_aead_direction_t dir = d == PQQ_SEALS ? evp_aead_seal : evp_aead_open;
	EVP_AEAD_CTX_zero(&k->ctx);
	return pqq_crypto_result(EVP_AEAD_CTX_init_with_direction(&k->ctx, aead_of(c, kind), key, key_len(c), PQQ_TAG, dir));
}

void pqq_crypto_aead_clear(pqq_crypto_aead *k)
{
	EVP_AEAD_CTX_cleanup(&k->ctx);
	OPENSSL_cleanse(k, sizeof(*k));
}

int pqq_crypto_aead_counts(pqq_cipher c, int kind)
{
	return kind == PQQ_MODULE_AEAD && c != PQQ_CHACHA20_POLY1305;
}

int pqq_crypto_mask_init(pqq_crypto_mask *m, pqq_cipher c, const uint8_t *key)
{
	EVP_CIPHER_CTX_init(&m->ecb);
	m->chacha = c == PQQ_CHACHA20_POLY1305;
	if (m->chacha) {
		memcpy(m->key, key, sizeof(m->key));
		return 1;
	}
	const EVP_CIPHER *ecb = c == PQQ_AES_128_GCM ? EVP_aes_128_ecb() : EVP_aes_256_ecb();
	return pqq_crypto_result(EVP_EncryptInit_ex(&m->ecb, ecb, NULL, key, NULL) && EVP_CIPHER_CTX_set_padding(&m->ecb, 0));
}

void pqq_crypto_mask_clear(pqq_crypto_mask *m)
{
	EVP_CIPHER_CTX_cleanup(&m->ecb);
	OPENSSL_cleanse(m, sizeof(*m));
}

int pqq_crypto_masks(pqq_crypto_mask *m, uint8_t *samples, size_t n)
{
	if (!m->chacha) {
		/* The module counts EVP_Cipher as approved, but EVP_EncryptUpdate only after
		 * EVP_EncryptFinal. */
		return EVP_Cipher(&m->ecb, samples, samples, n * PQQ_SAMPLE);
	}
	static const uint8_t zeros[5];
	for (size_t i = 0; i < n; i++) {
		uint8_t *s = samples + i * PQQ_SAMPLE, nonce[PQQ_NONCE];
		uint32_t counter = (uint32_t)s[0] | (uint32_t)s[1] << 8 | (uint32_t)s[2] << 16 | (uint32_t)s[3] << 24;
		memcpy(nonce, s + 4, sizeof(nonce));
		CRYPTO_chacha_20(s, zeros, sizeof(zeros), m->key, nonce, counter);
	}
	return 1;
}

/* The module generates the random nonces itself, which is the approved construction. */
int pqq_crypto_token_init(pqq_crypto_token *t, const uint8_t key[32])
{
	EVP_AEAD_CTX_zero(&t->ctx);
	return pqq_crypto_result(
		EVP_AEAD_CTX_init(&t->ctx, EVP_aead_aes_256_gcm_randnonce(), key, 32, PQQ_TAG + PQQ_NONCE, NULL));
}

void pqq_crypto_token_clear(pqq_crypto_token *t) { EVP_AEAD_CTX_cleanup(&t->ctx); }

size_t pqq_crypto_token_seal(const pqq_crypto_token *t, uint8_t *out, size_t cap, const uint8_t *in,
	size_t len, const uint8_t *aad, size_t aad_len)
{
	size_t n = 0;
	return pqq_crypto_result(EVP_AEAD_CTX_seal(&t->ctx, out, &n, cap, NULL, 0, in, len, aad, aad_len)) ? 1 + n : 0;
}

size_t pqq_crypto_token_open(const pqq_crypto_token *t, uint8_t *out, size_t cap, const uint8_t *in,
	size_t len, const uint8_t *aad, size_t aad_len)
{
	size_t n = 0;
	return pqq_crypto_result(EVP_AEAD_CTX_open(&t->ctx, out, &n, cap, NULL, 0, in, len, aad, aad_len)) ? 1 + n : 0;
}
