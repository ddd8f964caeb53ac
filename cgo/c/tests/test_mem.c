/* Checks the counts when threads start and end, and free memory of other threads. If the compiler supports
 * ThreadSanitizer, the build also runs this test under it, with pqq_mem.c alone. */
#include <pthread.h>

#include "../block.h"
#include "check.h"

enum { WORKERS = 7, BLOCKS = 64 };

static void *worker(void *arg)
{
	void *keep[BLOCKS];
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < BLOCKS; i++) {
			keep[i] = pqq_alloc((size_t)(i * 7));
			CHECK(keep[i] != NULL);
		}
		for (int i = 0; i < BLOCKS; i++) {
			keep[i] = pqq_realloc(keep[i], (size_t)(i * 9 + 1));
			CHECK(keep[i] != NULL);
		}
		pqq_handle_made();
		(void)pqq_live_now();
		for (int i = 0; i < BLOCKS; i++) {
			pqq_release(keep[i]);
		}
		pqq_handle_gone();
	}
	return arg;
}

static void *leaver(void *arg)
{
	*(void **)arg = pqq_alloc(1000);
	pqq_handle_made();
	return NULL;
}

/* The destructors of other keys, which run before and after the one of the shard, allocate memory. */
static pthread_key_t before, after;

static void at_end(void *block)
{
	pqq_release(block);
	pqq_release(pqq_alloc(10));
}

static void *with_destructors(void *arg)
{
	CHECK(pthread_setspecific(before, pqq_alloc(100)) == 0);
	CHECK(pthread_setspecific(after, pqq_alloc(100)) == 0);
	return arg;
}

static size_t kept(const pqq_shard *s)
{
	size_t sum = 0;
	for (size_t i = 0; i < PQQ_SPARE_CLASSES; i++) {
		for (const pqq_block *b = s->spares[i]; b != NULL; b = b->next) {
			sum += pqq_spare_size(i);
		}
	}
	return sum;
}

enum { MANY = 4000 };

static void fill_and_free(size_t len)
{
	static __thread uint8_t *p[MANY];
	for (int i = 0; i < MANY; i++) {
		p[i] = pqq_block_new(len, PQQ_TLS_BYTES);
		CHECK(p[i] != NULL && (uintptr_t)p[i] % 16 == 0);
		memset(p[i], 0xa5, len);
	}
	for (int i = 0; i < MANY; i++) {
		pqq_block_free(p[i], PQQ_TLS_BYTES);
	}
}

/* Spares hold nothing of what they held. The 8 bytes between two sizes never belong to a block of the smaller one. */
static void check_wiped(const pqq_shard *s)
{
	for (size_t i = 0; i < PQQ_SPARE_CLASSES; i++) {
		for (const pqq_block *b = s->spares[i]; b != NULL; b = b->next) {
			const uint8_t *data = (const uint8_t *)b + PQQ_BLOCK_PREFIX;
			CHECK(b->len == PQQ_FREED);
			for (size_t k = 0; k < pqq_spare_size(i); k++) {
				CHECK(data[k] != 0xa5);
			}
		}
	}
}

/* A block's class is the first that it fits into, and the last class ends at 1016 bytes. */
static void classes(void)
{
	for (size_t len = 0, class = 0; len <= 1016; len++) {
		class += len > pqq_spare_size(class);
		CHECK(pqq_spare_class(len) == (PQQ_SPARES ? class : PQQ_SPARE_CLASSES));
	}
	CHECK(pqq_spare_class(1017) == PQQ_SPARE_CLASSES && pqq_spare_class(SIZE_MAX) == PQQ_SPARE_CLASSES);
}

/* Spares are bounded, wiped, and used again only for blocks that fit. */
static void spares(void)
{
	const pqq_shard *s = pqq_shard_own();

	for (size_t len = 0; len <= 1100; len += 11) {
		fill_and_free(len);
		CHECK(kept(s) <= PQQ_SPARE_LIMIT && kept(s) + s->room == PQQ_SPARE_LIMIT);
	}
	CHECK(!PQQ_SPARES || kept(s) > PQQ_SPARE_LIMIT - 1024);
	check_wiped(s);
	if (PQQ_SPARES) {
		const void *first = pqq_block_new(40, PQQ_TLS_BYTES);
		pqq_block_free((void *)first, PQQ_TLS_BYTES);
		void *other = pqq_block_new(41, PQQ_TLS_BYTES), *same = pqq_block_new(25, PQQ_TLS_BYTES);
		CHECK(other != first && same == first && pqq_block_len(same) == 25);
		pqq_block_free(other, PQQ_TLS_BYTES);
		pqq_block_free(same, PQQ_TLS_BYTES);
	}
}

static void *leaves_spares(void *shard)
{
	fill_and_free(100);
	*(const pqq_shard **)shard = pqq_shard_own();
	CHECK(!PQQ_SPARES || kept(pqq_shard_own()) > 0);
	return NULL;
}

/* A thread that ends leaves none. */
static void spares_of_ended_thread(void)
{
	pthread_t t;
	const pqq_shard *s = NULL;
	CHECK(pthread_create(&t, NULL, leaves_spares, &s) == 0 && pthread_join(t, NULL) == 0);
	CHECK(s != NULL && s != pqq_shard_own() && kept(s) == 0 && s->room == PQQ_SPARE_LIMIT);
}

int main(void)
{
	classes();
	spares();
	spares_of_ended_thread();
	CHECK(pthread_key_create(&before, at_end) == 0);
	pqq_release(pqq_alloc(1)); /* makes the shard's own key */
	CHECK(pthread_key_create(&after, at_end) == 0);
	pqq_live start = pqq_live_now();
	for (int round = 0; round < 20; round++) {
		pthread_t t[WORKERS + 2];
		void *left = NULL;
		for (int i = 0; i < WORKERS; i++) {
			CHECK(pthread_create(&t[i], NULL, worker, NULL) == 0);
		}
		CHECK(pthread_create(&t[WORKERS], NULL, leaver, &left) == 0);
		CHECK(pthread_create(&t[WORKERS + 1], NULL, with_destructors, NULL) == 0);
		for (int i = 0; i < WORKERS + 2; i++) {
			CHECK(pthread_join(t[i], NULL) == 0);
		}
		pqq_live now = pqq_live_now();
		CHECK(now.tls_bytes == start.tls_bytes + 1000 && now.handles == start.handles + 1);
		pqq_release(left);
		pqq_handle_gone();
		now = pqq_live_now();
		CHECK(now.tls_bytes == start.tls_bytes && now.handles == start.handles);
	}
	return 0;
}
