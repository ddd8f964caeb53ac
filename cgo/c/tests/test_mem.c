/* Checks the counts when threads start and end, and free memory of other threads. If the compiler supports
 * ThreadSanitizer, the build also runs this test under it, with pqq_mem.c alone. */
#include <pthread.h>

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

int main(void)
{
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
