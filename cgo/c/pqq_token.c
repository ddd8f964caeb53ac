/* Address tokens and stateless reset tokens. */
#include <string.h>

#include <openssl/err.h>
#include <openssl/hkdf.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "internal.h"

#define ID_LEN 4
#define NONCE_LEN 12

_Static_assert(PQQ_TOKEN_OVERHEAD == ID_LEN + NONCE_LEN + PQQ_TAG, "what a sealed token adds");

struct pqq_token {
	EVP_AEAD_CTX aead;
	uint8_t id[ID_LEN]; /* names the key, so that a server with several finds the right one */
};

struct pqq_reset {
	uint8_t key[32];
};

static int derive(const uint8_t *secret, size_t len, const char *purpose, uint8_t *out, size_t out_len)
{
	return len >= 32
		&& HKDF(out, out_len, EVP_sha256(), secret, len, NULL, 0, (const uint8_t *)purpose, strlen(purpose));
}

pqq_token *pqq_token_new(const uint8_t *secret, size_t len)
{
	uint8_t key[32];
	pqq_token *t = pqq_alloc(sizeof(*t));
	if (t == NULL) {
		return NULL;
	}
	pqq_handle_made();
	EVP_AEAD_CTX_zero(&t->aead);
	/* Nonces are random and the module's own: the construction that is approved. */
	int ok = derive(secret, len, "pqquic token id", t->id, sizeof(t->id))
		&& derive(secret, len, "pqquic token key", key, sizeof(key))
		&& EVP_AEAD_CTX_init(&t->aead, EVP_aead_aes_256_gcm_randnonce(), key, sizeof(key),
			PQQ_TAG + NONCE_LEN, NULL);
	OPENSSL_cleanse(key, sizeof(key));
	if (!ok) {
		ERR_clear_error();
		pqq_token_free(t);
		return NULL;
	}
	return t;
}

void pqq_token_free(pqq_token *t)
{
	if (t != NULL) {
		EVP_AEAD_CTX_cleanup(&t->aead);
		pqq_release(t);
		pqq_handle_gone();
	}
}

size_t pqq_token_seal(const pqq_token *t, uint8_t *out, size_t cap, const uint8_t *in, size_t in_len,
	const uint8_t *aad, size_t aad_len)
{
	size_t len = 0;
	if (cap < PQQ_TOKEN_OVERHEAD || cap - PQQ_TOKEN_OVERHEAD < in_len) {
		return 0;
	}
	memcpy(out, t->id, ID_LEN);
	if (!EVP_AEAD_CTX_seal(&t->aead, out + ID_LEN, &len, cap - ID_LEN, NULL, 0, in, in_len, aad, aad_len)) {
		ERR_clear_error();
		return 0;
	}
	return ID_LEN + len;
}

size_t pqq_token_open(const pqq_token *t, uint8_t *out, size_t cap, const uint8_t *in, size_t in_len,
	const uint8_t *aad, size_t aad_len)
{
	size_t len = 0;
	if (in_len < PQQ_TOKEN_OVERHEAD || memcmp(in, t->id, ID_LEN) != 0) {
		return 0;
	}
	if (!EVP_AEAD_CTX_open(&t->aead, out, &len, cap, NULL, 0, in + ID_LEN, in_len - ID_LEN, aad, aad_len)) {
		ERR_clear_error();
		return 0;
	}
	return 1 + len;
}

pqq_reset *pqq_reset_new(const uint8_t *secret, size_t len)
{
	pqq_reset *r = pqq_alloc(sizeof(*r));
	if (r == NULL) {
		return NULL;
	}
	pqq_handle_made();
	if (!derive(secret, len, "pqquic reset key", r->key, sizeof(r->key))) {
		ERR_clear_error();
		pqq_reset_free(r);
		return NULL;
	}
	return r;
}

void pqq_reset_free(pqq_reset *r)
{
	if (r != NULL) {
		pqq_release(r);
		pqq_handle_gone();
	}
}

int pqq_reset_token(const pqq_reset *r, const uint8_t *cid, size_t len, uint8_t out[16])
{
	uint8_t mac[EVP_MAX_MD_SIZE];
	unsigned mac_len = 0;
	if (HMAC(EVP_sha256(), r->key, sizeof(r->key), cid, len, mac, &mac_len) == NULL || mac_len < 16) {
		ERR_clear_error();
		return 0;
	}
	memcpy(out, mac, 16);
	OPENSSL_cleanse(mac, sizeof(mac));
	return 1;
}
