/* Finds the server's own certificate in its handshake messages, so that its names can be checked. s2n-tls can
 * return the peer's chain, too, but encodes all of it again first, which costs as much as the check. */
#include "tls.h"

enum {
	CERTIFICATE = 11,  /* RFC 8446, 4 */
	MESSAGE_HEADER = 4, /* type, length */
	LEAF_HEADER = MESSAGE_HEADER + 1 + 3 + 3, /* empty context, length of the list, length of the first entry */
	MAX_LEAF = 65536
};

static uint32_t read24(const uint8_t *p) { return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2]; }

/* Processes a complete message header: skips messages that are not a Certificate, or that contain none. */
static void message_begins(pqq_leaf *l)
{
	l->left = read24(l->header + 1);
	if (l->header[0] != CERTIFICATE || l->left < LEAF_HEADER - MESSAGE_HEADER) {
		l->have = 0;
		l->skip = l->left;
	}
}

static void leaf_begins(pqq_leaf *l)
{
	l->want = read24(l->header + 8);
	if (l->header[4] != 0 || l->want == 0 || l->want > MAX_LEAF || l->want > l->left - (LEAF_HEADER - MESSAGE_HEADER)) {
		l->over = 1; /* s2n-tls rejects it, and no name matches without a leaf */
	}
}

void pqq_leaf_read(pqq_leaf *l, const uint8_t *in, size_t len)
{
	while (len > 0 && !l->over) {
		size_t n = 1;
		if (l->skip > 0) {
			n = len < l->skip ? len : l->skip;
			l->skip -= (uint32_t)n;
		} else if (l->have < LEAF_HEADER) {
			l->header[l->have++] = *in;
			if (l->have == MESSAGE_HEADER) {
				message_begins(l);
			} else if (l->have == LEAF_HEADER) {
				leaf_begins(l);
			}
		} else {
			n = l->want - l->der.len;
			n = len < n ? len : n;
			l->over = !pqq_bytes_add(&l->der, in, n) || l->der.len == l->want;
		}
		in += n;
		len -= n;
	}
}
