/* pqquic.h is the whole interface of our C library: QUIC packet protection on AWS-LC or OpenSSL, and the
 * TLS 1.3 handshake on s2n-tls.
 *
 * Conventions
 *   - A function returns 1 (or a handle) on success and 0 (or NULL) on failure, unless its comment
 *     says otherwise.
 *   - Handles are allocated by C. The caller owns a handle and frees it with its _free function, which
 *     accepts NULL. No function keeps a pointer to a caller's memory.
 *   - A handle must not be used by two threads at once, unless its comment says that it is safe for
 *     concurrent use.
 *   - There are no callbacks. A function reads the errors of s2n-tls and libcrypto in the call that fails,
 *     because they are thread-local and a goroutine may continue on another thread.
 *   - Secrets stay in C; the caller gets handles. The key log, if it is enabled, is the exception.
 *
 * PQQ_LINKED is defined, as the archive's hash, when the library is linked. Without it each function is
 * an inline stub that fails, so that the cgo packages compile without the library. */
#ifndef PQQUIC_H
#define PQQUIC_H

#include <stddef.h>
#include <stdint.h>

#ifdef PQQ_LINKED
#define PQQ_FN(ret, name, args) ret name args;
#define PQQ_VOID(name, args) void name args;
#else
#define PQQ_FN(ret, name, args) \
	static inline ret name args { ret none = { 0 }; return none; }
#define PQQ_VOID(name, args) static inline void name args {}
#endif

/* ---- the library ------------------------------------------------------------------------- */

enum {
	PQQ_MLDSA_CERTIFICATES = 1, /* ML-DSA certificates */
	PQQ_MLDSA_EXTERNAL = 2      /* ... with external keys */
};

typedef struct {
	int32_t fips_mode;  /* the module is in its approved mode */
	int32_t self_test;  /* its self-test passed; set in FIPS builds only */
	int32_t fips_build; /* this library was built as a FIPS variant */
	int32_t mldsa;      /* what s2n-tls supports, as far as is known: bits of PQQ_MLDSA_ */
	char crypto_linked[64];
	char crypto_compiled[64];
	char tls_compiled[64];
	/* The code that computes the KEMs of 2022 on this processor; empty unless the variant is historic. */
	char historic_kems[128];
} pqq_info;

/* pqq_init_1 prepares both libraries. It must be called before any other function. Safe for concurrent
 * use; later calls return the result of the first. On failure err holds a NUL-terminated message of at
 * most err_cap bytes.
 *
 * The number in its name is that of this interface. It is raised whenever the interface changes, so that a
 * program does not link with an archive of another interface: build or install the archive again then.
 * TestInterfaceNumber in cgo/awslc fails until it is raised. */
PQQ_FN(int, pqq_init_1, (pqq_info *info, char *err, size_t err_cap))

typedef struct {
	int64_t tls_bytes;    /* held by s2n-tls and by this library */
	int64_t crypto_bytes; /* held by AWS-LC; 0 where its allocator cannot be replaced */
	int64_t handles;      /* configurations, connections, keys, tickets */
} pqq_live;

/* pqq_live_now returns the memory and the handles in use. Safe for concurrent use. */
PQQ_FN(pqq_live, pqq_live_now, (void))

/* pqq_rand fills buf from the module's random generator. Safe for concurrent use. */
PQQ_FN(int, pqq_rand, (uint8_t *buf, size_t len))

/* ---- packet protection ------------------------------------------------------------------- */

#define PQQ_VERSION_1 0x00000001u
#define PQQ_VERSION_2 0x6b3343cfu

/* pqq_seal_desc describes a packet to seal. Go uses the same layout, of 24 bytes. */
typedef struct {
	uint32_t offset, header_len, payload_len, reserved;
	uint64_t packet_number;
} pqq_seal_desc;

enum { PQQ_OPEN_PENDING, PQQ_OPEN_OK, PQQ_OPEN_NEXT_PHASE, PQQ_OPEN_FAILED, PQQ_OPEN_TOO_SHORT };

