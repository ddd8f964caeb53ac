/* start.c is linked with a new archive and run before the archive gets its final name. If the libraries are
 * incompatible or lack a symbol, the build fails, and not later a program that uses them. */
#include <stdio.h>

#define PQQ_LINKED 1
#include "pqquic.h"

int main(void)
{
	pqq_info info;
	char err[512];
	if (!pqq_init_1(&info, err, sizeof(err))) {
		fprintf(stderr, "error: %s\n", err);
		return 1;
	}
	/* scripts/build shows this line. */
	if (info.historic_kems[0] != '\0') {
		printf("-- code of the KEMs on this processor: %s\n", info.historic_kems);
	}
	return 0;
}
