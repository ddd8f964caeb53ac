/* crypto.h declares everything that our C uses of a libcrypto. There are two implementations, cgo/c/awslc and
 * cgo/c/ossl. Each has the functions that are declared here and an impl.h with the types and the inline
 * functions that run for each packet. CMake compiles one of the folders and adds it to the include path.
 * Besides these folders, only tests include headers of libcrypto.
 *
 * Functions return 1 for success and 0 for failure, except where it says otherwise. A failure leaves no
 * error in libcrypto's queue, except in pqq_crypto_seal and pqq_crypto_open: call
 * pqq_crypto_clear_errors. */
#ifndef PQQ_CRYPTO_H
#define PQQ_CRYPTO_H

#include "pqquic.h"

#define PQQ_TAG 16
#define PQQ_NONCE 12
#define PQQ_SAMPLE 16
#define PQQ_MAX_HASH 48

typedef enum { PQQ_SHA256, PQQ_SHA384 } pqq_hash;
typedef enum { PQQ_AES_128_GCM, PQQ_AES_256_GCM, PQQ_CHACHA20_POLY1305 } pqq_cipher;
typedef enum { PQQ_SEALS, PQQ_OPENS } pqq_direction;

/* The keys of Initial packets are public, and use plain GCM in every variant. For all other keys a FIPS variant
 * uses the module's approved AEAD for TLS 1.3. */
enum { PQQ_PLAIN_AEAD, PQQ_MODULE_AEAD };

/* impl.h defines
 *
 *   pqq_crypto_aead   a key of an AEAD, which must not move
 *   pqq_crypto_mask   a key of header protection, which must not move
 *   pqq_crypto_token  a key of address tokens
 *   PQQ_CLASH_REMEDY  a text: what a user can do about a second libcrypto in the process
 *   PQQ_SECRET_AEAD   the kind of AEAD for keys that are secret
 *
 * and these functions:
 *
 *   void pqq_crypto_wipe(void *p, size_t len)
 *   void pqq_crypto_clear_errors(void)
 *
 *   int pqq_crypto_seal(pqq_crypto_aead *k, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
 *           uint8_t *data, size_t len)
 *     seals data in place and appends the tag.
 *
 *   int pqq_crypto_open(pqq_crypto_aead *k, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
 *           uint8_t *data, size_t len)
 *     opens data in place. Its last 16 bytes are the tag. On failure data holds no plaintext. */
#include "impl.h"

/* pqq_crypto_result returns ok and, on failure, clears libcrypto's error queue. It is for the implementations. */
static inline int pqq_crypto_result(int ok)
{
	if (!ok) {
		pqq_crypto_clear_errors();
	}
	return ok;
}

/* ---- the library ------------------------------------------------------------------------- */

/* pqq_crypto_version sets the libcrypto fields of info and reports whether the library matches the headers
 * that our C was compiled with. If not, err says why. */
int pqq_crypto_version(pqq_info *info, char *err, size_t err_cap);
/* pqq_crypto_fits_s2n reports whether s2n-tls was compiled for the libcrypto that is linked. */
int pqq_crypto_fits_s2n(char *err, size_t err_cap);
/* pqq_crypto_start prepares the library. It is called once in a process, after the two functions above. */
int pqq_crypto_start(pqq_info *info, char *err, size_t err_cap);
int pqq_crypto_random(uint8_t *buf, size_t len);

/* ---- hashes ------------------------------------------------------------------------------ */

int pqq_crypto_digest(pqq_hash h, const uint8_t *in, size_t len, uint8_t out[PQQ_MAX_HASH]);
int pqq_crypto_hmac(pqq_hash h, const uint8_t *key, size_t key_len, const uint8_t *in, size_t len,
	uint8_t out[PQQ_MAX_HASH]);

/* HKDF-Extract, HKDF-Expand, and both of them without a salt (RFC 5869). */
int pqq_crypto_extract(pqq_hash h, const uint8_t *secret, size_t secret_len, const uint8_t *salt,
	size_t salt_len, uint8_t out[PQQ_MAX_HASH]);
int pqq_crypto_expand(pqq_hash h, const uint8_t *prk, size_t prk_len, const uint8_t *info, size_t info_len,
	uint8_t *out, size_t out_len);
int pqq_crypto_hkdf(pqq_hash h, const uint8_t *secret, size_t secret_len, const uint8_t *info, size_t info_len,
	uint8_t *out, size_t out_len);

/* ---- keys -------------------------------------------------------------------------------- */

/* pqq_crypto_aead_init sets up a key. pqq_crypto_aead_clear frees and wipes it, and accepts a key that is all
 * zero or whose set-up failed. */
int pqq_crypto_aead_init(pqq_crypto_aead *k, pqq_cipher c, int kind, const uint8_t *key, pqq_direction d);
void pqq_crypto_aead_clear(pqq_crypto_aead *k);
/* pqq_crypto_aead_counts reports whether the AEAD takes the nonce of its first seal as that of packet number 0
 * and then requires increasing numbers. */
int pqq_crypto_aead_counts(pqq_cipher c, int kind);

int pqq_crypto_mask_init(pqq_crypto_mask *m, pqq_cipher c, const uint8_t *key);
void pqq_crypto_mask_clear(pqq_crypto_mask *m);
/* pqq_crypto_masks replaces n samples of 16 bytes by masks. Only the first 5 bytes of a mask are used. */
int pqq_crypto_masks(pqq_crypto_mask *m, uint8_t *samples, size_t n);

/* AES-256-GCM with random nonces. Safe for concurrent use. A sealed token is the ciphertext, the tag and the
 * nonce. Seal and open return 1 + the number of bytes written, or 0 on failure. */
int pqq_crypto_token_init(pqq_crypto_token *t, const uint8_t key[32]);
void pqq_crypto_token_clear(pqq_crypto_token *t);
size_t pqq_crypto_token_seal(const pqq_crypto_token *t, uint8_t *out, size_t cap, const uint8_t *in,
	size_t len, const uint8_t *aad, size_t aad_len);
size_t pqq_crypto_token_open(const pqq_crypto_token *t, uint8_t *out, size_t cap, const uint8_t *in,
	size_t len, const uint8_t *aad, size_t aad_len);

/* The folders also define the functions of pqquic.h for ML-DSA keys, pqq_mldsa_public, …_expanded and …_sign. */

/* ---- certificates ------------------------------------------------------------------------ */

/* pqq_crypto_leaf_matches reports whether a certificate in DER is for a host name, or for an address. Only
 * subject alternative names count. */
int pqq_crypto_leaf_matches(const uint8_t *der, size_t len, const char *name, int is_ip);

#endif
