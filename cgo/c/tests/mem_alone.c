/* Replaces the functions of AWS-LC and s2n-tls that pqq_mem.c calls. The libraries are not compiled for
 * ThreadSanitizer, which needs to see all code of a program. */
#include <string.h>

#include <s2n.h>

#include "../internal.h"

void OPENSSL_cleanse(void *p, size_t n)
{
	volatile uint8_t *b = p;
	while (n-- > 0) {
		*b++ = 0;
	}
}

int s2n_mem_set_callbacks(s2n_mem_init_callback init, s2n_mem_cleanup_callback cleanup,
	s2n_mem_malloc_callback allocate, s2n_mem_free_callback release)
{
	(void)init;
	(void)cleanup;
	(void)allocate;
	(void)release;
	return S2N_SUCCESS;
}
