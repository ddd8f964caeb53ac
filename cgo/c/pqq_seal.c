/* Seals trains of packets. */
#include <string.h>

#include "internal.h"

struct pqq_sealer {
	const pqq_suite *suite;
	const pqq_version *version;
	pqq_packet_key *key; /* of the current phase; NULL while the sealer rests */
	pqq_header header;
	uint64_t next_pn;
	int aead_kind, app;
	uint8_t secret[PQQ_MAX_SECRET];
};

pqq_sealer *pqq_sealer_make(const pqq_suite *s, const pqq_version *v, const uint8_t *secret,
	int aead_kind, int app)
{
	pqq_sealer *k = pqq_alloc(sizeof(*k));
	if (k == NULL) {
		return NULL;
	}
	pqq_handle_made();
	k->suite = s;
	k->version = v;
	k->aead_kind = aead_kind;
	k->app = app;
	if (!pqq_header_init(&k->header, s, v, secret)
		|| (k->key = pqq_packet_key_new(s, v, secret, aead_kind, PQQ_SEALS)) == NULL) {
		pqq_sealer_free(k);
		return NULL;
	}
	if (app) {
		memcpy(k->secret, secret, s->hash_len);
	}
	return k;
}

pqq_sealer *pqq_sealer_new(uint32_t version, uint16_t suite, const uint8_t *secret, size_t secret_len,
	int app)
{
	const pqq_suite *s = pqq_suite_find(suite);
	const pqq_version *v = pqq_version_find(version);
	if (s == NULL || v == NULL || secret_len != s->hash_len) {
		return NULL;
	}
	return pqq_sealer_make(s, v, secret, PQQ_SECRET_AEAD, app);
}

pqq_sealer *pqq_initial_sealer_new(uint32_t version, const uint8_t *dcid, size_t dcid_len,
	int from_server)
{
	uint8_t secret[32];
	const pqq_version *v = pqq_version_find(version);
	if (v == NULL || !pqq_initial_secret(v, dcid, dcid_len, from_server, secret)) {
		return NULL;
	}
	return pqq_sealer_make(pqq_suite_find(0x1301), v, secret, PQQ_PLAIN_AEAD, 0);
}

void pqq_sealer_free(pqq_sealer *s)
{
	if (s == NULL) {
		return;
	}
	pqq_packet_key_free(&s->key);
	pqq_header_rest(&s->header);
	pqq_release(s);
	pqq_handle_gone();
}

void pqq_sealer_rest(pqq_sealer *s)
{
	if (!s->app) {
		return;
	}
	pqq_header_rest(&s->header);
	/* A key that counts packets would start to count again. */
	if (!pqq_crypto_aead_counts(s->suite->cipher, s->aead_kind)) {
		pqq_packet_key_free(&s->key);
	}
}

/* Makes again what a rest has freed. */
static int wake(pqq_sealer *s)
{
	if (s->key == NULL) {
		s->key = pqq_packet_key_new(s->suite, s->version, s->secret, s->aead_kind, PQQ_SEALS);
	}
	return s->key != NULL && pqq_header_wake(&s->header, s->suite);
}

int pqq_sealer_update(pqq_sealer *s)
{
	uint8_t next[PQQ_MAX_SECRET];
	size_t len = s->suite->hash_len;
	pqq_packet_key *key = NULL;
	int ok = s->app
		&& pqq_expand_label(s->suite->hash, s->secret, len, s->version->ku, strlen(s->version->ku), NULL, 0,
			next, len)
		&& (key = pqq_packet_key_new(s->suite, s->version, next, s->aead_kind, PQQ_SEALS)) != NULL;
	if (ok) {
		pqq_packet_key_free(&s->key);
		s->key = key;
		memcpy(s->secret, next, len);
	}
	pqq_crypto_wipe(next, sizeof(next));
	return ok;
}

uint64_t pqq_sealer_limit(const pqq_sealer *s)
{
	/* "For AEAD_AES_128_GCM and AEAD_AES_256_GCM, the confidentiality limit is 2^23 encrypted
	 * packets". The limit of ChaCha20-Poly1305 exceeds the number of packet numbers.
	 * https://www.rfc-editor.org/rfc/rfc9001#section-6.6-5 */
	return s->suite->id == 0x1303 ? UINT64_C(1) << 62 : UINT64_C(1) << 23;
}

/* The header ends with the packet number. Its length is in the first byte. The caller must pad a packet whose
 * ciphertext is too short for a sample. */
static int desc_ok(const pqq_seal_desc *d, const uint8_t *slab, size_t slab_len)
{
	uint64_t end = (uint64_t)d->offset + d->header_len + d->payload_len + PQQ_TAG;
	if (d->header_len < 2 || end > slab_len) {
		return 0;
	}
	unsigned pn_len = (slab[d->offset] & 3u) + 1;
	return d->header_len > pn_len && pn_len + d->payload_len >= 4;
}

static int seal_one(pqq_sealer *s, uint8_t *pkt, const pqq_seal_desc *d)
{
	pqq_packet_key *k = s->key;
	uint8_t nonce[PQQ_NONCE];

	if (k->unprimed && !pqq_packet_key_prime(k, d->packet_number)) {
		return 0;
	}
	pqq_packet_nonce(k, d->packet_number, nonce);
	return pqq_crypto_seal(&k->aead, nonce, pkt, d->header_len, pkt + d->header_len, d->payload_len);
}

static void mask_header(uint8_t *pkt, uint32_t header_len, const uint8_t *mask)
{
	unsigned pn_len = (pkt[0] & 3u) + 1;
	uint8_t *pn = pkt + header_len - pn_len;
	pkt[0] ^= mask[0] & (pkt[0] & 0x80 ? 0x0f : 0x1f);
	for (unsigned i = 0; i < pn_len; i++) {
		pn[i] ^= mask[1 + i];
	}
}

static int seal_batch(pqq_sealer *s, uint8_t *slab, size_t slab_len, const pqq_seal_desc *train, size_t n)
{
	uint8_t masks[PQQ_BATCH * PQQ_SAMPLE];

	for (size_t i = 0; i < n; i++) {
		const pqq_seal_desc *d = &train[i];
		if (!desc_ok(d, slab, slab_len) || d->packet_number < s->next_pn || d->packet_number >> 62 != 0
			|| !seal_one(s, slab + d->offset, d)) {
			return 0;
		}
		s->next_pn = d->packet_number + 1;
		uint8_t *pkt = slab + d->offset;
		unsigned pn_len = (pkt[0] & 3u) + 1;
		/* The sample starts where the packet number would end if it had 4 bytes. */
		memcpy(masks + i * PQQ_SAMPLE, pkt + d->header_len - pn_len + 4, PQQ_SAMPLE);
	}
	if (!pqq_crypto_masks(s->header.mask, masks, n)) {
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		mask_header(slab + train[i].offset, train[i].header_len, masks + i * PQQ_SAMPLE);
	}
	return 1;
}

int pqq_seal(pqq_sealer *s, uint8_t *slab, size_t slab_len, const pqq_seal_desc *train, size_t n)
{
	if (!wake(s)) {
		return 0;
	}
	while (n > 0) {
		size_t batch = n < PQQ_BATCH ? n : PQQ_BATCH;
		if (!seal_batch(s, slab, slab_len, train, batch)) {
			pqq_crypto_clear_errors();
			return 0;
		}
		train += batch;
		n -= batch;
	}
	return 1;
}
