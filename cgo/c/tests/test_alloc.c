/* Fails one allocation in each run, and checks that nothing crashes or leaks and that no handshake succeeds that
 * must fail. The linker replaces the allocators by the __wrap_ functions.
 *
 * In handshakes only allocations of our own C fail, because s2n-tls 1.7 does not handle the failure of all of its
 * own: it pushes to a stack of certificates that was not allocated, and leaks a connection. */
#include <stdlib.h>

#include "../block.h"
#include "certs.h"
#include "side.h"

static long countdown = -1; /* the number of allocations before the one that fails; -1: none fails */
static int any;             /* count the allocations of all code, not only those of our own */

static int fails(int ours) { return any != ours && countdown >= 0 && countdown-- == 0; }

void *__real_malloc(size_t len);
void *__wrap_malloc(size_t len);
void *__real_pqq_alloc(size_t len);
void *__wrap_pqq_alloc(size_t len);
void *__real_pqq_realloc(void *p, size_t len);
void *__wrap_pqq_realloc(void *p, size_t len);

void *__wrap_malloc(size_t len) { return fails(0) ? NULL : __real_malloc(len); }
void *__wrap_pqq_alloc(size_t len) { return fails(1) ? NULL : __real_pqq_alloc(len); }
void *__wrap_pqq_realloc(void *p, size_t len) { return fails(1) ? NULL : __real_pqq_realloc(p, len); }

#ifdef OPENSSL_IS_AWSLC
static void watch_libcrypto(void) {} /* the linker replaces its allocator */
#else
/* The linker cannot replace calls within a shared library. */
static void *crypto_malloc(size_t len, const char *file, int line)
{
	(void)file;
	(void)line;
	return malloc(len);
}

static void *crypto_realloc(void *p, size_t len, const char *file, int line)
{
	(void)file;
	(void)line;
	return fails(0) ? NULL : realloc(p, len);
}

static void crypto_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

static void watch_libcrypto(void) { CHECK(CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free)); }
#endif

static test_cert cert;

typedef struct {
	pqq_config *client, *server;
} configs;

static int set_up(configs *c)
{
	uint8_t secret[32] = { 7 };
	uint32_t tickets = is_historic() ? 0 : PQQ_TICKETS;
	uint32_t details = is_historic() ? 0 : PQQ_PEER_DETAILS;
	int32_t err;
	c->client = pqq_config_new(POLICY, tickets | details, &err);
	c->server = pqq_config_new(POLICY, PQQ_SERVER | PQQ_SKIP_VERIFY | tickets | PQQ_KEY_LOG, &err);
	return c->client != NULL && c->server != NULL && pqq_config_add_root(c->client, cert.cert, &err)
		&& pqq_config_add_alpn(c->client, (const uint8_t *)"test", 4, &err)
		&& pqq_config_add_cert(c->server, (uint8_t *)cert.cert, strlen(cert.cert), (uint8_t *)cert.key,
			strlen(cert.key), 0, &err, secret, is_historic() ? 0 : sizeof(secret))
		&& pqq_config_add_ticket_key(c->server, secret, &err);
}

static void take_down(configs *c)
{
	pqq_config_free(c->client);
	pqq_config_free(c->server);
}

/* Passes what from wrote to to. Returns 0 if to fails. */
static int deliver(side *from, side *to)
{
	for (uint32_t level = 0; level < 4; level++) {
		size_t len = from->out_len[level];
		if (len > 0 && !drive(to, level, from->out[level], len)) {
			return 0;
		}
		from->out_len[level] = 0;
	}
	return 1;
}

static int keys_of(side *s)
{
	int all = 1;
	for (uint32_t level = PQQ_HANDSHAKE; level <= PQQ_APP; level += PQQ_APP - PQQ_HANDSHAKE) {
		pqq_sealer *w = pqq_conn_take_sealer(s->conn, level, 1);
		pqq_opener *r = pqq_conn_take_opener(s->conn, level, 1);
		all = all && w != NULL && r != NULL;
		if (w != NULL && level == PQQ_APP) {
			all = pqq_sealer_update(w) && all;
		}
		if (r != NULL && level == PQQ_APP) {
			all = pqq_opener_update(r, 0) && all;
		}
		pqq_sealer_free(w);
		pqq_opener_free(r);
	}
	return all;
}

/* Runs a handshake for name, with a ticket if there is one. Returns 1 if both sides complete it. */
static int once(const configs *cfg, const char *name, pqq_ticket **ticket)
{
	static side c, s;
	int32_t err;
	int ok = 0;
	memset(&c, 0, sizeof(c));
	memset(&s, 0, sizeof(s));
	c.conn = pqq_conn_new(cfg->client, name, name, 0, (const uint8_t *)"client", 6, &err);
	s.conn = pqq_conn_new(cfg->server, NULL, NULL, 0, NULL, 0, &err);
	if (c.conn != NULL && *ticket != NULL) {
		(void)pqq_conn_resume(c.conn, *ticket, 0);
	}
	if (c.conn != NULL && s.conn != NULL && drive(&c, 0, NULL, 0) && deliver(&c, &s) && s.hello
		&& pqq_conn_continue(s.conn, NULL, (const uint8_t *)"test", 4, (const uint8_t *)"server", 6, &err)
		&& drive(&s, 0, NULL, 0) && deliver(&s, &c) && deliver(&c, &s) && deliver(&s, &c)) {
		ok = c.done && s.done && keys_of(&c) && keys_of(&s);
	}
	if (c.conn != NULL) {
		pqq_ticket *fresh = pqq_conn_take_ticket(c.conn);
		if (fresh != NULL) {
			pqq_ticket_free(*ticket);
			*ticket = fresh;
		}
	}
	pqq_conn_free(c.conn);
	pqq_conn_free(s.conn);
	return ok;
}