/* pqq_open_desc describes a packet to open. Go uses the same layout, of 32 bytes. */
typedef struct {
	uint32_t offset, len, pn_offset;
	uint32_t header_len, payload_len;
	uint8_t status, phase;
	uint16_t reserved;
	uint64_t packet_number;
} pqq_open_desc;

typedef struct pqq_sealer pqq_sealer;
typedef struct pqq_opener pqq_opener;

/* pqq_sealer_new and pqq_opener_new make the keys of one direction from a traffic secret of a cipher
 * suite (0x1301, 0x1302 or 0x1303). app is 1 for 1-RTT keys, the only ones that can be updated. They are
 * for tests and tools: the secrets of connections never leave C, see pqq_conn_take_sealer. */
PQQ_FN(pqq_sealer *, pqq_sealer_new,
	(uint32_t version, uint16_t suite, const uint8_t *secret, size_t secret_len, int app))
PQQ_FN(pqq_opener *, pqq_opener_new,
	(uint32_t version, uint16_t suite, const uint8_t *secret, size_t secret_len, int app))

/* pqq_initial_sealer_new and pqq_initial_opener_new make Initial keys for the packets of the client, or,
 * if from_server is 1, of the server. */
PQQ_FN(pqq_sealer *, pqq_initial_sealer_new,
	(uint32_t version, const uint8_t *dcid, size_t dcid_len, int from_server))
PQQ_FN(pqq_opener *, pqq_initial_opener_new,
	(uint32_t version, const uint8_t *dcid, size_t dcid_len, int from_server))

PQQ_VOID(pqq_sealer_free, (pqq_sealer *s))
PQQ_VOID(pqq_opener_free, (pqq_opener *o))

/* pqq_seal protects a train of packets in place. It fails if a descriptor is invalid, if packet numbers
 * do not increase, or if the module fails. No packet of the train may be sent then. */
PQQ_FN(int, pqq_seal,
	(pqq_sealer *s, uint8_t *slab, size_t slab_len, const pqq_seal_desc *train, size_t n))
PQQ_FN(int, pqq_sealer_update, (pqq_sealer *s))

/* pqq_open removes the protection of a train of packets in place and returns the number of descriptors
 * that it processed. It stops after the first packet of a new key phase. */
PQQ_FN(size_t, pqq_open,
	(pqq_opener *o, uint8_t *slab, size_t slab_len, pqq_open_desc *train, size_t n, int64_t largest))
PQQ_FN(int, pqq_opener_update, (pqq_opener *o, uint64_t first_pn))
PQQ_VOID(pqq_opener_drop_previous, (pqq_opener *o))
/* pqq_sealer_rest and pqq_opener_rest free what can be made from the secrets of 1-RTT keys again. The next call that
 * needs it does so. If it fails, no packet is sealed or opened. */
PQQ_VOID(pqq_sealer_rest, (pqq_sealer *s))
PQQ_VOID(pqq_opener_rest, (pqq_opener *o))

/* pqq_sealer_limit returns how many packets may be sealed in one key phase. pqq_opener_limit returns how many
 * packets may fail to open in all phases together (RFC 9001, 6.6). */
PQQ_FN(uint64_t, pqq_sealer_limit, (const pqq_sealer *s))
PQQ_FN(uint64_t, pqq_opener_limit, (const pqq_opener *o))

typedef struct {
	int32_t ok;
	uint32_t header_len, payload_len;
	uint64_t packet_number;
} pqq_initial;

/* pqq_open_initial opens a client's first packet in place and keeps nothing. Safe for concurrent
 * use. */
PQQ_FN(pqq_initial, pqq_open_initial,
	(uint32_t version, const uint8_t *dcid, size_t dcid_len, uint8_t *pkt, size_t len, size_t pn_offset))

/* pqq_retry_tag computes the Retry Integrity Tag of a Retry packet without its tag. Safe for concurrent
 * use. */
