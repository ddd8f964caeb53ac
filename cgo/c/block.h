/* block.h has the blocks of pqq_mem.c's allocator. They are inline because libcrypto allocates several hundred
 * of them in a handshake. */
#ifndef PQQ_BLOCK_H
#define PQQ_BLOCK_H

#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* What is counted: bytes of s2n-tls and our C, bytes of libcrypto, handles. */
enum { PQQ_TLS_BYTES, PQQ_CRYPTO_BYTES, PQQ_HANDLES, PQQ_COUNTS };

/* A shard also keeps freed blocks of at most 1016 bytes as spares, in a list for each size. A handshake frees more
 * blocks of a size at once than malloc keeps in its own list for a thread (7), and its slower lists were 7 % of a
 * handshake's time. The sizes are those to which malloc rounds, so blocks take no more memory than without spares.
 * AddressSanitizer must see each block's exact size and its end, so a build with it keeps no spares. */
#if defined(__SANITIZE_ADDRESS__)
#define PQQ_SPARES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PQQ_SPARES 0
#endif
#endif
#ifndef PQQ_SPARES
#define PQQ_SPARES 1
#endif
#define PQQ_SPARE_CLASSES 64
#define PQQ_SPARE_STEP 16
#define PQQ_SPARE_LIMIT 65536 /* the maximum of bytes that a shard keeps as spares, without their prefixes */

/* Each thread counts in a shard of its own, without atomic read-modify-write operations: two of them for each
 * allocation were 3 % of a handshake. Only the sum over all shards has a meaning, because memory can be freed
 * by another thread than the one that allocated it. When a thread ends, its shard keeps its counts and goes to
 * the next thread that needs one. */
typedef struct pqq_shard {
	_Alignas(64) int64_t n[PQQ_COUNTS];
	int taken;
	struct pqq_shard *next;
	/* Only the thread that has taken the shard uses what follows, so a fork leaves it consistent. */
	size_t room; /* how many more bytes of spares the shard may keep */
	struct pqq_block *spares[PQQ_SPARE_CLASSES];
} pqq_shard;

extern __thread pqq_shard *pqq_own_shard;

/* pqq_shard_take finds or makes a shard for a thread that has none. */
pqq_shard *pqq_shard_take(void);

/* pqq_shard_trim frees a shard's spares. */
void pqq_shard_trim(pqq_shard *s);

static inline pqq_shard *pqq_shard_own(void)
{
	pqq_shard *s = pqq_own_shard;
	return s != NULL ? s : pqq_shard_take();
}

static inline void pqq_shard_count(pqq_shard *s, int kind, int64_t by)
{
	/* No other thread writes here; pqq_live_now reads. */
	__atomic_store_n(&s->n[kind], __atomic_load_n(&s->n[kind], __ATOMIC_RELAXED) + by, __ATOMIC_RELAXED);
}

static inline void pqq_count(int kind, int64_t by) { pqq_shard_count(pqq_shard_own(), kind, by); }

/* A pqq_block is what precedes the memory of each block. Its 16 bytes keep that memory aligned. */
typedef struct pqq_block {
	size_t len; /* PQQ_FREED in a spare */
	struct pqq_block *next; /* of a spare */
} pqq_block;

_Static_assert(sizeof(pqq_block) <= 16, "the prefix of a block");
#define PQQ_BLOCK_PREFIX 16
#define PQQ_FREED SIZE_MAX

static inline size_t pqq_spare_size(size_t class) { return class * PQQ_SPARE_STEP + 8; }

/* pqq_spare_class returns the index of the list for blocks of a size, or PQQ_SPARE_CLASSES if there is none. */
static inline size_t pqq_spare_class(size_t len)
{
	return PQQ_SPARES && len <= pqq_spare_size(PQQ_SPARE_CLASSES - 1) ? (len + PQQ_SPARE_STEP - 9) / PQQ_SPARE_STEP
									  : PQQ_SPARE_CLASSES;
}

/* pqq_block_new does not initialize the block's memory. */
static inline void *pqq_block_new(size_t len, int kind)
{
	pqq_shard *s = pqq_shard_own();
	size_t class = pqq_spare_class(len);
	pqq_block *b = class < PQQ_SPARE_CLASSES ? s->spares[class] : NULL;

	if (b != NULL) {
		s->spares[class] = b->next;
		s->room += pqq_spare_size(class);
	} else {
		size_t size = class < PQQ_SPARE_CLASSES ? pqq_spare_size(class) : len;
		b = size > SIZE_MAX - PQQ_BLOCK_PREFIX ? NULL : malloc(size + PQQ_BLOCK_PREFIX);
		if (b == NULL) {
			return NULL;
		}
	}
	b->len = len;
	pqq_shard_count(s, kind, (int64_t)len);
	return (uint8_t *)b + PQQ_BLOCK_PREFIX;
}

static inline pqq_block *pqq_block_of(const void *p) { return (pqq_block *)((uint8_t *)p - PQQ_BLOCK_PREFIX); }

static inline size_t pqq_block_len(const void *p) { return pqq_block_of(p)->len; }

/* pqq_block_free overwrites the block's memory before it frees it or keeps it as a spare. */
static inline void pqq_block_free(void *p, int kind)
{
	pqq_shard *s = pqq_shard_own();
	pqq_block *b = pqq_block_of(p);
	size_t len = b->len, class = pqq_spare_class(len);

	if (len == PQQ_FREED) {
		abort(); /* a second free; malloc would do the same */
	}
	pqq_crypto_wipe(p, len);
	pqq_shard_count(s, kind, -(int64_t)len);
	if (class == PQQ_SPARE_CLASSES || s->room < pqq_spare_size(class)) {
		free(b);
		return;
	}
	s->room -= pqq_spare_size(class);
	b->len = PQQ_FREED;
	b->next = s->spares[class];
	s->spares[class] = b;
}

#endif
