/* Checks that no second libcrypto interferes with the one that is linked. */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

#ifdef PQQ_SHARED_CRYPTO
/* A symbol that every libcrypto exports under this name. */
#define COMMON_SYMBOL "EVP_DigestInit_ex"

/* Finds up to two loaded libraries that define the symbols of libcrypto and returns their number. If there
 * are two, the dynamic linker binds calls to one of them to the other. Libraries that are loaded later are not
 * found. */
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

#define CLASH "two libraries define the symbols of libcrypto, so calls to one can reach the other: %s and %s. " \
	      PQQ_CLASH_REMEDY

int pqq_libs_alone(char *err, size_t err_cap)
{
	const char *name[2];
	if (libcryptos(name) < 2) {
		return 1;
	}
	snprintf(err, err_cap, CLASH, name[0], name[1]);
	return 0;
}

/* Such a program may crash before it calls pqq_init_1, so the warning is printed when it is loaded. */
__attribute__((constructor)) static void warn(void)
{
	char err[512];
	if (!pqq_libs_alone(err, sizeof(err))) {
		fprintf(stderr, "pqquic: warning: %s\n", err);
	}
}
#else
/* The symbols of a static libcrypto are local to our archive. */
int pqq_libs_alone(char *err, size_t err_cap)
{
	(void)err;
	(void)err_cap;
	return 1;
}
#endif
