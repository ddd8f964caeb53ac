/* OpenSSL's algorithms, fetched once, and contexts for them. */
#include <pthread.h>
#include <stdio.h>

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "pool.h"

/* The maximum number of idle contexts of a kind. */
#define KEPT 64

typedef struct {
	pthread_mutex_t lock;
	size_t n;
	void *free[KEPT];
} stack;

static const char *const cipher_names[POOL_CIPHERS] = {
	[PQQ_AES_128_GCM] = "AES-128-GCM",
	[PQQ_AES_256_GCM] = "AES-256-GCM",
	[PQQ_CHACHA20_POLY1305] = "ChaCha20-Poly1305",
	[POOL_AES_128_ECB] = "AES-128-ECB",
	[POOL_AES_256_ECB] = "AES-256-ECB",
	[POOL_CHACHA20] = "ChaCha20",
};

static const char *const md_names[] = { [PQQ_SHA256] = "SHA2-256", [PQQ_SHA384] = "SHA2-384" };
#define HASHES (sizeof(md_names) / sizeof(md_names[0]))

static EVP_CIPHER *ciphers[POOL_CIPHERS];
static EVP_MD *mds[HASHES];
static EVP_MAC *hmac;
static stack cipher_pool[POOL_CIPHERS], hmac_pool[HASHES];

static const uint8_t zeros[32];

int pqq_pool_start(char *err, size_t err_cap)
{
	const char *lacks = NULL;
	for (int i = 0; i < POOL_CIPHERS; i++) {
		pthread_mutex_init(&cipher_pool[i].lock, NULL);
		ciphers[i] = EVP_CIPHER_fetch(NULL, cipher_names[i], NULL);
		lacks = ciphers[i] == NULL ? cipher_names[i] : lacks;
	}
	for (size_t i = 0; i < HASHES; i++) {
		pthread_mutex_init(&hmac_pool[i].lock, NULL);
		mds[i] = EVP_MD_fetch(NULL, md_names[i], NULL);
		lacks = mds[i] == NULL ? md_names[i] : lacks;
	}
	hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	lacks = hmac == NULL ? "HMAC" : lacks;
	ERR_clear_error();
	if (lacks != NULL) {
		snprintf(err, err_cap, "OpenSSL's providers do not implement %s: check openssl.cnf (OPENSSL_CONF)", lacks);
		return 0;
	}
	return 1;
}

const EVP_MD *pqq_pool_md(pqq_hash h) { return mds[h]; }

static void *take(stack *s)
{
	void *ctx = NULL;
	pthread_mutex_lock(&s->lock);
	if (s->n > 0) {
		ctx = s->free[--s->n];
	}
	pthread_mutex_unlock(&s->lock);
	return ctx;
}

/* put reports whether there was room. */
static int put(stack *s, void *ctx)
{
	pthread_mutex_lock(&s->lock);
	int room = s->n < KEPT;
	if (room) {
		s->free[s->n++] = ctx;
	}
	pthread_mutex_unlock(&s->lock);
	return room;
}

EVP_CIPHER_CTX *pqq_pool_cipher(int cipher, const uint8_t *key, int encrypts)
{
	const EVP_CIPHER *fresh = NULL; /* NULL keeps the cipher of a context from the pool */
	EVP_CIPHER_CTX *ctx = take(&cipher_pool[cipher]);
	if (ctx == NULL) {
		fresh = ciphers[cipher];
		ctx = fresh == NULL ? NULL : EVP_CIPHER_CTX_new();
	}
	if (ctx == NULL) {
		return NULL;
	}
	if (!EVP_CipherInit_ex2(ctx, fresh, key, NULL, encrypts, NULL) || !EVP_CIPHER_CTX_set_padding(ctx, 0)) {
		EVP_CIPHER_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

void pqq_pool_cipher_back(int cipher, EVP_CIPHER_CTX *ctx)
{
	if (ctx != NULL && (!EVP_CipherInit_ex2(ctx, NULL, zeros, NULL, 1, NULL) || !put(&cipher_pool[cipher], ctx))) {
		EVP_CIPHER_CTX_free(ctx);
	}
}

EVP_MAC_CTX *pqq_pool_hmac(pqq_hash h, const uint8_t *key, size_t key_len)
{
	OSSL_PARAM digest[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)md_names[h], 0),
		OSSL_PARAM_construct_end(),
	};
	const OSSL_PARAM *fresh = NULL;
	EVP_MAC_CTX *ctx = take(&hmac_pool[h]);
	if (ctx == NULL) {
		fresh = digest;
		ctx = hmac == NULL ? NULL : EVP_MAC_CTX_new(hmac);
	}
	/* OpenSSL takes NULL as "keep the key", so an empty key is passed as a pointer with length 0. */
	if (ctx == NULL || !EVP_MAC_init(ctx, key == NULL ? zeros : key, key == NULL ? 0 : key_len, fresh)) {
		EVP_MAC_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

void pqq_pool_hmac_back(pqq_hash h, EVP_MAC_CTX *ctx)
{
	if (ctx != NULL && (!EVP_MAC_init(ctx, zeros, sizeof(zeros), NULL) || !put(&hmac_pool[h], ctx))) {
		EVP_MAC_CTX_free(ctx);
	}
}
