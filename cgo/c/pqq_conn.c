/* One handshake. Its input is CRYPTO bytes and decisions, its output the event log. */
#include <errno.h>
#include <string.h>

#include "glue.h"

/* The maximum input that is kept while the handshake waits for a decision. A correct peer sends far less. */
#define MAX_HELD 65536

/* The maximum length of a ticket with its secret. A ClientHello with a longer one may exceed what a server accepts. */
#define MAX_TICKET 8192

#define MAX_NAME 255 /* of the name to verify */

static int set_up(pqq_conn *c, const char *server_name, const uint8_t *params, size_t params_len)
{
	struct s2n_connection *s = c->s2n;
	if (s2n_connection_set_config(s, c->cfg->s2n) != S2N_SUCCESS
		|| s2n_connection_enable_quic(s) != S2N_SUCCESS
		|| s2n_connection_set_ctx(s, c) != S2N_SUCCESS
		/* By default s2n-tls sleeps for 10 to 30 seconds after an error. */
		|| s2n_connection_set_blinding(s, S2N_SELF_SERVICE_BLINDING) != S2N_SUCCESS
		|| s2n_connection_set_secret_callback(s, pqq_cb_secret, c) != S2N_SUCCESS
		|| s2n_connection_set_recv_cb(s, pqq_cb_recv) != S2N_SUCCESS
		|| s2n_connection_set_recv_ctx(s, c) != S2N_SUCCESS
		|| s2n_connection_set_send_cb(s, pqq_cb_send) != S2N_SUCCESS
		|| s2n_connection_set_send_ctx(s, c) != S2N_SUCCESS
		|| !pqq_glue_verify_conn(c)) {
		return 0;
	}
	if (params_len > 0
		&& s2n_connection_set_quic_transport_parameters(s, params, (uint16_t)params_len) != S2N_SUCCESS) {
		return 0;
	}
	return server_name == NULL || s2n_set_server_name(s, server_name) == S2N_SUCCESS;
}

pqq_conn *pqq_conn_new(pqq_config *cfg, const char *server_name, const char *verify_name, int verify_ip,
	const uint8_t *params, size_t params_len, int32_t *err)
{
	*err = 0;
	if (params_len > UINT16_MAX || (verify_name != NULL && strlen(verify_name) > MAX_NAME)) {
		return NULL;
	}
	pqq_conn *c = pqq_alloc(sizeof(*c));
	if (c == NULL) {
		return NULL;
	}
	pqq_handle_made();
	c->cfg = pqq_config_ref(cfg);
	c->flags = cfg->flags;
	c->server = (cfg->flags & PQQ_SERVER) != 0;
	c->last_write = SIZE_MAX;
	c->handshake = pqq_alloc(sizeof(*c->handshake));
	if (verify_name != NULL) {
		size_t len = strlen(verify_name) + 1;
		if ((c->verify_name = pqq_alloc(len)) != NULL) {
			memcpy(c->verify_name, verify_name, len);
		}
		c->verify_ip = verify_ip != 0;
	}
	if (c->handshake == NULL || (verify_name != NULL && c->verify_name == NULL)) {
		pqq_conn_free(c);
		return NULL;
	}
	c->s2n = s2n_connection_new(c->server ? S2N_SERVER : S2N_CLIENT);
	if (c->s2n == NULL || !set_up(c, server_name, params, params_len)) {
		*err = s2n_errno;
		pqq_conn_free(c);
		pqq_crypto_clear_errors();
		return NULL;
	}
	return c;
}

static void free_s2n(pqq_conn *c)
{
	if (c->sign != NULL) {
		s2n_async_pkey_op_free(c->sign);
		c->sign = NULL;
	}
	if (c->s2n != NULL) {
		s2n_connection_free(c->s2n);
		c->s2n = NULL;
	}
	/* Otherwise an idle connection would keep certificates and roots in memory that were replaced. */
	pqq_config_free(c->cfg);
	c->cfg = NULL;
	pqq_bytes_clear(&c->held);
	pqq_bytes_clear(&c->leaf.der);
	pqq_release(c->verify_name);
	c->verify_name = NULL;
}

void pqq_conn_free(pqq_conn *c)
{
	if (c == NULL) {
		return;
	}
	free_s2n(c);
	pqq_bytes_clear(&c->log);
	pqq_ticket_free(c->ticket);
	pqq_release(c->handshake);
	pqq_release(c);
	pqq_handle_gone();
}

void pqq_conn_settle(pqq_conn *c)
{
	if (!c->done || c->failed) {
		return;
	}
	free_s2n(c);
	if (c->handshake != NULL && !(c->handshake->secrets[PQQ_APP].ready & (PQQ_READ | PQQ_WRITE))) {
		pqq_release(c->handshake);
		c->handshake = NULL;
	}
}

int pqq_conn_resume(pqq_conn *c, const pqq_ticket *t, int64_t now)
{
	pqq_now = now;
	int ok = s2n_connection_set_session(c->s2n, t->data, t->len) == S2N_SUCCESS;
	pqq_now = 0;
	pqq_crypto_clear_errors();
	return ok;
}

