/* impl.h defines the types and inline functions of crypto.h for AWS-LC. */
#ifndef PQQ_IMPL_H
#define PQQ_IMPL_H

#define PQQ_CLASH_REMEDY "Name a folder with a static AWS-LC in AWS_LC_DIR, and build again"

#include <openssl/base.h>

#ifndef OPENSSL_IS_AWSLC
#error "pqquic needs AWS-LC: another libcrypto's headers come first in the include path"
#endif

#include <openssl/aead.h>
#include <openssl/cipher.h>
#include <openssl/err.h>
#include <openssl/mem.h>

typedef struct {
	EVP_AEAD_CTX ctx;
} pqq_crypto_aead;

typedef struct {
	uint8_t chacha;
	uint8_t key[32];    /* ChaCha20 */
	EVP_CIPHER_CTX ecb; /* AES */
} pqq_crypto_mask;

typedef struct {
	EVP_AEAD_CTX ctx;
} pqq_crypto_token;

#ifdef PQQ_FIPS
#define PQQ_SECRET_AEAD PQQ_MODULE_AEAD
#else
#define PQQ_SECRET_AEAD PQQ_PLAIN_AEAD
#endif

static inline void pqq_crypto_wipe(void *p, size_t len) { OPENSSL_cleanse(p, len); }
static inline void pqq_crypto_clear_errors(void) { ERR_clear_error(); }

static inline int pqq_crypto_seal(pqq_crypto_aead *k, const uint8_t nonce[PQQ_NONCE], const uint8_t *aad,
	size_t aad_len, uint8_t *data, size_t len)
{
	size_t sealed = 0;
	return EVP_AEAD_CTX_seal(&k->ctx, data, &sealed, len + PQQ_TAG, nonce, PQQ_NONCE, data, len, aad, aad_len);
}

static inline int pqq_crypto_open(pqq_crypto_aead *k, const uint8_t nonce[PQQ_NONCE], const uint8_t *aad,
	size_t aad_len, uint8_t *data, size_t len)
{
	size_t plain = 0;
	return EVP_AEAD_CTX_open(&k->ctx, data, &plain, len, nonce, PQQ_NONCE, data, len, aad, aad_len);
}

#endif
