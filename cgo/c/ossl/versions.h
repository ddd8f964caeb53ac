/* versions.h declares the checks of OpenSSL's version for version.c and its test. */
#ifndef PQQ_VERSIONS_H
#define PQQ_VERSIONS_H

#include "internal.h"

/* pqq_versions_fit reports whether the loaded OpenSSL has the interface that our C was compiled for. */
int pqq_versions_fit(unsigned major, unsigned minor, const char *linked, char *err, size_t err_cap);
/* pqq_s2n_fits reports whether s2n-tls was compiled for an OpenSSL of this major version. */
int pqq_s2n_fits(unsigned long s2n_number, char *err, size_t err_cap);

#endif
