/* One packet protection key, and header protection (RFC 9001, 5.3 and 5.4). */
#include <string.h>

#include "internal.h"

void pqq_packet_nonce(const pqq_packet_key *k, uint64_t pn, uint8_t nonce[PQQ_NONCE])
{
	memcpy(nonce, k->iv, PQQ_NONCE);
	for (int i = 0; i < 8; i++) {
		nonce[11 - i] ^= (uint8_t)(pn >> (8 * i));
	}
}

/* The TLS 1.3 AEAD of AWS-LC's FIPS module derives its mask from the nonce of the first seal, which it assumes
 * to be packet number 0, and then requires increasing numbers. A key whose first packet has another number
 * (after a key update, a Retry or skipped numbers) would fail a few packets later. Such a key therefore seals
 * an empty packet 0 first and discards the result. It never seals number 0 again. */
int pqq_packet_key_prime(pqq_packet_key *k, uint64_t first_pn)
{
	uint8_t nonce[PQQ_NONCE], tag[PQQ_TAG] = { 0 };

	k->unprimed = 0;
	if (first_pn == 0) {
		return 1;
	}
	pqq_packet_nonce(k, 0, nonce);
	return pqq_crypto_seal(&k->aead, nonce, NULL, 0, tag, 0);
}

int pqq_packet_key_init(pqq_packet_key *k, const pqq_suite *s, const pqq_version *v,
	const uint8_t *secret, int aead_kind, pqq_direction dir)
{
	uint8_t key[32];

	memset(k, 0, sizeof(*k));
	int ok = pqq_expand_label(s->hash, secret, s->hash_len, v->key, strlen(v->key), NULL, 0, key, s->key_len)
		&& pqq_expand_label(s->hash, secret, s->hash_len, v->iv, strlen(v->iv), NULL, 0, k->iv, sizeof(k->iv))
		&& pqq_crypto_aead_init(&k->aead, s->cipher, aead_kind, key, dir);
	pqq_crypto_wipe(key, sizeof(key));
	k->unprimed = dir == PQQ_SEALS && pqq_crypto_aead_counts(s->cipher, aead_kind);
	return ok;
}

void pqq_packet_key_clear(pqq_packet_key *k)
{
	pqq_crypto_aead_clear(&k->aead);
	pqq_crypto_wipe(k, sizeof(*k));
}

pqq_packet_key *pqq_packet_key_new(const pqq_suite *s, const pqq_version *v, const uint8_t *secret,
	int aead_kind, pqq_direction dir)
{
	pqq_packet_key *k = pqq_alloc(sizeof(*k));
	if (k != NULL && !pqq_packet_key_init(k, s, v, secret, aead_kind, dir)) {
		pqq_packet_key_free(&k);
	}
	return k;
}

void pqq_packet_key_free(pqq_packet_key **k)
{
	if (*k != NULL) {
		pqq_crypto_aead_clear(&(*k)->aead);
		pqq_release(*k);
		*k = NULL;
	}
}

static int header_key(const pqq_suite *s, const pqq_version *v, const uint8_t *secret, uint8_t key[32])
{
	return pqq_expand_label(s->hash, secret, s->hash_len, v->hp, strlen(v->hp), NULL, 0, key, s->key_len);
}

int pqq_header_key_init(pqq_crypto_mask *h, const pqq_suite *s, const pqq_version *v,
	const uint8_t *secret)
{
	uint8_t key[32];
	int ok = header_key(s, v, secret, key) && pqq_crypto_mask_init(h, s->cipher, key);
	pqq_crypto_wipe(key, sizeof(key));
	return ok;
}

int pqq_header_init(pqq_header *h, const pqq_suite *s, const pqq_version *v, const uint8_t *secret)
{
	return header_key(s, v, secret, h->key) && pqq_header_wake(h, s);
}

int pqq_header_wake(pqq_header *h, const pqq_suite *s)
{
	if (h->mask == NULL && (h->mask = pqq_alloc(sizeof(*h->mask))) != NULL
		&& !pqq_crypto_mask_init(h->mask, s->cipher, h->key)) {
		pqq_header_rest(h);
	}
	return h->mask != NULL;
}

void pqq_header_rest(pqq_header *h)
{
	if (h->mask != NULL) {
		pqq_crypto_mask_clear(h->mask);
		pqq_release(h->mask);
		h->mask = NULL;
	}
}
