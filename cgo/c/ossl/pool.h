/* pool.h declares what OpenSSL's algorithms are fetched into, and the pools of contexts for them.
 *
 * Making a context is expensive in OpenSSL, and keying one again is not. So contexts are kept for the next key.
 * Sealing and opening packets allocates nothing. A junk Initial packet borrows contexts, and what OpenSSL 3.0
 * allocates for its hashes in that call is freed in it. A context that goes back is keyed with zeros, so that it
 * keeps no secret. */
#ifndef PQQ_POOL_H
#define PQQ_POOL_H

#include "internal.h"

/* The first three are pqq_cipher's. */
enum { POOL_AES_128_ECB = PQQ_CHACHA20_POLY1305 + 1, POOL_AES_256_ECB, POOL_CHACHA20, POOL_CIPHERS };

/* pqq_pool_start fetches the algorithms; err says which OpenSSL lacks. */
int pqq_pool_start(char *err, size_t err_cap);

/* pqq_pool_cipher returns a context of a cipher that is keyed, NULL for failure. */
EVP_CIPHER_CTX *pqq_pool_cipher(int cipher, const uint8_t *key, int encrypts);
void pqq_pool_cipher_back(int cipher, EVP_CIPHER_CTX *ctx);

/* pqq_pool_hmac returns a context of HMAC that is keyed, NULL for failure. */
EVP_MAC_CTX *pqq_pool_hmac(pqq_hash h, const uint8_t *key, size_t key_len);
void pqq_pool_hmac_back(pqq_hash h, EVP_MAC_CTX *ctx);

const EVP_MD *pqq_pool_md(pqq_hash h);

#endif
