/* Deliberate overruns for the asan variant. CTest requires AddressSanitizer's report of each, which shows that
 * the variant detects overruns. */
#include "check.h"
#include "../tls.h"

/* The slab is shorter than the given length, so our code reads outside of it. */
static void ours(void)
{
	uint8_t secret[32] = { 1 };
	pqq_sealer *s = pqq_sealer_new(1, 0x1301, secret, sizeof(secret), 1);
	uint8_t *slab = malloc(64);
	pqq_seal_desc d = { .offset = 64, .header_len = 13, .payload_len = 20 };
	CHECK(s != NULL && slab != NULL);
	CHECK(pqq_seal(s, slab, 64 + 13 + 20 + 16, &d, 1));
	free(slab);
	pqq_sealer_free(s);
}

/* The name is shorter than the given length, so s2n-tls reads outside of it. */
static void s2n(void)
{
	struct s2n_config *cfg = s2n_config_new();
	char *name = malloc(8);
	CHECK(cfg != NULL && name != NULL);
	memset(name, 'x', 8);
	CHECK(s2n_config_append_protocol_preference(cfg, (uint8_t *)name, 200) == 0);
	free(name);
	s2n_config_free(cfg);
}

int main(int argc, char **argv)
{
	check_init();
	if (argc == 2 && strcmp(argv[1], "s2n") == 0) {
		s2n();
	} else {
		ours();
	}
	return 0;
}
