/* Runs handshakes through pqq_drive, with input in pieces of every size up to a limit, and aborts them after each
 * step. Then it checks that nothing is left in memory. */
#include "certs.h"
#include "side.h"

#ifdef OPENSSL_IS_AWSLC
#define GROUP "X25519MLKEM768"
#else
#define GROUP (is_historic() ? "x25519_kyber-512-r3" : "secp256r1") /* s2n-tls has no ML-KEM over OpenSSL */
#endif

static test_cert cert;

/* Passes everything that from wrote to to, in pieces, with at most *budget calls. */
static int move(side *from, side *to, size_t piece, int *budget)
{
	for (uint32_t level = 0; level < 4; level++) {
		size_t at = 0, len = from->out_len[level];
		while (at < len) {
			size_t n = len - at < piece ? len - at : piece;
			if ((*budget)-- <= 0) {
				return 0;
			}
			CHECK(drive(to, level, from->out[level] + at, n));
			at += n;
			if (to->hello == 1) {
				int32_t err;
				CHECK(pqq_conn_continue(to->conn, NULL, (const uint8_t *)"test", 4,
					(const uint8_t *)"server", 6, &err));
				to->hello = 2;
				CHECK(drive(to, 0, NULL, 0));
			}
		}
		from->out_len[level] = 0;
	}
	return 1;
}

static void check_keys(side *c, side *s)
{
	for (uint32_t level = PQQ_HANDSHAKE; level <= PQQ_APP; level++) {
		pqq_sealer *w = pqq_conn_take_sealer(c->conn, level, 1);
		pqq_opener *r = pqq_conn_take_opener(s->conn, level, 1);
		uint8_t pkt[64] = { 0x43 };
		pqq_seal_desc sd = { .header_len = 5, .payload_len = 20 };
		pqq_open_desc od = { .len = 41, .pn_offset = 1 };
		CHECK(w != NULL && r != NULL);
		CHECK(pqq_conn_take_sealer(c->conn, level, 1) == NULL);
		CHECK(pqq_seal(w, pkt, sizeof(pkt), &sd, 1));
		CHECK(pqq_open(r, pkt, sizeof(pkt), &od, 1, -1) == 1 && od.status == PQQ_OPEN_OK);
		pqq_sealer_free(w);
		pqq_opener_free(r);
	}
	uint8_t a[40], b[40];
	if (is_historic()) {
		CHECK(!pqq_conn_export(c->conn, "EXPORTER-x", 10, NULL, 0, a, sizeof(a)));
		return;
	}
	CHECK(pqq_conn_export(c->conn, "EXPORTER-x", 10, NULL, 0, a, sizeof(a)));
	CHECK(pqq_conn_export(s->conn, "EXPORTER-x", 10, NULL, 0, b, sizeof(b)));
	CHECK(memcmp(a, b, sizeof(a)) == 0);
}

static int handshake(pqq_config *client, pqq_config *server, size_t piece, int budget)
{
	static side c, s;
	int32_t err;
	memset(&c, 0, sizeof(c));
	memset(&s, 0, sizeof(s));
	c.conn = pqq_conn_new(client, "server.test", "server.test", 0, (const uint8_t *)"client", 6, &err);
	s.conn = pqq_conn_new(server, NULL, NULL, 0, NULL, 0, &err);
	CHECK(c.conn != NULL && s.conn != NULL);
	CHECK(drive(&c, 0, NULL, 0));
	int complete = move(&c, &s, piece, &budget) && move(&s, &c, piece, &budget) && move(&c, &s, piece, &budget);
	if (complete) {
		CHECK(c.done && s.done && c.keys == 2 && s.keys == 3);
		pqq_state state;
		CHECK(pqq_conn_state(c.conn, &state) && strcmp(state.group, GROUP) == 0);
		CHECK(state.alpn_len == 4 && memcmp(state.alpn, "test", 4) == 0);
		check_keys(&c, &s);
	}
	pqq_conn_free(c.conn);
	pqq_conn_free(s.conn);
	return complete;
}

static int contains(const uint8_t *in, size_t len, const char *what)
{
	size_t n = strlen(what);
	for (size_t i = 0; i + n <= len; i++) {
		if (memcmp(in + i, what, n) == 0) {
			return 1;
		}
	}
	return 0;
}

/* A client with PQQ_PEER_DETAILS gets the server's OCSP response and the path to the root, another client neither. */
static void peer_details(void)
{
	static side c, s;
	int32_t err;
	if (is_historic()) {
		CHECK(pqq_config_new(POLICY, PQQ_PEER_DETAILS, &err) == NULL);
		return;
	}
	for (int asks = 0; asks <= 1; asks++) {
		int budget = 100;
		pqq_config *client = pqq_config_new(POLICY, asks ? PQQ_PEER_DETAILS : 0, &err);
		pqq_config *server = pqq_config_new(POLICY, PQQ_SERVER | PQQ_SKIP_VERIFY, &err);
		CHECK(pqq_config_add_cert(server, (uint8_t *)cert.cert, strlen(cert.cert), (uint8_t *)cert.key,
			strlen(cert.key), 0, &err, (const uint8_t *)"response", 8));
		CHECK(pqq_config_add_root(client, cert.cert, &err));
		CHECK(pqq_config_add_alpn(client, (const uint8_t *)"test", 4, &err));
		memset(&c, 0, sizeof(c));
		memset(&s, 0, sizeof(s));
		c.conn = pqq_conn_new(client, "server.test", "server.test", 0, (const uint8_t *)"client", 6, &err);
		s.conn = pqq_conn_new(server, NULL, NULL, 0, NULL, 0, &err);
		CHECK(drive(&c, 0, NULL, 0) && move(&c, &s, SIZE_MAX, &budget));
		CHECK(contains(s.out[PQQ_HANDSHAKE], s.out_len[PQQ_HANDSHAKE], "response") == asks);
		CHECK(move(&s, &c, SIZE_MAX, &budget) && c.done && c.verified == asks);
		pqq_conn_free(c.conn);
		pqq_conn_free(s.conn);
		pqq_config_free(client);
		pqq_config_free(server);
	}
}

