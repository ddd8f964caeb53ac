/* Reads the module's service indicator around each call of a service, and counts the calls by function, parameters and
 * place. build/report makes the functions that call pqq_report_enter and pqq_report_leave. */
#include <execinfo.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/service_indicator.h>

#include "pqquic_report.h"
#include "report.h"

#define MAX_ROWS 8192
#define MAX_DEPTH 16

/* A call that has begun on this thread. */
typedef struct {
	pqq_report_row row;
	const pqq_report_service *service;
	uint64_t args[6];
	void *return_address;
	uint64_t before;
} call;

static __thread call calls[MAX_DEPTH];
static __thread int depth;

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pqq_report_row rows[MAX_ROWS];
static size_t used;
static uint64_t lost;

void pqq_report_enter(const pqq_report_service *service, const uint64_t args[6], void *return_address)
{
	if (depth == MAX_DEPTH) {
		fprintf(stderr, "pqquic: the FIPS report: %d services of libcrypto are nested\n", MAX_DEPTH);
		abort();
	}
	call *c = &calls[depth++];
	memset(&c->row, 0, sizeof(c->row));
	c->service = service;
	c->return_address = return_address;
	c->row.function = service->name;
	memcpy(c->args, args, sizeof(c->args));
	if (service->describe != NULL) {
		service->describe(c->row.params, sizeof(c->row.params), c->args, 0);
	}
	/* The first two are this function and the one that calls it. */
	void *frames[PQQ_REPORT_FRAMES + 2];
	int n = backtrace(frames, PQQ_REPORT_FRAMES + 2);
	for (int i = 2; i < n; i++) {
		c->row.frames[i - 2] = (uintptr_t)frames[i];
	}
	c->before = FIPS_service_indicator_before_call();
}

static int succeeded(const call *c, uint64_t result)
{
	switch (c->service->result[0]) {
	case 'v':
		return 1;
	case 'p':
		return result != 0;
	default:
		return (int)result > 0;
	}
}

static int same(const pqq_report_row *a, const pqq_report_row *b)
{
	return a->function == b->function && strcmp(a->params, b->params) == 0
		&& memcmp(a->frames, b->frames, sizeof(a->frames)) == 0;
}

/* Reports whether a call only asked for the length of a result. */
static int query(const call *c) { return c->service->result[0] == 's' && c->args[1] == 0; }

/* Finds or adds the row of a call. It returns NULL if there are too many. */
static pqq_report_row *row_of(const pqq_report_row *r)
{
	for (size_t i = 0; i < used; i++) {
		if (same(&rows[i], r)) {
			return &rows[i];
		}
	}
	if (used == MAX_ROWS) {
		return NULL;
	}
	rows[used] = *r;
	return &rows[used++];
}

void *pqq_report_leave(uint64_t result)
{
	uint64_t after = FIPS_service_indicator_after_call();
	call *c = &calls[--depth];
	if (query(c)) {
		return c->return_address;
	}
	int ok = succeeded(c, result);
	if (ok && c->service->describe != NULL && c->row.params[0] == 0) {
		c->service->describe(c->row.params, sizeof(c->row.params), c->args, 1);
	}
	pthread_mutex_lock(&mu);
	pqq_report_row *r = row_of(&c->row);
	if (r == NULL) {
		lost++;
	} else if (after != c->before) {
		r->approved++;
	} else if (ok) {
		r->unapproved++;
	} else {
		r->failed++;
	}
	pthread_mutex_unlock(&mu);
	return c->return_address;
}

void pqq_report_reset(void)
{
	pthread_mutex_lock(&mu);
	used = 0;
	lost = 0;
	pthread_mutex_unlock(&mu);
}

size_t pqq_report_rows(pqq_report_row *out, size_t cap)
{
	pthread_mutex_lock(&mu);
	size_t n = used;
	memcpy(out, rows, (n < cap ? n : cap) * sizeof(*out));
	pthread_mutex_unlock(&mu);
	return n;
}

uint64_t pqq_report_lost(void)
{
	pthread_mutex_lock(&mu);
	uint64_t n = lost;
	pthread_mutex_unlock(&mu);
	return n;
}
