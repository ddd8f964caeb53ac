/* Whether the libraries that are linked belong together. */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

#include <openssl/opensslv.h>
#include <s2n.h>

#include "internal.h"

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

#ifdef PQQ_SHARED_CRYPTO
/* A symbol that every libcrypto has, under this name. */
#define COMMON_SYMBOL "EVP_DigestInit_ex"

/* Names two loaded libraries that both define the symbols of libcrypto. The dynamic linker then binds
 * calls of one to the other. Libraries that are loaded later are not seen. */
static int libcryptos(const char *name[2])
{
	void *program = dlopen(NULL, RTLD_LAZY), *base[2] = { NULL, NULL };
	struct link_map *map = NULL;
	int n = 0;
	if (program == NULL) {
		return 0;
	}
	if (dlinfo(program, RTLD_DI_LINKMAP, &map) != 0) {
		map = NULL;
	}
	for (; map != NULL && n < 2; map = map->l_next) {
		void *lib = map->l_name[0] == 0 ? NULL : dlopen(map->l_name, RTLD_LAZY | RTLD_NOLOAD);
		if (lib == NULL) {
			continue;
		}
		Dl_info where;
		void *symbol = dlsym(lib, COMMON_SYMBOL);
		if (symbol != NULL && dladdr(symbol, &where) != 0 && (n == 0 || where.dli_fbase != base[0])) {
			base[n] = where.dli_fbase;
			name[n++] = where.dli_fname;
		}
		dlclose(lib);
	}
	dlclose(program);
	return n;
}

#define CLASH "two libraries define the symbols of libcrypto, and calls of one end in the other: %s and %s. " \
	      "Name a folder with a static AWS-LC in AWS_LC_DIR, and build again"

int pqq_libs_alone(char *err, size_t err_cap)
{
	const char *name[2];
	if (libcryptos(name) < 2) {
		return 1;
	}
	snprintf(err, err_cap, CLASH, name[0], name[1]);
	return 0;
}

/* Such a program may crash before it calls us. */
__attribute__((constructor)) static void warn(void)
{
	char err[512];
	if (!pqq_libs_alone(err, sizeof(err))) {
		fprintf(stderr, "pqquic: warning: %s\n", err);
	}
}
#else
/* The symbols of a static AWS-LC are local to our archive. */
int pqq_libs_alone(char *err, size_t err_cap)
{
	(void)err;
	(void)err_cap;
	return 1;
}
#endif

int pqq_libs_fit(char *err, size_t err_cap)
{
	uint64_t api = s2n_libcrypto_awslc_api_version == NULL ? 0 : s2n_libcrypto_awslc_api_version();
	return pqq_libs_alone(err, err_cap) && pqq_s2n_fits(api, s2n_get_openssl_version(), err, err_cap);
}