PQQ_FN(int, pqq_retry_tag,
	(uint32_t version, const uint8_t *odcid, size_t odcid_len, const uint8_t *retry, size_t retry_len,
	 uint8_t tag[16]))

/* ---- tokens ------------------------------------------------------------------------------ */

#define PQQ_TOKEN_OVERHEAD 32 /* key id 4, nonce 12, tag 16 */

typedef struct pqq_token pqq_token;
typedef struct pqq_reset pqq_reset;

/* A pqq_token seals and opens address tokens. Safe for concurrent use. pqq_token_seal returns the length
 * of the sealed token, or 0 on failure. */
PQQ_FN(pqq_token *, pqq_token_new, (const uint8_t *secret, size_t len))
PQQ_VOID(pqq_token_free, (pqq_token *t))
PQQ_FN(size_t, pqq_token_seal,
	(const pqq_token *t, uint8_t *out, size_t cap, const uint8_t *in, size_t in_len, const uint8_t *aad,
	 size_t aad_len))
/* pqq_token_open returns 1 + the plaintext's length, or 0 on failure. */
PQQ_FN(size_t, pqq_token_open,
	(const pqq_token *t, uint8_t *out, size_t cap, const uint8_t *in, size_t in_len, const uint8_t *aad,
	 size_t aad_len))

/* A pqq_reset derives stateless reset tokens. Safe for concurrent use. */
PQQ_FN(pqq_reset *, pqq_reset_new, (const uint8_t *secret, size_t len))
PQQ_VOID(pqq_reset_free, (pqq_reset *r))
PQQ_FN(int, pqq_reset_token, (const pqq_reset *r, const uint8_t *cid, size_t len, uint8_t out[16]))

/* ---- ML-DSA keys ------------------------------------------------------------------------- */

/* These functions are for tests and for tools that make certificates. A key is given by its level (44, 65 or 87) and
 * its seed of PQQ_MLDSA_SEED bytes. Each function returns the number of bytes that it has written, or 0 on failure: also
 * if the library has no ML-DSA. Safe for concurrent use. */
#define PQQ_MLDSA_SEED 32
#define PQQ_MLDSA_MU 64

PQQ_FN(size_t, pqq_mldsa_public, (int level, const uint8_t *seed, uint8_t *out, size_t cap))
/* pqq_mldsa_expanded writes the private key in the form of FIPS 204, which is derived from the seed. */
PQQ_FN(size_t, pqq_mldsa_expanded, (int level, const uint8_t *seed, uint8_t *out, size_t cap))
/* pqq_mldsa_sign signs a message, with an empty context, or, if is_mu is 1, the hash µ of one (PQQ_MLDSA_MU bytes). */
PQQ_FN(size_t, pqq_mldsa_sign,
	(int level, const uint8_t *seed, const uint8_t *in, size_t len, int is_mu, uint8_t *out,
	 size_t cap))

/* ---- TLS: configuration ------------------------------------------------------------------ */

typedef struct pqq_config pqq_config;

#define PQQ_SERVER 0x01u
#define PQQ_SKIP_VERIFY 0x02u
#define PQQ_KEY_LOG 0x04u
#define PQQ_TICKETS 0x08u
#define PQQ_CLIENT_CERT_ASKED 0x10u    /* server: request a certificate and verify it if there is one */
#define PQQ_CLIENT_CERT_REQUIRED 0x20u /* server: require a certificate */
#define PQQ_PEER_DETAILS 0x40u         /* ask for the peer's OCSP response, and emit PQQ_EV_VERIFIED */

/* A pqq_config is a configuration of s2n-tls. Functions that fail write s2n-tls's error number, for
 * pqq_error_text, to *err. A configuration must not be changed after a connection was made from it, and
 * is safe for concurrent use from then on. Its memory is freed when the configuration and all its
 * connections are freed. */
PQQ_FN(pqq_config *, pqq_config_new, (const char *policy, uint32_t flags, int32_t *err))
PQQ_VOID(pqq_config_free, (pqq_config *cfg))

