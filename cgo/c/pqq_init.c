#include <pthread.h>
#include <stdio.h>

#include "glue.h"

#ifndef PQQ_S2N_VERSION
#define PQQ_S2N_VERSION "unknown"
#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int init_ok;
static pqq_info init_info;
static char init_err[512];

static void copy_text(char *out, size_t cap, const char *text)
{
	if (cap > 0) {
		snprintf(out, cap, "%s", text);
	}
}

/* s2n-tls has no function that returns its version. It is new enough if it has the policies that we use. */
static int s2n_new_enough(void)
{
	const char *policy = pqq_glue_policy(init_info.fips_build);
	struct s2n_config *config = pqq_glue_config();
	int ok = config != NULL && s2n_config_set_cipher_preferences(config, policy) == S2N_SUCCESS;
	if (config != NULL) {
		s2n_config_free(config);
	}
	if (!ok) {
		snprintf(init_err, sizeof(init_err),
			"the linked s2n-tls is too old: it has no policy \"%s\" (compiled for s2n-tls %s)", policy, PQQ_S2N_VERSION);
	}
	return ok;
}

static void init_once(void)
{
	copy_text(init_info.tls_compiled, sizeof(init_info.tls_compiled), PQQ_S2N_VERSION);
	if (!pqq_crypto_version(&init_info, init_err, sizeof(init_err)) || !pqq_libs_alone(init_err, sizeof(init_err))
		|| !pqq_crypto_fits_s2n(init_err, sizeof(init_err))
		|| !pqq_crypto_start(&init_info, init_err, sizeof(init_err))) {
		return;
	}
	if (!pqq_mem_install() || s2n_init() != S2N_SUCCESS) {
		snprintf(init_err, sizeof(init_err), "s2n_init: %s", s2n_strerror(s2n_errno, "EN"));
		return;
	}
	pqq_glue_info(&init_info);
	init_ok = s2n_new_enough();
}

int pqq_init_1(pqq_info *info, char *err, size_t err_cap)
{
	pthread_once(&once, init_once);
	*info = init_info;
	copy_text(err, err_cap, init_err);
	return init_ok;
}

int pqq_rand(uint8_t *buf, size_t len) { return pqq_crypto_random(buf, len); }
