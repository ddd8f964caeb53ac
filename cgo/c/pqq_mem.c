/* The allocator of s2n-tls, of our own C and, in awslc/mem.c, of AWS-LC. It counts bytes and handles.
 *
 * By default s2n-tls locks each allocation into memory. That costs a page and a system call each (300 of the
 * 700 µs that a pair of handshakes takes) and fails at RLIMIT_MEMLOCK. This allocator locks nothing, so keys
 * may reach swap or a core dump, as with crypto/tls. It wipes all memory that it frees. Each thread keeps some of
 * it for its next allocations: block.h. */
#include <pthread.h>

#include <s2n.h>

#include "block.h"

static pqq_shard *shards;
__thread pqq_shard *pqq_own_shard;
static pthread_key_t shard_key;
static int shard_key_made;
static pthread_once_t shard_once = PTHREAD_ONCE_INIT;

void pqq_shard_trim(pqq_shard *s)
{
	for (size_t i = 0; i < PQQ_SPARE_CLASSES; i++) {
		while (s->spares[i] != NULL) {
			pqq_block *b = s->spares[i];
			s->spares[i] = b->next;
			s->room += pqq_spare_size(i);
			free(b);
		}
	}
}

/* Runs when a thread ends. If later destructors of the thread free memory, they take a shard again. */
static void shard_leave(void *taken)
{
	pqq_own_shard = NULL;
	pqq_shard_trim(taken);
	__atomic_store_n(&((pqq_shard *)taken)->taken, 0, __ATOMIC_RELEASE);
}

/* This fails if the process has no key left (the limit is 1024). Shards of ended threads are then not reused. */
static void shard_key_make(void) { shard_key_made = pthread_key_create(&shard_key, shard_leave) == 0; }

static pqq_shard *shard_find(void)
{
	/* It is used if there is no memory for a shard. Several threads can use it at the same time, so its counts may
	 * be wrong, and it has no room for spares. */
	static pqq_shard last_resort;
	pthread_once(&shard_once, shard_key_make);
	for (pqq_shard *s = __atomic_load_n(&shards, __ATOMIC_ACQUIRE); s != NULL; s = s->next) {
		int is_free = 0;
		if (__atomic_compare_exchange_n(&s->taken, &is_free, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
			return s;
		}
	}
	pqq_shard *s = aligned_alloc(_Alignof(pqq_shard), sizeof(*s));
	if (s == NULL) {
		return &last_resort;
	}
	memset(s, 0, sizeof(*s));
	s->taken = 1;
	s->room = shard_key_made ? PQQ_SPARE_LIMIT : 0; /* without a key nothing would free the spares */
	s->next = __atomic_load_n(&shards, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&shards, &s->next, s, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
	}
	return s;
}

pqq_shard *pqq_shard_take(void)
{
	pqq_shard *s = pqq_own_shard = shard_find();
	if (shard_key_made) {
		(void)pthread_setspecific(shard_key, s);
	}
	return s;
}

void *pqq_alloc(size_t len)
{
	void *p = pqq_block_new(len, PQQ_TLS_BYTES);
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
		pqq_block_free(p, PQQ_TLS_BYTES);
	}
}

void pqq_handle_made(void) { pqq_count(PQQ_HANDLES, 1); }
void pqq_handle_gone(void) { pqq_count(PQQ_HANDLES, -1); }

pqq_live pqq_live_now(void)
{
	int64_t sum[PQQ_COUNTS] = { 0 };
	for (pqq_shard *s = __atomic_load_n(&shards, __ATOMIC_ACQUIRE); s != NULL; s = s->next) {
		for (int k = 0; k < PQQ_COUNTS; k++) {
			sum[k] += __atomic_load_n(&s->n[k], __ATOMIC_RELAXED);
		}
	}
	return (pqq_live){ .tls_bytes = sum[PQQ_TLS_BYTES], .crypto_bytes = sum[PQQ_CRYPTO_BYTES], .handles = sum[PQQ_HANDLES] };
}

static int mem_nothing(void) { return S2N_SUCCESS; }

static int mem_malloc(void **ptr, uint32_t requested, uint32_t *allocated)
{
	*ptr = pqq_block_new(requested, PQQ_TLS_BYTES);
	*allocated = requested;
	return *ptr == NULL ? S2N_FAILURE : S2N_SUCCESS;
}

static int mem_free(void *ptr, uint32_t size)
{
	(void)size;
	if (ptr != NULL) {
		pqq_block_free(ptr, PQQ_TLS_BYTES);
	}
	return S2N_SUCCESS;
}

int pqq_mem_install(void)
{
	return s2n_mem_set_callbacks(mem_nothing, mem_nothing, mem_malloc, mem_free) == S2N_SUCCESS;
}
