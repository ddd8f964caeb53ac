/* Measures the cost of s2n-tls and AWS-LC without Go: the handshake pair in memory that bench/ runs through the
 * provider, with the same allocator, policy, certificate, verification and ticket setting, and loops that seal and
 * open trains of packets.
 *
 *   pqq-bench handshake POLICY CERT KEY MILLISECONDS
 *   pqq-bench seal|open SIZE TRAIN MILLISECONDS
 *
 * prints "<iterations> <nanoseconds> <nanoseconds of CPU time>", the latter two per iteration. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tls.h"

#define NAME "server.test"

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t now(void) { return clock_ns(CLOCK_MONOTONIC); }
static int64_t cpu(void) { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

static void print(int64_t n, int64_t start, int64_t start_cpu)
{
	printf("%lld %.1f %.1f\n", (long long)n, (double)(now() - start) / (double)n,
		(double)(cpu() - start_cpu) / (double)n);
}

static void fail(const char *what)
{
	fprintf(stderr, "pqq-bench: %s: %s\n", what, s2n_strerror_debug(s2n_errno, NULL));
	exit(1);
}

#define TRY(call)                     \
	do {                          \
		if ((call) != 0) {    \
			fail(#call);  \
		}                     \
	} while (0)

/* ---- handshakes -------------------------------------------------------------------------- */

typedef struct {
	uint8_t bytes[32768];
	size_t from, to;
} pipe_buf;

static int cb_send(void *ctx, const uint8_t *buf, uint32_t len)
{
	pipe_buf *p = ctx;
	if (p->to + len > sizeof(p->bytes)) {
		errno = ENOMEM;
		return -1;
	}
	memcpy(p->bytes + p->to, buf, len);
	p->to += len;
	return (int)len;
}

static int cb_recv(void *ctx, uint8_t *buf, uint32_t len)
{
	pipe_buf *p = ctx;
	size_t n = p->to - p->from;
	if (n == 0) {
		errno = EWOULDBLOCK;
		return -1;
	}
	n = n < len ? n : len;
	memcpy(buf, p->bytes + p->from, n);
	p->from += n;
	return (int)n;
}

/* Derives the key that each secret is for, and frees it. */
static int cb_secret(void *ctx, struct s2n_connection *conn, s2n_secret_type_t type, uint8_t *secret,
	uint8_t len)
{
	(void)ctx;
	int client = *(int *)s2n_connection_get_ctx(conn);
	int app = type == S2N_CLIENT_APPLICATION_TRAFFIC_SECRET || type == S2N_SERVER_APPLICATION_TRAFFIC_SECRET;
	int of_client = type == S2N_CLIENT_APPLICATION_TRAFFIC_SECRET || type == S2N_CLIENT_HANDSHAKE_TRAFFIC_SECRET;
	uint8_t suite[2];
	if (type == S2N_CLIENT_EARLY_TRAFFIC_SECRET || type == S2N_EXPORTER_SECRET) {
		return S2N_SUCCESS;
	}
	if (s2n_connection_get_cipher_iana_value(conn, &suite[0], &suite[1]) != S2N_SUCCESS) {
		return S2N_FAILURE;
	}
	uint16_t id = (uint16_t)(suite[0] << 8 | suite[1]);
	if (client == of_client) {
		pqq_sealer *s = pqq_sealer_new(PQQ_VERSION_1, id, secret, len, app);
		pqq_sealer_free(s);
		return s != NULL ? S2N_SUCCESS : S2N_FAILURE;
	}
	pqq_opener *o = pqq_opener_new(PQQ_VERSION_1, id, secret, len, app);
	pqq_opener_free(o);
	return o != NULL ? S2N_SUCCESS : S2N_FAILURE;
}

static char *read_file(const char *name)
{
	FILE *f = fopen(name, "rb");
	char *text = calloc(1, 65536);
	if (f == NULL || text == NULL || fread(text, 1, 65535, f) == 0) {
		fprintf(stderr, "pqq-bench: %s: cannot read\n", name);
		exit(1);
	}
	fclose(f);
	return text;
}

static struct s2n_config *config(const char *policy)
{
	static const uint8_t alpn[] = "test";
	struct s2n_config *c = s2n_config_new_minimal();
	if (c == NULL) {
		fail("s2n_config_new_minimal");
	}
	TRY(s2n_config_set_cipher_preferences(c, policy));
	TRY(s2n_config_enable_quic(c));
	TRY(s2n_config_append_protocol_preference(c, alpn, 4));
	return c;
}

static struct s2n_connection *connection(s2n_mode mode, struct s2n_config *cfg, int *client, pipe_buf *in,
	pipe_buf *out)
{
	static const uint8_t params[] = "transport parameters of a connection";
	struct s2n_connection *c = s2n_connection_new(mode);
	if (c == NULL) {
		fail("s2n_connection_new");
	}
	TRY(s2n_connection_set_config(c, cfg));
	TRY(s2n_connection_enable_quic(c));
	TRY(s2n_connection_set_ctx(c, client));
	TRY(s2n_connection_set_blinding(c, S2N_SELF_SERVICE_BLINDING));
	TRY(s2n_connection_set_secret_callback(c, cb_secret, NULL));
	TRY(s2n_connection_set_quic_transport_parameters(c, params, sizeof(params)));
	TRY(s2n_connection_set_recv_cb(c, cb_recv));
	TRY(s2n_connection_set_recv_ctx(c, in));
	TRY(s2n_connection_set_send_cb(c, cb_send));
	TRY(s2n_connection_set_send_ctx(c, out));
	if (*client) {
		TRY(s2n_set_server_name(c, NAME));
	}
	return c;
}

