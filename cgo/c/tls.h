/* tls.h declares what our TLS files share. */
#ifndef PQQ_TLS_H
#define PQQ_TLS_H

#include <s2n.h>
#include <tls/s2n_quic_support.h>

#include "internal.h"

struct pqq_config {
	struct s2n_config *s2n;
	struct s2n_cert_chain_and_key **certs;
	size_t n_certs;
	uint32_t flags;
	uint32_t n_ticket_keys;
	int32_t refs;
};

pqq_config *pqq_config_ref(pqq_config *cfg);

/* A buffer that grows. */
typedef struct {
	uint8_t *data;
	size_t len, cap;
} pqq_bytes;

int pqq_bytes_add(pqq_bytes *b, const uint8_t *data, size_t len);
void pqq_bytes_clear(pqq_bytes *b);

enum { PQQ_READ = 1, PQQ_WRITE = 2 };

typedef struct {
	uint8_t secret[2][PQQ_MAX_SECRET]; /* for reading, for writing */
	uint8_t ready; /* directions announced: PQQ_READ, PQQ_WRITE */
	uint8_t known;
} pqq_secrets;

/* What a connection needs until its keys have been taken. */
typedef struct {
	pqq_secrets secrets[4]; /* by level */
	pqq_state state;
} pqq_handshake;

/* The parser of messages after the handshake. */
typedef struct {
	uint8_t header[4];
	uint8_t have;
	uint32_t left;
} pqq_post;

/* Checks message headers. Returns 0 for a message that is not allowed in QUIC. */
int pqq_post_check(pqq_post *p, const uint8_t *in, size_t len);

/* The parser that finds the first certificate of a peer's Certificate message. */
typedef struct {
	uint8_t header[11];
	uint8_t have, over;
	uint32_t left, skip, want;
	pqq_bytes der;
} pqq_leaf;

void pqq_leaf_read(pqq_leaf *l, const uint8_t *in, size_t len);

struct pqq_conn {
	struct s2n_connection *s2n; /* freed after the handshake, see finish */
	pqq_config *cfg;            /* released together with s2n */
	uint32_t flags;             /* those of cfg */
	const pqq_suite *suite;

	/* in is the input of the current call. held is input of earlier calls that was not read because the
	 * handshake waited for a decision. */
	const uint8_t *in;
	size_t in_len;
	pqq_bytes held;

	pqq_bytes log;
	size_t log_read;
	size_t last_write; /* offset of the log's last record if that is a PQQ_EV_WRITE, else SIZE_MAX */

	pqq_handshake *handshake; /* freed after the handshake, see pqq_conn_settle */
	uint8_t exporter[PQQ_MAX_SECRET];
	uint8_t have_exporter;

	uint8_t server, rx_level, tx_level;
	uint8_t done;
	uint8_t waits_hello, waits_sign;
	uint8_t failed, alert; /* alert is set if this library, and not s2n-tls, failed the handshake */
	int32_t err;

	struct s2n_async_pkey_op *sign;
	pqq_ticket *ticket;
	pqq_post post;

	pqq_leaf leaf; /* used by a client that verifies the server's name */
	char *verify_name; /* NULL if no name is verified */
	uint8_t verify_ip;
	uint8_t wrong_name; /* the certificate is for another name */
};

struct pqq_ticket {
	uint32_t lifetime;
	size_t len;
	uint8_t data[];
};

/* pqq_ticket_new returns a ticket whose len bytes are not set, or NULL. */
pqq_ticket *pqq_ticket_new(size_t len, uint32_t lifetime);

/* pqq_events.c */
int pqq_event(pqq_conn *c, uint8_t kind, uint8_t level, uint16_t aux, const uint8_t *data, size_t len);

/* pqq_callbacks.c: the callbacks of s2n-tls, which run inside pqq_drive. */
int pqq_cb_recv(void *ctx, uint8_t *buf, uint32_t len);
int pqq_cb_send(void *ctx, const uint8_t *buf, uint32_t len);
int pqq_cb_secret(void *ctx, struct s2n_connection *conn, s2n_secret_type_t type, uint8_t *secret,
	uint8_t len);
int pqq_cb_client_hello(struct s2n_connection *conn, void *ctx);
int pqq_cb_pkey(struct s2n_connection *conn, struct s2n_async_pkey_op *op);
int pqq_cb_key_log(void *ctx, struct s2n_connection *conn, uint8_t *line, size_t len);
int pqq_cb_ticket(struct s2n_connection *conn, void *ctx, struct s2n_session_ticket *ticket);
int pqq_cb_clock(void *ctx, uint64_t *nanoseconds);

/* pqq_name_matches reports whether the peer's certificate is for the name that the connection verifies, if any. */
int pqq_name_matches(pqq_conn *c);

/* The time at which certificates must be valid, during the current call on this thread; 0 means the system's. */
extern __thread int64_t pqq_now;

/* pqq_error.c. pqq_alert_of returns the alert for an error number of s2n-tls. */
uint8_t pqq_alert_of(int err);
/* pqq_s2n_failed sets err to the number of s2n-tls's error, clears the errors of libcrypto, and returns 0. */
int pqq_s2n_failed(int32_t *err);

enum {
	ALERT_UNEXPECTED_MESSAGE = 10,
	ALERT_HANDSHAKE_FAILURE = 40,
	ALERT_BAD_CERTIFICATE = 42,
	ALERT_UNKNOWN_CA = 48,
	ALERT_ILLEGAL_PARAMETER = 47,
	ALERT_DECODE_ERROR = 50,
	ALERT_DECRYPT_ERROR = 51,
	ALERT_PROTOCOL_VERSION = 70,
	ALERT_INTERNAL_ERROR = 80,
	ALERT_UNSUPPORTED_EXTENSION = 110,
	ALERT_CERTIFICATE_REQUIRED = 116
};

#endif
