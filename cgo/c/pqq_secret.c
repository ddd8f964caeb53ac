/* Keys and exported keying material from the secrets of a handshake, which never leave C. */
#include <string.h>

#include "tls.h"

static const uint8_t *take(pqq_conn *c, uint32_t level, uint8_t direction)
{
	if (level > PQQ_APP || c->failed || c->handshake == NULL || !(c->handshake->secrets[level].ready & direction)) {
		return NULL;
	}
	c->handshake->secrets[level].ready &= (uint8_t)~direction;
	return c->handshake->secrets[level].secret[direction == PQQ_READ ? 0 : 1];
}

pqq_sealer *pqq_conn_take_sealer(pqq_conn *c, uint32_t level, uint32_t version)
{
	const pqq_version *v = pqq_version_find(version);
	const uint8_t *secret = v == NULL ? NULL : take(c, level, PQQ_WRITE);
	if (secret == NULL) {
		return NULL;
	}
	pqq_sealer *s = pqq_sealer_make(c->suite, v, secret, PQQ_SECRET_AEAD, level == PQQ_APP);
	pqq_crypto_wipe(c->handshake->secrets[level].secret[1], PQQ_MAX_SECRET);
	return s;
}

pqq_opener *pqq_conn_take_opener(pqq_conn *c, uint32_t level, uint32_t version)
{
	const pqq_version *v = pqq_version_find(version);
	const uint8_t *secret = v == NULL ? NULL : take(c, level, PQQ_READ);
	if (secret == NULL) {
		return NULL;
	}
	pqq_opener *o = pqq_opener_make(c->suite, v, secret, PQQ_SECRET_AEAD, level == PQQ_APP);
	pqq_crypto_wipe(c->handshake->secrets[level].secret[0], PQQ_MAX_SECRET);
	return o;
}

/* TLS-Exporter (RFC 8446, 7.5). It is implemented here because s2n-tls's connection is freed after the
 * handshake. */
int pqq_conn_export(pqq_conn *c, const char *label, size_t label_len, const uint8_t *context,
	size_t context_len, uint8_t *out, size_t out_len)
{
	uint8_t empty[PQQ_MAX_HASH], hash[PQQ_MAX_HASH], derived[PQQ_MAX_HASH];

	if (!c->done || c->failed || !c->have_exporter) {
		return 0;
	}
	pqq_hash h = c->suite->hash;
	size_t len = c->suite->hash_len;
	int ok = pqq_crypto_digest(h, NULL, 0, empty) && pqq_crypto_digest(h, context, context_len, hash)
		&& pqq_expand_label(h, c->exporter, len, label, label_len, empty, len, derived, len)
		&& pqq_expand_label(h, derived, len, "exporter", 8, hash, len, out, out_len);
	pqq_crypto_wipe(derived, sizeof(derived));
	return ok;
}
