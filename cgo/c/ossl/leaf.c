/* Checks the names of a certificate with OpenSSL. */
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "internal.h"

static int has_name(const X509 *cert, const char *host)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	int found = 0;

	for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names) && !found; i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		found = n->type == GEN_DNS
			&& pqq_host_matches(ASN1_STRING_get0_data(n->d.dNSName), (size_t)ASN1_STRING_length(n->d.dNSName), host);
	}
	GENERAL_NAMES_free(names);
	return found;
}

int pqq_crypto_leaf_matches(const uint8_t *der, size_t len, const char *name, int is_ip)
{
	X509 *cert = len > LONG_MAX ? NULL : d2i_X509(NULL, &der, (long)len);
	int ok = cert != NULL && (is_ip ? X509_check_ip_asc(cert, name, 0) == 1 : has_name(cert, name));

	X509_free(cert);
	ERR_clear_error();
	return ok;
}
