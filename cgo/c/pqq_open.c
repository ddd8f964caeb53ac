/* Opens trains of packets with the keys of three key phases: previous, current and next. */
#include <string.h>

#include "internal.h"

#define NEVER UINT64_MAX

struct pqq_opener {
	const pqq_suite *suite;
	const pqq_version *version;
	/* The key of phase n is at n%3. Those of the previous and the next phase may be missing. */
	pqq_packet_key *keys[3];
	pqq_header header;
	/* The lowest packet number authenticated in the current phase, or NEVER. While it is NEVER, the peer
	 * cannot be in the next phase, so packets with the other phase bit are of the previous one. */
	uint64_t current_from;
	/* The lowest packet number authenticated in the next phase, or NEVER. */
	uint64_t next_from;
	unsigned phase; /* modulo 6, so that both phase%2 and phase%3 are right */
	int aead_kind, app;
	int resting; /* the mask and the keys of the current and the next phase were freed */
	uint8_t secret[PQQ_MAX_SECRET], next_secret[PQQ_MAX_SECRET]; /* of 1-RTT keys */
};

static pqq_packet_key **previous(pqq_opener *o) { return &o->keys[(o->phase + 2) % 3]; }
static pqq_packet_key **current(pqq_opener *o) { return &o->keys[o->phase % 3]; }
static pqq_packet_key **next(pqq_opener *o) { return &o->keys[(o->phase + 1) % 3]; }

/* Derives the next phase. secret is that of the current phase. */
static int derive_next(pqq_opener *o, const uint8_t *secret)
{
	uint8_t updated[PQQ_MAX_SECRET];
	size_t len = o->suite->hash_len;
	int ok = pqq_expand_label(o->suite->hash, secret, len, o->version->ku, strlen(o->version->ku), NULL, 0,
			updated, len)
		&& (*next(o) = pqq_packet_key_new(o->suite, o->version, updated, o->aead_kind, PQQ_OPENS)) != NULL;
	if (ok) {
		memcpy(o->secret, secret, len);
		memcpy(o->next_secret, updated, len);
	}
	pqq_crypto_wipe(updated, sizeof(updated));
	return ok;
}

pqq_opener *pqq_opener_make(const pqq_suite *s, const pqq_version *v, const uint8_t *secret,
	int aead_kind, int app)
{
	pqq_opener *o = pqq_alloc(sizeof(*o));
	if (o == NULL) {
		return NULL;
	}
	pqq_handle_made();
	o->suite = s;
	o->version = v;
	o->aead_kind = aead_kind;
	o->app = app;
	o->next_from = NEVER;
	if (!pqq_header_init(&o->header, s, v, secret)
		|| (*current(o) = pqq_packet_key_new(s, v, secret, aead_kind, PQQ_OPENS)) == NULL
		|| (app && !derive_next(o, secret))) {
		pqq_opener_free(o);
		return NULL;
	}
	return o;
}

pqq_opener *pqq_opener_new(uint32_t version, uint16_t suite, const uint8_t *secret, size_t secret_len,
	int app)
{
	const pqq_suite *s = pqq_suite_find(suite);
	const pqq_version *v = pqq_version_find(version);
	if (s == NULL || v == NULL || secret_len != s->hash_len) {
		return NULL;
	}
	return pqq_opener_make(s, v, secret, PQQ_SECRET_AEAD, app);
}

pqq_opener *pqq_initial_opener_new(uint32_t version, const uint8_t *dcid, size_t dcid_len,
	int from_server)
{
	uint8_t secret[32];
	const pqq_version *v = pqq_version_find(version);
	if (v == NULL || !pqq_initial_secret(v, dcid, dcid_len, from_server, secret)) {
		return NULL;
	}
	return pqq_opener_make(pqq_suite_find(0x1301), v, secret, PQQ_PLAIN_AEAD, 0);
}

void pqq_opener_free(pqq_opener *o)
{
	if (o == NULL) {
		return;
	}
	for (int i = 0; i < 3; i++) {
		pqq_packet_key_free(&o->keys[i]);
	}
	pqq_header_rest(&o->header);
	pqq_release(o);
	pqq_handle_gone();
}