static void wrong_name(pqq_config *client, pqq_config *server)
{
	static side c, s;
	int32_t err;
	int budget = 100;
	memset(&c, 0, sizeof(c));
	memset(&s, 0, sizeof(s));
	c.conn = pqq_conn_new(client, "other.test", "other.test", 0, (const uint8_t *)"client", 6, &err);
	s.conn = pqq_conn_new(server, NULL, NULL, 0, NULL, 0, &err);
	CHECK(drive(&c, 0, NULL, 0) && move(&c, &s, SIZE_MAX, &budget));
	CHECK(drive(&c, PQQ_INITIAL, s.out[PQQ_INITIAL], s.out_len[PQQ_INITIAL]));
	uint8_t log[4096];
	for (int again = 0; again < 2; again++) {
		pqq_result r = pqq_drive(c.conn, PQQ_HANDSHAKE, s.out[PQQ_HANDSHAKE], s.out_len[PQQ_HANDSHAKE], 0, log,
			sizeof(log));
		CHECK(r.status == PQQ_FAILED && r.alert == 42 && r.log_len == 0);
	}
	CHECK(pqq_conn_take_sealer(c.conn, PQQ_HANDSHAKE, 1) == NULL);
	pqq_conn_free(c.conn);
	pqq_conn_free(s.conn);
}

/* After a decision that s2n-tls does not accept, libcrypto's queue of errors is empty, even if it was not empty before. */
static void refused_decision(pqq_config *client, pqq_config *server)
{
	static side c, s;
	const uint8_t junk[] = { 1, 2, 3 }, *p = junk;
	int32_t err;
	memset(&c, 0, sizeof(c));
	memset(&s, 0, sizeof(s));
	c.conn = pqq_conn_new(client, "server.test", "server.test", 0, (const uint8_t *)"client", 6, &err);
	s.conn = pqq_conn_new(server, NULL, NULL, 0, NULL, 0, &err);
	CHECK(drive(&c, 0, NULL, 0) && drive(&s, 0, c.out[0], c.out_len[0]) && s.hello == 1);
	CHECK(d2i_X509(NULL, &p, sizeof(junk)) == NULL && ERR_peek_error() != 0);
	CHECK(!pqq_conn_continue(s.conn, NULL, (const uint8_t *)"test", 4, NULL, 6, &err) && err != 0);
	CHECK(ERR_peek_error() == 0);
	pqq_conn_free(c.conn);
	pqq_conn_free(s.conn);
}

int main(void)
{
	int32_t err;
	check_init();
	make_cert(&cert);
	pqq_live start = pqq_live_now();
	pqq_config *client = pqq_config_new(POLICY, 0, &err);
	pqq_config *server = pqq_config_new(POLICY, PQQ_SERVER | PQQ_SKIP_VERIFY, &err);
	CHECK(client != NULL && server != NULL);
	CHECK(pqq_config_add_root(client, cert.cert, &err));
	CHECK(pqq_config_add_alpn(client, (const uint8_t *)"test", 4, &err));
	CHECK(pqq_config_add_cert(server, (uint8_t *)cert.cert, strlen(cert.cert), (uint8_t *)cert.key, strlen(cert.key),
		0, &err, NULL, 0));
	CHECK(pqq_config_new("nonesuch", 0, &err) == NULL && err != 0);
	pqq_config *tickets = pqq_config_new(POLICY, PQQ_TICKETS, &err);
	CHECK((tickets == NULL) == is_historic());
	pqq_config_free(tickets);

	CHECK(handshake(client, server, SIZE_MAX, 1000));
	for (size_t piece = 1; piece < 3000; piece = piece * 3 + 1) {
		CHECK(handshake(client, server, piece, 1 << 20));
	}
	pqq_live before = pqq_live_now();
	for (int budget = 0; budget < 40; budget++) {
		handshake(client, server, 200, budget);
	}
	wrong_name(client, server);
	refused_decision(client, server);
	peer_details();
	pqq_live after = pqq_live_now();
	CHECK(after.handles == before.handles && after.tls_bytes == before.tls_bytes);
	CHECK(after.crypto_bytes == before.crypto_bytes);
	pqq_config_free(client);
	pqq_config_free(server);
	CHECK(pqq_live_now().handles == 0 && pqq_live_now().tls_bytes == start.tls_bytes);
	return 0;
}
