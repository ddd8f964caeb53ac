/* One packet protection key, and header protection (RFC 9001, 5.3 and 5.4). */
#include <string.h>

#include <openssl/chacha.h>
#include <openssl/err.h>

#include "internal.h"

static const EVP_AEAD *aead_of(const pqq_suite *s, int kind)
{
	switch (s->id) {
	case 0x1301:
		return kind == PQQ_MODULE_AEAD ? EVP_aead_aes_128_gcm_tls13() : EVP_aead_aes_128_gcm();
	case 0x1302:
		return kind == PQQ_MODULE_AEAD ? EVP_aead_aes_256_gcm_tls13() : EVP_aead_aes_256_gcm();
	default:
		return EVP_aead_chacha20_poly1305();
	}
}

void pqq_packet_nonce(const pqq_packet_key *k, uint64_t pn, uint8_t nonce[12])
{
	memcpy(nonce, k->iv, 12);
	for (int i = 0; i < 8; i++) {
		nonce[11 - i] ^= (uint8_t)(pn >> (8 * i));
	}
}

/* The module's AEAD for TLS 1.3 takes the nonce of its first seal for that of number 0, to learn the
 * mask, and insists on growing numbers from there. A key whose first packet has another number
 * (after a key update, a Retry, skipped numbers) would fail a few packets later; so such a key seals
 * number 0 first, over nothing, and throws the result away. Number 0 is then never sealed again. */
int pqq_packet_key_prime(pqq_packet_key *k, uint64_t first_pn)
{
	uint8_t nonce[12], tag[PQQ_TAG];
	size_t len = 0;

	k->unprimed = 0;
	if (first_pn == 0) {
		return 1;
	}
	pqq_packet_nonce(k, 0, nonce);
	return EVP_AEAD_CTX_seal(&k->aead, tag, &len, sizeof(tag), nonce, sizeof(nonce), NULL, 0, NULL, 0);
}

int pqq_packet_key_init(pqq_packet_key *k, const pqq_suite *s, const pqq_version *v,
	const uint8_t *secret, int aead_kind, enum evp_aead_direction_t dir)
{
	uint8_t key[32];
	int ok;

	memset(k, 0, sizeof(*k));
	ok = pqq_expand_label(s->md(), secret, s->hash_len, v->key, strlen(v->key), NULL, 0, key, s->key_len)
		&& pqq_expand_label(s->md(), secret, s->hash_len, v->iv, strlen(v->iv), NULL, 0, k->iv, sizeof(k->iv))
		&& EVP_AEAD_CTX_init_with_direction(&k->aead, aead_of(s, aead_kind), key, s->key_len, PQQ_TAG, dir);
	OPENSSL_cleanse(key, sizeof(key));
	if (!ok) {
		ERR_clear_error();
		return 0;
	}
	k->ready = 1;
	k->unprimed = aead_kind == PQQ_MODULE_AEAD && dir == evp_aead_seal && s->id != 0x1303;
	return 1;
}

void pqq_packet_key_clear(pqq_packet_key *k)
{
	if (k->ready) {
		EVP_AEAD_CTX_cleanup(&k->aead);
	}
	OPENSSL_cleanse(k, sizeof(*k));
}

int pqq_header_key_init(pqq_header_key *h, const pqq_suite *s, const pqq_version *v,
	const uint8_t *secret)
{
	uint8_t key[32];

	EVP_CIPHER_CTX_init(&h->ecb);
	h->chacha = s->id == 0x1303;
	int ok = pqq_expand_label(s->md(), secret, s->hash_len, v->hp, strlen(v->hp), NULL, 0, key, s->key_len);
	if (ok && h->chacha) {
		memcpy(h->key, key, sizeof(key));
	} else if (ok) {
		const EVP_CIPHER *ecb = s->key_len == 16 ? EVP_aes_128_ecb() : EVP_aes_256_ecb();
		ok = EVP_EncryptInit_ex(&h->ecb, ecb, NULL, key, NULL) && EVP_CIPHER_CTX_set_padding(&h->ecb, 0);
	}
	OPENSSL_cleanse(key, sizeof(key));
	if (!ok) {
		ERR_clear_error();
	}
	return ok;
}

void pqq_header_key_clear(pqq_header_key *h)
{
	EVP_CIPHER_CTX_cleanup(&h->ecb);
	OPENSSL_cleanse(h, sizeof(*h));
}

int pqq_header_masks(pqq_header_key *h, uint8_t *samples, size_t n)
{
	if (!h->chacha) {
		/* Whole blocks in one call, which the module counts as approved; EVP_EncryptUpdate is not
		 * before EVP_EncryptFinal. */
		return EVP_Cipher(&h->ecb, samples, samples, n * PQQ_SAMPLE);
	}
	static const uint8_t zeros[5];
	for (size_t i = 0; i < n; i++) {
		uint8_t *s = samples + i * PQQ_SAMPLE, nonce[12];
		uint32_t counter = (uint32_t)s[0] | (uint32_t)s[1] << 8 | (uint32_t)s[2] << 16 | (uint32_t)s[3] << 24;
		memcpy(nonce, s + 4, sizeof(nonce));
		CRYPTO_chacha_20(s, zeros, sizeof(zeros), h->key, nonce, counter);
	}
	return 1;
}