void pqq_opener_drop_previous(pqq_opener *o)
{
	if (o->app) {
		pqq_packet_key_free(previous(o));
	}
}

void pqq_opener_rest(pqq_opener *o)
{
	/* Without a next phase, an update has failed, and there are no secrets to make the keys from. */
	if (o->app && *next(o) != NULL) {
		pqq_packet_key_free(current(o));
		pqq_packet_key_free(next(o));
		pqq_header_rest(&o->header);
		o->resting = 1;
	}
}

static int wake_key(pqq_opener *o, pqq_packet_key **k, const uint8_t *secret)
{
	if (*k == NULL) {
		*k = pqq_packet_key_new(o->suite, o->version, secret, o->aead_kind, PQQ_OPENS);
	}
	return *k != NULL;
}

/* Makes again what a rest has freed. Callers do so before they know a packet's phase, so that the time does not
 * depend on it: "Endpoints responding to an apparent key update MUST NOT generate a timing side-channel signal that
 * might indicate that the Key Phase bit was invalid".
 * https://www.rfc-editor.org/rfc/rfc9001#section-6.3-1
 * It returns 0 on failure. The next call then tries again. */
static int wake(pqq_opener *o)
{
	if (o->resting) {
		o->resting = !wake_key(o, current(o), o->secret) || !wake_key(o, next(o), o->next_secret)
			|| !pqq_header_wake(&o->header, o->suite);
	}
	return !o->resting;
}

int pqq_opener_update(pqq_opener *o, uint64_t first_pn)
{
	if (!wake(o) || !o->app || *next(o) == NULL) {
		return 0;
	}
	uint8_t secret[PQQ_MAX_SECRET];
	memcpy(secret, o->next_secret, sizeof(secret));
	pqq_packet_key_free(previous(o));
	o->phase = (o->phase + 1) % 6;
	/* If the peer started the update, a packet of the new phase has been authenticated. If we started it,
	 * none has, and first_pn is ignored: the peer stays in its old phase until it receives our update. */
	o->current_from = o->next_from != NEVER && first_pn < o->next_from ? first_pn : o->next_from;
	o->next_from = NEVER;
	int ok = derive_next(o, secret);
	pqq_crypto_wipe(secret, sizeof(secret));
	return ok;
}

uint64_t pqq_opener_limit(const pqq_opener *o)
{
	/* "For AEAD_AES_128_GCM and AEAD_AES_256_GCM, the integrity limit is 2^52 invalid packets;
	 * see Appendix B.1.  For AEAD_CHACHA20_POLY1305, the integrity limit is 2^36 invalid packets"
	 * https://www.rfc-editor.org/rfc/rfc9001#section-6.6-7 */
	return o->suite->id == 0x1303 ? UINT64_C(1) << 36 : UINT64_C(1) << 52;
}

/* RFC 9000, A.3. */
uint64_t pqq_decode_pn(int64_t largest, uint64_t truncated, unsigned bytes)
{
	uint64_t expected = (uint64_t)(largest + 1);
	uint64_t window = UINT64_C(1) << (8 * bytes), half = window / 2;
	uint64_t candidate = (expected & ~(window - 1)) | truncated;

	if (candidate + half <= expected && candidate < (UINT64_C(1) << 62) - window) {
		return candidate + window;
	}
	if (candidate > expected + half && candidate >= window) {
		return candidate - window;
	}
	return candidate;
}

static pqq_packet_key *phase_key(pqq_opener *o, const pqq_open_desc *d)
{
	if (!o->app || d->phase == o->phase % 2) {
		return *current(o);
	}
	if (d->packet_number < o->current_from) {
		return *previous(o);
	}
	return *next(o);
}