pqq_ticket *pqq_conn_take_ticket(pqq_conn *c)
{
	pqq_ticket *t = c->ticket;
	c->ticket = NULL;
	return t;
}

void pqq_ticket_free(pqq_ticket *t)
{
	if (t != NULL) {
		pqq_release(t);
		pqq_handle_gone();
	}
}

uint32_t pqq_ticket_lifetime(const pqq_ticket *t) { return t->lifetime; }

size_t pqq_ticket_save(const pqq_ticket *t, uint8_t *out, size_t cap)
{
	if (t->len <= cap) {
		memcpy(out, t->data, t->len);
	}
	return t->len;
}

pqq_ticket *pqq_ticket_restore(const uint8_t *in, size_t len, uint32_t lifetime)
{
	pqq_ticket *t = pqq_ticket_new(len, lifetime);
	if (t != NULL) {
		memcpy(t->data, in, len);
	}
	return t;
}

pqq_ticket *pqq_ticket_new(size_t len, uint32_t lifetime)
{
	pqq_ticket *t = len == 0 || len > MAX_TICKET ? NULL : pqq_alloc(sizeof(*t) + len);
	if (t != NULL) {
		pqq_handle_made();
		t->lifetime = lifetime;
		t->len = len;
	}
	return t;
}

int pqq_conn_continue(pqq_conn *c, pqq_config *cfg, const uint8_t *alpn, size_t alpn_len,
	const uint8_t *params, size_t params_len, int32_t *err)
{
	*err = 0;
	if (!c->waits_hello || c->failed || alpn_len == 0 || alpn_len > 255 || params_len > UINT16_MAX) {
		return 0;
	}
	if (cfg != NULL && cfg != c->cfg) {
		if (s2n_connection_set_config(c->s2n, cfg->s2n) != S2N_SUCCESS) {
			return pqq_s2n_failed(err);
		}
		pqq_config *old = c->cfg;
		c->cfg = pqq_config_ref(cfg);
		c->flags = cfg->flags;
		pqq_config_free(old);
		/* Select the certificate of the new configuration for the server name. */
		if (s2n_connection_server_name_extension_used(c->s2n) != S2N_SUCCESS) {
			return pqq_s2n_failed(err);
		}
	}
	if (s2n_connection_append_protocol_preference(c->s2n, alpn, (uint8_t)alpn_len) != S2N_SUCCESS
		|| s2n_connection_set_quic_transport_parameters(c->s2n, params, (uint16_t)params_len) != S2N_SUCCESS
		|| s2n_client_hello_cb_done(c->s2n) != S2N_SUCCESS) {
		return pqq_s2n_failed(err);
	}
	c->waits_hello = 0;
	return 1;
}

int pqq_conn_signed(pqq_conn *c, const uint8_t *sig, size_t len, int32_t *err)
{
	*err = 0;
	if (c->sign == NULL || c->failed || len == 0 || len > UINT32_MAX) {
		return 0;
	}
	int ok = s2n_async_pkey_op_set_output(c->sign, sig, (uint32_t)len) == S2N_SUCCESS
		&& s2n_async_pkey_op_apply(c->sign, c->s2n) == S2N_SUCCESS;
	if (!ok) {
		pqq_s2n_failed(err);
	}
	s2n_async_pkey_op_free(c->sign);
	c->sign = NULL;
	c->waits_sign = 0;
	return ok;
}

static void copy_name(char *out, size_t cap, const char *in)
{
	size_t n = in == NULL ? 0 : strlen(in);
	if (n >= cap) {
		n = 0;
	}
	if (n > 0) {
		memcpy(out, in, n);
	}
	out[n] = '\0';
}

/* Saves the connection's state so far. Fields that have not been negotiated are zero. */
static void snapshot(pqq_conn *c)
{
	pqq_state *st = &c->handshake->state;
	st->suite = c->suite == NULL ? 0 : c->suite->id;
	if (c->suite != NULL) {
		copy_name(st->group, sizeof(st->group), pqq_glue_group(c->s2n));
	}
	const char *alpn = s2n_get_application_protocol(c->s2n);
	copy_name(st->alpn, sizeof(st->alpn), alpn);
	st->alpn_len = (uint8_t)strlen(st->alpn);
	st->resumed = s2n_connection_is_session_resumed(c->s2n) == 1;
}

int pqq_conn_state(pqq_conn *c, pqq_state *out)
{
	if (c->s2n != NULL && !c->done && !c->failed) {
		snapshot(c);
	}
	if (c->handshake == NULL) {
		return 0;
	}
	*out = c->handshake->state;
	return 1;
}

/* Completes the handshake. It frees s2n-tls's connection (31 KB), unless a client may still receive a ticket:
 * see pqq_conn_settle. */
