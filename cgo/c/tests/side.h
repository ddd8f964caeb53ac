/* One side of a handshake, driven in the same way as by Go. */
#ifndef PQQ_SIDE_H
#define PQQ_SIDE_H

#include "../glue.h"
#include "check.h"

/* The policy of the tests, which is the provider's default. */
#define POLICY pqq_glue_policy(0)

typedef struct {
	pqq_conn *conn;
	uint8_t out[4][16384];
	size_t out_len[4];
	int done, hello, keys, verified;
} side;

/* Parses a log and keeps the bytes to send. */
static inline void collect(side *s, const uint8_t *log, size_t len)
{
	while (len > 0) {
		uint32_t n;
		CHECK(len >= 8);
		memcpy(&n, log + 4, sizeof(n));
		CHECK(len - 8 >= n);
		switch (log[0]) {
		case PQQ_EV_WRITE:
			CHECK(s->out_len[log[1]] + n <= sizeof(s->out[0]));
			memcpy(s->out[log[1]] + s->out_len[log[1]], log + 8, n);
			s->out_len[log[1]] += n;
			break;
		case PQQ_EV_CLIENT_HELLO:
			s->hello++;
			break;
		case PQQ_EV_KEYS:
			s->keys++;
			break;
		case PQQ_EV_VERIFIED:
			s->verified++;
			break;
		case PQQ_EV_DONE:
			s->done = 1;
			break;
		}
		log += 8 + n;
		len -= 8 + n;
	}
}

/* Calls pqq_drive with a small log, so that pqq_log must return the rest. */
static inline int drive(side *s, uint32_t level, const uint8_t *in, size_t len)
{
	uint8_t small[100], log[65536];
	pqq_result r = pqq_drive(s->conn, level, in, len, 0, small, sizeof(small));
	if (r.status != PQQ_OK) {
		return 0;
	}
	memcpy(log, small, r.log_len);
	size_t n = r.log_len;
	if (r.more > 0) {
		CHECK(pqq_log(s->conn, log + n, sizeof(log) - n) == r.more);
		n += r.more;
	}
	collect(s, log, n);
	return 1;
}

#endif
