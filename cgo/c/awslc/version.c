/* Whether the AWS-LC that is linked is one that fits, and its FIPS module is ready. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/opensslv.h>
#include <openssl/service_indicator.h>
#include <s2n.h>

#include "internal.h"
#include "versions.h"

/* The oldest series that this file was tested on; FIPS modules count on their own. Their headers say
 * the same in AWSLC_API_VERSION (30 is AWS-LC-FIPS 3.x's). */
#define MIN_AWSLC_MAJOR 5
#define MIN_FIPS_MAJOR 3

#if AWSLC_API_VERSION < 30
#error "AWS-LC is too old: pqquic needs AWS-LC 5.0, or AWS-LC-FIPS 3.0, or newer (AWS_LC_DIR, AWS_LC_SOURCE_DIR)"
#endif

/* The version is the last word of a name such as "AWS-LC FIPS 3.6.0". */
static const char *version_of(const char *name)
{
	const char *space = strrchr(name, ' ');
	return space == NULL ? name : space + 1;
}

/* An override library is compiled against its own headers, but our files are compiled against the ones
 * that the build was pointed at: structures and constants have to be the same. */
int pqq_versions_fit(const char *compiled, const char *linked, char *err, size_t err_cap)
{
	const char *version = version_of(linked);
	int min = strstr(linked, "FIPS") == NULL ? MIN_AWSLC_MAJOR : MIN_FIPS_MAJOR;
	if (strcmp(version, compiled) != 0) {
		snprintf(err, err_cap,
			"compiled for AWS-LC %s, but linked with \"%s\": point AWS_LC_DIR at one installation and build again",
			compiled, linked);
		return 0;
	}
	if (atoi(version) < min) {
		snprintf(err, err_cap, "\"%s\" is linked, but version %d.0 or newer is needed: point AWS_LC_DIR at one, or at none",
			linked, min);
		return 0;
	}
	return 1;
}

int pqq_crypto_version(pqq_info *info, char *err, size_t err_cap)
{
	snprintf(info->crypto_linked, sizeof(info->crypto_linked), "%s", awslc_version_string());
	snprintf(info->crypto_compiled, sizeof(info->crypto_compiled), "%s", AWSLC_VERSION_NUMBER_STRING);
	info->fips_mode = FIPS_mode();
	return pqq_versions_fit(AWSLC_VERSION_NUMBER_STRING, info->crypto_linked, err, err_cap);
}

/* Of the AWS-LC that s2n-tls was compiled with. s2n-tls does not declare it in its API, so a shared
 * library may lack it. */
extern uint64_t s2n_libcrypto_awslc_api_version(void) __attribute__((weak));

/* s2n-tls has structures of AWS-LC in its own. It does not say which release of AWS-LC it was compiled
 * with, but it has the number that AWS-LC raises when its interface changes. */
int pqq_s2n_fits(uint64_t s2n_api, unsigned long s2n_number, char *err, size_t err_cap)
{
	if (s2n_number != OPENSSL_VERSION_NUMBER || (s2n_api != 0 && s2n_api != AWSLC_API_VERSION)) {
		snprintf(err, err_cap,
			"the linked s2n-tls was compiled for another libcrypto (version 0x%lx, AWS-LC interface %llu) than the linked AWS-LC %s "
			"(version 0x%lx, interface %d): build s2n-tls with the AWS-LC that AWS_LC_DIR names",
			s2n_number, (unsigned long long)s2n_api, AWSLC_VERSION_NUMBER_STRING,
			(unsigned long)OPENSSL_VERSION_NUMBER, AWSLC_API_VERSION);
		return 0;
	}
	return 1;
}

int pqq_crypto_fits_s2n(char *err, size_t err_cap)
{
	uint64_t api = s2n_libcrypto_awslc_api_version == NULL ? 0 : s2n_libcrypto_awslc_api_version();
	return pqq_s2n_fits(api, s2n_get_openssl_version(), err, err_cap);
}

int pqq_crypto_start(pqq_info *info, char *err, size_t err_cap)
{
#ifdef PQQ_FIPS
	info->fips_build = 1;
	/* The power-on self-test ran when the module was loaded, and ends the process if it fails.
	 * This runs it again, so that we see the result. */
	info->self_test = BORINGSSL_self_test();
	if (!info->fips_mode || !info->self_test) {
		snprintf(err, err_cap,
			"this is a FIPS variant, but \"%s\" is %s: build with the FIPS module (make build VARIANT=fips)",
			info->crypto_linked, info->fips_mode ? "failing its self-test" : "not in FIPS mode");
		return 0;
	}
#else
	(void)info;
	(void)err;
	(void)err_cap;
#endif
	return 1;
}
