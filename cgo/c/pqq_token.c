/* Address tokens and stateless reset tokens. */
#include <string.h>

#include "internal.h"

#define ID_LEN 4

_Static_assert(PQQ_TOKEN_OVERHEAD == ID_LEN + PQQ_NONCE + PQQ_TAG, "overhead of a sealed token");

struct pqq_token {
	pqq_crypto_token key;
	uint8_t id[ID_LEN]; /* identifies the key for a server with several keys */
};

struct pqq_reset {
	uint8_t key[32];
};

static int derive(const uint8_t *secret, size_t len, const char *purpose, uint8_t *out, size_t out_len)
{
	return len >= 32
		&& pqq_crypto_hkdf(PQQ_SHA256, secret, len, (const uint8_t *)purpose, strlen(purpose), out, out_len);
}

pqq_token *pqq_token_new(const uint8_t *secret, size_t len)
{
	uint8_t key[32];
	pqq_token *t = pqq_alloc(sizeof(*t));
	if (t == NULL) {
		return NULL;
	}
	pqq_handle_made();
	int ok = derive(secret, len, "pqquic token id", t->id, sizeof(t->id))
		&& derive(secret, len, "pqquic token key", key, sizeof(key)) && pqq_crypto_token_init(&t->key, key);
	pqq_crypto_wipe(key, sizeof(key));
	if (!ok) {
		pqq_token_free(t);
		return NULL;
	}
	return t;
}

void pqq_token_free(pqq_token *t)
{
	if (t != NULL) {
		pqq_crypto_token_clear(&t->key);
		pqq_release(t);
		pqq_handle_gone();
	}
}

size_t pqq_token_seal(const pqq_token *t, uint8_t *out, size_t cap, const uint8_t *in, size_t in_len,
	const uint8_t *aad, size_t aad_len)
{
	if (cap < PQQ_TOKEN_OVERHEAD || cap - PQQ_TOKEN_OVERHEAD < in_len) {
		return 0;
	}
	memcpy(out, t->id, ID_LEN);
	size_t n = pqq_crypto_token_seal(&t->key, out + ID_LEN, cap - ID_LEN, in, in_len, aad, aad_len);
	return n == 0 ? 0 : ID_LEN + n - 1;
}

size_t pqq_token_open(const pqq_token *t, uint8_t *out, size_t cap, const uint8_t *in, size_t in_len,
	const uint8_t *aad, size_t aad_len)
{
	if (in_len < PQQ_TOKEN_OVERHEAD || memcmp(in, t->id, ID_LEN) != 0) {
		return 0;
	}
	return pqq_crypto_token_open(&t->key, out, cap, in + ID_LEN, in_len - ID_LEN, aad, aad_len);
}

pqq_reset *pqq_reset_new(const uint8_t *secret, size_t len)
{
	pqq_reset *r = pqq_alloc(sizeof(*r));
	if (r == NULL) {
		return NULL;
	}
	pqq_handle_made();
	if (!derive(secret, len, "pqquic reset key", r->key, sizeof(r->key))) {
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
	uint8_t mac[PQQ_MAX_HASH];
	if (!pqq_crypto_hmac(PQQ_SHA256, r->key, sizeof(r->key), cid, len, mac)) {
		return 0;
	}
	memcpy(out, mac, 16);
	pqq_crypto_wipe(mac, sizeof(mac));
	return 1;
}
