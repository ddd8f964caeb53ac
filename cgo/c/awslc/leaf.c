/* Checks the names of a certificate with AWS-LC. */
#include <string.h>

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "internal.h"

int pqq_crypto_leaf_matches(const uint8_t *der, size_t len, const char *name, int is_ip)
{
	X509 *cert = d2i_X509(NULL, &der, (long)len);
	int ok = 0;

	if (cert != NULL && is_ip) {
		ok = X509_check_ip_asc(cert, name, 0) == 1;
	} else if (cert != NULL && name[0] != '.') {
		/* AWS-LC matches a name that begins with a dot with every name in that domain. */
		ok = X509_check_host(cert, name, strlen(name), X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1;
	}
	X509_free(cert);
	ERR_clear_error();
	return ok;
}