/* pqq_config_add_cert adds a chain and its private key, in PEM. If key_len is 0, the key is external, and
 * a handshake that needs it emits PQQ_EV_SIGN with this index. staple is the OCSP response, in DER, that is sent with the
 * chain; staple_len is 0 if there is none. */
PQQ_FN(int, pqq_config_add_cert,
	(pqq_config *cfg, uint8_t *chain, size_t chain_len, uint8_t *key, size_t key_len, uint16_t index,
	 int32_t *err, const uint8_t *staple, size_t staple_len))
/* pqq_config_add_root adds a trust anchor: one PEM certificate, NUL-terminated. */
PQQ_FN(int, pqq_config_add_root, (pqq_config *cfg, const char *pem, int32_t *err))
PQQ_FN(int, pqq_config_add_alpn, (pqq_config *cfg, const uint8_t *proto, size_t len, int32_t *err))
/* pqq_config_add_ticket_key adds a session ticket key. The first key seals and opens tickets, the others
 * only open them. */
PQQ_FN(int, pqq_config_add_ticket_key, (pqq_config *cfg, const uint8_t secret[32], int32_t *err))
/* pqq_config_groups writes the groups that the configuration offers and returns their number, at most
 * cap. */
PQQ_FN(size_t, pqq_config_groups, (pqq_config *cfg, uint16_t *out, size_t cap))

/* pqq_error_text writes the symbolic name and the message of an s2n-tls error number. Safe for concurrent
 * use. */
PQQ_VOID(pqq_error_text, (int32_t err, char *name, size_t name_cap, char *text, size_t text_cap))

/* ---- TLS: one handshake ------------------------------------------------------------------ */

typedef struct pqq_conn pqq_conn;
typedef struct pqq_ticket pqq_ticket;

/* Levels, as in Go's tlsprovider. */
enum { PQQ_INITIAL, PQQ_EARLY, PQQ_HANDSHAKE, PQQ_APP };

/* Events. A record of the log is {kind u8, level u8, aux u16, len u32} in the machine's byte order,
 * followed by len bytes. */
enum {
	PQQ_EV_WRITE = 1,    /* bytes: CRYPTO to send at level */
	PQQ_EV_KEYS,         /* aux: the keys of level that are ready: 1 for reading, 2 for writing, 3 for both */
	PQQ_EV_PARAMS,       /* bytes: the server's transport parameters */
	PQQ_EV_CLIENT_HELLO, /* bytes: the ClientHello's body; call pqq_conn_continue */
	PQQ_EV_SIGN,         /* aux: index; bytes: signature algorithm, hash algorithm, digest */
	PQQ_EV_DONE,         /* the handshake is complete */
	PQQ_EV_TICKET,       /* pqq_conn_take_ticket returns a ticket */
	PQQ_EV_KEY_LOG,      /* bytes: a line */
	PQQ_EV_VERIFIED      /* bytes: the next certificate, in DER, of the path from the peer's to a root */
};

enum { PQQ_OK = 1, PQQ_FAILED = 2 };

typedef struct {
	int32_t status; /* PQQ_OK or PQQ_FAILED; 0 if the library is not linked */
	int32_t err;    /* s2n-tls's error number; 0 if this library failed */
	uint32_t log_len, more;
	uint8_t alert, blocked, done;
} pqq_result;

typedef struct {
	uint16_t suite;
	uint8_t resumed, alpn_len;
	char group[32]; /* s2n-tls's name */
	char alpn[256];
} pqq_state;

/* pqq_conn_new makes a connection of cfg. server_name is sent in the SNI extension. The peer's certificate
 * must be valid for verify_name, which is a host name or, if verify_ip is 1, an address. Both are
 * NUL-terminated, or NULL for none. params are a client's transport parameters; a server passes its own to
 * pqq_conn_continue. */
PQQ_FN(pqq_conn *, pqq_conn_new,
	(pqq_config *cfg, const char *server_name, const char *verify_name, int verify_ip,
	 const uint8_t *params, size_t params_len, int32_t *err))
