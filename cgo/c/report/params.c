/* Describes the parameters of services: algorithm and size of keys. It calls no services itself. */
#include <stdio.h>

#include <openssl/aead.h>
#include <openssl/cipher.h>
#include <openssl/digest.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/rsa.h>

#include "report.h"

static const char *name_of(int nid)
{
	const char *name = OBJ_nid2sn(nid);
	return name == NULL ? "?" : name;
}

static const char *md_name(const EVP_MD *md) { return md == NULL ? "?" : name_of(EVP_MD_type(md)); }

static void md_arg(char *out, size_t cap, uint64_t arg) { snprintf(out, cap, "%s", md_name((const EVP_MD *)(uintptr_t)arg)); }

void pqq_report_md0(char *out, size_t cap, const uint64_t args[6], int after)
{
	(void)after;
	md_arg(out, cap, args[0]);
}

void pqq_report_md2(char *out, size_t cap, const uint64_t args[6], int after)
{
	(void)after;
	md_arg(out, cap, args[2]);
}

void pqq_report_md4(char *out, size_t cap, const uint64_t args[6], int after)
{
	(void)after;
	md_arg(out, cap, args[4]);
}

void pqq_report_md_ctx(char *out, size_t cap, const uint64_t args[6], int after)
{
	(void)after;
	snprintf(out, cap, "%s", md_name(EVP_MD_CTX_md((const EVP_MD_CTX *)(uintptr_t)args[0])));
}

void pqq_report_aead(char *out, size_t cap, const uint64_t args[6], int after)
{
	const EVP_AEAD_CTX *ctx = (const EVP_AEAD_CTX *)(uintptr_t)args[0];
	const struct {
		const EVP_AEAD *aead;
		const char *name;
	} known[] = {
		{ EVP_aead_aes_128_gcm(), "AES-128-GCM, the caller's nonce" },
		{ EVP_aead_aes_256_gcm(), "AES-256-GCM, the caller's nonce" },
		{ EVP_aead_aes_128_gcm_tls12(), "AES-128-GCM for TLS 1.2" },
		{ EVP_aead_aes_256_gcm_tls12(), "AES-256-GCM for TLS 1.2" },
		{ EVP_aead_aes_128_gcm_tls13(), "AES-128-GCM for TLS 1.3" },
		{ EVP_aead_aes_256_gcm_tls13(), "AES-256-GCM for TLS 1.3" },
		{ EVP_aead_aes_256_gcm_randnonce(), "AES-256-GCM, the module's nonce" },
		{ EVP_aead_chacha20_poly1305(), "ChaCha20-Poly1305" },
	};
	(void)after;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (ctx->aead == known[i].aead) {
			snprintf(out, cap, "%s", known[i].name);
			return;
		}
	}
	snprintf(out, cap, "unknown AEAD");
}

void pqq_report_cipher(char *out, size_t cap, const uint64_t args[6], int after)
{
	(void)after;
	snprintf(out, cap, "%s", name_of(EVP_CIPHER_CTX_nid((const EVP_CIPHER_CTX *)(uintptr_t)args[0])));
}

/* Names a KEM or an ML-DSA key by the length of its public key, for which AWS-LC has no function. */
static const char *raw_name(const EVP_PKEY *key)
{
	size_t len = 0;
	if (!EVP_PKEY_get_raw_public_key(key, NULL, &len)) {
		return "?";
	}
	switch (len) {
	case 800:
		return "ML-KEM-512";
	case 1184:
		return "ML-KEM-768";
	case 1568:
		return "ML-KEM-1024";
	case 1312:
		return "ML-DSA-44";
	case 1952:
		return "ML-DSA-65";
	case 2592:
		return "ML-DSA-87";
	case 32:
		return "X25519 or Ed25519";
	}
	return "?";
}

static void key_name(char *out, size_t cap, const EVP_PKEY *key)
{
	switch (EVP_PKEY_id(key)) {
	case EVP_PKEY_RSA:
	case EVP_PKEY_RSA_PSS:
		snprintf(out, cap, "RSA of %d bits", EVP_PKEY_bits(key));
		return;
	case EVP_PKEY_EC: {
		const EC_KEY *ec = EVP_PKEY_get0_EC_KEY(key);
		snprintf(out, cap, "%s", name_of(EC_GROUP_get_curve_name(EC_KEY_get0_group(ec))));
		return;
	}
	case EVP_PKEY_X25519:
		snprintf(out, cap, "X25519");
		return;
	case EVP_PKEY_ED25519:
		snprintf(out, cap, "Ed25519");
		return;
	default:
		snprintf(out, cap, "%s", raw_name(key));
	}
}

/* Names the key of a context, and the padding if it is an RSA key. */
static void ctx_name(char *out, size_t cap, EVP_PKEY_CTX *ctx)
{
	EVP_PKEY *key = ctx == NULL ? NULL : EVP_PKEY_CTX_get0_pkey(ctx);
	if (key == NULL) {
		return;
	}
	char name[PQQ_REPORT_KEY];
	key_name(name, sizeof(name), key);
	int padding = 0;
	int rsa = EVP_PKEY_id(key) == EVP_PKEY_RSA || EVP_PKEY_id(key) == EVP_PKEY_RSA_PSS;
	if (rsa && EVP_PKEY_CTX_get_rsa_padding(ctx, &padding)) {
		snprintf(out, cap, "%s, %s", name, padding == RSA_PKCS1_PSS_PADDING ? "PSS" : "PKCS #1 v1.5");
		return;
	}
	snprintf(out, cap, "%s", name);
}

void pqq_report_key_ctx(char *out, size_t cap, const uint64_t args[6], int after)
{
	(void)after;
	ctx_name(out, cap, (EVP_PKEY_CTX *)(uintptr_t)args[0]);
}

/* EVP_PKEY_keygen has no key before the call. */
void pqq_report_generated(char *out, size_t cap, const uint64_t args[6], int after)
{
	if (after) {
		key_name(out, cap, *(EVP_PKEY *const *)(uintptr_t)args[1]);
	}
}

void pqq_report_signature(char *out, size_t cap, const uint64_t args[6], int after)
{
	const EVP_MD_CTX *ctx = (const EVP_MD_CTX *)(uintptr_t)args[0];
	char name[PQQ_REPORT_KEY + 16] = "";
	(void)after;
	ctx_name(name, sizeof(name), ctx->pctx);
	const EVP_MD *md = EVP_MD_CTX_md(ctx);
	snprintf(out, cap, "%s%s%s", name, md == NULL ? "" : ", ", md == NULL ? "" : md_name(md));
}
