/* The event log of a connection and its buffer. */
#include <string.h>

#include "tls.h"

int pqq_bytes_add(pqq_bytes *b, const uint8_t *data, size_t len)
{
	if (b->cap - b->len < len) {
		size_t cap = b->cap == 0 ? 4096 : b->cap;
		while (cap - b->len < len) {
			if (cap > SIZE_MAX / 2) {
				return 0;
			}
			cap *= 2;
		}
		uint8_t *grown = pqq_realloc(b->data, cap);
		if (grown == NULL) {
			return 0;
		}
		b->data = grown;
		b->cap = cap;
	}
	if (len > 0) {
		memcpy(b->data + b->len, data, len);
		b->len += len;
	}
	return 1;
}

void pqq_bytes_clear(pqq_bytes *b)
{
	pqq_release(b->data);
	memset(b, 0, sizeof(*b));
}

typedef struct {
	uint8_t kind, level;
	uint16_t aux;
	uint32_t len;
} record;

_Static_assert(sizeof(record) == 8, "layout shared with Go");

int pqq_event(pqq_conn *c, uint8_t kind, uint8_t level, uint16_t aux, const uint8_t *data, size_t len)
{
	record r = { kind, level, aux, (uint32_t)len };

	/* s2n-tls writes each message separately. Consecutive messages of a level are joined to one event. */
	if (kind == PQQ_EV_WRITE && c->last_write != SIZE_MAX) {
		record last;
		memcpy(&last, c->log.data + c->last_write, sizeof(last));
		if (last.level == level) {
			if (!pqq_bytes_add(&c->log, data, len)) {
				return 0;
			}
			last.len += (uint32_t)len;
			memcpy(c->log.data + c->last_write, &last, sizeof(last));
			return 1;
		}
	}
	size_t at = c->log.len;
	if (!pqq_bytes_add(&c->log, (const uint8_t *)&r, sizeof(r)) || !pqq_bytes_add(&c->log, data, len)) {
		return 0;
	}
	c->last_write = kind == PQQ_EV_WRITE ? at : SIZE_MAX;
	return 1;
}

size_t pqq_log(pqq_conn *c, uint8_t *log, size_t cap)
{
	size_t n = c->log.len - c->log_read;
	if (n > cap) {
		n = cap;
	}
	if (n > 0) {
		memcpy(log, c->log.data + c->log_read, n);
		c->log_read += n;
	}
	if (c->log_read == c->log.len) {
		/* The log is freed if it may hold secrets (a key log), and after the handshake, when logs are
		 * small. */
		if (c->done || (c->flags & PQQ_KEY_LOG)) {
			pqq_bytes_clear(&c->log);
		}
		c->log.len = c->log_read = 0;
		c->last_write = SIZE_MAX;
	}
	return n;
}
