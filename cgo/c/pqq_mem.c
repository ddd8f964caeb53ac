/* The allocator of s2n-tls, of our own C and, in awslc/mem.c, of AWS-LC. It counts bytes and handles.
 *
 * By default s2n-tls locks each allocation into memory. That costs a page and a system call each (300 of the
 * 700 µs that a pair of handshakes takes) and fails at RLIMIT_MEMLOCK. This allocator locks nothing, so keys
 * may reach swap or a core dump, as with crypto/tls. It wipes all memory that it frees. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <s2n.h>

#include "internal.h"

enum { TLS_BYTES = PQQ_TLS_BYTES, HANDLES = PQQ_CRYPTO_BYTES + 1, KINDS };

/* Each thread counts in a shard of its own, without atomic read-modify-write operations: two of them for each
 * allocation were 3 % of a handshake. Only the sum over all shards has a meaning, because memory can be freed
 * by another thread than the one that allocated it. When a thread ends, its shard keeps its counts and goes to
 * the next thread that needs one. */
typedef struct shard {
	_Alignas(64) int64_t n[KINDS];
	int taken;
	struct shard *next;
} shard_t;

static shard_t *shards;
static __thread shard_t *shard;
static pthread_key_t shard_key;
static int shard_key_made;
static pthread_once_t shard_once = PTHREAD_ONCE_INIT;

/* Runs when a thread ends. If later destructors of the thread free memory, they take a shard again. */
static void shard_leave(void *taken)
{
	shard = NULL;
	__atomic_store_n(&((shard_t *)taken)->taken, 0, __ATOMIC_RELEASE);
}

/* This fails if the process has no key left (the limit is 1024). Shards of ended threads are then not reused. */
static void shard_key_make(void) { shard_key_made = pthread_key_create(&shard_key, shard_leave) == 0; }

static shard_t *shard_take(void)
{
	static shard_t last_resort; /* used if there is no memory for a shard; counts may then be wrong */
	pthread_once(&shard_once, shard_key_make);
	for (shard_t *s = __atomic_load_n(&shards, __ATOMIC_ACQUIRE); s != NULL; s = s->next) {
		int is_free = 0;
		if (__atomic_compare_exchange_n(&s->taken, &is_free, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
			return s;
		}
	}
	shard_t *s = aligned_alloc(_Alignof(shard_t), sizeof(*s));
	if (s == NULL) {
		return &last_resort;
	}
	memset(s, 0, sizeof(*s));
	s->taken = 1;
	s->next = __atomic_load_n(&shards, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&shards, &s->next, s, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
	}
	return s;
}

static void count(int kind, int64_t by)
{
	shard_t *s = shard;
	if (s == NULL) {
		s = shard = shard_take();
		if (shard_key_made) {
			(void)pthread_setspecific(shard_key, s);
		}
	}
	/* No other thread writes here; pqq_live_now reads. */
	__atomic_store_n(&s->n[kind], __atomic_load_n(&s->n[kind], __ATOMIC_RELAXED) + by, __ATOMIC_RELAXED);
}

/* The size is stored in front of each block. 16 bytes keep the block aligned. */
#define PREFIX 16

void *pqq_block_new(size_t len, int kind)
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

size_t pqq_block_len(const void *block)
{
	size_t len;
	memcpy(&len, (const uint8_t *)block - PREFIX, sizeof(len));
	return len;
}

void pqq_block_free(void *block, int kind)
{
	size_t len = pqq_block_len(block);
	pqq_crypto_wipe(block, len);
	count(kind, -(int64_t)len);
	free((uint8_t *)block - PREFIX);
}

void *pqq_alloc(size_t len)
{
	void *p = pqq_block_new(len, TLS_BYTES);
	if (p != NULL) {
		memset(p, 0, len);
	}
	return p;
}

void *pqq_realloc(void *p, size_t len)
{
	void *grown = pqq_alloc(len);
	if (grown != NULL && p != NULL) {
		size_t old = pqq_block_len(p);
		memcpy(grown, p, old < len ? old : len);
		pqq_release(p);
	}
	return grown;
}

void pqq_release(void *p)
{
	if (p != NULL) {
		pqq_block_free(p, TLS_BYTES);
	}
}

void pqq_handle_made(void) { count(HANDLES, 1); }
void pqq_handle_gone(void) { count(HANDLES, -1); }

pqq_live pqq_live_now(void)
{
	int64_t sum[KINDS] = { 0 };
	for (shard_t *s = __atomic_load_n(&shards, __ATOMIC_ACQUIRE); s != NULL; s = s->next) {
		for (int k = 0; k < KINDS; k++) {
			sum[k] += __atomic_load_n(&s->n[k], __ATOMIC_RELAXED);
		}
	}
	return (pqq_live){ .tls_bytes = sum[TLS_BYTES], .crypto_bytes = sum[PQQ_CRYPTO_BYTES], .handles = sum[HANDLES] };
}

static int mem_nothing(void) { return S2N_SUCCESS; }

static int mem_malloc(void **ptr, uint32_t requested, uint32_t *allocated)
{
	*ptr = pqq_block_new(requested, TLS_BYTES);
	*allocated = requested;
	return *ptr == NULL ? S2N_FAILURE : S2N_SUCCESS;
}

static int mem_free(void *ptr, uint32_t size)
{
	(void)size;
	if (ptr != NULL) {
		pqq_block_free(ptr, TLS_BYTES);
	}
	return S2N_SUCCESS;
}

int pqq_mem_install(void)
{
	return s2n_mem_set_callbacks(mem_nothing, mem_nothing, mem_malloc, mem_free) == S2N_SUCCESS;
}
