/* glue.h is what depends on the version of s2n-tls. There are two implementations: cgo/c/current, for s2n-tls 1.7,
 * and cgo/c/historic, for the version of 2022 that still has the key exchanges of that time. CMake compiles
 * one of the folders. The rest of our TLS code uses only what both versions have. */
#ifndef PQQ_GLUE_H
#define PQQ_GLUE_H

#include "tls.h"

/* pqq_glue_config returns a configuration that trusts no certificate, or NULL. */
struct s2n_config *pqq_glue_config(void);
/* pqq_glue_verify_config and pqq_glue_verify_conn make s2n-tls ask pqq_name_matches when it verifies a peer's chain.
 * One version has a callback for configurations, the other for connections. */
int pqq_glue_verify_config(struct s2n_config *s);
int pqq_glue_verify_conn(pqq_conn *c);
/* pqq_glue_flags reports whether this version has what the flags of a configuration ask for. */
int pqq_glue_flags(uint32_t flags);

/* pqq_glue_set_staple sets the OCSP response of a chain. */
int pqq_glue_set_staple(struct s2n_cert_chain_and_key *chain, const uint8_t *staple, uint32_t len);

/* pqq_glue_groups writes the groups of a configuration and returns their number, or 0 if this version has no such
 * function. */
size_t pqq_glue_groups(struct s2n_config *s, uint16_t *out, size_t cap);
/* pqq_glue_group returns s2n-tls's name of the group that was negotiated, or NULL. */
const char *pqq_glue_group(struct s2n_connection *s);

/* pqq_glue_is_exporter reports whether a secret is the exporter's. */
int pqq_glue_is_exporter(s2n_secret_type_t type);
/* pqq_glue_read_ticket makes a client read one message that arrived after the handshake. */
int pqq_glue_read_ticket(struct s2n_connection *s);

/* pqq_glue_policy returns the name of a policy that every release has which is new enough. */
const char *pqq_glue_policy(int fips_build);
/* pqq_glue_info sets what info says about s2n-tls besides its version. It is called after s2n_init. */
void pqq_glue_info(pqq_info *info);

#endif
