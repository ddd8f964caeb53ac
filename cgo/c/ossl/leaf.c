/* Checks the names of a certificate with OpenSSL. */
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "internal.h"

int pqq_crypto_leaf_matches(const uint8_t *der, size_t len, const char *name, int is_ip)
{
	X509 *cert = len > LONG_MAX ? NULL : d2i_X509(NULL, &der, (long)len);
	int ok = 0;

	if (cert != NULL && is_ip) {
		ok = X509_check_ip_asc(cert, name, 0) == 1;
	} else if (cert != NULL && name[0] != '.') {
		/* OpenSSL matches a name that begins with a dot with every name in that domain. As in AWS-LC, a
		 * wildcard must be a whole label. */
		ok = X509_check_host(cert, name, strlen(name),
			     X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
	}
	X509_free(cert);
	ERR_clear_error();
	return ok;
}
