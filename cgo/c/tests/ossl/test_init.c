/* Tests the checks that the loaded OpenSSL matches the headers and s2n-tls. */
#include "../check.h"
#include "../../ossl/versions.h"

int main(void)
{
	pqq_info info;
	char err[256];
	check_init();
	CHECK(pqq_init_1(&info, err, sizeof(err)) && err[0] == 0);
	CHECK(strncmp(info.crypto_linked, "OpenSSL 3.", 10) == 0);
	CHECK(!info.fips_mode && !info.fips_build && !info.self_test);
	CHECK(pqq_libs_alone(err, sizeof(err)) && pqq_crypto_fits_s2n(err, sizeof(err)));

	CHECK(pqq_versions_fit(OPENSSL_VERSION_MAJOR, OPENSSL_VERSION_MINOR, "OpenSSL 3.x", err, sizeof(err)));
	CHECK(pqq_versions_fit(OPENSSL_VERSION_MAJOR, OPENSSL_VERSION_MINOR + 1, "OpenSSL 3.x", err, sizeof(err)));
	CHECK(!pqq_versions_fit(OPENSSL_VERSION_MAJOR + 1, OPENSSL_VERSION_MINOR, "OpenSSL 4.0.0", err, sizeof(err)));
	CHECK(strstr(err, "OpenSSL 4.0.0") != NULL);
#if OPENSSL_VERSION_MINOR > 0
	CHECK(!pqq_versions_fit(OPENSSL_VERSION_MAJOR, OPENSSL_VERSION_MINOR - 1, "OpenSSL 3.x", err, sizeof(err)));
#endif
	CHECK(pqq_s2n_fits(0x300000f0, err, sizeof(err)));
	CHECK(!pqq_s2n_fits(0x1010107f, err, sizeof(err)) && strstr(err, "0x1010107f") != NULL);
	return 0;
}
