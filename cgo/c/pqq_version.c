#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

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
