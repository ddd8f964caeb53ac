/* Hashes, HKDF and random numbers of AWS-LC. */
#include <openssl/digest.h>
#include <openssl/hkdf.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "internal.h"

static const EVP_MD *md_of(pqq_hash h) { return h == PQQ_SHA384 ? EVP_sha384() : EVP_sha256(); }

int pqq_crypto_random(uint8_t *buf, size_t len) { return pqq_crypto_result(RAND_bytes(buf, len)); }

int pqq_crypto_digest(pqq_hash h, const uint8_t *in, size_t len, uint8_t out[PQQ_MAX_HASH])
{
	unsigned n = 0;
	return pqq_crypto_result(EVP_Digest(in, len, out, &n, md_of(h), NULL));
}

int pqq_crypto_hmac(pqq_hash h, const uint8_t *key, size_t key_len, const uint8_t *in, size_t len,
	uint8_t out[PQQ_MAX_HASH])
{
	unsigned n = 0;
	return pqq_crypto_result(HMAC(md_of(h), key, key_len, in, len, out, &n) != NULL);
}

int pqq_crypto_extract(pqq_hash h, const uint8_t *secret, size_t secret_len, const uint8_t *salt,
	size_t salt_len, uint8_t out[PQQ_MAX_HASH])
{
	size_t n = 0;
	return pqq_crypto_result(HKDF_extract(out, &n, md_of(h), secret, secret_len, salt, salt_len));
}

int pqq_crypto_expand(pqq_hash h, const uint8_t *prk, size_t prk_len, const uint8_t *info, size_t info_len,
	uint8_t *out, size_t out_len)
{
	return pqq_crypto_result(HKDF_expand(out, out_len, md_of(h), prk, prk_len, info, info_len));
}

/* HKDF is a single call because it is a single approved service of the FIPS module. */
int pqq_crypto_hkdf(pqq_hash h, const uint8_t *secret, size_t secret_len, const uint8_t *info, size_t info_len,
	uint8_t *out, size_t out_len)
{
	return pqq_crypto_result(HKDF(out, out_len, md_of(h), secret, secret_len, NULL, 0, info, info_len));
}
