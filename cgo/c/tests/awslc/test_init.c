/* Tests the checks that the linked libraries match the headers and are new enough. */
#include <openssl/opensslv.h>

#include "../check.h"
#include "../../awslc/versions.h"

static void fits(const char *compiled, const char *linked)
{
	char err[256] = "";
	CHECK(pqq_versions_fit(compiled, linked, err, sizeof(err)));
	CHECK(err[0] == 0);
}

/* The error must contain both texts. */
static void refused(const char *compiled, const char *linked, const char *first, const char *second)
{
	char err[256] = "";
	CHECK(!pqq_versions_fit(compiled, linked, err, sizeof(err)));
	CHECK(strstr(err, first) != NULL);
	CHECK(strstr(err, second) != NULL);
}

int main(void)
{
	pqq_info info;
	char err[256];
	check_init();
	CHECK(pqq_init_1(&info, err, sizeof(err)) && err[0] == 0);
	fits(info.crypto_compiled, info.crypto_linked);
	CHECK(pqq_libs_alone(err, sizeof(err)) && pqq_crypto_fits_s2n(err, sizeof(err)));

	/* 0 stands for an s2n-tls that does not export the interface number of its AWS-LC. */
	CHECK(pqq_s2n_fits(AWSLC_API_VERSION, OPENSSL_VERSION_NUMBER, err, sizeof(err)));
	CHECK(pqq_s2n_fits(0, OPENSSL_VERSION_NUMBER, err, sizeof(err)));
	CHECK(!pqq_s2n_fits(AWSLC_API_VERSION - 1, OPENSSL_VERSION_NUMBER, err, sizeof(err)));
	CHECK(strstr(err, "compiled for another libcrypto") != NULL && strstr(err, AWSLC_VERSION_NUMBER_STRING) != NULL);
	CHECK(!pqq_s2n_fits(0, 0x30000000, err, sizeof(err)) && strstr(err, "0x30000000") != NULL);
	err[0] = 0;

	fits("5.0.0", "AWS-LC 5.0.0");
	fits("10.1.0", "AWS-LC 10.1.0");
	fits("3.0.0", "AWS-LC FIPS 3.0.0");
	refused("5.12.0", "AWS-LC 5.11.0", "AWS-LC 5.12.0", "AWS-LC 5.11.0");
	refused("5.1.0", "AWS-LC 15.1.0", "AWS-LC 5.1.0", "AWS-LC 15.1.0");
	refused("5.1.0", "AWS-LC 5.1.01", "AWS-LC 5.1.0", "AWS-LC 5.1.01");
	refused("4.9.9", "AWS-LC 4.9.9", "AWS-LC 4.9.9", "5.0 or newer");
	refused("2.0.17", "AWS-LC FIPS 2.0.17", "AWS-LC FIPS 2.0.17", "3.0 or newer");
	return 0;
}
