/* Functions for packets that belong to no connection yet. They keep no state. */
#include <string.h>

#include "internal.h"

static pqq_initial open_with(pqq_packet_key *k, pqq_crypto_mask *h, uint8_t *pkt, size_t len,
	size_t pn_offset)
{
	pqq_initial out = { 0 };
	uint8_t mask[PQQ_SAMPLE], nonce[PQQ_NONCE];

	memcpy(mask, pkt + pn_offset + 4, sizeof(mask));
	if (!pqq_crypto_masks(h, mask, 1)) {
		return out;
	}
	pkt[0] ^= mask[0] & 0x0f;
	unsigned pn_len = (pkt[0] & 3u) + 1;
	uint64_t truncated = 0;
	for (unsigned i = 0; i < pn_len; i++) {
		pkt[pn_offset + i] ^= mask[1 + i];
		truncated = truncated << 8 | pkt[pn_offset + i];
	}
	size_t header = pn_offset + pn_len;
	out.packet_number = pqq_decode_pn(-1, truncated, pn_len);
	out.header_len = (uint32_t)header;
	pqq_packet_nonce(k, out.packet_number, nonce);
	out.ok = pqq_crypto_open(&k->aead, nonce, pkt, header, pkt + header, len - header);
	out.payload_len = out.ok ? (uint32_t)(len - header - PQQ_TAG) : 0;
	return out;
}

pqq_initial pqq_open_initial(uint32_t version, const uint8_t *dcid, size_t dcid_len, uint8_t *pkt,
	size_t len, size_t pn_offset)
{
	pqq_initial out = { 0 };
	uint8_t secret[32];
	pqq_packet_key key;
	pqq_crypto_mask header = { 0 };
	const pqq_version *v = pqq_version_find(version);
	const pqq_suite *s = pqq_suite_find(0x1301);

	if (v == NULL || pn_offset == 0 || len > UINT32_MAX || len < 4 + PQQ_SAMPLE
		|| pn_offset > len - 4 - PQQ_SAMPLE || !(pkt[0] & 0x80)
		|| !pqq_initial_secret(v, dcid, dcid_len, 0, secret)
		|| !pqq_packet_key_init(&key, s, v, secret, PQQ_PLAIN_AEAD, PQQ_OPENS)) {
		return out;
	}
	if (pqq_header_key_init(&header, s, v, secret)) {
		out = open_with(&key, &header, pkt, len, pn_offset);
	}
	pqq_crypto_mask_clear(&header);
	pqq_packet_key_clear(&key);
	pqq_crypto_clear_errors();
	return out;
}

int pqq_retry_tag(uint32_t version, const uint8_t *odcid, size_t odcid_len, const uint8_t *retry,
	size_t retry_len, uint8_t tag[16])
{
	const pqq_version *v = pqq_version_find(version);
	uint8_t usual[1 + 20 + 2048], *pseudo = usual;
	pqq_crypto_aead key;

	/* No datagram is larger than UINT16_MAX. */
	if (v == NULL || odcid_len > 20 || retry_len > UINT16_MAX) {
		return 0;
	}
	if (1 + odcid_len + retry_len > sizeof(usual)) {
		pseudo = pqq_alloc(1 + odcid_len + retry_len);
		if (pseudo == NULL) {
			return 0;
		}
	}
	pseudo[0] = (uint8_t)odcid_len;
	if (odcid_len > 0) {
		memcpy(pseudo + 1, odcid, odcid_len);
	}
	if (retry_len > 0) {
		memcpy(pseudo + 1 + odcid_len, retry, retry_len);
	}
	int ok = pqq_crypto_aead_init(&key, PQQ_AES_128_GCM, PQQ_PLAIN_AEAD, v->retry_key, PQQ_SEALS)
		&& pqq_crypto_seal(&key, v->retry_nonce, pseudo, 1 + odcid_len + retry_len, tag, 0);
	pqq_crypto_aead_clear(&key);
	if (pseudo != usual) {
		pqq_release(pseudo);
	}
	if (!ok) {
		pqq_crypto_clear_errors();
	}
	return ok;
}
