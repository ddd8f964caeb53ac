/* impl.h defines the types and inline functions of crypto.h for OpenSSL 3. */
#ifndef PQQ_IMPL_H
#define PQQ_IMPL_H

#define PQQ_CLASH_REMEDY "Link the other one statically, or use the default variant, whose libcrypto is hidden"

#include <limits.h>
#include <string.h>

#include <openssl/opensslv.h>

#if !defined(OPENSSL_VERSION_MAJOR) || OPENSSL_VERSION_MAJOR < 3
#error "the variant openssl needs OpenSSL 3.0 or newer: another libcrypto's headers come first in the include path"
#endif

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

/* Contexts are taken from a pool, see pool.h. */
typedef struct {
	EVP_CIPHER_CTX *ctx;
	int cipher; /* the context is returned to this cipher's pool */
} pqq_crypto_aead;

typedef struct {
	EVP_CIPHER_CTX *ctx;
	int cipher;
} pqq_crypto_mask;

typedef struct {
	uint8_t key[32];
} pqq_crypto_token;

#define PQQ_SECRET_AEAD PQQ_PLAIN_AEAD

static inline void pqq_crypto_wipe(void *p, size_t len) { OPENSSL_cleanse(p, len); }
static inline void pqq_crypto_clear_errors(void) { ERR_clear_error(); }

static inline int pqq_crypto_seal(pqq_crypto_aead *k, const uint8_t nonce[PQQ_NONCE], const uint8_t *aad,
	size_t aad_len, uint8_t *data, size_t len)
{
	int n = 0, last = 0;
	return len <= INT_MAX && aad_len <= INT_MAX && EVP_EncryptInit_ex2(k->ctx, NULL, NULL, nonce, NULL)
		&& (aad_len == 0 || EVP_EncryptUpdate(k->ctx, NULL, &n, aad, (int)aad_len))
		&& (len == 0 || (EVP_EncryptUpdate(k->ctx, data, &n, data, (int)len) && (size_t)n == len))
		&& EVP_EncryptFinal_ex(k->ctx, data + len, &last) && last == 0
		&& EVP_CIPHER_CTX_ctrl(k->ctx, EVP_CTRL_AEAD_GET_TAG, PQQ_TAG, data + len);
}

static inline int pqq_crypto_open(pqq_crypto_aead *k, const uint8_t nonce[PQQ_NONCE], const uint8_t *aad,
	size_t aad_len, uint8_t *data, size_t len)
{
	int n = 0, last = 0;
	if (len < PQQ_TAG || len > INT_MAX || aad_len > INT_MAX) {
		return 0;
	}
	len -= PQQ_TAG;
	/* EVP_DecryptFinal_ex compares the tag in constant time. Before that, data must not be used. */
	if (EVP_DecryptInit_ex2(k->ctx, NULL, NULL, nonce, NULL)
		&& (aad_len == 0 || EVP_DecryptUpdate(k->ctx, NULL, &n, aad, (int)aad_len))
		&& (len == 0 || (EVP_DecryptUpdate(k->ctx, data, &n, data, (int)len) && (size_t)n == len))
		&& EVP_CIPHER_CTX_ctrl(k->ctx, EVP_CTRL_AEAD_SET_TAG, PQQ_TAG, data + len)
		&& EVP_DecryptFinal_ex(k->ctx, data + len, &last) && last == 0) {
		return 1;
	}
	memset(data, 0, len);
	return 0;
}

#endif
