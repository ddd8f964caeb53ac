/* versions.h declares the checks of AWS-LC's version for version.c and its test. */
#ifndef PQQ_VERSIONS_H
#define PQQ_VERSIONS_H

#include "internal.h"

/* pqq_versions_fit reports whether the linked AWS-LC is the one that our C was compiled for, and new enough. */
int pqq_versions_fit(const char *compiled, const char *linked, char *err, size_t err_cap);
/* pqq_s2n_fits reports whether s2n-tls was compiled for this AWS-LC. An s2n_api of 0 means unknown. */
int pqq_s2n_fits(uint64_t s2n_api, unsigned long s2n_number, char *err, size_t err_cap);

#endif
