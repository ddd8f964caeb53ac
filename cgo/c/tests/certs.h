/* Makes a self-signed P-256 certificate for "server.test", in PEM. */
#ifndef PQQ_CERTS_H
#define PQQ_CERTS_H

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "check.h"

typedef struct {
	char cert[4096], key[4096];
} test_cert;

static inline void bio_text(BIO *bio, char *out, size_t cap)
{
	char *data = NULL;
	size_t len = (size_t)BIO_get_mem_data(bio, &data);
	CHECK(data != NULL && len < cap);
	memcpy(out, data, len);
	out[len] = '\0';
	BIO_free(bio);
}

static inline void make_cert(test_cert *out)
{
	EVP_PKEY_CTX *gen = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
	EVP_PKEY *key = NULL;
	X509 *x = X509_new();
	CHECK(gen != NULL && EVP_PKEY_keygen_init(gen) > 0);
	CHECK(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(gen, NID_X9_62_prime256v1) > 0 && EVP_PKEY_keygen(gen, &key) > 0);
	EVP_PKEY_CTX_free(gen);
	CHECK(X509_set_version(x, 2) && ASN1_INTEGER_set(X509_get_serialNumber(x), 1));
	CHECK(X509_gmtime_adj(X509_getm_notBefore(x), -3600) != NULL);
	CHECK(X509_gmtime_adj(X509_getm_notAfter(x), 3600) != NULL);
	CHECK(X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const uint8_t *)"test", -1, -1, 0));
	CHECK(X509_set_issuer_name(x, X509_get_subject_name(x)) && X509_set_pubkey(x, key));
	X509_EXTENSION *san = X509V3_EXT_nconf_nid(NULL, NULL, NID_subject_alt_name, "DNS:server.test");
	CHECK(san != NULL && X509_add_ext(x, san, -1));
	X509_EXTENSION_free(san);
	CHECK(X509_sign(x, key, EVP_sha256()));

	BIO *bio = BIO_new(BIO_s_mem());
	CHECK(PEM_write_bio_X509(bio, x));
	bio_text(bio, out->cert, sizeof(out->cert));
	bio = BIO_new(BIO_s_mem());
	CHECK(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
	bio_text(bio, out->key, sizeof(out->key));
	X509_free(x);
	EVP_PKEY_free(key);
}

#endif
