/* Compares pqq_crypto_leaf_matches, which reads only the subjectAltName, with functions of AWS-LC that parse all of a
 * certificate: for certificates with different names, and for each of them with one byte changed. */
#include "../../internal.h"
#include "../certs.h"

static int matches_by_x509(const X509 *cert, const char *name, int is_ip)
{
	if (is_ip) {
		return X509_check_ip_asc(cert, name, 0) == 1;
	}
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	int found = 0;
	for (size_t i = 0; names != NULL && i < sk_GENERAL_NAME_num(names) && !found; i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		found = n->type == GEN_DNS
			&& pqq_host_matches(ASN1_STRING_get0_data(n->d.dNSName), (size_t)ASN1_STRING_length(n->d.dNSName), name);
	}
	GENERAL_NAMES_free(names);
	return found;
}

typedef struct {
	const char *name;
	int is_ip;
} peer;

static const peer peers[] = {
	{ "server.test", 0 }, { "SERVER.test", 0 }, { "a.wild.test", 0 }, { "a.b.wild.test", 0 }, { "common.test", 0 },
	{ "192.0.2.1", 0 }, { "192.0.2.1", 1 }, { "192.0.2.2", 1 }, { "2001:db8::1", 1 }, { "::ffff:192.0.2.1", 1 },
	{ "no address", 1 }, { "", 0 },
};

enum { PEERS = sizeof(peers) / sizeof(peers[0]) };

/* Returns how many of the peers match, and checks that both ways find the same ones. If the certificate may be encoded
 * in BER, X509 may find more. s2n-tls has parsed a certificate before its names are checked, so one that X509 cannot
 * parse does not matter. */
static int compare(const uint8_t *der, size_t len, int ber)
{
	const uint8_t *p = der;
	X509 *cert = d2i_X509(NULL, &p, (long)len);
	int found = 0;
	for (size_t i = 0; i < PEERS; i++) {
		int match = pqq_crypto_leaf_matches(der, len, peers[i].name, peers[i].is_ip);
		CHECK(ERR_peek_error() == 0);
		if (cert != NULL && p == der + len) {
			int expected = matches_by_x509(cert, peers[i].name, peers[i].is_ip);
			CHECK(match == expected || (ber && !match));
		}
		found += match;
	}
	X509_free(cert);
	ERR_clear_error();
	return found;
}

static void add(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_nconf_nid(NULL, NULL, nid, value);
	CHECK(ext != NULL && X509_add_ext(x, ext, -1));
	X509_EXTENSION_free(ext);
}

/* Makes a certificate with the names, each list in a subjectAltName of its own. */
static size_t make(EVP_PKEY *key, const char *const *lists, uint8_t **der)
{
	X509 *x = X509_new();
	CHECK(x != NULL && X509_set_version(x, 2) && ASN1_INTEGER_set(X509_get_serialNumber(x), 1));
	CHECK(X509_gmtime_adj(X509_getm_notBefore(x), 0) != NULL && X509_gmtime_adj(X509_getm_notAfter(x), 3600) != NULL);
	CHECK(X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const uint8_t *)"common.test", -1, -1, 0));
	CHECK(X509_set_issuer_name(x, X509_get_subject_name(x)) && X509_set_pubkey(x, key));
	add(x, NID_basic_constraints, "critical,CA:FALSE");
	for (; *lists != NULL; lists++) {
		add(x, NID_subject_alt_name, *lists);
	}
	add(x, NID_ext_key_usage, "serverAuth");
	CHECK(X509_sign(x, key, EVP_sha256()));
	int len = i2d_X509(x, der);
	CHECK(len > 0);
	X509_free(x);
	return (size_t)len;
}

static void change_bytes(uint8_t *der, size_t len)
{
	static const uint8_t changes[] = { 0x01, 0x02, 0x04, 0x20, 0x80, 0xff };
	for (size_t at = 0; at < len; at++) {
		for (size_t i = 0; i < sizeof(changes); i++) {
			der[at] ^= changes[i];
			compare(der, len, changes[i] == 0x20); /* the bit for constructed encodings */
			der[at] ^= changes[i];
		}
		/* X509 accepts bytes after a certificate, but the provider rejects such a Certificate message. */
		CHECK(compare(der, at, 0) == 0);
	}
}

int main(void)
{
	static const struct {
		const char *lists[3];
		int matches;
	} tests[] = {
		{ { "DNS:server.test" }, 2 },
		{ { "email:a@b.test,URI:https://server.test/,DNS:*.wild.test,IP:192.0.2.1" }, 2 },
		{ { "critical,IP:2001:db8::1,IP:192.0.2.2,DNS:other.test,DNS:server.test" }, 4 },
		{ { "DNS:192.0.2.1,RID:1.2.3.4" }, 1 },
		{ { "email:server.test" }, 0 },
		{ { "DNS:server.test", "DNS:server.test" }, 0 },
		{ { NULL }, 0 },
	};
	check_init();
	EVP_PKEY_CTX *gen = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
	EVP_PKEY *key = NULL;
	CHECK(gen != NULL && EVP_PKEY_keygen_init(gen) > 0);
	CHECK(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(gen, NID_X9_62_prime256v1) > 0 && EVP_PKEY_keygen(gen, &key) > 0);
	EVP_PKEY_CTX_free(gen);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		uint8_t *der = NULL;
		size_t len = make(key, tests[i].lists, &der);
		CHECK(compare(der, len, 0) == tests[i].matches);
		change_bytes(der, len);
		OPENSSL_free(der);
	}
	EVP_PKEY_free(key);
	return 0;
}
