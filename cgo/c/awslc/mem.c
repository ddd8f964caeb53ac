/* AWS-LC's allocator, which counts its memory like that of s2n-tls and our C. */
#include "block.h"

/* AWS-LC declares these functions as weak symbols, which are resolved when the archive is joined. Unlike
 * CRYPTO_set_mem_functions, they apply from the first allocation on, also to the FIPS module's self-test at load
 * time. */
void *OPENSSL_memory_alloc(size_t size);
void OPENSSL_memory_free(void *ptr);
size_t OPENSSL_memory_get_size(void *ptr);
void *OPENSSL_memory_realloc(void *ptr, size_t size);

void *OPENSSL_memory_alloc(size_t size) { return pqq_block_new(size, PQQ_CRYPTO_BYTES); }
void OPENSSL_memory_free(void *ptr) { pqq_block_free(ptr, PQQ_CRYPTO_BYTES); }
size_t OPENSSL_memory_get_size(void *ptr) { return pqq_block_len(ptr); }

void *OPENSSL_memory_realloc(void *ptr, size_t size)
{
	void *grown = pqq_block_new(size, PQQ_CRYPTO_BYTES);
	if (grown != NULL) {
		size_t old = pqq_block_len(ptr);
		memcpy(grown, ptr, old < size ? old : size);
		pqq_block_free(ptr, PQQ_CRYPTO_BYTES);
	}
	return grown;
}
