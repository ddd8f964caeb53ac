/* block.h has the blocks of pqq_mem.c's allocator. They are inline because libcrypto allocates several hundred
 * of them in a handshake. */
#ifndef PQQ_BLOCK_H
#define PQQ_BLOCK_H

#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* What is counted: bytes of s2n-tls and our C, bytes of libcrypto, handles. */
enum { PQQ_TLS_BYTES, PQQ_CRYPTO_BYTES, PQQ_HANDLES, PQQ_COUNTS };

/* Each thread counts in a shard of its own, without atomic read-modify-write operations: two of them for each
 * allocation were 3 % of a handshake. Only the sum over all shards has a meaning, because memory can be freed
 * by another thread than the one that allocated it. When a thread ends, its shard keeps its counts and goes to
 * the next thread that needs one. */
typedef struct pqq_shard {
	_Alignas(64) int64_t n[PQQ_COUNTS];
	int taken;
	struct pqq_shard *next;
} pqq_shard;

extern __thread pqq_shard *pqq_own_shard;

/* pqq_shard_take finds or makes a shard for a thread that has none. */
pqq_shard *pqq_shard_take(void);

static inline void pqq_count(int kind, int64_t by)
{
	pqq_shard *s = pqq_own_shard;
	if (s == NULL) {
		s = pqq_shard_take();
	}
	/* No other thread writes here; pqq_live_now reads. */
	__atomic_store_n(&s->n[kind], __atomic_load_n(&s->n[kind], __ATOMIC_RELAXED) + by, __ATOMIC_RELAXED);
}

/* The size is stored in front of each block. 16 bytes keep the block aligned. */
#define PQQ_BLOCK_PREFIX 16

/* pqq_block_new does not initialize the block's memory. */
static inline void *pqq_block_new(size_t len, int kind)
{
	if (len > SIZE_MAX - PQQ_BLOCK_PREFIX) {
		return NULL;
	}
	uint8_t *p = malloc(len + PQQ_BLOCK_PREFIX);
	if (p == NULL) {
		return NULL;
	}
	memcpy(p, &len, sizeof(len));
	pqq_count(kind, (int64_t)len);
	return p + PQQ_BLOCK_PREFIX;
}

static inline size_t pqq_block_len(const void *block)
{
	size_t len;
	memcpy(&len, (const uint8_t *)block - PQQ_BLOCK_PREFIX, sizeof(len));
	return len;
}

/* pqq_block_free overwrites the block's memory before it frees it. */
static inline void pqq_block_free(void *block, int kind)
{
	size_t len = pqq_block_len(block);
	pqq_crypto_wipe(block, len);
	pqq_count(kind, -(int64_t)len);
	free((uint8_t *)block - PQQ_BLOCK_PREFIX);
}

#endif
