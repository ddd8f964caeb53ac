/* Overruns on purpose, in the asan variant: CTest expects AddressSanitizer's report of each, or the
 * variant would pass without looking. */
#include "check.h"
#include "../tls.h"

/* A slab that is shorter than the caller says: the first byte that our own code reads is outside. */
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

/* A name that is shorter than the caller says. */
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
