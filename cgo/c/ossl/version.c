/* Checks that the loaded OpenSSL is compatible. */
#include <stdio.h>

#include <s2n.h>

#include "pool.h"
#include "versions.h"

/* A major version of OpenSSL keeps its interface, and a minor version adds to it. */
int pqq_versions_fit(unsigned major, unsigned minor, const char *linked, char *err, size_t err_cap)
{
	const unsigned oldest = OPENSSL_VERSION_MINOR;
	if (major != OPENSSL_VERSION_MAJOR || minor < oldest) {
		snprintf(err, err_cap,
			"compiled for OpenSSL %d.%d, but loaded with \"%s\": install the libssl that matches the headers, and build again",
			OPENSSL_VERSION_MAJOR, OPENSSL_VERSION_MINOR, linked);
		return 0;
	}
	return 1;
}

int pqq_crypto_version(pqq_info *info, char *err, size_t err_cap)
{
	snprintf(info->crypto_linked, sizeof(info->crypto_linked), "OpenSSL %s", OpenSSL_version(OPENSSL_VERSION_STRING));
	snprintf(info->crypto_compiled, sizeof(info->crypto_compiled), "%s", OPENSSL_VERSION_STR);
	return pqq_versions_fit(OPENSSL_version_major(), OPENSSL_version_minor(), info->crypto_linked, err, err_cap);
}

int pqq_s2n_fits(unsigned long s2n_number, char *err, size_t err_cap)
{
	if (s2n_number >> 28 != OPENSSL_VERSION_MAJOR) {
		snprintf(err, err_cap, "the linked s2n-tls was compiled for another libcrypto (version 0x%lx) than OpenSSL %s: build s2n-tls with this OpenSSL",
			s2n_number, OPENSSL_VERSION_STR);
		return 0;
	}
	return 1;
}

int pqq_crypto_fits_s2n(char *err, size_t err_cap) { return pqq_s2n_fits(s2n_get_openssl_version(), err, err_cap); }

/* This variant makes no claim about FIPS. The FIPS fields of info stay 0, even if OpenSSL has a FIPS provider. */
int pqq_crypto_start(pqq_info *info, char *err, size_t err_cap)
{
	(void)info;
	return pqq_pool_start(err, err_cap);
}