/* Removes header protection and fills in the packet number, the header's length and the phase. */
static void unmask(pqq_opener *o, uint8_t *pkt, pqq_open_desc *d, const uint8_t *mask, int64_t largest)
{
	pkt[0] ^= mask[0] & (pkt[0] & 0x80 ? 0x0f : 0x1f);
	unsigned pn_len = (pkt[0] & 3u) + 1;
	uint64_t truncated = 0;
	for (unsigned i = 0; i < pn_len; i++) {
		uint8_t *b = pkt + d->pn_offset + i;
		*b ^= mask[1 + i];
		truncated = truncated << 8 | *b;
	}
	d->header_len = d->pn_offset + pn_len;
	d->packet_number = pqq_decode_pn(largest, truncated, pn_len);
	d->phase = o->app ? (pkt[0] >> 2) & 1 : 0;
}

static void open_one(pqq_opener *o, uint8_t *pkt, pqq_open_desc *d)
{
	pqq_packet_key *k = phase_key(o, d);
	uint8_t nonce[PQQ_NONCE];
	size_t sealed = d->len - d->header_len;
	/* Decoding can return a number above the largest packet number. */
	int lost = k == NULL || d->packet_number >> 62 != 0;

	/* "For authentication to be free from side channels, the entire process of header protection
	 * removal, packet number recovery, and packet protection removal MUST be applied together
	 * without timing and other side channels."
	 * https://www.rfc-editor.org/rfc/rfc9001#section-9.5-1
	 *
	 * If the key of a phase is missing, the packet is opened with another one, which fails in the same time. */
	if (k == NULL) {
		k = *current(o);
	}
	d->status = PQQ_OPEN_FAILED;
	pqq_packet_nonce(k, d->packet_number, nonce);
	if (!pqq_crypto_open(&k->aead, nonce, pkt, d->header_len, pkt + d->header_len, sealed)) {
		pqq_crypto_clear_errors();
		return;
	}
	if (lost) {
		return;
	}
	d->payload_len = (uint32_t)(sealed - PQQ_TAG);
	if (k == *next(o)) {
		d->status = PQQ_OPEN_NEXT_PHASE;
		if (d->packet_number < o->next_from) {
			o->next_from = d->packet_number;
		}
		return;
	}
	d->status = PQQ_OPEN_OK;
	if (k == *current(o) && d->packet_number < o->current_from) {
		o->current_from = d->packet_number;
	}
}

static int sample(const pqq_open_desc *d, const uint8_t *slab, size_t slab_len, uint8_t *out)
{
	uint64_t at = (uint64_t)d->pn_offset + 4;
	if (d->pn_offset == 0 || at + PQQ_SAMPLE > d->len || (uint64_t)d->offset + d->len > slab_len) {
		memset(out, 0, PQQ_SAMPLE);
		return 0;
	}
	memcpy(out, slab + d->offset + at, PQQ_SAMPLE);
	return 1;
}

size_t pqq_open(pqq_opener *o, uint8_t *slab, size_t slab_len, pqq_open_desc *train, size_t n,
	int64_t largest)
{
	uint8_t masks[PQQ_BATCH * PQQ_SAMPLE];
	uint8_t fits[PQQ_BATCH];

	int awake = wake(o);
	for (size_t from = 0; from < n; from += PQQ_BATCH) {
		size_t batch = n - from < PQQ_BATCH ? n - from : PQQ_BATCH;
		for (size_t i = 0; i < batch; i++) {
			fits[i] = (uint8_t)sample(&train[from + i], slab, slab_len, masks + i * PQQ_SAMPLE);
		}
		int masked = awake && pqq_crypto_masks(o->header.mask, masks, batch);
		for (size_t i = 0; i < batch; i++) {
			pqq_open_desc *d = &train[from + i];
			d->status = fits[i] ? PQQ_OPEN_FAILED : PQQ_OPEN_TOO_SHORT;
			if (!fits[i] || !masked) {
				continue;
			}
			unmask(o, slab + d->offset, d, masks + i * PQQ_SAMPLE, largest);
			open_one(o, slab + d->offset, d);
			if (d->status == PQQ_OPEN_FAILED) {
				continue;
			}
			if ((int64_t)d->packet_number > largest) {
				largest = (int64_t)d->packet_number;
			}
			if (d->status == PQQ_OPEN_NEXT_PHASE) {
				return from + i + 1;
			}
		}
	}
	return n;
}
