/* The callbacks of s2n-tls. They run inside pqq_drive, on its thread, and write events to the log. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "glue.h"

__thread int64_t pqq_now;

static int give_up(pqq_conn *c, uint8_t alert)
{
	if (!c->failed) {
		c->failed = 1;
		c->alert = alert;
	}
	return S2N_FAILURE;
}

int pqq_cb_clock(void *ctx, uint64_t *nanoseconds)
{
	(void)ctx;
	if (pqq_now != 0) {
		*nanoseconds = (uint64_t)pqq_now;
		return S2N_SUCCESS;
	}
	struct timespec ts;
	if (clock_gettime(CLOCK_REALTIME, &ts) != 0) {
		return S2N_FAILURE;
	}
	*nanoseconds = (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
	return S2N_SUCCESS;
}

int pqq_cb_recv(void *ctx, uint8_t *buf, uint32_t len)
{
	pqq_conn *c = ctx;
	size_t n = len < c->in_len ? len : c->in_len;
	if (n == 0) {
		errno = EWOULDBLOCK;
		return S2N_FAILURE;
	}
	memcpy(buf, c->in, n);
	if (c->verify_name != NULL && !c->leaf.over) {
		pqq_leaf_read(&c->leaf, buf, n);
	}
	c->in += n;
	c->in_len -= n;
	return (int)n;
}

int pqq_cb_send(void *ctx, const uint8_t *buf, uint32_t len)
{
	pqq_conn *c = ctx;
	if (!pqq_event(c, PQQ_EV_WRITE, c->tx_level, 0, buf, len)) {
		errno = ENOMEM;
		return give_up(c, ALERT_INTERNAL_ERROR);
	}
	return (int)len;
}

static int keep_secret(pqq_conn *c, int level, int from_client, const uint8_t *secret, size_t len)
{
	int direction = from_client == c->server ? 0 : 1;
	memcpy(c->handshake->secrets[level].secret[direction], secret, len);
	c->handshake->secrets[level].known |= (uint8_t)(direction == 0 ? PQQ_READ : PQQ_WRITE);
	return c->handshake->secrets[level].known == (PQQ_READ | PQQ_WRITE);
}

/* "When TLS provides keys for a higher encryption level, if there is data from a previous encryption
 * level that TLS has not consumed, this MUST be treated as a connection error of type
 * PROTOCOL_VIOLATION."
 * https://www.rfc-editor.org/rfc/rfc9001#section-4.1.3-10.3
 *
 * The handshake can only fail with a TLS alert. The one for this error is unexpected_message. */
static int change_level(pqq_conn *c, uint8_t rx, uint8_t tx)
{
	if (c->rx_level != rx && c->in_len > 0) {
		return give_up(c, ALERT_UNEXPECTED_MESSAGE);
	}
	c->rx_level = rx;
	c->tx_level = tx;
	return S2N_SUCCESS;
}

static int announce(pqq_conn *c, uint8_t level, uint8_t directions)
{
	c->handshake->secrets[level].ready |= directions;
	return pqq_event(c, PQQ_EV_KEYS, level, directions, NULL, 0) ? S2N_SUCCESS
								     : give_up(c, ALERT_INTERNAL_ERROR);
}

static int handshake_keys(pqq_conn *c, struct s2n_connection *conn)
{
	uint8_t hi = 0, lo = 0;
	if (s2n_connection_get_cipher_iana_value(conn, &hi, &lo) != S2N_SUCCESS) {
		return give_up(c, ALERT_INTERNAL_ERROR);
	}
	c->suite = pqq_suite_find((uint16_t)(hi << 8 | lo));
	if (c->suite == NULL) {
		return give_up(c, ALERT_INTERNAL_ERROR);
	}
	return change_level(c, PQQ_HANDSHAKE, PQQ_HANDSHAKE) == S2N_SUCCESS
			? announce(c, PQQ_HANDSHAKE, PQQ_READ | PQQ_WRITE)
			: S2N_FAILURE;
}

static int app_keys(pqq_conn *c, struct s2n_connection *conn)
{
	if (c->server) {
		/* A server may write 1-RTT packets from now on, but must not read any before the client's
		 * Finished. */
		c->tx_level = PQQ_APP;
		return announce(c, PQQ_APP, PQQ_WRITE);
	}
	const uint8_t *params = NULL;
	uint16_t len = 0;
	if (s2n_connection_get_quic_transport_parameters(conn, &params, &len) != S2N_SUCCESS
		|| !pqq_event(c, PQQ_EV_PARAMS, PQQ_HANDSHAKE, 0, params, len)) {
		return give_up(c, ALERT_INTERNAL_ERROR);
	}
	return S2N_SUCCESS;
}

int pqq_cb_secret(void *ctx, struct s2n_connection *conn, s2n_secret_type_t type, uint8_t *secret,
	uint8_t len)
{
	pqq_conn *c = ctx;
	if (len > PQQ_MAX_SECRET) {
		return give_up(c, ALERT_INTERNAL_ERROR);
	}
	switch (type) {
	case S2N_CLIENT_HANDSHAKE_TRAFFIC_SECRET:
	case S2N_SERVER_HANDSHAKE_TRAFFIC_SECRET:
		return keep_secret(c, PQQ_HANDSHAKE, type == S2N_CLIENT_HANDSHAKE_TRAFFIC_SECRET, secret, len)
				? handshake_keys(c, conn)
				: S2N_SUCCESS;
	case S2N_CLIENT_APPLICATION_TRAFFIC_SECRET:
	case S2N_SERVER_APPLICATION_TRAFFIC_SECRET:
		return keep_secret(c, PQQ_APP, type == S2N_CLIENT_APPLICATION_TRAFFIC_SECRET, secret, len)
				? app_keys(c, conn)
				: S2N_SUCCESS;
	default:
		if (pqq_glue_is_exporter(type)) {
			memcpy(c->exporter, secret, len);
			c->have_exporter = 1;
		}
		return S2N_SUCCESS;
	}
}

