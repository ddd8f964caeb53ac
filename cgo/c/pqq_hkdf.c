#include <string.h>

#include "internal.h"

static const pqq_suite suites[] = {
	{ 0x1301, PQQ_AES_128_GCM, PQQ_SHA256, 16, 32 },
	{ 0x1302, PQQ_AES_256_GCM, PQQ_SHA384, 32, 48 },
	{ 0x1303, PQQ_CHACHA20_POLY1305, PQQ_SHA256, 32, 32 },
};

const pqq_suite *pqq_suite_find(uint16_t id)
{
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		if (suites[i].id == id) {
			return &suites[i];
		}
	}
	return NULL;
}

/* RFC 9001, 5.2 and 5.8; RFC 9369, 3.3. */
static const pqq_version version_1 = {
	.key = "quic key", .iv = "quic iv", .hp = "quic hp", .ku = "quic ku",
	.salt = { 0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
		0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a },
	.retry_key = { 0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a,
		0x1d, 0x76, 0x6b, 0x54, 0xe3, 0x68, 0xc8, 0x4e },
	.retry_nonce = { 0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb },
};

static const pqq_version version_2 = {
	.key = "quicv2 key", .iv = "quicv2 iv", .hp = "quicv2 hp", .ku = "quicv2 ku",
	.salt = { 0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
		0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9 },
	.retry_key = { 0x8f, 0xb4, 0xb0, 0x1b, 0x56, 0xac, 0x48, 0xe2,
		0x60, 0xfb, 0xcb, 0xce, 0xad, 0x7c, 0xcc, 0x92 },
	.retry_nonce = { 0xd8, 0x69, 0x69, 0xbc, 0x2d, 0x7c, 0x6d, 0x99, 0x90, 0xef, 0xb0, 0x4a },
};

const pqq_version *pqq_version_find(uint32_t version)
{
	switch (version) {
	case PQQ_VERSION_1:
		return &version_1;
	case PQQ_VERSION_2:
		return &version_2;
	}
	return NULL;
}

/* HKDF-Expand-Label (RFC 8446, 7.1). */
int pqq_expand_label(pqq_hash h, const uint8_t *secret, size_t secret_len, const char *label,
	size_t label_len, const uint8_t *context, size_t context_len, uint8_t *out, size_t out_len)
{
	static const char prefix[] = "tls13 ";
	const size_t prefix_len = sizeof(prefix) - 1;
	uint8_t info[2 + 1 + 255 + 1 + 255];
	size_t n = 0;

	if (label_len + prefix_len > 255 || context_len > 255 || out_len > 0xffff) {
		return 0;
	}
	info[n++] = (uint8_t)(out_len >> 8);
	info[n++] = (uint8_t)out_len;
	info[n++] = (uint8_t)(prefix_len + label_len);
	memcpy(info + n, prefix, prefix_len);
	n += prefix_len;
	memcpy(info + n, label, label_len);
	n += label_len;
	info[n++] = (uint8_t)context_len;
	if (context_len > 0) {
		memcpy(info + n, context, context_len);
		n += context_len;
	}
	return pqq_crypto_expand(h, secret, secret_len, info, n, out, out_len);
}

int pqq_initial_secret(const pqq_version *v, const uint8_t *dcid, size_t dcid_len, int from_server,
	uint8_t out[32])
{
	uint8_t initial[PQQ_MAX_HASH];

	if (dcid_len > 20 || !pqq_crypto_extract(PQQ_SHA256, dcid, dcid_len, v->salt, sizeof(v->salt), initial)) {
		return 0;
	}
	const char *label = from_server ? "server in" : "client in";
	return pqq_expand_label(PQQ_SHA256, initial, 32, label, strlen(label), NULL, 0, out, 32);
}
