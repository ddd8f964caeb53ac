/* Calls packet protection in the same way as Go does. In the asan variant AddressSanitizer checks it. */
#include "check.h"

enum { HEADER = 13, MAX_TRAIN = 130 };

static const uint16_t suites[] = { 0x1301, 0x1302, 0x1303 };

static void put_header(uint8_t *p, uint64_t pn, unsigned phase)
{
	p[0] = (uint8_t)(0x43 | phase << 2);
	memcpy(p + 1, "destcid!", 8);
	for (int i = 0; i < 4; i++) {
		p[9 + i] = (uint8_t)(pn >> (24 - 8 * i));
	}
}

static uint8_t *build(size_t n, size_t payload, uint64_t pn, unsigned phase, pqq_seal_desc *s, pqq_open_desc *o,
	size_t *len)
{
	size_t size = HEADER + payload + 16;
	uint8_t *slab = malloc(n * size);
	*len = n * size;
	for (size_t i = 0; i < n; i++) {
		uint8_t *p = slab + i * size;
		put_header(p, pn + i, phase);
		memset(p + HEADER, (int)(i + payload), payload);
		s[i] = (pqq_seal_desc){ .offset = (uint32_t)(i * size), .header_len = HEADER,
			.payload_len = (uint32_t)payload, .packet_number = pn + i };
		o[i] = (pqq_open_desc){ .offset = (uint32_t)(i * size), .len = (uint32_t)size, .pn_offset = 9 };
	}
	return slab;
}

/* Frees the keys of an opener that can be made again. The packets after that open all the same. */
static void rest_opener(pqq_opener *o)
{
	int64_t before = pqq_live_now().tls_bytes;
	pqq_opener_rest(o);
	CHECK(pqq_live_now().tls_bytes <= before - 2 * (int64_t)sizeof(pqq_packet_key) - (int64_t)sizeof(pqq_crypto_mask));
	pqq_opener_rest(o);
}

/* Frees the keys of a sealer that can be made again. The key of an AEAD that counts packets cannot. */
static void rest_sealer(pqq_sealer *s, uint16_t suite)
{
	int64_t before = pqq_live_now().tls_bytes, least = sizeof(pqq_crypto_mask);
	if (!pqq_crypto_aead_counts(pqq_suite_find(suite)->cipher, PQQ_SECRET_AEAD)) {
		least += sizeof(pqq_packet_key);
	}
	pqq_sealer_rest(s);
	CHECK(pqq_live_now().tls_bytes <= before - least);
	pqq_sealer_rest(s);
}

static void trains(uint16_t suite)
{
	uint8_t secret[48] = { 1, 2, 3 };
	size_t secret_len = suite == 0x1302 ? 48 : 32;
	pqq_sealer *s = pqq_sealer_new(1, suite, secret, secret_len, 1);
	pqq_opener *o = pqq_opener_new(1, suite, secret, secret_len, 1);
	static pqq_seal_desc sd[MAX_TRAIN];
	static pqq_open_desc od[MAX_TRAIN];
	uint64_t pn = 3;

	CHECK(s != NULL && o != NULL);
	for (unsigned phase = 0; phase < 7; phase++) {
		for (size_t payload = 0; payload < 1500; payload = payload * 2 + 1) {
			for (size_t n = 1; n <= MAX_TRAIN; n += 43) {
				size_t len;
				uint8_t *slab = build(n, payload, pn, phase & 1, sd, od, &len);
				if (payload & 2) {
					rest_sealer(s, suite);
				}
				CHECK(pqq_seal(s, slab, len, sd, n));
				if (payload & 4) {
					rest_opener(o);
				}
				size_t done = pqq_open(o, slab, len, od, n, (int64_t)pn - 1);
				if (done < n || od[done - 1].status == PQQ_OPEN_NEXT_PHASE) {
					CHECK(done == 1 && od[0].status == PQQ_OPEN_NEXT_PHASE);
					CHECK(pqq_opener_update(o, pn));
					CHECK(n == 1 || pqq_open(o, slab, len, od + 1, n - 1, (int64_t)pn) == n - 1);
				}
				for (size_t i = 0; i < n; i++) {
					CHECK(od[i].status == PQQ_OPEN_OK || (i == 0 && od[i].status == PQQ_OPEN_NEXT_PHASE));
					CHECK(od[i].packet_number == pn + i);
					CHECK(od[i].payload_len == payload);
				}
				free(slab);
				pn += n;
			}
		}
		if (phase & 2) {
			rest_sealer(s, suite);
		}
		CHECK(pqq_sealer_update(s));
	}
	pqq_sealer_free(s);
	pqq_opener_free(o);
}

