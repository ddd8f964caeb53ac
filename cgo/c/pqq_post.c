/* Checks the messages after the handshake. Only session tickets are allowed, from a server. */
#include "tls.h"

#define NEW_SESSION_TICKET 4

/* "Endpoints MUST treat the receipt of a TLS KeyUpdate message as a connection error of type
 * 0x010a, equivalent to a fatal TLS alert of unexpected_message; see Section 4.8."
 * https://www.rfc-editor.org/rfc/rfc9001#section-6-5
 *
 * QUIC does not allow post-handshake client authentication either. */
int pqq_post_check(pqq_post *p, const uint8_t *in, size_t len)
{
	while (len > 0) {
		if (p->left > 0) {
			size_t skip = len < p->left ? len : p->left;
			p->left -= (uint32_t)skip;
			in += skip;
			len -= skip;
			continue;
		}
		p->header[p->have++] = *in++;
		len--;
		if (p->header[0] != NEW_SESSION_TICKET) {
			return 0;
		}
		if (p->have == sizeof(p->header)) {
			p->left = (uint32_t)p->header[1] << 16 | (uint32_t)p->header[2] << 8 | p->header[3];
			p->have = 0;
		}
	}
	return 1;
}
