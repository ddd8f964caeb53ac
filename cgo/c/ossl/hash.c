/* Hashes, HKDF and random numbers of OpenSSL. */
#include <openssl/rand.h>

#include "pool.h"

static size_t hash_len(pqq_hash h) { return h == PQQ_SHA384 ? 48 : 32; }

int pqq_crypto_random(uint8_t *buf, size_t len)
{
	while (len > 0) {
		int n = len < INT_MAX ? (int)len : INT_MAX;
		if (RAND_bytes(buf, n) != 1) {
			return pqq_crypto_result(0);
		}
		buf += n;
		len -= (size_t)n;
	}
	return 1;
}

int pqq_crypto_digest(pqq_hash h, const uint8_t *in, size_t len, uint8_t out[PQQ_MAX_HASH])
{
	return pqq_crypto_result(EVP_Digest(in, len, out, NULL, pqq_pool_md(h), NULL));
}

int pqq_crypto_hmac(pqq_hash h, const uint8_t *key, size_t key_len, const uint8_t *in, size_t len,
	uint8_t out[PQQ_MAX_HASH])
{
	size_t n = 0;
	EVP_MAC_CTX *ctx = pqq_pool_hmac(h, key, key_len);
	int ok = ctx != NULL && (len == 0 || EVP_MAC_update(ctx, in, len)) && EVP_MAC_final(ctx, out, &n, hash_len(h));
	pqq_pool_hmac_back(h, ctx);
	return pqq_crypto_result(ok);
}

int pqq_crypto_extract(pqq_hash h, const uint8_t *secret, size_t secret_len, const uint8_t *salt,
	size_t salt_len, uint8_t out[PQQ_MAX_HASH])
{
	return pqq_crypto_hmac(h, salt, salt_len, secret, secret_len, out);
}

/* T(i) = HMAC-Hash(PRK, T(i-1) | info | i) (RFC 5869, 2.3). */
int pqq_crypto_expand(pqq_hash h, const uint8_t *prk, size_t prk_len, const uint8_t *info, size_t info_len,
	uint8_t *out, size_t out_len)
{
	uint8_t t[PQQ_MAX_HASH];
	size_t t_len = hash_len(h), n = 0;
	if (out_len > 255 * t_len) {
		return 0;
	}
	EVP_MAC_CTX *ctx = pqq_pool_hmac(h, prk, prk_len);
	int ok = ctx != NULL;
	for (uint8_t i = 1; ok && out_len > 0; i++) {
		ok = (i == 1 || (EVP_MAC_init(ctx, prk, prk_len, NULL) && EVP_MAC_update(ctx, t, t_len)))
			&& EVP_MAC_update(ctx, info, info_len) && EVP_MAC_update(ctx, &i, 1)
			&& EVP_MAC_final(ctx, t, &n, t_len);
		if (ok) {
			n = out_len < t_len ? out_len : t_len;
			memcpy(out, t, n);
			out += n;
			out_len -= n;
		}
	}
	pqq_pool_hmac_back(h, ctx);
	OPENSSL_cleanse(t, sizeof(t));
	return pqq_crypto_result(ok);
}

int pqq_crypto_hkdf(pqq_hash h, const uint8_t *secret, size_t secret_len, const uint8_t *info, size_t info_len,
	uint8_t *out, size_t out_len)
{
	uint8_t prk[PQQ_MAX_HASH];
	int ok = pqq_crypto_extract(h, secret, secret_len, NULL, 0, prk)
		&& pqq_crypto_expand(h, prk, hash_len(h), info, info_len, out, out_len);
	OPENSSL_cleanse(prk, sizeof(prk));
	return ok;
}