static void pair(struct s2n_config *ccfg, struct s2n_config *scfg)
{
	static pipe_buf up, down;
	int yes = 1, no = 0, done[2] = { 0, 0 };
	up.from = up.to = down.from = down.to = 0;
	struct s2n_connection *conn[2] = {
		connection(S2N_CLIENT, ccfg, &yes, &down, &up),
		connection(S2N_SERVER, scfg, &no, &up, &down),
	};
	for (int turn = 0; turn < 8 && !(done[0] && done[1]); turn++) {
		int i = turn & 1;
		s2n_blocked_status blocked;
		if (done[i]) {
			continue;
		}
		if (s2n_negotiate(conn[i], &blocked) == S2N_SUCCESS) {
			done[i] = 1;
		} else if (s2n_error_get_type(s2n_errno) != S2N_ERR_T_BLOCKED) {
			fail("s2n_negotiate");
		}
	}
	if (!done[0] || !done[1]) {
		fail("the handshake did not complete");
	}
	TRY(s2n_connection_free(conn[0]));
	TRY(s2n_connection_free(conn[1]));
}

static void handshakes(const char *policy, const char *cert, const char *key, int64_t ns)
{
	struct s2n_config *ccfg = config(policy), *scfg = config(policy);
	struct s2n_cert_chain_and_key *chain = s2n_cert_chain_and_key_new();
	char *pem = read_file(cert);
	if (chain == NULL) {
		fail("s2n_cert_chain_and_key_new");
	}
	TRY(s2n_cert_chain_and_key_load_pem(chain, pem, read_file(key)));
	TRY(s2n_config_add_cert_chain_and_key_to_store(scfg, chain));
	TRY(s2n_config_add_pem_to_trust_store(ccfg, pem));
	int64_t start = now(), used = cpu(), n = 0;
	do {
		pair(ccfg, scfg);
		n++;
	} while (now() - start < ns);
	print(n, start, used);
}

/* ---- packets ----------------------------------------------------------------------------- */

enum { HEADER = 13, MAX_TRAIN = 64 };

static void packets(int open, size_t size, size_t train, int64_t ns)
{
	static pqq_seal_desc sd[MAX_TRAIN];
	static pqq_open_desc od[MAX_TRAIN];
	uint8_t secret[32] = { 1 };
	pqq_sealer *s = pqq_sealer_new(PQQ_VERSION_1, 0x1301, secret, sizeof(secret), 1);
	pqq_opener *o = pqq_opener_new(PQQ_VERSION_1, 0x1301, secret, sizeof(secret), 1);
	size_t step = size + HEADER + PQQ_TAG, len = step * train;
	uint8_t *slab = calloc(1, len), *sealed = calloc(1, len);
	if (s == NULL || o == NULL || slab == NULL || sealed == NULL || train > MAX_TRAIN) {
		fail("packets");
	}
	uint64_t pn = 0;
	int64_t start = now(), used = cpu(), n = 0;
	do {
		for (size_t i = 0; i < train; i++) {
			uint8_t *p = slab + i * step;
			p[0] = 0x43;
			p[9] = (uint8_t)(pn >> 24);
			p[10] = (uint8_t)(pn >> 16);
			p[11] = (uint8_t)(pn >> 8);
			p[12] = (uint8_t)pn;
			sd[i] = (pqq_seal_desc){ .offset = (uint32_t)(i * step), .header_len = HEADER,
				.payload_len = (uint32_t)size, .packet_number = pn };
			pn++;
		}
		if (!open || n == 0) {
			if (!pqq_seal(s, slab, len, sd, train)) {
				fail("pqq_seal");
			}
			memcpy(sealed, slab, open ? len : 0);
		}
		if (open) {
			memcpy(slab, sealed, len);
			for (size_t i = 0; i < train; i++) {
				od[i] = (pqq_open_desc){ .offset = (uint32_t)(i * step), .len = (uint32_t)step, .pn_offset = 9 };
			}
			if (pqq_open(o, slab, len, od, train, -1) != train || od[train - 1].status != PQQ_OPEN_OK) {
				fail("pqq_open");
			}
		}
		n++;
	} while ((n & 31) != 0 || now() - start < ns);
	print(n, start, used);
}

/* A second thread makes the C library's allocator as expensive as in a server, which has several threads. */
static void *idle(void *unused)
{
	pause();
	return unused;
}

int main(int argc, char **argv)
{
	pqq_info info;
	char err[256];
	pthread_t second;
	if (pthread_create(&second, NULL, idle, NULL) != 0) {
		return 1;
	}
	if (!pqq_init_1(&info, err, sizeof(err))) {
		fprintf(stderr, "pqq-bench: %s\n", err);
		return 1;
	}
	if (argc == 6 && strcmp(argv[1], "handshake") == 0) {
		handshakes(argv[2], argv[3], argv[4], atoll(argv[5]) * 1000000);
		return 0;
	}
	if (argc == 5 && (strcmp(argv[1], "seal") == 0 || strcmp(argv[1], "open") == 0)) {
		packets(argv[1][0] == 'o', (size_t)atoll(argv[2]), (size_t)atoll(argv[3]), atoll(argv[4]) * 1000000);
		return 0;
	}
	fprintf(stderr, "usage: pqq-bench handshake POLICY CERT KEY MILLISECONDS | seal|open SIZE TRAIN MILLISECONDS\n");
	return 2;
}
