/* What is compiled for and what is linked have to be one version, and a new enough one. */
#include "check.h"

static void fits(const char *compiled, const char *linked)
{
	char err[256] = "";
	CHECK(pqq_versions_fit(compiled, linked, err, sizeof(err)));
	CHECK(err[0] == 0);
}

/* The text names both. */
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
	CHECK(pqq_init(&info, err, sizeof(err)) && err[0] == 0);
	fits(info.crypto_compiled, info.crypto_linked);

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
