/* One allocator for both libraries and ourselves, which counts.
 *
 * s2n-tls locks each of its allocations into memory by default: a page and a system call for each,
 * 300 of the 700 µs that a pair of handshakes takes, and failure at RLIMIT_MEMLOCK. Without that,
 * keys may reach swap or a core dump, as with crypto/tls; everything is wiped when it is freed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <s2n.h>

#include "internal.h"

enum { TLS_BYTES, CRYPTO_BYTES, HANDLES, KINDS };

/* Counters are spread over cache lines, and a thread stays with one, so that counting costs
 * nothing: only the sum over all shards means anything. */
#define SHARDS 16

static struct {
	_Alignas(64) int64_t n[KINDS];
} counters[SHARDS];

static unsigned next_shard;
static __thread int64_t *shard;

static void count(int kind, int64_t by)
{
	if (shard == NULL) {
		shard = counters[__atomic_fetch_add(&next_shard, 1, __ATOMIC_RELAXED) % SHARDS].n;
	}
	__atomic_fetch_add(&shard[kind], by, __ATOMIC_RELAXED);
}

/* The size stands in front of each block; 16 bytes keep what follows aligned. */
#define PREFIX 16

static void *block_new(size_t len, int kind)
{
	if (len > SIZE_MAX - PREFIX) {
		return NULL;
	}
	uint8_t *p = malloc(len + PREFIX);
	if (p == NULL) {
		return NULL;
	}
	memcpy(p, &len, sizeof(len));
	count(kind, (int64_t)len);
	return p + PREFIX;
}

static size_t block_len(const void *block)
{
	size_t len;
	memcpy(&len, (const uint8_t *)block - PREFIX, sizeof(len));
	return len;
}

static void block_free(void *block, int kind)
{
	size_t len = block_len(block);
	OPENSSL_cleanse(block, len);
	count(kind, -(int64_t)len);
	free((uint8_t *)block - PREFIX);
}

void *pqq_alloc(size_t len)
{
	void *p = block_new(len, TLS_BYTES);
	if (p != NULL) {
		memset(p, 0, len);
	}
	return p;
}

void *pqq_realloc(void *p, size_t len)
{
	void *grown = pqq_alloc(len);
	if (grown != NULL && p != NULL) {
		size_t old = block_len(p);
		memcpy(grown, p, old < len ? old : len);
		pqq_release(p);
	}
	return grown;
}

void pqq_release(void *p)
{
	if (p != NULL) {
		block_free(p, TLS_BYTES);
	}
}

void pqq_handle_made(void) { count(HANDLES, 1); }
void pqq_handle_gone(void) { count(HANDLES, -1); }

pqq_live pqq_live_now(void)
{
	int64_t sum[KINDS] = { 0 };
	for (int i = 0; i < SHARDS; i++) {
		for (int k = 0; k < KINDS; k++) {
			sum[k] += __atomic_load_n(&counters[i].n[k], __ATOMIC_RELAXED);
		}
	}
	return (pqq_live){ .tls_bytes = sum[TLS_BYTES], .crypto_bytes = sum[CRYPTO_BYTES], .handles = sum[HANDLES] };
}

/* AWS-LC's hooks: weak symbols there, resolved when the archive is joined. Unlike
 * CRYPTO_set_mem_functions they hold from the first allocation on, those of the FIPS module's
 * self-test at load time included. */
void *OPENSSL_memory_alloc(size_t size);
void OPENSSL_memory_free(void *ptr);
size_t OPENSSL_memory_get_size(void *ptr);
void *OPENSSL_memory_realloc(void *ptr, size_t size);

void *OPENSSL_memory_alloc(size_t size) { return block_new(size, CRYPTO_BYTES); }
void OPENSSL_memory_free(void *ptr) { block_free(ptr, CRYPTO_BYTES); }
size_t OPENSSL_memory_get_size(void *ptr) { return block_len(ptr); }

void *OPENSSL_memory_realloc(void *ptr, size_t size)
{
	void *grown = block_new(size, CRYPTO_BYTES);
	if (grown != NULL) {
		size_t old = block_len(ptr);
		memcpy(grown, ptr, old < size ? old : size);
		block_free(ptr, CRYPTO_BYTES);
	}
	return grown;
}

static int mem_nothing(void) { return S2N_SUCCESS; }

static int mem_malloc(void **ptr, uint32_t requested, uint32_t *allocated)
{
	*ptr = block_new(requested, TLS_BYTES);
	*allocated = requested;
	return *ptr == NULL ? S2N_FAILURE : S2N_SUCCESS;
}

static int mem_free(void *ptr, uint32_t size)
{
	(void)size;
	if (ptr != NULL) {
		block_free(ptr, TLS_BYTES);
	}
	return S2N_SUCCESS;
}

int pqq_mem_install(void)
{
	return s2n_mem_set_callbacks(mem_nothing, mem_nothing, mem_malloc, mem_free) == S2N_SUCCESS;
}
