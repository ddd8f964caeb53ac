/* ML-DSA keys of AWS-LC. AWS-LC-FIPS 3.x has none. */
#include <openssl/evp.h>
#include <openssl/nid.h>

#include "internal.h"

#ifdef NID_MLDSA44

static EVP_PKEY *key_of(int level, const uint8_t *seed)
{
	int nid = level == 44 ? NID_MLDSA44 : level == 65 ? NID_MLDSA65 : level == 87 ? NID_MLDSA87 : NID_undef;
	return nid == NID_undef ? NULL : EVP_PKEY_pqdsa_new_raw_private_key(nid, seed, PQQ_MLDSA_SEED);
}

size_t pqq_mldsa_public(int level, const uint8_t *seed, uint8_t *out, size_t cap)
{
	EVP_PKEY *key = key_of(level, seed);
	size_t n = cap;
	int ok = key != NULL && EVP_PKEY_get_raw_public_key(key, out, &n) == 1;
	EVP_PKEY_free(key);
	return pqq_crypto_result(ok) ? n : 0;
}

size_t pqq_mldsa_expanded(int level, const uint8_t *seed, uint8_t *out, size_t cap)
{
	EVP_PKEY *key = key_of(level, seed);
	size_t n = cap;
	int ok = key != NULL && EVP_PKEY_get_raw_private_key(key, out, &n) == 1;
	EVP_PKEY_free(key);
	return pqq_crypto_result(ok) ? n : 0;
}

static int sign_message(EVP_PKEY *key, const uint8_t *in, size_t len, uint8_t *out, size_t *n)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1
		&& EVP_DigestSign(ctx, out, n, in, len) == 1;
	EVP_MD_CTX_free(ctx);
	return ok;
}

static int sign_mu(EVP_PKEY *key, const uint8_t *in, size_t len, uint8_t *out, size_t *n)
{
	EVP_PKEY_CTX *ctx = len == PQQ_MLDSA_MU ? EVP_PKEY_CTX_new(key, NULL) : NULL;
	int ok = ctx != NULL && EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_sign(ctx, out, n, in, len) == 1;
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

size_t pqq_mldsa_sign(int level, const uint8_t *seed, const uint8_t *in, size_t len, int is_mu, uint8_t *out,
	size_t cap)
{
	EVP_PKEY *key = key_of(level, seed);
	/* AWS-LC-FIPS 4.x requires the exact length. */
	size_t n = key == NULL ? 0 : (size_t)EVP_PKEY_size(key);
	int ok = n > 0 && n <= cap && (is_mu ? sign_mu(key, in, len, out, &n) : sign_message(key, in, len, out, &n));
	EVP_PKEY_free(key);
	return pqq_crypto_result(ok) ? n : 0;
}

#else

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

#endif
