/* internal.h is shared by our C files and seen by nobody else. */
#ifndef PQQ_INTERNAL_H
#define PQQ_INTERNAL_H

#ifndef PQQ_LINKED
#define PQQ_LINKED 1 /* the library itself is never a stub */
#endif

#include <openssl/base.h>

#ifndef OPENSSL_IS_AWSLC
#error "pqquic needs AWS-LC: another libcrypto's headers come first in the include path"
#endif

#include <openssl/aead.h>
#include <openssl/cipher.h>
#include <openssl/digest.h>
#include <openssl/mem.h>

#include "pqquic.h"

#define PQQ_MAX_SECRET 48
#define PQQ_TAG 16
#define PQQ_SAMPLE 16

_Static_assert(sizeof(pqq_seal_desc) == 24, "layout shared with Go");
_Static_assert(sizeof(pqq_open_desc) == 32, "layout shared with Go");

/* pqq_mem.c. Memory comes zeroed and is wiped when it goes back. */
void *pqq_alloc(size_t len);
void *pqq_realloc(void *p, size_t len);
void pqq_release(void *p);
void pqq_handle_made(void);
void pqq_handle_gone(void);
int pqq_mem_install(void);

/* pqq_version.c. Whether the linked AWS-LC is the one that we were compiled for, and new enough. */
int pqq_versions_fit(const char *compiled, const char *linked, char *err, size_t err_cap);

/* pqq_libs.c. Whether s2n-tls and AWS-LC belong together, and whether no other libcrypto interferes. */
int pqq_libs_fit(char *err, size_t err_cap);
int pqq_libs_alone(char *err, size_t err_cap);
int pqq_s2n_fits(uint64_t s2n_api, unsigned long s2n_number, char *err, size_t err_cap);

/* pqq_hkdf.c */
typedef struct {
	uint16_t id;
	size_t key_len, hash_len;
	const EVP_MD *(*md)(void);
} pqq_suite;

const pqq_suite *pqq_suite_find(uint16_t id);
int pqq_expand_label(const EVP_MD *md, const uint8_t *secret, size_t secret_len, const char *label,
	size_t label_len, const uint8_t *context, size_t context_len, uint8_t *out, size_t out_len);

typedef struct {
	const char *key, *iv, *hp, *ku;
	uint8_t salt[20], retry_key[16], retry_nonce[12];
} pqq_version;

const pqq_version *pqq_version_find(uint32_t version);
int pqq_initial_secret(const pqq_version *v, const uint8_t *dcid, size_t dcid_len, int from_server,
	uint8_t out[32]);

/* pqq_protect.c: one AEAD key, and header protection. */
typedef struct {
	EVP_AEAD_CTX aead;
	uint8_t iv[12];
	uint8_t ready;
	uint8_t unprimed; /* the module's AEAD, before its first seal */
} pqq_packet_key;

/* Initial packets use public keys: plain GCM in every variant. For all others a FIPS variant uses
 * the module's approved AEAD for TLS 1.3. */
enum { PQQ_PLAIN_AEAD, PQQ_MODULE_AEAD };

#ifdef PQQ_FIPS
#define PQQ_SECRET_AEAD PQQ_MODULE_AEAD
#else
#define PQQ_SECRET_AEAD PQQ_PLAIN_AEAD
#endif

int pqq_packet_key_init(pqq_packet_key *k, const pqq_suite *s, const pqq_version *v,
	const uint8_t *secret, int aead_kind, enum evp_aead_direction_t dir);
int pqq_packet_key_prime(pqq_packet_key *k, uint64_t first_pn);
void pqq_packet_key_clear(pqq_packet_key *k);
void pqq_packet_nonce(const pqq_packet_key *k, uint64_t pn, uint8_t nonce[12]);

typedef struct {
	uint8_t chacha;
	uint8_t key[32];     /* of ChaCha20 */
	EVP_CIPHER_CTX ecb; /* of AES */
} pqq_header_key;

#define PQQ_BATCH 64

int pqq_header_key_init(pqq_header_key *h, const pqq_suite *s, const pqq_version *v,
	const uint8_t *secret);
void pqq_header_key_clear(pqq_header_key *h);
/* Replaces n samples of 16 bytes by masks, of which 5 bytes count. */
int pqq_header_masks(pqq_header_key *h, uint8_t *samples, size_t n);

/* pqq_seal.c, pqq_open.c */
pqq_sealer *pqq_sealer_make(const pqq_suite *s, const pqq_version *v, const uint8_t *secret,
	int aead_kind, int app);
pqq_opener *pqq_opener_make(const pqq_suite *s, const pqq_version *v, const uint8_t *secret,
	int aead_kind, int app);
uint64_t pqq_decode_pn(int64_t largest, uint64_t truncated, unsigned bytes);

#endif
