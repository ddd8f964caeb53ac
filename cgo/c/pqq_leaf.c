/* The server's own certificate, read as its message comes in, and the check of its name: s2n-tls returns
 * the peer's chain only by encoding all of it anew, which costs as much as the check. */
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "tls.h"

enum {
	CERTIFICATE = 11,  /* RFC 8446, 4 */
	MESSAGE_HEADER = 4, /* type, length */
	LEAF_HEADER = MESSAGE_HEADER + 1 + 3 + 3, /* an empty context, the list's length, the first one's */
	MAX_LEAF = 65536
};

static uint32_t read24(const uint8_t *p) { return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2]; }

/* A message header is complete: pass over what is no Certificate, or holds none. */
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
		l->over = 1; /* s2n-tls refuses it; without a leaf no name matches */
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

/* Host names are compared by the rules of Go's x509.Certificate.VerifyHostname, so that both providers accept
 * the same certificates. X509_check_host has rules of its own: no underscores below a wildcard, and at least
 * two labels after it. */

typedef struct {
	const uint8_t *s;
	size_t len;
} name;

static int equal(name a, name b)
{
	if (a.len != b.len) {
		return 0;
	}
	for (size_t i = 0; i < a.len; i++) {
		uint8_t x = a.s[i], y = b.s[i];
		x |= (uint8_t)((x >= 'A' && x <= 'Z') << 5);
		y |= (uint8_t)((y >= 'A' && y <= 'Z') << 5);
		if (x != y) {
			return 0;
		}
	}
	return 1;
}

static int is_wildcard(name n) { return n.len > 2 && n.s[0] == '*' && n.s[1] == '.'; }

/* Whether n consists of labels of letters, digits, underscores and inner hyphens. The first one of a pattern
 * may be a star. */
static int is_host(name n, int pattern)
{
	size_t at = pattern && is_wildcard(n) ? 2 : 0, label = 0;
	for (; at < n.len; at++) {
		uint8_t ch = n.s[at], lower = ch | 0x20;
		if (ch == '.' && label > 0) {
			label = 0;
		} else if ((lower >= 'a' && lower <= 'z') || (ch >= '0' && ch <= '9') || ch == '_' || (ch == '-' && label > 0)) {
			label++;
		} else {
			return 0;
		}
	}
	return label > 0;
}

static int name_matches(name pattern, name host)
{
	if (!is_host(pattern, 1) || !is_host(host, 0)) {
		return pattern.len > 0 && !(pattern.len == 1 && pattern.s[0] == '.') && equal(pattern, host);
	}
	if (is_wildcard(pattern)) {
		const uint8_t *dot = memchr(host.s, '.', host.len);
		name rest = { dot, dot == NULL ? 0 : host.len - (size_t)(dot - host.s) }, suffix = { pattern.s + 1, pattern.len - 1 };
		return dot != NULL && equal(suffix, rest);
	}
	return equal(pattern, host);
}

static int has_name(const X509 *cert, const char *host)
{
	name want = { (const uint8_t *)host, strlen(host) };
	int found = 0;
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	for (size_t i = 0; names != NULL && i < sk_GENERAL_NAME_num(names) && !found; i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		if (n->type == GEN_DNS) {
			name have = { ASN1_STRING_get0_data(n->d.dNSName), (size_t)ASN1_STRING_length(n->d.dNSName) };
			found = name_matches(have, want);
		}
	}
	GENERAL_NAMES_free(names);
	return found;
}

int pqq_leaf_matches(const pqq_leaf *l, const char *name, int ip)
{
	const uint8_t *der = l->der.data, *end = der == NULL ? NULL : der + l->der.len;
	X509 *cert = l->der.len > 0 && l->der.len == l->want ? d2i_X509(NULL, &der, (long)l->want) : NULL;
	int ok = cert != NULL && der == end && (ip ? X509_check_ip_asc(cert, name, 0) == 1 : has_name(cert, name));

	X509_free(cert);
	ERR_clear_error();
	return ok;
}