PQQ_VOID(pqq_conn_free, (pqq_conn *c))

/* pqq_conn_settle frees the memory that a connection keeps for tickets and for pqq_conn_state after its handshake.
 * Tickets that arrive later are checked and dropped. */
PQQ_VOID(pqq_conn_settle, (pqq_conn *c))

/* pqq_conn_resume makes a client offer a ticket. The caller still owns the ticket. It must be called before
 * the first pqq_drive. now is as in pqq_drive. It fails if the ticket has expired. */
PQQ_FN(int, pqq_conn_resume, (pqq_conn *c, const pqq_ticket *t, int64_t now))

/* pqq_drive passes CRYPTO bytes of one level to the handshake and runs it until it waits, fails or
 * completes. After the handshake it processes post-handshake messages. Events are written to log. If log
 * is too small, more is the number of bytes that pqq_log returns. now is the time, in nanoseconds since
 * 1970, at which certificates must be valid; 0 means the system's time. */
PQQ_FN(pqq_result, pqq_drive,
	(pqq_conn *c, uint32_t level, const uint8_t *in, size_t in_len, int64_t now, uint8_t *log,
	 size_t log_cap))
PQQ_FN(size_t, pqq_log, (pqq_conn *c, uint8_t *log, size_t log_cap))

/* pqq_conn_continue answers PQQ_EV_CLIENT_HELLO. cfg, if not NULL, replaces the configuration. Call
 * pqq_drive next. */
PQQ_FN(int, pqq_conn_continue,
	(pqq_conn *c, pqq_config *cfg, const uint8_t *alpn, size_t alpn_len, const uint8_t *params,
	 size_t params_len, int32_t *err))

/* pqq_conn_signed answers PQQ_EV_SIGN with the signature. Call pqq_drive next. */
PQQ_FN(int, pqq_conn_signed, (pqq_conn *c, const uint8_t *sig, size_t len, int32_t *err))

/* pqq_conn_take_sealer and pqq_conn_take_opener pass the ownership of keys that PQQ_EV_KEYS announced to
 * the caller. They return NULL if there are none or if they were taken before. */
PQQ_FN(pqq_sealer *, pqq_conn_take_sealer, (pqq_conn *c, uint32_t level, uint32_t version))
PQQ_FN(pqq_opener *, pqq_conn_take_opener, (pqq_conn *c, uint32_t level, uint32_t version))

/* pqq_conn_state writes what the handshake has negotiated so far. It fails after pqq_conn_settle. */
PQQ_FN(int, pqq_conn_state, (pqq_conn *c, pqq_state *out))

/* pqq_conn_export derives keying material (TLS-Exporter, RFC 8446, 7.5). It is available from PQQ_EV_DONE
 * until the connection is freed. */
PQQ_FN(int, pqq_conn_export,
	(pqq_conn *c, const char *label, size_t label_len, const uint8_t *context, size_t context_len,
	 uint8_t *out, size_t out_len))

/* pqq_conn_take_ticket passes the ownership of the last ticket received to the caller. It returns NULL if
 * there is none. */
PQQ_FN(pqq_ticket *, pqq_conn_take_ticket, (pqq_conn *c))
PQQ_VOID(pqq_ticket_free, (pqq_ticket *t))
/* pqq_ticket_lifetime returns for how many seconds a ticket can be used. */
PQQ_FN(uint32_t, pqq_ticket_lifetime, (const pqq_ticket *t))
/* pqq_ticket_save copies a ticket, which contains the secret of its session, to out, and returns its length. It copies
 * nothing if cap is smaller than that. */
PQQ_FN(size_t, pqq_ticket_save, (const pqq_ticket *t, uint8_t *out, size_t cap))
/* pqq_ticket_restore makes a ticket from what pqq_ticket_save has copied. It returns NULL if there is no memory. Bytes that
 * are not a ticket are found by pqq_conn_resume. */
PQQ_FN(pqq_ticket *, pqq_ticket_restore, (const uint8_t *in, size_t len, uint32_t lifetime))

#endif