int pqq_cb_client_hello(struct s2n_connection *conn, void *ctx)
{
	(void)ctx;
	pqq_conn *c = s2n_connection_get_ctx(conn);
	struct s2n_client_hello *ch = s2n_connection_get_client_hello(conn);
	ssize_t len = s2n_client_hello_get_raw_message_length(ch);
	/* s2n-tls limits a message to 64 KiB. */
	uint8_t *raw = len > 0 ? pqq_alloc((size_t)len) : NULL;
	if (raw == NULL || s2n_client_hello_get_raw_message(ch, raw, (uint32_t)len) != len
		|| !pqq_event(c, PQQ_EV_CLIENT_HELLO, PQQ_INITIAL, 0, raw, (size_t)len)) {
		pqq_release(raw);
		return give_up(c, ALERT_INTERNAL_ERROR);
	}
	pqq_release(raw);
	c->waits_hello = 1;
	return S2N_SUCCESS;
}

/* Signs with a key that s2n-tls has, or emits PQQ_EV_SIGN for an external key, which makes pqq_drive return. */
int pqq_cb_pkey(struct s2n_connection *conn, struct s2n_async_pkey_op *op)
{
	pqq_conn *c = s2n_connection_get_ctx(conn);
	struct s2n_cert_chain_and_key *cert = s2n_connection_get_selected_cert(conn);
	uintptr_t ctx = cert == NULL ? 0 : (uintptr_t)s2n_cert_chain_and_key_get_ctx(cert);
	if (ctx == 0) {
		int rc = cert != NULL
				&& s2n_async_pkey_op_perform(op, s2n_cert_chain_and_key_get_private_key(cert)) == S2N_SUCCESS
				&& s2n_async_pkey_op_apply(op, conn) == S2N_SUCCESS
			? S2N_SUCCESS
			: S2N_FAILURE;
		s2n_async_pkey_op_free(op);
		return rc;
	}
	uint8_t data[2 + 64];
	uint32_t len = 0;
	s2n_tls_signature_algorithm alg = S2N_TLS_SIGNATURE_ANONYMOUS;
	s2n_tls_hash_algorithm hash = S2N_TLS_HASH_NONE;
	int ok = c->server ? s2n_connection_get_selected_signature_algorithm(conn, &alg) == S2N_SUCCESS
				&& s2n_connection_get_selected_digest_algorithm(conn, &hash) == S2N_SUCCESS
			   : s2n_connection_get_selected_client_cert_signature_algorithm(conn, &alg) == S2N_SUCCESS
				&& s2n_connection_get_selected_client_cert_digest_algorithm(conn, &hash) == S2N_SUCCESS;
	ok = ok && s2n_async_pkey_op_get_input_size(op, &len) == S2N_SUCCESS && len <= sizeof(data) - 2
		&& s2n_async_pkey_op_get_input(op, data + 2, len) == S2N_SUCCESS;
	data[0] = (uint8_t)alg;
	data[1] = (uint8_t)hash;
	if (!ok || !pqq_event(c, PQQ_EV_SIGN, 0, (uint16_t)(ctx - 1), data, 2 + len)) {
		s2n_async_pkey_op_free(op);
		return give_up(c, ALERT_INTERNAL_ERROR);
	}
	c->sign = op;
	c->waits_sign = 1;
	return S2N_SUCCESS;
}

int pqq_cb_key_log(void *ctx, struct s2n_connection *conn, uint8_t *line, size_t len)
{
	(void)ctx;
	pqq_conn *c = s2n_connection_get_ctx(conn);
	return pqq_event(c, PQQ_EV_KEY_LOG, 0, 0, line, len) ? S2N_SUCCESS : S2N_FAILURE;
}

int pqq_cb_ticket(struct s2n_connection *conn, void *ctx, struct s2n_session_ticket *ticket)
{
	(void)ctx;
	pqq_conn *c = s2n_connection_get_ctx(conn);
	size_t len = 0;
	uint32_t lifetime = 0;
	if (s2n_session_ticket_get_data_len(ticket, &len) != S2N_SUCCESS
		|| s2n_session_ticket_get_lifetime(ticket, &lifetime) != S2N_SUCCESS) {
		return S2N_SUCCESS; /* the ticket is dropped, the connection goes on */
	}
	pqq_ticket *t = pqq_ticket_new(len, lifetime);
	if (t == NULL) {
		return S2N_SUCCESS;
	}
	if (s2n_session_ticket_get_data(ticket, len, t->data) != S2N_SUCCESS
		|| !pqq_event(c, PQQ_EV_TICKET, PQQ_APP, 0, NULL, 0)) {
		pqq_ticket_free(t);
		return S2N_SUCCESS;
	}
	pqq_ticket_free(c->ticket);
	c->ticket = t;
	return S2N_SUCCESS;
}

int pqq_name_matches(pqq_conn *c)
{
	const pqq_bytes *der = &c->leaf.der;
	if (c->verify_name == NULL) {
		return 1;
	}
	c->wrong_name = der->len == 0 || der->len != c->leaf.want
		|| !pqq_crypto_leaf_matches(der->data, der->len, c->verify_name, c->verify_ip);
	return !c->wrong_name;
}
