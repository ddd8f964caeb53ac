/* Tests the parser of post-handshake messages with input that is split at every byte. */
#include "check.h"
#include "../tls.h"

static const uint8_t tickets[] = { 4, 0, 0, 3, 1, 2, 3, 4, 0, 0, 0, 4, 0, 1, 0 };

int main(void)
{
	uint8_t body[256] = { 0 };

	for (size_t split = 0; split <= sizeof(tickets); split++) {
		pqq_post p = { 0 };
		CHECK(pqq_post_check(&p, tickets, split));
		CHECK(pqq_post_check(&p, tickets + split, sizeof(tickets) - split));
		CHECK(pqq_post_check(&p, body, 256));
		CHECK(p.left == 0 && p.have == 0);
	}
	for (int type = 0; type < 256; type++) {
		uint8_t message[4] = { (uint8_t)type, 0, 0, 0 };
		pqq_post p = { 0 };
		CHECK(pqq_post_check(&p, message, 1) == (type == 4));
		pqq_post behind = { 0 };
		CHECK(pqq_post_check(&behind, tickets, 7));
		CHECK(pqq_post_check(&behind, message, 4) == (type == 4));
	}
	return 0;
}
