/* check.h is the test framework of the C tests. A failed check prints its position and ends the test. */
#ifndef PQQ_CHECK_H
#define PQQ_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../internal.h"

#define CHECK(cond)                                                                  \
	do {                                                                         \
		if (!(cond)) {                                                       \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);   \
			exit(1);                                                     \
		}                                                                    \
	} while (0)

/* Reports whether s2n-tls is that of the variant historic, which has neither tickets nor an exporter. */
static inline int is_historic(void)
{
	pqq_info info;
	char err[256];
	return pqq_init_1(&info, err, sizeof(err)) && info.historic_kems[0] != '\0';
}

static inline void check_init(void)
{
	pqq_info info;
	char err[256];
	if (!pqq_init_1(&info, err, sizeof(err))) {
		fprintf(stderr, "pqq_init_1: %s\n", err);
		exit(1);
	}
}

#endif