static int finish(pqq_conn *c)
{
	if (c->in_len > 0) {
		c->failed = 1;
		c->alert = ALERT_UNEXPECTED_MESSAGE;
		return 0;
	}
	snapshot(c);
	c->done = 1;
	c->rx_level = c->tx_level = PQQ_APP;
	uint8_t ready = c->server ? PQQ_READ : PQQ_READ | PQQ_WRITE;
	c->handshake->secrets[PQQ_APP].ready |= ready;
	if (!pqq_event(c, PQQ_EV_KEYS, PQQ_APP, ready, NULL, 0)
		|| !pqq_event(c, PQQ_EV_DONE, PQQ_APP, 0, NULL, 0)) {
		c->failed = 1;
		c->alert = ALERT_INTERNAL_ERROR;
		return 0;
	}
	if (c->server || !(c->flags & PQQ_TICKETS)) {
		free_s2n(c);
	} else if (s2n_connection_free_handshake(c->s2n) != S2N_SUCCESS) {
		free_s2n(c);
	}
	return 1;
}

static void fail_with(pqq_conn *c, int err)
{
	if (!c->failed) {
		c->failed = 1;
		c->err = err;
		c->alert = c->wrong_name ? ALERT_BAD_CERTIFICATE : pqq_alert_of(err);
	}
}

static void negotiate(pqq_conn *c, uint8_t *blocked_on)
{
	s2n_blocked_status blocked = S2N_NOT_BLOCKED;
	s2n_errno = S2N_ERR_T_OK;
	if (s2n_negotiate(c->s2n, &blocked) == S2N_SUCCESS) {
		if (!c->failed) {
			finish(c);
		}
		return;
	}
	int err = s2n_errno;
	*blocked_on = (uint8_t)blocked;
	if (c->failed || s2n_error_get_type(err) != S2N_ERR_T_BLOCKED) {
		fail_with(c, err);
	}
}

static void post_handshake(pqq_conn *c)
{
	/* Only clients receive messages after the handshake. */
	if (c->server || !pqq_post_check(&c->post, c->in, c->in_len)) {
		c->failed = 1;
		c->alert = ALERT_UNEXPECTED_MESSAGE;
		return;
	}
	while (c->s2n != NULL && c->in_len > 0) {
		if (!pqq_glue_read_ticket(c->s2n)) {
			int err = s2n_errno;
			if (s2n_error_get_type(err) != S2N_ERR_T_BLOCKED) {
				fail_with(c, err);
			}
			return;
		}
		if (c->ticket != NULL) {
			/* One ticket is enough: the connection that uses it receives the next one. */
			free_s2n(c);
		}
	}
	c->in_len = 0;
}

/* Keeps the input that s2n-tls has not read for the next call of pqq_drive. */
static void hold_input(pqq_conn *c)
{
	if (c->in_len > 0 && !c->failed && (c->waits_hello || c->waits_sign)) {
		pqq_bytes rest = { 0 };
		if (c->in_len > MAX_HELD || !pqq_bytes_add(&rest, c->in, c->in_len)) {
			c->failed = 1;
			c->alert = ALERT_UNEXPECTED_MESSAGE;
		}
		pqq_bytes_clear(&c->held);
		c->held = rest;
	} else {
		pqq_bytes_clear(&c->held);
	}
}

static void run(pqq_conn *c, uint32_t level, const uint8_t *in, size_t in_len, uint8_t *blocked)
{
	if (in_len > 0 && level != c->rx_level) {
		c->failed = 1;
		c->alert = ALERT_UNEXPECTED_MESSAGE;
		return;
	}
	c->in = in;
	c->in_len = in_len;
	if (c->done) {
		if (in_len > 0) {
			post_handshake(c);
		}
		return;
	}
	if (c->held.len > 0 && in_len > 0) {
		if (c->held.len > MAX_HELD || !pqq_bytes_add(&c->held, in, in_len)) {
			c->failed = 1;
			c->alert = ALERT_UNEXPECTED_MESSAGE;
			return;
		}
	}
	if (c->held.len > 0) {
		c->in = c->held.data;
		c->in_len = c->held.len;
	}
	if (!c->waits_hello && !c->waits_sign) {
		negotiate(c, blocked);
	}
	hold_input(c);
}

pqq_result pqq_drive(pqq_conn *c, uint32_t level, const uint8_t *in, size_t in_len, int64_t now,
	uint8_t *log, size_t log_cap)
{
	pqq_result r = { 0 };

	if (!c->failed) {
		pqq_now = now;
		run(c, level, in, in_len, &r.blocked);
		pqq_now = 0;
		/* The input is the caller's memory, which must not be used after this call. */
		c->in = NULL;
		c->in_len = 0;
		pqq_crypto_clear_errors();
	}
	if (c->failed) {
		free_s2n(c);
		r.status = PQQ_FAILED;
		r.err = c->err;
		r.alert = c->alert;
		return r;
	}
	r.status = PQQ_OK;
	r.done = c->done;
	r.more = (uint32_t)(c->log.len - c->log_read);
	r.log_len = (uint32_t)pqq_log(c, log, log_cap);
	r.more -= r.log_len;
	return r;
}
