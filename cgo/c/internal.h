/* internal.h declares the functions that our C files share. It is not installed. */
#ifndef PQQ_INTERNAL_H
#define PQQ_INTERNAL_H

#ifndef PQQ_LINKED
#define PQQ_LINKED 1 /* the library itself is never a stub */
#endif

#include "crypto.h"

#define PQQ_MAX_SECRET PQQ_MAX_HASH

_Static_assert(sizeof(pqq_seal_desc) == 24, "layout shared with Go");
_Static_assert(sizeof(pqq_open_desc) == 32, "layout shared with Go");

/* pqq_mem.c. Memory is zero when it is allocated and overwritten when it is freed. */
void *pqq_alloc(size_t len);
void *pqq_realloc(void *p, size_t len);
void pqq_release(void *p);
void pqq_handle_made(void);
void pqq_handle_gone(void);
int pqq_mem_install(void);

/* pqq_libs.c checks that no other libcrypto interferes. */
int pqq_libs_alone(char *err, size_t err_cap);

/* pqq_hkdf.c */
typedef struct {
	uint16_t id;
	pqq_cipher cipher;
	pqq_hash hash;
	size_t key_len, hash_len;
} pqq_suite;

const pqq_suite *pqq_suite_find(uint16_t id);
int pqq_expand_label(pqq_hash h, const uint8_t *secret, size_t secret_len, const char *label,
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
	pqq_crypto_aead aead;
	uint8_t iv[PQQ_NONCE];
	uint8_t unprimed; /* the AEAD counts packets (pqq_crypto_aead_counts) and has sealed none yet */
} pqq_packet_key;

int pqq_packet_key_prime(pqq_packet_key *k, uint64_t first_pn);
/* A key must not move. pqq_packet_key_clear accepts a key whose set-up failed. pqq_packet_key_new allocates a key,
 * and returns NULL on failure; pqq_packet_key_free frees the key at *k, if any, and sets *k to NULL. */
int pqq_packet_key_init(pqq_packet_key *k, const pqq_suite *s, const pqq_version *v,
	const uint8_t *secret, int aead_kind, pqq_direction dir);
void pqq_packet_key_clear(pqq_packet_key *k);
pqq_packet_key *pqq_packet_key_new(const pqq_suite *s, const pqq_version *v, const uint8_t *secret,
	int aead_kind, pqq_direction dir);
void pqq_packet_key_free(pqq_packet_key **k);
void pqq_packet_nonce(const pqq_packet_key *k, uint64_t pn, uint8_t nonce[PQQ_NONCE]);

/* pqq_header_key_init sets up a mask that the caller clears. */
int pqq_header_key_init(pqq_crypto_mask *h, const pqq_suite *s, const pqq_version *v,
	const uint8_t *secret);

/* A pqq_header is a key of header protection that can rest: it then has no mask, which is many times larger than the
 * key. pqq_header_wake makes the mask unless it exists. */
typedef struct {
	pqq_crypto_mask *mask;
	uint8_t key[32];
} pqq_header;

int pqq_header_init(pqq_header *h, const pqq_suite *s, const pqq_version *v, const uint8_t *secret);
int pqq_header_wake(pqq_header *h, const pqq_suite *s);
void pqq_header_rest(pqq_header *h);

/* pqq_host.c: reports whether a dNSName of a certificate, which may begin with a wildcard, is that of a host. */
int pqq_host_matches(const uint8_t *pattern, size_t len, const char *host);

#define PQQ_BATCH 64

/* pqq_seal.c, pqq_open.c */
pqq_sealer *pqq_sealer_make(const pqq_suite *s, const pqq_version *v, const uint8_t *secret,
	int aead_kind, int app);
pqq_opener *pqq_opener_make(const pqq_suite *s, const pqq_version *v, const uint8_t *secret,
	int aead_kind, int app);
uint64_t pqq_decode_pn(int64_t largest, uint64_t truncated, unsigned bytes);

#endif