/* The example of RFC 9000, A.3, and the limits of its comparisons. */
static void packet_numbers(void)
{
	CHECK(pqq_decode_pn(0xa82f30ea, 0x9b32, 2) == 0xa82f9b32);
	CHECK(pqq_decode_pn(-1, 0, 1) == 0);
	CHECK(pqq_decode_pn(-1, 255, 1) == 255);
	CHECK(pqq_decode_pn(254, 0, 1) == 256);
	CHECK(pqq_decode_pn(127, 255, 1) == 255);
	CHECK(pqq_decode_pn(126, 0, 1) == 0);
}

/* A packet with the last packet number opens. One with the number after it does not. */
static void last_number(void)
{
	uint8_t secret[32] = { 1 }, pkt[41] = { 0x43, 0xff, 0xff, 0xff, 0xff }, after[41] = { 0x43 };
	uint64_t last = (UINT64_C(1) << 62) - 1;
	pqq_sealer *s = pqq_sealer_new(1, 0x1301, secret, sizeof(secret), 1);
	pqq_opener *o = pqq_opener_new(1, 0x1301, secret, sizeof(secret), 1);
	pqq_seal_desc sd = { .header_len = 5, .payload_len = 20, .packet_number = last };
	pqq_open_desc od = { .len = 41, .pn_offset = 1 };
	CHECK(pqq_seal(s, pkt, sizeof(pkt), &sd, 1));
	CHECK(pqq_open(o, pkt, sizeof(pkt), &od, 1, (int64_t)last - 1) == 1);
	CHECK(od.status == PQQ_OPEN_OK && od.packet_number == last);
	CHECK(pqq_open(o, after, sizeof(after), &od, 1, (int64_t)last) == 1);
	CHECK(od.status == PQQ_OPEN_FAILED);
	sd.packet_number = last + 1;
	CHECK(!pqq_seal(s, after, sizeof(after), &sd, 1));
	pqq_sealer_free(s);
	pqq_opener_free(o);
}

static void tokens(void)
{
	uint8_t secret[32] = { 9 }, sealed[64 + PQQ_TOKEN_OVERHEAD], plain[sizeof(sealed)];
	pqq_token *t = pqq_token_new(secret, sizeof(secret));
	CHECK(t != NULL);
	CHECK(pqq_token_seal(t, sealed, sizeof(sealed), (const uint8_t *)"hello", 5, NULL, 0) == 5 + PQQ_TOKEN_OVERHEAD);
	CHECK(pqq_token_open(t, plain, sizeof(plain), sealed, 5 + PQQ_TOKEN_OVERHEAD, NULL, 0) == 1 + 5);
	CHECK(memcmp(plain, "hello", 5) == 0);
	CHECK(pqq_token_seal(t, sealed, 5 + PQQ_TOKEN_OVERHEAD - 1, (const uint8_t *)"hello", 5, NULL, 0) == 0);
	pqq_token_free(t);
}

int main(void)
{
	check_init();
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		trains(suites[i]);
	}
	packet_numbers();
	last_number();
	tokens();
	pqq_live live = pqq_live_now();
	CHECK(live.handles == 0);
#ifdef OPENSSL_IS_AWSLC
	CHECK(live.crypto_bytes > 0); /* a static AWS-LC uses our allocator */
#else
	CHECK(live.crypto_bytes == 0);
#endif
	return 0;
}
