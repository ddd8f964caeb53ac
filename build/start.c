/* start.c is linked with a new archive and run before the archive gets its final name: libraries that
 * do not fit, or that lack a symbol, fail the build and not the programs that are built with them. */
#include <stdio.h>

#define PQQ_LINKED 1
#include "pqquic.h"

int main(void)
{
	pqq_info info;
	char err[512];
	if (!pqq_init(&info, err, sizeof(err))) {
		fprintf(stderr, "error: %s\n", err);
		return 1;
	}
	return 0;
}
