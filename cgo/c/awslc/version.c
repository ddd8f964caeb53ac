/* Checks that the linked AWS-LC is compatible and that its FIPS module is ready. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/opensslv.h>
#include <openssl/service_indicator.h>
#include <s2n.h>

#include "internal.h"
#include "versions.h"

/* The oldest supported major versions. AWS-LC-FIPS has version numbers of its own. In the headers, the version
 * is AWSLC_API_VERSION, which is 30 in AWS-LC-FIPS 3.x. */
#define MIN_AWSLC_MAJOR 5
#define MIN_FIPS_MAJOR 3

#if AWSLC_API_VERSION < 30
#error "AWS-LC is too old: pqquic needs AWS-LC 5.0, or AWS-LC-FIPS 3.0, or newer (AWS_LC_DIR, AWS_LC_SOURCE_DIR)"
#endif

/* version_of returns the last word of a name such as "AWS-LC FIPS 3.6.0". */
static const char *version_of(const char *name)
{
	const char *space = strrchr(name, ' ');
	return space == NULL ? name : space + 1;
}

/* An override library was compiled with its own headers, and our C with those that the build found. Structures
 * and constants must be the same in both. */
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
		snprintf(err, err_cap, "\"%s\" is linked, but version %d.0 or newer is needed: point AWS_LC_DIR at one, or unset it",
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

/* Returns AWSLC_API_VERSION of the AWS-LC that s2n-tls was compiled with. s2n-tls does not declare the function
 * in its API, so a shared library may lack it. */
extern uint64_t s2n_libcrypto_awslc_api_version(void) __attribute__((weak));

/* The structures of s2n-tls contain structures of AWS-LC. s2n-tls does not record which release of AWS-LC it was
 * compiled with, only the interface number, which AWS-LC increases when its interface changes. */
int pqq_s2n_fits(uint64_t s2n_api, unsigned long s2n_number, char *err, size_t err_cap)
{
	if (s2n_number != OPENSSL_VERSION_NUMBER || (s2n_api != 0 && s2n_api != AWSLC_API_VERSION)) {
		snprintf(err, err_cap,
			"the linked s2n-tls was compiled for another libcrypto (version 0x%lx, AWS-LC interface %llu) than the linked AWS-LC %s "
			"(version 0x%lx, interface %d): build s2n-tls with the AWS-LC in AWS_LC_DIR",
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
	/* The power-on self-test ran when the module was loaded. If it fails, it ends the process. This call
	 * repeats it and returns the result. */
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