/* Repeats run with its first allocation failing, its second one, and so on, until all have failed once. */
static void each(int (*run)(const configs *), const configs *cfg, int may_succeed, long at_least)
{
	CHECK(run(cfg) == may_succeed); /* makes the allocations that are never freed */
	long n = 0;
	for (int over = 0; !over; n++) {
		pqq_live before = pqq_live_now();
		countdown = n;
		int ok = run(cfg);
		over = countdown >= 0;
		countdown = -1;
		CHECK(may_succeed || !ok);
		CHECK(!over || ok == may_succeed);
		pqq_live after = pqq_live_now();
		CHECK(after.handles == before.handles && after.tls_bytes == before.tls_bytes);
	}
	CHECK(n > at_least); /* otherwise the linker did not replace the allocators */
	CHECK(run(cfg) == may_succeed);
}

static int full(const configs *cfg)
{
	pqq_ticket *none = NULL;
	int ok = once(cfg, "server.test", &none);
	pqq_ticket_free(none);
	return ok;
}

static int wrong_name(const configs *cfg)
{
	pqq_ticket *none = NULL;
	int ok = once(cfg, "other.test", &none);
	CHECK(none == NULL);
	return ok;
}

static int resumed(const configs *cfg)
{
	pqq_ticket *t = NULL;
	int ok = once(cfg, "server.test", &t) && t != NULL && once(cfg, "server.test", &t);
	pqq_ticket_free(t);
	return ok;
}

static int configuration(const configs *unused)
{
	configs c = { 0 };
	(void)unused;
	int ok = set_up(&c);
	take_down(&c);
	return ok;
}

/* No allocation fails here, because the module's random generator ends the process if it gets no memory. */
static int seal_token(const pqq_token *t, uint8_t *out, size_t cap, const uint8_t *in)
{
	any = 0;
	size_t n = pqq_token_seal(t, out, cap, in, 8, NULL, 0);
	any = 1;
	return n == 8 + PQQ_TOKEN_OVERHEAD;
}

/* Here the allocations of libcrypto fail, too. */
static int packets(const configs *unused)
{
	static uint8_t retry[5000];
	uint8_t secret[48] = { 1 }, pkt[64] = { 0x43, 0, 0, 0, 9 }, tag[16], out[64];
	pqq_seal_desc sd = { .header_len = 5, .payload_len = 20, .packet_number = 9 };
	pqq_open_desc od = { .len = 41, .pn_offset = 1 };
	(void)unused;
	pqq_sealer *s = pqq_sealer_new(1, 0x1302, secret, 48, 1), *si = pqq_initial_sealer_new(1, secret, 8, 1);
	pqq_opener *o = pqq_opener_new(1, 0x1302, secret, 48, 1), *oi = pqq_initial_opener_new(1, secret, 8, 1);
	pqq_token *t = pqq_token_new(secret, 32);
	pqq_reset *r = pqq_reset_new(secret, 32);
	int ok = s != NULL && si != NULL && o != NULL && oi != NULL && t != NULL && r != NULL
		&& pqq_seal(s, pkt, sizeof(pkt), &sd, 1) && pqq_open(o, pkt, sizeof(pkt), &od, 1, 0) == 1
		&& od.status == PQQ_OPEN_OK
		&& pqq_sealer_update(s) && (pqq_opener_rest(o), pqq_opener_update(o, 3))
		&& (sd.packet_number++, pkt[0] = 0x43, pqq_sealer_rest(s), pqq_seal(s, pkt, sizeof(pkt), &sd, 1))
		&& seal_token(t, out, sizeof(out), secret)
		&& pqq_token_open(t, tag, sizeof(tag), out, 8 + PQQ_TOKEN_OVERHEAD, NULL, 0) == 9
		&& pqq_reset_token(r, secret, 8, tag) && pqq_retry_tag(1, secret, 8, retry, sizeof(retry), tag);
	pqq_sealer_free(s);
	pqq_sealer_free(si);
	pqq_opener_free(o);
	pqq_opener_free(oi);
	pqq_token_free(t);
	pqq_reset_free(r);
	return ok;
}

/* Makes each allocation call malloc, which this test can make fail. */
static void keep_no_spares(void)
{
	pqq_shard_trim(pqq_shard_own());
	pqq_shard_own()->room = 0;
}

int main(void)
{
	configs c = { 0 };
	keep_no_spares();
	watch_libcrypto();
	check_init();
	make_cert(&cert);
	CHECK(set_up(&c));
	each(full, &c, 1, 15);
	each(wrong_name, &c, 0, 6);
	if (!is_historic()) {
		each(resumed, &c, 1, 25);
	}
	each(configuration, NULL, 1, 2);
	any = 1;
	each(packets, NULL, 1, 10);
	any = 0;
	take_down(&c);
	CHECK(pqq_live_now().handles == 0);
	return 0;
}
