/* Compares host names with the names in a certificate by the rules of x509.Certificate.VerifyHostname in Go, so that
 * all providers accept the same certificates. X509_check_host has other rules: it refuses underscores below a wildcard,
 * and a wildcard that is followed by a single label. */
#include <string.h>

#include "internal.h"

typedef struct {
	const uint8_t *s;
	size_t len;
} text;

static int equal(text a, text b)
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

static int is_wildcard(text n) { return n.len > 2 && n.s[0] == '*' && n.s[1] == '.'; }

/* is_host reports whether n consists of labels of letters, digits, underscores and inner hyphens. The first label
 * of a pattern may be a star. */
static int is_host(text n, int pattern)
{
	size_t label = 0; /* length of the current label */
	for (size_t at = pattern && is_wildcard(n) ? 2 : 0; at < n.len; at++) {
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

int pqq_host_matches(const uint8_t *pattern, size_t len, const char *host)
{
	text p = { pattern, len }, h = { (const uint8_t *)host, strlen(host) };
	if (!is_host(p, 1) || !is_host(h, 0)) {
		return p.len > 0 && !(p.len == 1 && p.s[0] == '.') && equal(p, h);
	}
	if (!is_wildcard(p)) {
		return equal(p, h);
	}
	const uint8_t *dot = memchr(h.s, '.', h.len);
	text suffix = { p.s + 1, p.len - 1 }, rest = { dot, dot == NULL ? 0 : h.len - (size_t)(dot - h.s) };
	return dot != NULL && equal(suffix, rest);
}
