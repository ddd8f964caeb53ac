/* pool.h declares the algorithms that are fetched from OpenSSL and the pools of contexts for them.
 *
 * In OpenSSL creating a context is expensive and setting a new key is not, so contexts are reused. Sealing and
 * opening packets allocates nothing. To open an Initial packet, contexts are borrowed, and OpenSSL 3.0 frees what
 * it allocates for hashes in the same call. A context that is returned gets a key of zeros, so that it keeps no
 * secret. */
#ifndef PQQ_POOL_H
#define PQQ_POOL_H

#include "internal.h"

/* The first three are pqq_cipher's. */
enum { POOL_AES_128_ECB = PQQ_CHACHA20_POLY1305 + 1, POOL_AES_256_ECB, POOL_CHACHA20, POOL_CIPHERS };

/* pqq_pool_start fetches the algorithms. On failure err names one that OpenSSL lacks. */
int pqq_pool_start(char *err, size_t err_cap);

/* pqq_pool_cipher returns a context of a cipher with the key set, or NULL on failure. */
EVP_CIPHER_CTX *pqq_pool_cipher(int cipher, const uint8_t *key, int encrypts);
void pqq_pool_cipher_back(int cipher, EVP_CIPHER_CTX *ctx);

/* pqq_pool_hmac returns a context of HMAC with the key set, or NULL on failure. */
EVP_MAC_CTX *pqq_pool_hmac(pqq_hash h, const uint8_t *key, size_t key_len);
void pqq_pool_hmac_back(pqq_hash h, EVP_MAC_CTX *ctx);

const EVP_MD *pqq_pool_md(pqq_hash h);

#endif
